"""Definitions and gradient rules of linear algebra."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.backends.reference.tape import vjp


def matmul(x1, x2):
    if x1.dtype.itemsize == 2 and x1.dtype.kind not in "iu":
        return np.matmul(x1.astype("float32"), x2.astype("float32")).astype(x1.dtype)
    return np.matmul(x1, x2)


@vjp(ops.matmul)
def _(g, y, x1, x2):
    # Vectors get the axis that the product took from them, so that one formula serves all.
    a = ops.reshape(x1, (1, *x1.shape)) if x1.ndim == 1 else x1
    b = ops.reshape(x2, (*x2.shape, 1)) if x2.ndim == 1 else x2
    shape = list(g.shape)
    if x1.ndim == 1:
        shape.insert(len(shape) - (x2.ndim > 1), 1)
    if x2.ndim == 1:
        shape.append(1)
    g = ops.reshape(g, shape)
    g1 = ops.matmul(g, ops.swapaxes(ops.conj(b), -1, -2))
    g2 = ops.matmul(ops.swapaxes(ops.conj(a), -1, -2), g)
    if x1.ndim == 1:
        g1 = ops.reshape(g1, (*g1.shape[:-2], g1.shape[-1]))
    if x2.ndim == 1:
        g2 = ops.reshape(g2, g2.shape[:-1])
    return g1, g2
