"""Definitions and gradient rules of the normalizations that find their own statistics."""

from __future__ import annotations

import math

import numpy as np

from kcore import _native, config, dtypes, ops
from kcore._native.threads import threads_for
from kcore.backends.reference import half
from kcore.backends.reference.ending import Ending, end
from kcore.backends.reference.layouts import from_last, to_last
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tape import recorded_as, vjp
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.normalize import _along, _narrow, _wide
from kcore.ops.rules import fold
from kcore.ops.symbolic import Spec


def _standardize(x, axis, epsilon, centre):
    """(x less its mean, over its root mean square; and 1 / that root), over `axis`."""
    count = math.prod(x.shape[a] for a in axis)
    with np.errstate(all="ignore"):
        if centre:
            x = x - np.sum(x, axis, keepdims=True) / x.dtype.type(count)
        square = np.sum(np.square(x), axis, keepdims=True) / x.dtype.type(count)
        scale = 1 / np.sqrt(square + x.dtype.type(epsilon))
    return x * scale, scale


def _standardized(x: Spec, axis, epsilon, centre) -> Plan:
    return Plan.many((Spec(x.shape, x.dtype), Spec(fold(x.shape, axis, True), x.dtype)))


@private_op(rule=_standardized)
def standardize(x: Tensor, axis, epsilon, centre):
    """x over its root mean square along `axis`, less its mean first if `centre`; and what it was multiplied by."""
    return _standardize(x, axis, epsilon, centre)


@private_op(rule=lambda g, y, scale, axis, centre: Plan(y.shape, y.dtype))
def standardize_grad(g: Tensor, y: Tensor, scale: Tensor, axis, centre):
    """The gradient of `standardize` by x, for its first result."""
    count = y.dtype.type(math.prod(y.shape[a] for a in axis))
    with np.errstate(all="ignore"):
        dx = g - y * (np.sum(g * y, axis, keepdims=True) / count)
        if centre:
            dx -= np.sum(g, axis, keepdims=True) / count
        dx *= scale
    return dx


@vjp(standardize)
def _(gs, ys, x, axis, epsilon, centre):
    (g, g_scale), (y, scale) = gs, ys
    dx = standardize_grad(ops.broadcast_to(g, y.shape), y, scale, axis, centre)
    if not np.any(g_scale):  # only second derivatives reach it
        return dx
    count = math.prod(y.shape[a] for a in axis)
    return dx - ops.square(scale) * y * (g_scale / count)  # d scale / dx = -scale**2 y / count


@recorded_as(standardize_grad)
def _(g, y, scale, axis, centre):
    dx = g - y * ops.mean(g * y, axis, keepdims=True)
    if centre:
        dx = dx - ops.mean(g, axis, keepdims=True)
    return dx * scale


# -- by kernels -------------------------------------------------------------------------


def _has_kernel(x, *parts) -> bool:
    """Whether kernels take x together with these, each of which may be None."""
    return (
        _native.available
        and x.dtype.char in "fd"
        and x.size > 0
        and all(p is None or p.dtype == x.dtype for p in parts)
    )


def _in_rows(x, axis, *parts) -> bool:
    """Whether kernels can take x, with what belongs to its last axes, as a matrix of rows to normalize."""
    return axis == tuple(range(len(x.shape) - len(axis), len(x.shape))) and _has_kernel(x, *parts)


def _shaped(gradient, part):
    """The gradient of an optional argument in its shape."""
    if part is None:
        return None
    return gradient if gradient.shape == part.shape else ops.reshape(gradient, part.shape)


def _flat(part):
    return None if part is None else np.ascontiguousarray(part).reshape(-1)


def _rows_of(x, axis):
    return np.ascontiguousarray(x).reshape(-1, math.prod(x.shape[a] for a in axis))


def _normalized(x: Spec, gamma, beta, axis, epsilon, centre) -> Plan:
    statistic = Spec((math.prod(x.shape[: x.ndim - len(axis)]),), x.dtype)
    return Plan.many((Spec(x.shape, x.dtype), statistic, statistic))


@private_op(rule=_normalized)
def normalize_rows(x: Tensor, gamma: Tensor | None, beta: Tensor | None, axis, epsilon, centre):
    """`standardize` over the last axes, times gamma plus beta; each row's mean (0 unless `centre`) and factor."""
    rows = _rows_of(x, axis)
    threads = threads_for(x.size)
    y, mean, scale = _native.kernels.normalize_rows(rows, _flat(gamma), _flat(beta), epsilon, centre, threads)
    return y.reshape(x.shape), np.zeros_like(scale) if mean is None else mean, scale


