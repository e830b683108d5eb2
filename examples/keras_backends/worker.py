"""Runs calls of keras.ops on the backend of KERAS_BACKEND: `python worker.py CALLS RESULTS`.

CALLS is a pickle of (key, name, args, kwargs), RESULTS becomes one of key -> list of arrays, or the text of an error.
"""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path

import keras
import numpy as np


def tensor(x):
    return keras.ops.convert_to_tensor(x) if isinstance(x, np.ndarray) else x


def flat(y):
    return [e for part in y for e in flat(part)] if isinstance(y, (list, tuple)) else [y]


def run(name, args, kwargs):
    try:
        args = [[tensor(e) for e in a] if isinstance(a, list) else tensor(a) for a in args]
        y = getattr(keras.ops, name)(*args, **{k: tensor(v) for k, v in kwargs.items()})
        return [np.asarray(keras.ops.convert_to_numpy(e)) for e in flat(y)]
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    calls = pickle.loads(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_bytes(pickle.dumps({key: run(name, a, k) for key, name, a, k in calls}))
