"""Definitions and gradient rules of the ops that give elements another arrangement."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.backends.reference.tape import vjp


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


def expand_dims(x, axis):
    return np.expand_dims(x, axis)


@vjp(ops.expand_dims)
def _(g, y, x, axis):
    return ops.squeeze(g, axis)


def squeeze(x, axis):
    return np.squeeze(x, axis)


@vjp(ops.squeeze)
def _(g, y, x, axis):
    return ops.reshape(g, x.shape)


def transpose(x, axes):
    return np.transpose(x, axes)


@vjp(ops.transpose)
def _(g, y, x, axes):
    return ops.transpose(g, tuple(int(i) for i in np.argsort(axes)))


def swapaxes(x, axis1, axis2):
    return np.swapaxes(x, axis1, axis2)


@vjp(ops.swapaxes)
def _(g, y, x, axis1, axis2):
    return ops.swapaxes(g, axis1, axis2)


def flip(x, axis):
    return np.flip(x, axis)


@vjp(ops.flip)
def _(g, y, x, axis):
    return ops.flip(g, axis)


def roll(x, shift, axis):
    return np.roll(x, shift[0] if axis is None else shift, axis)


@vjp(ops.roll)
def _(g, y, x, shift, axis):
    return ops.roll(g, tuple(-s for s in shift) if axis is not None else -shift[0], axis)
