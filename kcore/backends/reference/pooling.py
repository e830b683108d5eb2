"""Pooling of channels-last images: its NumPy definitions, and the kernels that compute the same.

Where windows lie is told by their bounds: for each spatial axis an array of (start, stop) in int64, which may reach
over the image's edges. So what is said here holds for windows that slide as for those of adaptive pooling.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kcore import _native
from kcore._native.threads import threads_for
from kcore.backends.reference.layouts import contiguous

Bounds = tuple[np.ndarray, ...]


class Pool(NamedTuple):
    """The window and how it moves: a number, or a pair for padding, for each spatial axis."""

    size: tuple
    strides: tuple
    padding: tuple

    def bounds(self, spatial: tuple) -> Bounds:
        """Where the windows lie in images of those sizes."""
        return tuple(_sliding(*one) for one in zip(spatial, *self, strict=True))


class Adaptive(NamedTuple):
    """How many windows there are along each spatial axis; where they lie follows from the image's size."""

    counts: tuple

    def bounds(self, spatial: tuple) -> Bounds:
        """Where the windows lie in images of those sizes."""
        return tuple(_even(*one) for one in zip(spatial, *self, strict=True))


@functools.lru_cache(1024)
def _sliding(n: int, size: int, stride: int, padding: tuple) -> np.ndarray:
    starts = np.arange((n + sum(padding) - size) // stride + 1, dtype="int64") * stride - padding[0]
    return _bounds(starts, starts + size)


@functools.lru_cache(1024)
def _even(n: int, count: int) -> np.ndarray:
    i = np.arange(count, dtype="int64")
    return _bounds(i * n // count, -(-(i + 1) * n // count))


def _bounds(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    both = np.stack([starts, stops], 1)
    both.flags.writeable = False  # it is shared by all who ask
    return both


def _window(bounds: Bounds) -> tuple[int, ...]:
    """The box that holds every window."""
    return tuple(int((b[:, 1] - b[:, 0]).max(initial=0)) for b in bounds)


def place_dtype(bounds: Bounds) -> str:
    """Of numbers below the size of the window."""
    elements = math.prod(_window(bounds))
    return "uint8" if elements <= 256 else "uint16" if elements <= 65536 else "int32"


def counts(bounds: Bounds) -> tuple[int, ...]:
    """How many windows there are along each axis."""
    return tuple(map(len, bounds))


# -- definitions ------------------------------------------------------------------------


def _outer(operation: np.ufunc, parts: list) -> np.ndarray:
    """For each window, `operation` over what its axes have; with an axis of channels."""
    return functools.reduce(operation.outer, parts)[..., None]


def _elements(shape: tuple, bounds: Bounds) -> Iterator[tuple]:
    """(place, index of that element of all windows, which of them are inside), place by place."""
    spatial = shape[1:-1]
    for place, offsets in enumerate(np.ndindex(*_window(bounds))):
        at = [b[:, 0] + i for b, i in zip(bounds, offsets, strict=True)]
        there = [(i >= 0) & (i < np.minimum(b[:, 1], n)) for i, b, n in zip(at, bounds, spatial, strict=True)]
        index = np.ix_(*(np.clip(i, 0, n - 1) for i, n in zip(at, spatial, strict=True)))
        yield place, (slice(None), *index), _outer(np.logical_and, there)


def _sizes(shape: tuple, bounds: Bounds, dtype) -> np.ndarray:
    """How many elements of each window are inside."""
    lengths = [np.minimum(b[:, 1], n) - np.maximum(b[:, 0], 0) for b, n in zip(bounds, shape[1:-1], strict=True)]
    return _outer(np.multiply, lengths).astype(dtype)


def plain_max(x: np.ndarray, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """The greatest element of each window, the first nan if there is one, and its place in the window, row by row."""
    y = np.zeros((x.shape[0], *counts(bounds), x.shape[-1]), x.dtype)
    places = np.zeros(y.shape, place_dtype(bounds))
    found = np.zeros(y.shape, bool)
    for place, index, inside in _elements(x.shape, bounds):
        new = x[index]
        wins = inside & (~found | (new > y) | (np.isnan(new) & ~np.isnan(y)))
        np.copyto(y, new, where=wins)
        np.copyto(places, place, where=wins, casting="unsafe")
        found |= wins
    return y, places


def plain_spread(g: np.ndarray, places: np.ndarray, shape: tuple, bounds: Bounds) -> np.ndarray:
    """Zeros of `shape`, with each element of g added at its place."""
    x = np.zeros(shape, g.dtype)
    for place, index, _ in _elements(shape, bounds):
        np.add.at(x, index, np.where(places == place, g, np.zeros((), g.dtype)))
    return x


def picked(x: np.ndarray, places: np.ndarray, bounds: Bounds) -> np.ndarray:
    """The element of each window at the place: the transpose of `spread`."""
    y = np.zeros(places.shape, x.dtype)
    for place, index, _ in _elements(x.shape, bounds):
        np.copyto(y, x[index], where=places == place)
    return y


def plain_mean(x: np.ndarray, bounds: Bounds) -> np.ndarray:
    """The mean of what each window has inside the image."""
    y = np.zeros((x.shape[0], *counts(bounds), x.shape[-1]), x.dtype)
    for _, index, inside in _elements(x.shape, bounds):
        y += np.where(inside, x[index], np.zeros((), x.dtype))
    return y / _sizes(x.shape, bounds, x.dtype)


def plain_mean_grad(g: np.ndarray, shape: tuple, bounds: Bounds) -> np.ndarray:
    """The gradient of sum(g * mean(x)) by x, of that shape."""
    x = np.zeros(shape, g.dtype)
    g = g / _sizes(shape, bounds, g.dtype)
    for _, index, inside in _elements(shape, bounds):
        np.add.at(x, index, np.where(inside, g, np.zeros((), g.dtype)))
    return x


# -- on the compiled kernels where they fit ---------------------------------------------


def greatest(x: np.ndarray, bounds: Bounds) -> np.ndarray:
    """`plain_max` without the places."""
    return _max(x, bounds, False)[0]


def max_with_places(x: np.ndarray, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """`plain_max`."""
    return _max(x, bounds, True)


def _max(x, bounds, wanted):
    if not _native_fits(x):
        return plain_max(x, bounds)
    y, places = _native.kernels.max_pool(_volume(x), _three(bounds), wanted, threads_for(x.size))
    shape = (x.shape[0], *counts(bounds), x.shape[-1])
    return y.reshape(shape), places.reshape(shape) if wanted else None


def spread(g: np.ndarray, places: np.ndarray, shape: tuple, bounds: Bounds) -> np.ndarray:
    """`plain_spread`."""
    if not _native_fits(g):
        return plain_spread(g, places, shape, bounds)
    parts = _volume(g), _volume(places), _volume_shape(shape), _three(bounds)
    return _native.kernels.max_pool_grad(*parts, threads_for(math.prod(shape))).reshape(shape)


def mean(x: np.ndarray, bounds: Bounds) -> np.ndarray:
    """`plain_mean`."""
    if not _native_fits(x):
        return plain_mean(x, bounds)
    y = _native.kernels.avg_pool(_volume(x), _three(bounds), threads_for(x.size))
    return y.reshape(x.shape[0], *counts(bounds), x.shape[-1])


def mean_grad(g: np.ndarray, shape: tuple, bounds: Bounds) -> np.ndarray:
    """`plain_mean_grad`."""
    if not _native_fits(g):
        return plain_mean_grad(g, shape, bounds)
    parts = _volume(g), _volume_shape(shape), _three(bounds)
    return _native.kernels.avg_pool_grad(*parts, threads_for(math.prod(shape))).reshape(shape)


def _native_fits(x: np.ndarray) -> bool:
    return _native.available and x.dtype.char in "fd"


# The kernels work on three spatial axes: those that are missing have one element, and one window.

_ONE = _bounds(np.zeros(1, "int64"), np.ones(1, "int64"))


def _volume_shape(shape: tuple) -> tuple:
    return (shape[0], *(1,) * (5 - len(shape)), *shape[1:])


def _volume(x: np.ndarray) -> np.ndarray:
    return contiguous(x).reshape(_volume_shape(x.shape))


def _three(bounds: Bounds) -> Bounds:
    return (_ONE,) * (3 - len(bounds)) + bounds
