"""Definitions and gradient rules of the ops that join tensors, take them apart, repeat and pad them."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.backends.reference.tape import vjp, vjps

concatenate, stack, split, tile, repeat = np.concatenate, np.stack, np.split, np.tile, np.repeat


def unstack(x, num, axis):
    return list(np.moveaxis(x, axis, 0))


vjps(
    concatenate=lambda g, y, xs, axis: ops.split(
        g, np.cumsum([x.shape[axis] for x in xs[:-1]], dtype=int).tolist(), axis
    ),
    stack=lambda g, y, x, axis: ops.unstack(g, len(x), axis),
    split=lambda g, y, x, indices_or_sections, axis: ops.concatenate(g, axis),
    unstack=lambda g, y, x, num, axis: ops.stack(g, axis) if g else None,
)


def constant_pad(x, pad_width, value):
    y = np.full([a + d + b for d, (a, b) in zip(x.shape, pad_width, strict=True)], value, x.dtype)
    y[_inside(x.shape, pad_width)] = x
    return y


def _inside(shape, pad_width):
    return tuple(slice(a, a + d) for d, (a, _) in zip(shape, pad_width, strict=True))


@vjp(ops.constant_pad)
def _(g, y, x, pad_width, value):
    return ops.get_item(g, _inside(x.shape, pad_width))
