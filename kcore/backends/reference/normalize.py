"""Definitions and gradient rules of the normalizations that find their own statistics."""

from __future__ import annotations

import math

import numpy as np

from kcore import config, dtypes, ops
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


def layer_normalization(x, gamma, beta, axis, epsilon):
    wide = dtypes.to_numpy(_dtype(x, gamma, beta))
    y, _ = _standardize(x.astype(wide, copy=False), axis, config.epsilon() if epsilon is None else epsilon, True)
    return _scaled(y, gamma, beta, axis).astype(x.dtype, copy=False)


@recorded_as(ops.layer_normalization)
def _(x, gamma, beta, axis, epsilon):
    dtype = dtypes.name_of(x.dtype)
    x, gamma, beta = _wide(x, gamma, beta)
    y, _ = standardize(x, axis, config.epsilon() if epsilon is None else epsilon, True)
    return _narrow(_scaled(y, gamma, beta, axis), dtype)


def rms_normalization(x, scale, axis, epsilon):
    wide = dtypes.to_numpy(_dtype(x, scale))
    y, _ = _standardize(x.astype(wide, copy=False), axis, config.epsilon() if epsilon is None else epsilon, False)
    return _scaled(y, scale, None, axis).astype(x.dtype, copy=False)


@recorded_as(ops.rms_normalization)
def _(x, scale, axis, epsilon):
    dtype = dtypes.name_of(x.dtype)
    x, scale = _wide(x, scale)
    y, _ = standardize(x, axis, config.epsilon() if epsilon is None else epsilon, False)
    return _narrow(_scaled(y, scale, None, axis), dtype)


def _dtype(*arrays):
    met = dtypes.promote(*(dtypes.name_of(a.dtype) for a in arrays if a is not None))
    return dtypes.accumulator(dtypes.float_of(met))


def _scaled(y, gamma, beta, axis):
    """y * gamma + beta, with one of each along `axis`."""
    if gamma is not None:
        y = y * _along(gamma, y, axis)
    return y if beta is None else y + _along(beta, y, axis)
