"""Ops that give elements another arrangement, and the matrix product."""

from __future__ import annotations

import array_api_strict as xp

from kcore_array_api.tensor import translated


@translated
def reshape(x, newshape):
    return xp.reshape(x, newshape)


@translated
def transpose(x, axes):
    return xp.permute_dims(x, axes)


@translated
def swapaxes(x, axis1, axis2):
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return xp.permute_dims(x, tuple(order))


@translated
def broadcast_to(x, shape):
    return xp.broadcast_to(x, shape)


@translated
def squeeze(x, axis):
    return xp.squeeze(x, axis)


@translated
def flip(x, axis):
    return xp.flip(x, axis=axis)


@translated
def concatenate(xs, axis):
    return xp.concat(xs, axis=axis)


@translated
def matmul(x1, x2):
    return xp.matmul(x1, x2)
