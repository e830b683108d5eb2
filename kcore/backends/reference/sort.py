"""Definitions and gradient rules of the ops that order elements."""

from __future__ import annotations

import numpy as np

from kcore import _native, ops
from kcore._native.threads import threads_for
from kcore.backends.reference.index import _added_along
from kcore.backends.reference.tape import vjp

# The most of a row that a kernel's heap picks out faster than NumPy cuts it in two.
_FEW = 32


def _comparable(x):
    """bfloat16 and the like as float32: NumPy gives their nan no place in the order."""
    return x.astype("float32") if x.dtype.kind == "V" else x


def sort(x, axis):
    values = _comparable(x)
    # NumPy's vector sort is many times faster, and its order can be told from a stable one by the signs of zeros alone.
    zeros = values.dtype.kind == "f" and np.any(np.signbit(values) & (values == 0))
    return np.sort(values, axis, kind="stable" if zeros or values.dtype.kind == "c" else None).astype(
        x.dtype, copy=False
    )


def argsort(x, axis):
    return np.argsort(_comparable(x), axis, kind="stable").astype("int32")


def top_k(x, k, sorted):
    if _native.available and x.dtype.char in "fd" and x.size and 0 < k <= _FEW and 2 * k <= x.shape[-1]:
        rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
        return tuple(t.reshape(*x.shape[:-1], k) for t in _native.kernels.top(rows, k, threads_for(x.size)))
    values = _comparable(x)
    if 0 < 4 * k <= x.shape[-1] and x.size:
        indices = _picked(values, k)
        if indices is not None:
            return np.take_along_axis(x, indices, -1), indices
    indices = _descending(values)[..., :k].astype("int32")
    return np.take_along_axis(x, indices, -1), indices


def _descending(values):
    # Descending and stable is ascending and stable, read from the end on both sides.
    return values.shape[-1] - 1 - np.argsort(values[..., ::-1], -1, kind="stable")[..., ::-1]


def _picked(values, k):
    """The indices of the k greatest, without a sort of all; None where nan, or a tie at the last place, is in the way."""
    if values.dtype.kind == "f" and np.isnan(values).any():
        return None
    last = np.partition(values, -k, -1)[..., -k, None]
    chosen = values >= last
    if np.count_nonzero(chosen) != chosen.size // chosen.shape[-1] * k:
        return None
    found = (np.flatnonzero(chosen) % values.shape[-1]).reshape(*values.shape[:-1], k)
    order = _descending(np.take_along_axis(values, found, -1))
    return np.take_along_axis(found, order, -1).astype("int32")


@vjp(ops.top_k)
def _(g, y, x, k, sorted):
    return _added_along(g[0], y[1], x.ndim - 1, x.shape)


def searchsorted(sorted_sequence, values, side):
    return np.searchsorted(_comparable(sorted_sequence), _comparable(values), side).astype("int32")
