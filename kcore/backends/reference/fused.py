"""Definitions and gradient rules of the chains that run as one step."""

from __future__ import annotations

import math

import numpy as np

from kcore import _native, ops
from kcore._native.threads import threads_for
from kcore.backends.reference import convolution, reduce
from kcore.backends.reference.activate import _FEW, relu_grad, sigmoid
from kcore.backends.reference.conv import conv_input_grad, conv_kernel_grad
from kcore.backends.reference.convolution import How
from kcore.backends.reference.curve import curve_grad
from kcore.backends.reference.elementwise import tanh
from kcore.backends.reference.ending import Ending
from kcore.backends.reference.layouts import from_last, to_last
from kcore.backends.reference.linalg import adjoint_times, matmul, times_adjoint
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.reduce import _column_sums
from kcore.backends.reference.tape import recorded_as, tracked, vjp
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.symbolic import Spec


def dense(x, kernel, bias, activation):
    rows = x if x.ndim <= 2 else x.reshape(-1, x.shape[-1])  # one product, not one for each of the leading axes
    y = matmul(rows, kernel)  # a fresh array, that what follows may write into
    y = _finished(y, bias, activation)
    return y if x.ndim <= 2 else y.reshape(*x.shape[:-1], kernel.shape[1])


def _finished(y, bias, activation):
    """activation(y + bias), in y itself where there are kernels for it."""
    if bias is None and activation == "linear":
        return y
    if y.size > _FEW and _native.available and y.dtype.char in "fd" and y.ndim == 2:
        bias = None if bias is None else np.ascontiguousarray(bias)
        return _native.kernels.bias_curve(activation, y, bias, threads_for(y.size), y)
    if bias is not None:
        with quiet():
            np.add(y, bias, out=y)
    if activation == "relu":
        return np.maximum(y, 0, out=y)
    if activation == "sigmoid":
        return sigmoid(y)
    return tanh(y) if activation == "tanh" else y


def _before_activation(g, y, activation):
    """The gradient of what was activated, to give y."""
    if activation == "linear":
        return g
    return relu_grad(g, y) if activation == "relu" else curve_grad(g, y, activation)


@private_op(
    rule=lambda g, y, activation: Plan.many((Spec(y.shape, y.dtype), Spec(y.shape[-1:], y.dtype)), cast=y.dtype)
)
def finished_grad(g: Tensor, y: Tensor, activation):
    """The gradients of activation(x + bias), which gave y, by x and bias: the second is the first, summed."""
    if _native.available and y.dtype.char in "fd":
        g_rows, y_rows = (np.ascontiguousarray(t).reshape(-1, y.shape[-1]) for t in (g, y))
        if activation == "linear":
            return g, _column_sums(g_rows)
        dx, sums = _native.kernels.bias_curve_grad(activation, g_rows, y_rows, threads_for(y.size))
        return dx.reshape(y.shape), sums
    with quiet():
        if activation == "relu":
            g = np.where(y <= 0, np.zeros((), g.dtype), g)
        elif activation != "linear":
            g = g * (y * (1 - y) if activation == "sigmoid" else 1 - y * y)
        return g, reduce.sum(g, tuple(range(y.ndim - 1)), False)


@recorded_as(finished_grad)
def _(g, y, activation):
    dx = _before_activation(g, y, activation)
    return dx, ops.sum(dx, tuple(range(len(y.shape) - 1)))


@vjp(ops.dense)
def _(g, y, x, kernel, bias, activation):
    if g.shape != y.shape:
        g = ops.broadcast_to(g, y.shape)
    dx = dkernel = dbias = None
    if bias is not None and tracked((bias,)) and y.dtype.kind != "c":
        g, dbias = finished_grad(g, y, activation)
    else:
        g = _before_activation(g, y, activation)
        if bias is not None and tracked((bias,)):
            dbias = ops.sum(g, tuple(range(len(y.shape) - 1)))
    rows = g if g.ndim == 2 else ops.reshape(g, (-1, g.shape[-1]))
    if tracked((x,)):  # the inputs of a model, say, are not
        dx = times_adjoint(rows, kernel)
        dx = dx if g.ndim == 2 else ops.reshape(dx, x.shape)
    if tracked((kernel,)):
        flat = x if x.ndim == 2 else ops.reshape(x, (-1, kernel.shape[0]))
        dkernel = adjoint_times(flat, rows)
    return dx, dkernel, dbias


def activated_conv(inputs, kernel, bias, strides, padding, data_format, dilation_rate, activation):
    how = How(strides, padding, dilation_rate)
    x = to_last(inputs, data_format)
    with quiet():
        if activation in ("linear", "relu"):  # which the convolution's kernels do as they store their sums
            y = convolution.conv(x, kernel, how, Ending(bias, activation=activation))
        else:
            y = convolution.conv(x, kernel, how)
            rows = y.reshape(math.prod(y.shape[:-1]), y.shape[-1])
            y = _finished(rows, bias, activation).reshape(y.shape)
    return from_last(y, data_format)


@vjp(ops.activated_conv)
def _(g, y, inputs, kernel, bias, strides, padding, data_format, dilation_rate, activation):
    if g.shape != y.shape:
        g = ops.broadcast_to(g, y.shape)
    how = strides, padding, data_format, dilation_rate
    dinputs = dkernel = dbias = None
    if bias is None or not tracked((bias,)):
        g = _before_activation(g, y, activation)
    elif data_format == "channels_last":
        g, dbias = finished_grad(g, y, activation)
    else:
        g = _before_activation(g, y, activation)
        dbias = ops.sum(g, tuple(a for a in range(g.ndim) if a != 1))
    if tracked((inputs,)):
        dinputs = conv_input_grad(g, kernel, inputs.shape, *how)
    if tracked((kernel,)):
        dkernel = conv_kernel_grad(inputs, g, kernel.shape, *how)
    return dinputs, dkernel, dbias
