"""Definitions and gradient rules of the chains that run as one step."""

from __future__ import annotations

import math

import numpy as np

from kcore import _native, dtypes, ops
from kcore._native.threads import threads_for
from kcore.backends.reference import activate, convolution, elementwise, half, reduce
from kcore.backends.reference.conv import conv_input_grad, conv_kernel_grad
from kcore.backends.reference.convolution import How
from kcore.backends.reference.curve import FEW, curve_grad
from kcore.backends.reference.ending import ENDS, Ending
from kcore.backends.reference.layouts import from_last, to_last
from kcore.backends.reference.linalg import adjoint_times, matmul, times_adjoint
from kcore.backends.reference.product import product_by_kernels
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.reduce import _column_sums
from kcore.backends.reference.tape import recorded_as, tracked, vjp
from kcore.backends.reference.tensor import wrap
from kcore.ops.fused import BY_RESULT, _dense
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.symbolic import Spec


def dense(x, kernel, bias, activation):
    rows = x if x.ndim <= 2 else x.reshape(-1, x.shape[-1])  # one product, not one for each of the leading axes
    y = product_by_kernels(rows, kernel, Ending(bias, activation=activation)) if activation in ENDS else None
    if y is None:
        y = _finished(matmul(rows, kernel), bias, activation)  # in place
    return y if x.ndim <= 2 else y.reshape(*x.shape[:-1], kernel.shape[1])


def _finished(y, bias, activation):
    """activation(y + bias), in y itself where there are kernels for it."""
    if bias is None and activation == "linear":
        return y
    if y.size > FEW and _native.available and y.dtype.char in "fd" and y.ndim == 2:
        return _activated(y, bias, activation, y)
    if bias is not None:
        with quiet():
            np.add(y, bias, out=y)
    return _FUNCTIONS[activation](y)


def _activated(rows, bias, activation, out=None):
    bias = None if bias is None else np.ascontiguousarray(bias)
    return _native.kernels.bias_curve(activation, rows, bias, threads_for(rows.size), out)


_FUNCTIONS = {
    "linear": lambda y: y,
    "relu": lambda y: np.maximum(y, 0, out=y),
    "sigmoid": activate.sigmoid,
    "tanh": elementwise.tanh,
    "silu": activate.silu,
    "gelu": lambda y: activate.gelu(y, False),
    "gelu_tanh": lambda y: activate.gelu(y, True),
}


def _before_activation(g, given, activation):
    """The gradient of what was activated. `given` is the result for activations `BY_RESULT`, else what was activated."""
    if activation == "linear":
        return g
    return activate.relu_grad(g, given) if activation == "relu" else curve_grad(g, given, activation)


@private_op(
    rule=lambda g, given, bias, activation: Plan.many(
        (Spec(given.shape, given.dtype), Spec(given.shape[-1:], given.dtype)), cast=given.dtype
    )
)
def finished_grad(g: Tensor, given: Tensor, bias: Tensor | None, activation):
    """The gradients of activation(x + bias) by x and bias: the second is the first, summed.

    `given` is the result, and bias None, for activations `BY_RESULT`; else they are x and bias.
    """
    if _native.available and given.dtype.char in "fd":
        g_rows, rows = (np.ascontiguousarray(t).reshape(-1, given.shape[-1]) for t in (g, given))
        if activation == "linear":
            return g, _column_sums(g_rows)
        bias = None if bias is None else np.ascontiguousarray(bias)
        dx, sums = _native.kernels.bias_curve_grad(activation, g_rows, rows, bias, threads_for(given.size))
        return dx.reshape(given.shape), sums
    with quiet():
        dx = _before_activation(wrap(g), wrap(given if bias is None else given + bias), activation).view(np.ndarray)
        return dx, reduce.sum(dx, tuple(range(given.ndim - 1)), False)


