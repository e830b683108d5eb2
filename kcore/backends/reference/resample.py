"""Resizing by kernels: an axis, or two, by banded matrices; the gradient is by their transposes."""

from __future__ import annotations

import functools
import math
from typing import Any
from typing import NamedTuple as _NamedTuple

import numpy as np

from kcore import _native, ops
from kcore._native.threads import threads_for
from kcore.backends.reference.tape import recorded_as, vjp
from kcore.backends.reference.tensor import Tensor as _Tensor
from kcore.ops import resample, resample_axis
from kcore.ops.mechanism import Plan, Tensor, private_op


class _Band(_NamedTuple):
    """The rows of a matrix as kernels take them: where each one's weights begin, how many they are, and they."""

    spans: np.ndarray
    weights: np.ndarray


@functools.lru_cache(maxsize=256)
def _bands(n: int, out: int, method: str, antialias: bool, dtype: str) -> tuple[_Band, _Band]:
    """The matrix (out, n) that resizes an axis, and its transpose."""
    matrix, reached = np.zeros((out, n)), np.zeros((out, n), bool)
    if method == "nearest":
        reached[np.arange(out), resample.nearest(n, out)] = True
        matrix[reached] = 1
    elif resample_axis.by_matrix(n, out, method, antialias):
        matrix[...] = resample_axis.known_weights(n, out, method, "float64")
        reached[...] = matrix != 0
    else:
        index, weights = resample_axis.known_neighbours(n, out, method, "float64")
        rows = np.arange(out)[:, None]
        np.add.at(matrix, (rows, index), weights)
        reached[rows, index] = True
    return _band(matrix, reached, dtype), _band(matrix.T, reached.T, dtype)


def _band(matrix: np.ndarray, reached: np.ndarray, dtype: str) -> _Band:
    some = reached.any(1)
    first = np.where(some, reached.argmax(1), 0)
    count = np.where(some, reached.shape[1] - reached[:, ::-1].argmax(1) - first, 0)
    weights = np.zeros((len(matrix), max(int(count.max()), 1)), dtype)
    for row, start, many, packed in zip(matrix, first, count, weights, strict=True):
        packed[:many] = row[start : start + many]
    return _Band(np.stack([first, count], 1).astype("int32"), weights)


def _along(x: Any, axis: int, n: int, out: int, *rest: Any) -> Plan:
    return Plan((*x.shape[:axis], out, *x.shape[axis + 1 :]), x.dtype)


@private_op(rule=_along)
def resize_axis(x: Tensor, axis, n, out, method, antialias, transposed):
    """x with an axis of n pixels resized to `out`; the gradient of resizing `out` to n if `transposed`."""
    sizes = (out, n) if transposed else (n, out)
    band = _bands(*sizes, method, antialias, x.dtype.name)[transposed]
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    y = _native.kernels.banded(np.ascontiguousarray(x), outer, inner, *band, threads_for(x.size + x.size // n * out))
    return y.reshape(*x.shape[:axis], out, *x.shape[axis + 1 :])


@vjp(resize_axis)
def _(g, y, x, axis, n, out, method, antialias, transposed):
    return resize_axis(
        g if g.shape == y.shape else ops.broadcast_to(g, y.shape), axis, out, n, method, antialias, not transposed
    )


def _planes(x: Any, axis: int, n: Any, out: tuple[int, int], *rest: Any) -> Plan:
    return Plan((*x.shape[:axis], *out, *x.shape[axis + 2 :]), x.dtype)


@private_op(rule=_planes)
def resize_planes(x: Tensor, axis, n, out, method, antialias, transposed):
    """`resize_axis` of an axis and of the next one, without what would lie between; n and `out` are pairs."""
    sizes = zip(out, n) if transposed else zip(n, out)
    bands = [_bands(*pair, method, antialias, x.dtype.name)[transposed] for pair in sizes]
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 2 :])
    threads = threads_for(x.size + outer * math.prod(out) * inner)
    y = _native.kernels.banded_planes(np.ascontiguousarray(x), *n, inner, *bands[0], *bands[1], threads)
    return y.reshape(*x.shape[:axis], *out, *x.shape[axis + 2 :])


@vjp(resize_planes)
def _(g, y, x, axis, n, out, method, antialias, transposed):
    g = g if g.shape == y.shape else ops.broadcast_to(g, y.shape)
    return resize_planes(g, axis, out, n, method, antialias, not transposed)


def _resized_axes(x, pairs, method, antialias):
    pairs = [(axis % len(x.shape), out) for axis, out in pairs]
    if len(pairs) == 2 and pairs[0][0] + 1 == pairs[1][0]:
        (axis, high), (_, wide) = pairs
        return resize_planes(x, axis, x.shape[axis : axis + 2], (high, wide), method, antialias, False)
    for axis, out in pairs:
        x = resize_axis(x, axis, x.shape[axis], out, method, antialias, False)
    return x


def _resize(images, size, interpolation, antialias, crop, pad, fill_mode, fill_value, data_format):
    nearest = interpolation == "nearest"
    if not _native.available or 0 in images.shape or (nearest and images.dtype.char not in "fd"):
        return ops.image.resize.op.body(
            images, size, interpolation, antialias, crop, pad, fill_mode, fill_value, data_format
        )
    x = resample.framed(images, size, crop, pad, fill_value, data_format)
    if not nearest:
        return resample.resized(x, size, interpolation, antialias, data_format, _resized_axes)
    pairs = zip(resample.frame_of(data_format), size, strict=False)
    return _resized_axes(x, [(axis, out) for axis, out in pairs if x.shape[axis] != out], interpolation, False)


def resize(images, *rest):
    return _resize(images.view(_Tensor), *rest)


recorded_as(ops.image.resize)(_resize)
