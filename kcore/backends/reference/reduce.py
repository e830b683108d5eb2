"""Definitions and gradient rules of the reductions."""

from __future__ import annotations

import math

import numpy as np

from kcore import dtypes, ops
from kcore.backends.reference.tape import vjp


def _wide(x):
    """16-bit floats are summed in float32: one rounding, at the end."""
    return x.astype("float32") if x.dtype.itemsize == 2 and x.dtype.kind not in "iu" else x


def _unfold(t, shape, axes, keepdims):
    """A folded tensor with its axes back, as size 1."""
    if keepdims:
        return t
    return ops.reshape(t, tuple(1 if i in axes else d for i, d in enumerate(shape)))


def sum(x, axis, keepdims):
    return np.sum(_wide(x), axis, keepdims=keepdims).astype(x.dtype)


@vjp(ops.sum)
def _(g, y, x, axis, keepdims):
    return ops.broadcast_to(_unfold(g, x.shape, axis, keepdims), x.shape)


def mean(x, axis, keepdims):
    with np.errstate(all="ignore"):
        count = math.prod(x.shape[a] for a in axis)
        return (np.sum(_wide(x), axis, keepdims=keepdims) / np.asarray(count, _wide(x).real.dtype)).astype(x.dtype)


@vjp(ops.mean)
def _(g, y, x, axis, keepdims):
    count = math.prod(x.shape[a] for a in axis)
    return ops.broadcast_to(_unfold(g / count, x.shape, axis, keepdims), x.shape)


def max(x, axis, keepdims, initial):
    if initial is None:
        return np.max(x, axis, keepdims=keepdims)
    return np.max(x, axis, keepdims=keepdims, initial=np.asarray(initial, x.dtype))


@vjp(ops.max)
def _(g, y, x, axis, keepdims, initial):
    # Elements that equal the result share its gradient; so does `initial`, which has none to give on.
    g, y = (_unfold(t, x.shape, axis, keepdims) for t in (g, y))
    ties = ops.cast(x == y, g.dtype)
    count = ops.sum(ties, axis, keepdims=True)
    if initial is not None:
        count = count + ops.cast(y == initial, g.dtype)
    return g * ties / ops.where(count == 0, ops.ones_like(count), count)
