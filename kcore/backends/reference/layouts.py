"""Images in either layout as channels-last ones, and back."""

from __future__ import annotations

import math

import numpy as np

from kcore import _native
from kcore._native.threads import threads_for


def contiguous(x: np.ndarray) -> np.ndarray:
    """x, or a copy whose elements lie side by side, as kernels take them."""
    return x if x.flags.c_contiguous else np.ascontiguousarray(x)


def to_last(x: np.ndarray, layout: str) -> np.ndarray:
    """Images as channels-last; a view where there is no kernel to move them."""
    if layout == "channels_last":
        return x
    if not _moves(x):
        return np.moveaxis(x, 1, -1)
    n, c, *sizes = x.shape
    y = _native.kernels.swap_axes(x.reshape(n, c, math.prod(sizes)), threads_for(x.size))
    return y.reshape(n, *sizes, c)


def from_last(y: np.ndarray, layout: str) -> np.ndarray:
    """Channels-last images in that layout; a view where there is no kernel to move them."""
    if layout == "channels_last":
        return y
    if not _moves(y):
        return np.moveaxis(y, -1, 1)
    n, *sizes, c = y.shape
    x = _native.kernels.swap_axes(y.reshape(n, math.prod(sizes), c), threads_for(y.size))
    return x.reshape(n, c, *sizes)


def shape_to_last(shape: tuple, layout: str) -> tuple:
    """The shape that `to_last` gives."""
    return shape if layout == "channels_last" else (shape[0], *shape[2:], shape[1])


def _moves(x: np.ndarray) -> bool:
    return _native.available and x.size > 0 and x.dtype.char in "fd" and x.flags.c_contiguous
