"""Resizing by kernels: an axis at a time, by a banded matrix; the gradient is by its transpose."""

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


def _resized_axis(x, axis, out, method, antialias):
    axis %= len(x.shape)
    return resize_axis(x, axis, x.shape[axis], out, method, antialias, False)


def _resize(images, size, interpolation, antialias, crop, pad, fill_mode, fill_value, data_format):
    nearest = interpolation == "nearest"
    if not _native.available or 0 in images.shape or (nearest and images.dtype.char not in "fd"):
        return ops.image.resize.op.body(
            images, size, interpolation, antialias, crop, pad, fill_mode, fill_value, data_format
        )
    x = resample.framed(images, size, crop, pad, fill_value, data_format)
    if not nearest:
        return resample.resized(x, size, interpolation, antialias, data_format, _resized_axis)
    for axis, out in zip(resample.frame_of(data_format), size, strict=False):
        if x.shape[axis] != out:
            x = _resized_axis(x, axis, out, interpolation, False)
    return x


def resize(images, *rest):
    return _resize(images.view(_Tensor), *rest)


recorded_as(ops.image.resize)(_resize)
