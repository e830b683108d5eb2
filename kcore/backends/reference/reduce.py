"""Definitions and gradient rules of the reductions.

float32 is summed in float64 and 16-bit floats in float32, so that a sum is rounded once,
at the end, whatever the axis: NumPy alone adds up all but the last axis one by one.
"""

from __future__ import annotations

import math

import numpy as np

from kcore import _native, dtypes, ops
from kcore._native.threads import threads_for
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tape import vjp
from kcore.ops.mechanism import Plan, Tensor, private_op

_WIDE = {
    dtypes.to_numpy(narrow): np.dtype(wide)
    for narrow, wide in (
        ("float16", "float32"),
        ("bfloat16", "float32"),
        ("float32", "float64"),
        ("complex64", "complex128"),
    )
}

_SMALL = 1 << 12  # elements


def _unfold(t, shape, axes, keepdims):
    """A folded tensor with its axes back, as size 1."""
    if keepdims:
        return t
    return ops.reshape(t, tuple(1 if i in axes else d for i, d in enumerate(shape)))


# -- sums and products ------------------------------------------------------------------


def _sum(x, axis, keepdims=False):
    """The sum, in the wider dtype."""
    with quiet():
        return np.add.reduce(x, axis, _WIDE.get(x.dtype, x.dtype), None, keepdims)


def sum(x, axis, keepdims):
    if axis == (0,) and x.ndim == 2 and not keepdims and _native.available and x.dtype.char in "fd" and x.size:
        return _native.kernels.column_sums(np.ascontiguousarray(x), threads_for(x.size))
    with quiet():
        return np.add.reduce(x, axis, _WIDE.get(x.dtype, x.dtype), None, keepdims).astype(x.dtype)


@private_op(rule=lambda g, shape, axis, count: Plan(shape, g.dtype))
def spread(g: Tensor, shape, axis, count):
    """g / count for each element that was folded into g along `axis`: the gradient of `sum` and `mean`."""
    with quiet():
        part = g if count == 1 else g / g.dtype.type(count)
    if part.ndim != len(shape):
        part = part.reshape([1 if i in axis else d for i, d in enumerate(shape)])
    if math.prod(shape) > _SMALL:
        return np.broadcast_to(part, shape)
    y = np.empty(shape, g.dtype)  # sooner done than a view of it
    y[...] = part
    return y


@vjp(spread)
def _(h, dx, g, shape, axis, count):
    folded = ops.reshape(ops.sum(h, axis), g.shape)
    return folded if count == 1 else folded / count


@vjp(ops.sum)
def _(g, y, x, axis, keepdims):
    return spread(g, x.shape, axis, 1)


def mean(x, axis, keepdims):
    count = math.prod(x.shape[a] for a in axis)
    with quiet():
        total = _sum(x, axis, keepdims)
        return (total / np.asarray(count, total.real.dtype)).astype(x.dtype)


@vjp(ops.mean)
def _(g, y, x, axis, keepdims):
    return spread(g, x.shape, axis, math.prod(x.shape[a] for a in axis))


def var(x, axis, keepdims):
    wide = x.astype(_WIDE.get(x.dtype, x.dtype))
    with quiet():
        centred = wide - mean(wide, axis, True)
        return mean(np.square(centred.real) + np.square(centred.imag), axis, keepdims).astype(x.real.dtype)


@vjp(ops.var)
def _(g, y, x, axis, keepdims):
    # mean(x - mean(x)) is 0, so the inner mean has no share in the gradient.
    count = math.prod(x.shape[a] for a in axis)
    return _unfold(g, x.shape, axis, keepdims) * (2.0 / count) * (x - ops.mean(x, axis, keepdims=True))


def prod(x, axis, keepdims, dtype):
    with quiet():
        return np.prod(x, axis, dtype=_WIDE.get(x.dtype, x.dtype), keepdims=keepdims).astype(x.dtype)


@vjp(ops.prod)
def _(g, y, x, axis, keepdims, dtype):
    return _unfold(g, x.shape, axis, keepdims) * ops.conj(_others(x, axis))