@recorded_as(finished_grad)
def _(g, given, bias, activation):
    dx = _before_activation(g, given if bias is None else given + bias, activation)
    return dx, ops.sum(dx, tuple(range(len(given.shape) - 1)))


@recorded_as(ops.dense)
def _(x, kernel, bias, activation):
    if activation in BY_RESULT:
        return dense_by_result(x, kernel, bias, activation)
    y = activated(dense_sums(x, kernel), bias, activation)
    return y if y.dtype == x.dtype else ops.cast(y, dtypes.name_of(x.dtype))


@private_op(rule=_dense)
def dense_by_result(x: Tensor, kernel: Tensor, bias: Tensor | None, activation):
    """`ops.dense` with an activation `BY_RESULT`: nothing but the result is kept for its gradient."""
    return dense(x, kernel, bias, activation)


@vjp(dense_by_result)
def _(g, y, x, kernel, bias, activation):
    if g.shape != y.shape:
        g = ops.broadcast_to(g, y.shape)
    dbias = None
    if bias is not None and tracked((bias,)) and y.dtype.kind != "c":
        g, dbias = finished_grad(g, y, None, activation)
    else:
        g = _before_activation(g, y, activation)
        if bias is not None and tracked((bias,)):
            dbias = ops.sum(g, tuple(range(len(y.shape) - 1)))
    return *_product_grads(g, x, kernel), dbias


def _product_grads(g, x, kernel):
    """The gradients of x @ kernel, where they are asked for: the inputs of a model, say, are not tracked."""
    dx = dkernel = None
    rows = g if g.ndim == 2 else ops.reshape(g, (-1, g.shape[-1]))
    if tracked((x,)):
        dx = times_adjoint(rows, kernel)
        dx = dx if g.ndim == 2 else ops.reshape(dx, x.shape)
    if tracked((kernel,)):
        flat = x if x.ndim == 2 else ops.reshape(x, (-1, kernel.shape[0]))
        dkernel = adjoint_times(flat, rows)
    return dx, dkernel


def _sums(x: Spec, kernel: Spec) -> Plan:
    plan = _dense(x, kernel, None)
    dtype = "float32" if plan.outputs.dtype in half.NAMES else plan.outputs.dtype
    return Plan(plan.outputs.shape, dtype, cast=plan.cast)


@private_op(rule=_sums)
def dense_sums(x: Tensor, kernel: Tensor):
    """x @ kernel, in float32 for 16-bit floats: what follows rounds."""
    return dense(x, kernel, None, "linear")


@vjp(dense_sums)
def _(g, y, x, kernel):
    return _product_grads(ops.broadcast_to(g, y.shape) if g.shape != y.shape else g, x, kernel)


@private_op(rule=lambda sums, bias, activation: Plan(sums.shape, sums.dtype, cast=sums.dtype))
def activated(sums: Tensor, bias: Tensor | None, activation):
    """activation(sums + bias), which leaves the sums for its gradient: the bias is added anew there."""
    if _native.available and sums.dtype.char in "fd":
        return _activated(sums.reshape(-1, sums.shape[-1]), bias, activation).reshape(sums.shape)
    with quiet():
        return _FUNCTIONS[activation](sums if bias is None else sums + bias)


@vjp(activated)
def _(g, y, sums, bias, activation):
    if g.shape != sums.shape:
        g = ops.broadcast_to(g, sums.shape)
    if bias is not None and tracked((bias,)):
        return finished_grad(g, sums, bias, activation)
    return _before_activation(g, sums if bias is None else sums + bias, activation), None


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
        g, dbias = finished_grad(g, y, None, activation)
    else:
        g = _before_activation(g, y, activation)
        dbias = ops.sum(g, tuple(a for a in range(g.ndim) if a != 1))
    if tracked((inputs,)):
        dinputs = conv_input_grad(g, kernel, inputs.shape, *how)
    if tracked((kernel,)):
        dkernel = conv_kernel_grad(inputs, g, kernel.shape, *how)
    return dinputs, dkernel, dbias
