"""Pooling of channels-last images: its NumPy definitions, and the kernels that compute the same."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kcore import _native
from kcore._native.threads import threads_for
from kcore.backends.reference.convolution import How, taps
from kcore.ops.windows import inside


class Pool(NamedTuple):
    """The window and how it moves: a number, or a pair for padding, for each spatial axis."""

    size: tuple
    strides: tuple
    padding: tuple


# -- definitions ------------------------------------------------------------------------


def _counts(shape: tuple, pool: Pool) -> tuple:
    return tuple((n + before + after - k) // s + 1 for n, k, s, (before, after) in zip(shape[1:-1], *pool, strict=True))


def _taps(shape: tuple, pool: Pool):
    counts = _counts(shape, pool)
    return taps(pool.size, counts, How(pool.strides, pool.padding, (1,) * len(counts)))


def _padded(x: np.ndarray, pool: Pool, fill) -> np.ndarray:
    return np.pad(x, ((0, 0), *pool.padding, (0, 0)), constant_values=fill)


def _unpadded(x: np.ndarray, shape: tuple, pool: Pool) -> np.ndarray:
    return x[(slice(None), *(slice(b, b + n) for (b, _), n in zip(pool.padding, shape[1:-1], strict=True)))]


def _room(shape: tuple, pool: Pool) -> tuple:
    return (shape[0], *(n + b + a for n, (b, a) in zip(shape[1:-1], pool.padding, strict=True)), shape[-1])


def place_dtype(pool: Pool) -> str:
    """Of numbers below the size of the window."""
    elements = math.prod(pool.size)
    return "uint8" if elements <= 256 else "uint16" if elements <= 65536 else "int32"


def plain_max(x: np.ndarray, pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    """The greatest element of each window, the first nan if there is one, and its place in the window, row by row."""
    there = _padded(np.ones(x.shape, bool), pool, False)
    padded = _padded(x, pool, 0)
    y = np.zeros((x.shape[0], *_counts(x.shape, pool), x.shape[-1]), x.dtype)
    places = np.zeros(y.shape, place_dtype(pool))
    found = np.zeros(y.shape, bool)
    for i, (_, part) in enumerate(_taps(x.shape, pool)):
        new = padded[part]
        wins = there[part] & (~found | (new > y) | (np.isnan(new) & ~np.isnan(y)))
        np.copyto(y, new, where=wins)
        np.copyto(places, i, where=wins, casting="unsafe")
        found |= wins
    return y, places


def plain_spread(g: np.ndarray, places: np.ndarray, shape: tuple, pool: Pool) -> np.ndarray:
    """Zeros of `shape`, with each element of g added at its place."""
    x = np.zeros(_room(shape, pool), g.dtype)
    for i, (_, part) in enumerate(_taps(shape, pool)):
        x[part] += np.where(places == i, g, np.zeros((), g.dtype))
    return _unpadded(x, shape, pool)


def picked(x: np.ndarray, places: np.ndarray, pool: Pool) -> np.ndarray:
    """The element of each window at the place: the transpose of `spread`."""
    padded = _padded(x, pool, 0)
    y = np.zeros(places.shape, x.dtype)
    for i, (_, part) in enumerate(_taps(x.shape, pool)):
        np.copyto(y, padded[part], where=places == i)
    return y


def _inside(shape: tuple, pool: Pool, dtype) -> np.ndarray:
    return inside(shape[1:-1], *pool).astype(dtype)


def plain_mean(x: np.ndarray, pool: Pool) -> np.ndarray:
    """The mean of what each window has inside the image."""
    padded = _padded(x, pool, 0)
    y = np.zeros((x.shape[0], *_counts(x.shape, pool), x.shape[-1]), x.dtype)
    for _, part in _taps(x.shape, pool):
        y += padded[part]
    return y / _inside(x.shape, pool, x.dtype)


def plain_mean_grad(g: np.ndarray, shape: tuple, pool: Pool) -> np.ndarray:
    """The gradient of sum(g * mean(x)) by x, of that shape."""
    x = np.zeros(_room(shape, pool), g.dtype)
    g = g / _inside(shape, pool, g.dtype)
    for _, part in _taps(shape, pool):
        x[part] += g
    return _unpadded(x, shape, pool)


# -- on the compiled kernels where they fit ---------------------------------------------


def max_with_places(x: np.ndarray, pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    """`plain_max`."""
    if not _native_fits(x):
        return plain_max(x, pool)
    y, places = _native.kernels.max_pool2d(_image(x), *_widened(pool), threads_for(x.size))
    return _narrowed(x, y), _narrowed(x, places)


def spread(g: np.ndarray, places: np.ndarray, shape: tuple, pool: Pool) -> np.ndarray:
    """`plain_spread`."""
    if not _native_fits(g):
        return plain_spread(g, places, shape, pool)
    full = shape if g.ndim == 4 else (shape[0], 1, *shape[1:])
    threads = threads_for(math.prod(shape))
    return _narrowed(g, _native.kernels.max_pool2d_grad(_image(g), _image(places), full, *_widened(pool), threads))


def mean(x: np.ndarray, pool: Pool) -> np.ndarray:
    """`plain_mean`."""
    if not _native_fits(x):
        return plain_mean(x, pool)
    return _narrowed(x, _native.kernels.avg_pool2d(_image(x), *_widened(pool), False, threads_for(x.size)))


def mean_grad(g: np.ndarray, shape: tuple, pool: Pool) -> np.ndarray:
    """`plain_mean_grad`."""
    if not _native_fits(g):
        return plain_mean_grad(g, shape, pool)
    full = shape if g.ndim == 4 else (shape[0], 1, *shape[1:])
    threads = threads_for(math.prod(shape))
    return _narrowed(g, _native.kernels.avg_pool2d_grad(_image(g), full, *_widened(pool), False, threads))


def _native_fits(x: np.ndarray) -> bool:
    """Whether the compiled kernels take these: one or two spatial axes, float32 or float64."""
    return _native.available and x.ndim <= 4 and x.dtype.char in "fd"


# The kernels work on two spatial axes; a single one is a row of height 1.


def _image(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x if x.ndim == 4 else x[:, None])


def _widened(pool: Pool) -> Pool:
    if len(pool.size) == 2:
        return pool
    return Pool((1, *pool.size), (1, *pool.strides), ((0, 0), *pool.padding))


def _narrowed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return y if x.ndim == 4 else y[:, 0]