def _others(x, axis):
    """For each element the product of all others over `axis`: those before times those after, so zeros do no harm."""
    kept = [i for i in range(x.ndim) if i not in axis]
    order = (*kept, *axis)
    moved = ops.transpose(x, order)
    rows = ops.reshape(moved, (math.prod(x.shape[i] for i in kept), math.prod(x.shape[i] for i in axis)))
    found = _before(rows, 1) * _backwards(_before(_backwards(rows, 1), 1), 1)
    return ops.transpose(ops.reshape(found, moved.shape), tuple(np.argsort(order).tolist()))


def _before(x, axis):
    """The product of the elements before each one."""
    return ops.concatenate([ops.ones_like(_part(x, axis, None, 1)), _part(ops.cumprod(x, axis), axis, None, -1)], axis)


# -- order ------------------------------------------------------------------------------


def max(x, axis, keepdims, initial):
    if initial is None:
        return np.max(x, axis, keepdims=keepdims)
    return np.max(x, axis, keepdims=keepdims, initial=np.asarray(initial, x.dtype))


def min(x, axis, keepdims, initial):
    if initial is None:
        return np.min(x, axis, keepdims=keepdims)
    return np.min(x, axis, keepdims=keepdims, initial=np.asarray(initial, x.dtype))


def _peak_gradient(g, y, x, axis, keepdims, initial):
    g, y = (_unfold(t, x.shape, axis, keepdims) for t in (g, y))
    ties = ops.cast(x == y, g.dtype)
    count = ops.sum(ties, axis, keepdims=True)
    if initial is not None:
        count = count * ops.where(y == initial, 2.0, 1.0)
    return g * ties / ops.where(count == 0, 1.0, count)


@vjp(ops.max)
def _(g, y, x, axis, keepdims, initial):
    return _peak_gradient(g, y, x, axis, keepdims, initial)


@vjp(ops.min)
def _(g, y, x, axis, keepdims, initial):
    return _peak_gradient(g, y, x, axis, keepdims, initial)


def argmax(x, axis, keepdims):
    return np.argmax(x, axis, keepdims=keepdims).astype("int32")


def argmin(x, axis, keepdims):
    return np.argmin(x, axis, keepdims=keepdims).astype("int32")


# -- logic ------------------------------------------------------------------------------


def any(x, axis, keepdims):
    return np.any(x, axis, keepdims=keepdims)


def all(x, axis, keepdims):
    return np.all(x, axis, keepdims=keepdims)


# -- running ----------------------------------------------------------------------------


def cumsum(x, axis, dtype):
    with quiet():
        return np.cumsum(x, axis, dtype=_WIDE.get(x.dtype, x.dtype)).astype(x.dtype)


@vjp(ops.cumsum)
def _(g, y, x, axis, dtype):
    axis, g = (0, g) if axis is None else (axis, g)
    return ops.reshape(_backwards(ops.cumsum(_backwards(g, axis), axis), axis), x.shape)


def _backwards(x, axis):
    return x[(slice(None),) * axis + (slice(None, None, -1),)]


def cumprod(x, axis, dtype):
    with quiet():
        return np.cumprod(x, axis, dtype=_WIDE.get(x.dtype, x.dtype)).astype(x.dtype)


@vjp(ops.cumprod)
def _(g, y, x, axis, dtype):
    shape = x.shape
    if axis is None:
        x, axis = ops.reshape(x, (-1,)), 0
    if 0 in shape:
        return ops.zeros_like(x)
    # With p the product of the elements before, dx[j] = p[j] * r[j], where r sums up what comes
    # after: r[j] = g[j] + x[j+1] * r[j+1]. No division, so zeros do no harm.
    after = ops.concatenate([_part(x, axis, 1, None), ops.zeros_like(_part(x, axis, None, 1))], axis)
    return ops.reshape(ops.conj(_before(x, axis)) * _recurrence(ops.conj(after), g, axis), shape)


def _part(x, axis, start, stop):
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _recurrence(a, b, axis):
    """r[j] = b[j] + a[j] * r[j+1] along `axis`, from 0 at the end: log2(n) steps of doubling reach."""
    reach, n = 1, a.shape[axis]
    while reach < n:
        none = ops.zeros_like(_part(a, axis, None, reach))
        b = b + a * ops.concatenate([_part(b, axis, reach, None), none], axis)
        a = a * ops.concatenate([_part(a, axis, reach, None), none], axis)
        reach *= 2
    return b
