"""Definitions and gradient rules of the ops that join tensors, take them apart, repeat and pad them."""

from __future__ import annotations

import itertools

import numpy as np

from kcore import ops
from kcore.backends.reference.tape import vjp


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
