"""Definitions and gradient rules of the chains that run as one step."""

from __future__ import annotations

import numpy as np

from kcore import _native, ops
from kcore._native.threads import threads_for
from kcore.backends.reference.activate import _FEW, relu_grad, sigmoid
from kcore.backends.reference.elementwise import tanh
from kcore.backends.reference.linalg import adjoint_times, matmul, times_adjoint
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tape import conj, tracked, vjp


def dense(x, kernel, bias, activation):
    y = matmul(x, kernel)  # a fresh array, that what follows may write into
    rectified = activation == "relu"
    if bias is not None:
        if y.size > _FEW and _native.available and y.dtype.char in "fd" and y.ndim == 2 and bias.flags.c_contiguous:
            return _activated(_native.kernels.bias_add_relu(y, bias, rectified, threads_for(y.size), y), activation)
        with quiet():
            np.add(y, bias, out=y)
    return np.maximum(y, 0, out=y) if rectified else _activated(y, activation)


def _activated(y, activation):
    if activation == "sigmoid":
        return sigmoid(y)
    return tanh(y) if activation == "tanh" else y


@vjp(ops.dense)
def _(g, y, x, kernel, bias, activation):
    if g.shape != y.shape:
        g = ops.broadcast_to(g, y.shape)
    if activation == "relu":
        g = relu_grad(g, y)
    elif activation == "sigmoid":
        g = g * y * (1 - y)
    elif activation == "tanh":
        g = g * (1 - conj(y * y))
    columns = g.shape[-1]
    rows = g if g.ndim == 2 else ops.reshape(g, (-1, columns))
    dx = dkernel = dbias = None
    if tracked((x,)):  # the inputs of a model, say, are not
        dx = times_adjoint(rows, kernel)
        dx = dx if g.ndim == 2 else ops.reshape(dx, x.shape)
    if tracked((kernel,)):
        flat = x if x.ndim == 2 else ops.reshape(x, (-1, kernel.shape[0]))
        dkernel = adjoint_times(flat, rows)
    if bias is not None and tracked((bias,)):
        dbias = ops.sum(rows, 0)
    return dx, dkernel, dbias
