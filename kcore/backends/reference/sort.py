"""Definitions and gradient rules of the ops that order elements."""

from __future__ import annotations

import numpy as np

from kcore import _native, ops
from kcore._native.threads import threads_for
from kcore.backends.reference.index import _added_along
from kcore.backends.reference.tape import vjp


def _comparable(x):
    """bfloat16 and the like as float32: NumPy gives their nan no place in the order."""
    return x.astype("float32") if x.dtype.kind == "V" else x


def sort(x, axis):
    return np.sort(_comparable(x), axis, kind="stable").astype(x.dtype, copy=False)


def argsort(x, axis):
    return np.argsort(_comparable(x), axis, kind="stable").astype("int32")


def top_k(x, k, sorted):
    # Where most of a row is asked for, sorting all of it is as fast.
    if _native.available and x.dtype.char in "fd" and x.size and 0 < k <= x.shape[-1] // 2:
        rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
        return tuple(t.reshape(*x.shape[:-1], k) for t in _native.kernels.top(rows, k, threads_for(x.size)))
    return _top_k_definition(x, k)


def _top_k_definition(x, k):
    # Descending and stable is ascending and stable, read from the end on both sides.
    order = x.shape[-1] - 1 - np.argsort(_comparable(x)[..., ::-1], -1, kind="stable")[..., ::-1]
    indices = order[..., :k].astype("int32")
    return np.take_along_axis(x, indices, -1), indices


@vjp(ops.top_k)
def _(g, y, x, k, sorted):
    return _added_along(g[0], y[1], x.ndim - 1, x.shape)


def searchsorted(sorted_sequence, values, side):
    return np.searchsorted(_comparable(sorted_sequence), _comparable(values), side).astype("int32")