def _like_arguments(g: Spec, x: Spec, gamma, beta, mean, scale, axis, epsilon, centre) -> Plan:
    count = math.prod(x.shape[a] for a in axis)
    return Plan.many(tuple(Spec(x.shape if p is x else (count,), x.dtype) for p in (x, gamma, beta)), cast=x.dtype)


@private_op(rule=_like_arguments)
def normalize_rows_grad(
    g: Tensor, x: Tensor, gamma: Tensor | None, beta: Tensor | None, mean: Tensor, scale: Tensor, axis, epsilon, centre
):
    """The gradients of `normalize_rows` by x, gamma and beta, for its first result; mean and scale are its others."""
    grads = _native.kernels.normalize_rows_grad(
        _rows_of(g, axis), _rows_of(x, axis), _flat(gamma), mean if centre else None, scale, threads_for(x.size)
    )
    return grads[0].reshape(x.shape), grads[1], grads[2]


@vjp(normalize_rows)
def _(gs, ys, x, gamma, beta, axis, epsilon, centre):
    # The statistics have no gradient of their own: a second derivative takes them from x again.
    dx, dgamma, dbeta = normalize_rows_grad(gs[0], x, gamma, beta, ys[1], ys[2], axis, epsilon, centre)
    return dx, _shaped(dgamma, gamma), _shaped(dbeta, beta)


@recorded_as(normalize_rows_grad)
def _(g, x, gamma, beta, mean, scale, axis, epsilon, centre):
    if centre:
        x = x - ops.mean(x, axis, keepdims=True)
    factor = ops.rsqrt(ops.mean(ops.square(x), axis, keepdims=True) + epsilon)
    h = x * factor
    w = g if gamma is None else g * _along(gamma, g, axis)
    dx = w - h * ops.mean(w * h, axis, keepdims=True)
    if centre:
        dx = dx - ops.mean(w, axis, keepdims=True)
    rest = tuple(range(len(x.shape) - len(axis)))
    return dx * factor, ops.reshape(ops.sum(g * h, rest), (-1,)), ops.reshape(ops.sum(g, rest), (-1,))


# -- the ops ----------------------------------------------------------------------------


def _default(epsilon):
    return config.epsilon() if epsilon is None else epsilon


def _over_axes(x, gamma, beta, axis, epsilon, centre):
    wide = dtypes.to_numpy(_dtype(x, gamma, beta))
    x, gamma, beta = (None if t is None else t.astype(wide, copy=False) for t in (x, gamma, beta))
    if _in_rows(x, axis, gamma, beta):
        threads = threads_for(x.size)
        parts = _rows_of(x, axis), _flat(gamma), _flat(beta)
        return _native.kernels.normalize_rows(*parts, _default(epsilon), centre, threads)[0].reshape(x.shape)
    return _scaled(_standardize(x, axis, _default(epsilon), centre)[0], gamma, beta, axis)


def _recorded(x, gamma, beta, axis, epsilon, centre):
    dtype = dtypes.name_of(x.dtype)
    x, gamma, beta = _wide(x, gamma, beta)
    if _in_rows(x, axis, gamma, beta):
        y, _, _ = normalize_rows(x, gamma, beta, axis, _default(epsilon), centre)
    else:
        y = _scaled(standardize(x, axis, _default(epsilon), centre)[0], gamma, beta, axis)
    return _narrow(y, dtype)


def layer_normalization(x, gamma, beta, axis, epsilon):
    return _over_axes(x, gamma, beta, axis, epsilon, True).astype(x.dtype, copy=False)


@recorded_as(ops.layer_normalization)
def _(x, gamma, beta, axis, epsilon):
    return _recorded(x, gamma, beta, axis, epsilon, True)


def rms_normalization(x, scale, axis, epsilon):
    return _over_axes(x, scale, None, axis, epsilon, False).astype(x.dtype, copy=False)


@recorded_as(ops.rms_normalization)
def _(x, scale, axis, epsilon):
    return _recorded(x, scale, None, axis, epsilon, False)


# -- batch normalization ----------------------------------------------------------------


