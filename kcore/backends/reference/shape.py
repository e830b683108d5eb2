"""Definitions and gradient rules of the ops that move elements about."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.backends.reference.tape import vjp
from kcore.ops.mechanism import Plan, Tensor, private_op


def reshape(x, newshape):
    return np.reshape(x, newshape)


@vjp(ops.reshape)
def _(g, y, x, newshape):
    return ops.reshape(g, x.shape)


def broadcast_to(x, shape):
    return np.broadcast_to(x, shape)


@vjp(ops.broadcast_to)
def _(g, y, x, shape):
    return g  # the tape sums it back


def swapaxes(x, axis1, axis2):
    return np.swapaxes(x, axis1, axis2)


@vjp(ops.swapaxes)
def _(g, y, x, axis1, axis2):
    return ops.swapaxes(g, axis1, axis2)


def get_item(x, key):
    return x[key]


@private_op(rule=lambda g, key, shape: Plan(shape, g.dtype))
def put_item(g: Tensor, key, shape):
    """Zeros of `shape` with `g` added at `key`: the gradient of `get_item`."""
    y = np.zeros(shape, g.dtype)
    if any(isinstance(k, np.ndarray) for k in key):
        np.add.at(y, key, g)
    else:
        y[key] = g
    return y


@vjp(ops.get_item)
def _(g, y, x, key):
    return put_item(g, key, x.shape)


@vjp(put_item)
def _(g, y, g0, key, shape):
    return ops.get_item(g, key)
