"""The demo's second process: `python -m kcore.cli.replay MODEL IMAGES PREDICTIONS`."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import kcore


def replay(model_file: str, images_file: str, predictions_file: str) -> None:
    """Loads a model and images, and writes what the model predicts."""
    keras: Any = kcore
    model = keras.models.load_model(model_file)
    np.save(predictions_file, np.asarray(model.predict(np.load(images_file), verbose=0)))


if __name__ == "__main__":
    replay(*sys.argv[1:])