def batch_normalization(x, mean, variance, axis, offset, scale, epsilon):
    if axis == (x.ndim - 1,) and _has_kernel(x, mean, variance, offset, scale):
        return end(np.ascontiguousarray(x), Ending(None, *_affine(mean, variance, offset, scale, epsilon)))
    wide = dtypes.to_numpy(_dtype(x, mean, variance, offset, scale))
    parts = (None if t is None else t.astype(wide, copy=False) for t in (x, mean, variance, offset, scale))
    y, mean, variance, offset, scale = parts
    with np.errstate(all="ignore"):
        factor = 1 / np.sqrt(variance + wide.type(epsilon))
        factor = factor if scale is None else factor * scale
        y = _scaled(y - _along(mean, y, axis), factor, offset, axis)
    return y.astype(x.dtype, copy=False)


@recorded_as(ops.batch_normalization)
def _(*arguments):
    return ops.batch_normalization.op.body(*arguments)


def _affine(mean, variance, offset, scale, epsilon):
    """(mean, factor, offset), so that normalizing a channel is (x - mean) * factor + offset."""
    return _flat(mean), _factor(_flat(variance), scale, epsilon), _flat(offset)


def _factor(variance, scale, epsilon):
    with quiet():
        factor = 1 / np.sqrt(variance + variance.dtype.type(epsilon))
        return factor if scale is None else factor * _flat(scale)


# Batch normalization is group normalization with a group for each channel, and all samples as one.


def _columns(x, axis, samples):
    """x as (samples, rows, channels), of channels along `axis`."""
    if axis != x.ndim - 1:
        x = to_last(x, "channels_first") if axis == 1 else np.moveaxis(x, axis, -1)
    return np.ascontiguousarray(x).reshape(samples, -1, x.shape[-1])


def _uncolumned(y, axis, shape):
    """What was made of `_columns(x, axis, samples)`, in the shape of x."""
    if axis == len(shape) - 1:
        return y.reshape(shape)
    y = y.reshape(*shape[:axis], *shape[axis + 1 :], shape[axis])
    return from_last(y, "channels_first") if axis == 1 else np.moveaxis(y, -1, axis)


def _with_statistics(x: Spec, gamma, beta, axis, samples, groups, epsilon) -> Plan:
    statistic = Spec((samples * groups,), x.dtype)
    return Plan.many((Spec(x.shape, x.dtype), statistic, statistic))


@private_op(rule=_with_statistics)
def normalize_columns(x: Tensor, gamma: Tensor | None, beta: Tensor | None, axis, samples, groups, epsilon):
    """x by the statistics of groups of the channels along `axis` in each of `samples` equal parts; and these."""
    parts = _columns(x, axis, samples), _flat(gamma), _flat(beta)
    y, *statistics = _native.kernels.normalize_columns(*parts, groups, epsilon, threads_for(x.size))
    return _uncolumned(y, axis, x.shape), *(s.reshape(-1) for s in statistics)


def _column_grads(g: Spec, g_mean, g_variance, x: Spec, gamma, mean, variance, axis, *rest) -> Plan:
    part = Spec((x.shape[axis],), x.dtype)
    return Plan.many((Spec(x.shape, x.dtype), part, part), cast=x.dtype)


@private_op(rule=_column_grads)
def normalize_columns_grad(
    g: Tensor,
    g_mean: Tensor,
    g_variance: Tensor,
    x: Tensor,
    gamma: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    axis,
    samples,
    groups,
    epsilon,
):
    """The gradients of `normalize_columns` by x, gamma and beta, from those of its three results."""
    columns = _columns(g, axis, samples), _columns(x, axis, samples)
    parts = _flat(gamma), mean, variance, np.ascontiguousarray(g_mean), np.ascontiguousarray(g_variance)
    dx, *rest = _native.kernels.normalize_columns_grad(*columns, *parts, groups, epsilon, threads_for(x.size))
    return _uncolumned(dx, axis, x.shape), *rest


@vjp(normalize_columns)
def _(gs, ys, x, gamma, beta, axis, samples, groups, epsilon):
    dx, dgamma, dbeta = normalize_columns_grad(*gs, x, gamma, *ys[1:], axis, samples, groups, epsilon)
    return dx, _shaped(dgamma, gamma), _shaped(dbeta, beta)


