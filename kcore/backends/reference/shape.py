"""Definitions and gradient rules of the ops that give elements another arrangement."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.backends.reference.tape import vjps

reshape, broadcast_to, transpose, swapaxes = np.reshape, np.broadcast_to, np.transpose, np.swapaxes
expand_dims, squeeze, flip = np.expand_dims, np.squeeze, np.flip


def roll(x, shift, axis):
    return np.roll(x, shift[0] if axis is None else shift, axis)


vjps(
    reshape=lambda g, y, x, newshape: ops.reshape(g, x.shape),
    broadcast_to=lambda g, y, x, shape: g,  # the tape sums it back
    transpose=lambda g, y, x, axes: ops.transpose(g, tuple(int(i) for i in np.argsort(axes))),
    swapaxes=lambda g, y, x, axis1, axis2: ops.swapaxes(g, axis1, axis2),
    expand_dims=lambda g, y, x, axis: ops.squeeze(g, axis),
    squeeze=lambda g, y, x, axis: ops.reshape(g, x.shape),
    flip=lambda g, y, x, axis: ops.flip(g, axis),
    roll=lambda g, y, x, shift, axis: ops.roll(g, -shift[0] if axis is None else tuple(-s for s in shift), axis),
)
