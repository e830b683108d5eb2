"""Definitions and gradient rules of the ops that give elements another arrangement."""

from __future__ import annotations

import itertools

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


def concatenate(xs, axis):
    return np.concatenate(xs, axis)


@vjp(ops.concatenate)
def _(g, y, xs, axis):
    ends = list(itertools.accumulate(x.shape[axis] for x in xs))
    return ops.split(g, ends[:-1], axis)


def stack(x, axis):
    return np.stack(x, axis)


@vjp(ops.stack)
def _(g, y, x, axis):
    return ops.unstack(g, len(x), axis)


def split(x, indices_or_sections, axis):
    return np.split(x, indices_or_sections, axis)


@vjp(ops.split)
def _(g, y, x, indices_or_sections, axis):
    return ops.concatenate(g, axis)


def unstack(x, num, axis):
    return list(np.moveaxis(x, axis, 0))


@vjp(ops.unstack)
def _(g, y, x, num, axis):
    return ops.stack(g, axis) if g else None


def tile(x, repeats):
    return np.tile(x, repeats)


def repeat(x, repeats, axis):
    return np.repeat(x, repeats, axis)


def constant_pad(x, pad_width, value):
    y = np.full([a + d + b for d, (a, b) in zip(x.shape, pad_width, strict=True)], value, x.dtype)
    y[_inside(x.shape, pad_width)] = x
    return y


def _inside(shape, pad_width):
    return tuple(slice(a, a + d) for d, (a, _) in zip(shape, pad_width, strict=True))


@vjp(ops.constant_pad)
def _(g, y, x, pad_width, value):
    return ops.get_item(g, _inside(x.shape, pad_width))