@recorded_as(normalize_columns_grad)
def _(g, g_mean, g_variance, x, gamma, mean, variance, axis, samples, groups, epsilon):
    g, x = ops.moveaxis(g, axis, -1), ops.moveaxis(x, axis, -1)
    whole, shape = x.shape, (samples, -1, groups, x.shape[-1] // groups)
    g, x = ops.reshape(g, shape), ops.reshape(x, shape)
    g_mean, g_variance = (ops.reshape(t, (samples, 1, groups, 1)) for t in (g_mean, g_variance))
    centred = x - ops.mean(x, (1, 3), keepdims=True)
    factor = ops.rsqrt(ops.mean(ops.square(centred), (1, 3), keepdims=True) + epsilon)
    h = centred * factor
    w = g if gamma is None else g * ops.reshape(gamma, shape[2:])
    dx = (w - ops.mean(w, (1, 3), keepdims=True) - h * ops.mean(w * h, (1, 3), keepdims=True)) * factor
    dx = dx + (2 * g_variance * centred + g_mean) / (math.prod(whole) // (samples * groups))
    dgamma, dbeta = (ops.reshape(ops.sum(t, (0, 1)), (-1,)) for t in (g * h, g))
    return ops.moveaxis(ops.reshape(dx, whole), -1, axis), dgamma, dbeta


def normalize_batch(x, offset, scale, axis, epsilon):
    if len(axis) == 1 and _has_kernel(x, offset, scale):
        return normalize_columns.op.definition(x, scale, offset, axis[0], 1, x.shape[axis[0]], epsilon)
    return _batch_definition(x, offset, scale, axis, epsilon)


def _batch_definition(x, offset, scale, axis, epsilon):
    folded = tuple(i for i in range(x.ndim) if i not in axis)
    wide = dtypes.to_numpy(_dtype(x, offset, scale))
    with np.errstate(all="ignore"):
        exact = x.astype("float64")
        count = math.prod(x.shape[a] for a in folded)
        mean = np.sum(exact, folded, keepdims=True) / np.float64(count)
        variance = np.sum(np.square(exact - mean), folded, keepdims=True) / np.float64(count)
        y = ((exact - mean) / np.sqrt(variance + epsilon)).astype(wide)
        y = _scaled(y, scale, offset, axis).astype(x.dtype, copy=False)
    shape = tuple(x.shape[a] for a in axis)
    return y, mean.reshape(shape).astype(x.dtype), variance.reshape(shape).astype(x.dtype)


@recorded_as(ops.normalize_batch)
def _(x, offset, scale, axis, epsilon):
    dtype = dtypes.name_of(x.dtype)
    if any(half.is_half(t.dtype) for t in (x, offset, scale) if t is not None):
        made = ops.normalize_batch(*_wide(x, offset, scale), axis, epsilon)
        return tuple(_narrow(y, dtype) for y in made)
    if len(axis) == 1 and _has_kernel(x, offset, scale):
        return normalize_columns(x, scale, offset, axis[0], 1, x.shape[axis[0]], epsilon)
    return ops.normalize_batch.op.body(x, offset, scale, axis, epsilon)


# -- group normalization ----------------------------------------------------------------


def _group_definition(x, gamma, beta, groups, axis, epsilon):
    wide = dtypes.to_numpy(_dtype(x, gamma, beta))
    last = np.moveaxis(x, axis, -1)
    sizes = x.shape[0], math.prod(last.shape[1:-1]), groups, x.shape[axis] // groups
    with np.errstate(all="ignore"):
        y = _standardize(last.reshape(sizes).astype("float64"), (1, 3), epsilon, True)[0].reshape(last.shape)
        return _scaled(np.moveaxis(y, -1, axis).astype(wide), gamma, beta, (axis,)).astype(x.dtype, copy=False)


def group_normalization(x, gamma, beta, groups, axis, epsilon):
    if _has_kernel(x, gamma, beta):
        return normalize_columns.op.definition(x, gamma, beta, axis, x.shape[0], groups, epsilon)[0]
    return _group_definition(x, gamma, beta, groups, axis, epsilon)


@recorded_as(ops.group_normalization)
def _(x, gamma, beta, groups, axis, epsilon):
    dtype = dtypes.name_of(x.dtype)
    x, gamma, beta = _wide(x, gamma, beta)
    if _has_kernel(x, gamma, beta):
        y = normalize_columns(x, gamma, beta, axis, x.shape[0], groups, epsilon)[0]
    else:
        y = ops.group_normalization.op.body(x, gamma, beta, groups, axis, epsilon)
    return _narrow(y, dtype)


def _dtype(*arrays):
    met = dtypes.promote(*(dtypes.name_of(a.dtype) for a in arrays if a is not None))
    return dtypes.accumulator(dtypes.float_of(met))


def _scaled(y, gamma, beta, axis):
    """y * gamma + beta, with one of each along `axis`."""
    if gamma is not None:
        y = y * _along(gamma, y, axis)
    return y if beta is None else y + _along(beta, y, axis)
