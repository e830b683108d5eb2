"""1,797 handwritten digits of 8 by 8 pixels, shipped with kcore.

The source, the citation and the licence are in the README.md beside this file.
"""

from __future__ import annotations

import gzip
from importlib import resources
from numbers import Integral, Real
from typing import TypeAlias

import numpy as np

__all__ = ["load"]

Labelled: TypeAlias = tuple[np.ndarray, np.ndarray]

_COUNT = 1797


def load(test_fraction: float = 0.2, seed: int = 0) -> tuple[Labelled, Labelled]:
    """The digits, shuffled and split, each part with the same mix of classes.

    The same arguments give the same split on every machine and NumPy version.

    Args:
        test_fraction: The share held out, between 0 and 1. It is rounded to whole images.
        seed: Which shuffle: an int, 0 <= seed < 2**32.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images as float32 of shape (n, 8, 8, 1) in
        [0, 1], digits as int32 of shape (n,).

    Raises:
        ValueError: `test_fraction` leaves a part empty, or `seed` is out of range.
        TypeError: `test_fraction` is not a number, or `seed` is not an int.
    """
    held_out = _held_out(test_fraction)
    x, y = _read()
    # RandomState, because NumPy promises that its stream never changes.
    order = np.random.RandomState(_checked_seed(seed)).permutation(_COUNT)
    x, y = x[order], y[order]
    test = np.zeros(_COUNT, bool)
    test[_evenly_by_class(y)[:held_out]] = True
    return (x[~test], y[~test]), (x[test], y[test])


def _read() -> Labelled:
    packed = resources.files(__name__).joinpath("digits.csv.gz").read_bytes()
    text = gzip.decompress(packed).decode("ascii")
    rows = np.array(text.replace("\n", ",").strip(",").split(","), np.uint8).reshape(_COUNT, 65)
    x = rows[:, :64].reshape(_COUNT, 8, 8, 1).astype(np.float32) / 16
    return x, rows[:, 64].astype(np.int32)


def _evenly_by_class(y: np.ndarray) -> np.ndarray:
    """An order in which every leading part has, to one image, the class mix of the whole."""
    place = np.empty(len(y))
    for digit in range(10):
        (members,) = np.nonzero(y == digit)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(place, kind="stable")


def _held_out(test_fraction: float) -> int:
    if isinstance(test_fraction, bool) or not isinstance(test_fraction, Real):
        raise TypeError(f"digits.load: test_fraction={test_fraction!r} is not a number")
    count = round(_COUNT * float(test_fraction)) if 0 < test_fraction < 1 else 0
    if not 0 < count < _COUNT:
        raise ValueError(
            f"digits.load: test_fraction={test_fraction!r} leaves a part without images; expected 0 < test_fraction < 1"
        )
    return count


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"digits.load: seed={seed!r} is not an int")
    if not 0 <= seed < 2**32:
        raise ValueError(f"digits.load: seed={seed!r} is out of range; expected 0 <= seed < 2**32")
    return int(seed)
