"""Definitions and gradient rules of the reductions.

Definitions sum float32 in float64, so that a sum is rounded once, at the end, whatever the axis: NumPy
alone adds up all but the last axis one by one. Kernels add up at most 64 numbers in float32 before they
go on in float64.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from kcore import _native, ops
from kcore._native.threads import threads_for
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tape import recorded_as, vjp, vjps
from kcore.backends.reference.tensor import Tensor as _Tensor
from kcore.ops import rules as _rules
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.numerics import product_gradient, running_product_gradient

_WIDE = {np.dtype("float32"): np.dtype("float64"), np.dtype("complex64"): np.dtype("complex128")}

_SMALL = 1 << 12  # elements


def _unfold(t, shape, axes, keepdims):
    """A folded tensor with its axes back, as size 1."""
    if keepdims:
        return t
    return ops.reshape(t, tuple(1 if i in axes else d for i, d in enumerate(shape)))


def _has_kernel(x, axis):
    return _native.available and x.dtype.char in "fd" and x.size > 0 and axis != () and x.flags.c_contiguous


def _runs(shape, axes):
    """(first, stop) of each run of neighbouring axes. Those of size 1 between two of them make no gap."""
    runs = []
    for a in axes:
        if runs and math.prod(shape[runs[-1][1] : a]) == 1:
            runs[-1] = (runs[-1][0], a + 1)
        else:
            runs.append((a, a + 1))
    return runs


def _folded(x, axis, keepdims, kernel, then=None):
    """x folded by `kernel(x, outer, fold, inner, threads=)`, one run of neighbouring axes after the other, the last one
    first; those that are left then by `then`, if it is another."""
    sizes, y = list(x.shape), x
    threads = threads_for(x.size)
    for first, stop in reversed(_runs(x.shape, axis)):
        y = kernel(y, math.prod(sizes[:first]), math.prod(sizes[first:stop]), math.prod(sizes[stop:]), threads=threads)
        sizes[first:stop] = [1] * (stop - first)
        kernel = then or kernel
    return y.reshape(_rules.fold(x.shape, axis, keepdims))


def _column_sums(x):
    """The sums down the columns of a matrix of float32 or float64, by the kernel."""
    rows, columns = x.shape
    if x.size == 0:
        return np.zeros(columns, x.dtype)
    return _native.kernels.sums(x, 1, rows, columns, threads=threads_for(x.size))[0]


# -- sums and products ------------------------------------------------------------------


def _sum(x, axis, keepdims=False):
    """The sum, in the wider dtype."""
    with quiet():
        return np.add.reduce(x, axis, _WIDE.get(x.dtype, x.dtype), None, keepdims)


def sum(x, axis, keepdims):
    if _has_kernel(x, axis):
        return _folded(x, axis, keepdims, _native.kernels.sums)
    return _sum(x, axis, keepdims).astype(x.dtype)


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
    if _has_kernel(x, axis):
        kernel = _native.kernels.sums
        return _folded(x, axis, keepdims, functools.partial(kernel, divisor=count), kernel)
    with quiet():
        return (_sum(x, axis, keepdims) / count).astype(x.dtype)


@vjp(ops.mean)
def _(g, y, x, axis, keepdims):
    return spread(g, x.shape, axis, math.prod(x.shape[a] for a in axis))


def var(x, axis, keepdims):
    if _has_kernel(x, axis):
        return _moments(x, axis)[1].reshape(_rules.fold(x.shape, axis, keepdims))
    return _var_definition(x, axis, keepdims)


def _moments(x, axis):
    """The mean and variance over `axis`, by kernels, with the axes kept."""
    runs = _runs(x.shape, axis)
    first, stop = runs.pop()
    sizes = math.prod(x.shape[:first]), math.prod(x.shape[first:stop]), math.prod(x.shape[stop:])
    shape = (*x.shape[:first], *[1] * (stop - first), *x.shape[stop:])
    mean, variance = (t.reshape(shape) for t in _native.kernels.moments(x, *sizes, threads_for(x.size)))
    if not runs:
        return mean, variance
    rest = tuple(a for a in axis if a < first)
    # All are means over as many elements: the variance is that within them, and that between them.
    middle, between = _moments(mean, rest)
    within = _folded(variance, rest, True, _native.kernels.sums)
    return middle, within / within.dtype.type(math.prod(x.shape[a] for a in rest)) + between


def _var_definition(x, axis, keepdims):
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
    if _has_kernel(x, axis) and len(_runs(x.shape, axis)) == 1:  # others would be rounded in between
        return _folded(x, axis, keepdims, _native.kernels.products)
    with quiet():
        return np.prod(x, axis, dtype=_WIDE.get(x.dtype, x.dtype), keepdims=keepdims).astype(x.dtype)


@vjp(ops.prod)
def _(g, y, x, axis, keepdims, dtype):
    return product_gradient(g, x, axis, keepdims)


def norm(x, ord, axis, keepdims):
    euclidean = ord is None or ord == ("fro" if len(axis) == 2 else 2)
    if euclidean and _has_kernel(x, axis):
        kernel = _native.kernels.sums
        return np.sqrt(_folded(x, tuple(sorted(axis)), keepdims, functools.partial(kernel, squares=True), kernel))
    return ops.norm.op.body(x.view(_Tensor), ord, axis, keepdims)


@recorded_as(ops.norm)
def _(x, ord, axis, keepdims):
    return ops.norm.op.body(x, ord, axis, keepdims)


# -- order ------------------------------------------------------------------------------


def _peak(fold, meet, least):
    def folded(x, axis, keepdims, initial):
        if _has_kernel(x, axis):
            y = _folded(x, axis, keepdims, functools.partial(_native.kernels.peaks, least=least))
            return y if initial is None else meet(y, y.dtype.type(initial))
        if initial is None:
            return fold(x, axis, keepdims=keepdims)
        return fold(x, axis, keepdims=keepdims, initial=np.asarray(initial, x.dtype))

    return folded


max, min = _peak(np.max, np.maximum, False), _peak(np.min, np.minimum, True)


def _peak_gradient(g, y, x, axis, keepdims, initial):
    g, y = (_unfold(t, x.shape, axis, keepdims) for t in (g, y))
    ties = ops.cast(x == y, g.dtype)
    count = ops.sum(ties, axis, keepdims=True)
    if initial is not None:
        count = count * ops.where(y == initial, 2.0, 1.0)
    return g * ties / ops.where(count == 0, 1.0, count)


vjps(max=_peak_gradient, min=_peak_gradient)


def _place(find, least):
    def place(x, axis, keepdims):
        if _has_kernel(x, (axis,)) and axis is not None:
            sizes = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
            if (sizes[2] > 1 or sizes[1] <= 64) and sizes[1] < 2**31:  # else NumPy's way is as fast
                y = _native.kernels.peak_places(x, *sizes, least, threads_for(x.size))
                return y.reshape(_rules.fold(x.shape, (axis,), keepdims))
        return find(x, axis, keepdims=keepdims).astype("int32")

    return place


argmax, argmin = _place(np.argmax, False), _place(np.argmin, True)


# -- log of a sum of exponentials -------------------------------------------------------


def _has_logsumexp(x, axis):
    return _has_kernel(x, axis) and len(_runs(x.shape, axis)) == 1


def logsumexp(x, axis, keepdims):
    if _has_logsumexp(x, axis):
        return _folded(x, axis, keepdims, _native.kernels.logsumexps)
    return ops.logsumexp.op.body(x.view(_Tensor), axis, keepdims)


@private_op(rule=lambda x, axis, keepdims: Plan(_rules.fold(x.shape, axis, keepdims), x.dtype))
def folded_logsumexp(x: Tensor, axis, keepdims):
    """`logsumexp` by a kernel."""
    return _folded(x, axis, keepdims, _native.kernels.logsumexps)


@vjp(folded_logsumexp)
def _(g, y, x, axis, keepdims):
    # Not exp(x - y): of a large y the rounding is a large factor.
    return _unfold(g, x.shape, axis, keepdims) * ops.softmax(x, axis)


@recorded_as(ops.logsumexp)
def _(x, axis, keepdims):
    return (folded_logsumexp if _has_logsumexp(x, axis) else ops.logsumexp.op.body)(x, axis, keepdims)


# -- logic ------------------------------------------------------------------------------


def _truth(fold):
    return lambda x, axis, keepdims: fold(x, axis, keepdims=keepdims)


any, all = _truth(np.any), _truth(np.all)

# -- running ----------------------------------------------------------------------------


def _running(fold, products):
    def running(x, axis, dtype):
        if not _has_kernel(x, (axis,)):
            with quiet():
                return fold(x, axis, dtype=_WIDE.get(x.dtype, x.dtype)).astype(x.dtype)
        shape = x.shape if axis is not None else (x.size,)
        at = axis or 0
        sizes = math.prod(shape[:at]), shape[at], math.prod(shape[at + 1 :])
        return _native.kernels.running(x, *sizes, products, threads_for(x.size)).reshape(shape)

    return running


cumsum, cumprod = _running(np.cumsum, False), _running(np.cumprod, True)


@vjp(ops.cumsum)
def _(g, y, x, axis, dtype):
    axis, g = (0, g) if axis is None else (axis, g)
    return ops.reshape(ops.flip(ops.cumsum(ops.flip(g, axis), axis), axis), x.shape)


@vjp(ops.cumprod)
def _(g, y, x, axis, dtype):
    shape = x.shape
    if axis is None:
        x, axis = ops.reshape(x, (-1,)), 0
    if 0 in shape:
        return ops.zeros_like(x)
    return ops.reshape(running_product_gradient(g, x, axis), shape)
