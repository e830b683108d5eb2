"""Definitions and gradient rules of the activations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from kcore import _native, ops
from kcore._native.threads import threads_for
from kcore.backends.reference.curve import FEW, curve, curve_grad, curved, with_slope_kept
from kcore.backends.reference.layouts import contiguous
from kcore.backends.reference.quiet import quiet, silent
from kcore.backends.reference.tape import recorded_rather_as, vjp, vjps
from kcore.ops.activate import _SELU_ALPHA, _SELU_SCALE
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.symbolic import Spec


def _has_kernel(x: np.ndarray) -> bool:
    return _native.available and x.dtype.char in "fd" and x.size > 0


def _over_rows(kernel: Callable, axis: tuple[int, ...], *arrays: np.ndarray) -> np.ndarray:
    """A kernel on matrices, whose rows are the elements along `axis`."""
    shape = arrays[0].shape
    if axis == (len(shape) - 1,):  # nearly all
        rows = [contiguous(a).reshape(-1, shape[-1]) for a in arrays]
        return kernel(*rows, threads_for(arrays[0].size)).reshape(shape)
    last = tuple(range(len(shape) - len(axis), len(shape)))
    columns = math.prod(shape[a] for a in axis)
    moved = arrays if axis == last else [np.moveaxis(a, axis, last) for a in arrays]
    y = kernel(*(contiguous(a).reshape(-1, columns) for a in moved), threads_for(arrays[0].size))
    y = y.reshape(moved[0].shape)
    return y if axis == last else np.moveaxis(y, last, axis)


# -- rectifiers -------------------------------------------------------------------------


def relu(x):
    if x.size > FEW and _has_kernel(x) and x.flags.c_contiguous:
        return _native.kernels.relu(x, threads_for(x.size))
    return np.maximum(x, np.zeros((), x.dtype))


@private_op(rule=lambda g, y: Plan(g.shape, g.dtype))
def relu_grad(g: Tensor, y: Tensor):
    """0 where y is 0, else g: the gradient of `relu`."""
    if g.size > FEW // 8 and _has_kernel(g) and g.flags.c_contiguous and y.flags.c_contiguous and g.dtype == y.dtype:
        return _native.kernels.relu_grad(g, y, threads_for(g.size))
    return np.where(y <= 0, np.zeros((), g.dtype), g)


@vjp(ops.relu)
def _(g, y, x):
    return relu_grad(ops.broadcast_to(g, y.shape) if g.shape != y.shape else g, y)


@vjp(relu_grad)
def _(g, dx, g0, y):
    return relu_grad(g, y), None


# What is large leaves its gradient a bit for each element: that is read faster than y.


@recorded_rather_as(ops.relu)
def _(x):
    return relu_with_bits(x)[0] if x.size > FEW and _has_kernel(x) else None


@private_op(rule=lambda x: Plan.many((Spec(x.shape, x.dtype), Spec(((math.prod(x.shape) + 7) // 8,), "uint8"))))
def relu_with_bits(x: Tensor):
    """`relu` by a kernel; and where it is not 0, a bit for each element, the lowest first."""
    return _native.kernels.relu_with_bits(contiguous(x), threads_for(x.size))


@vjp(relu_with_bits)
def _(gs, ys, x):
    return relu_bits_grad(gs[0], ys[1])


@private_op(rule=lambda g, bits: Plan(g.shape, g.dtype))
def relu_bits_grad(g: Tensor, bits: Tensor):
    """g where the bits of `relu_with_bits` are set, else 0."""
    return _native.kernels.relu_bits_grad(contiguous(g), bits, threads_for(g.size))


@vjp(relu_bits_grad)
def _(h, dx, g, bits):
    return relu_bits_grad(h, bits), None


def relu6(x):
    if x.dtype.kind in "iub":
        return np.clip(x, 0, 6).astype(x.dtype)
    return curve("relu6", x, lambda x: np.where(x <= 0, 0, np.where(x >= 6, 6, x)).astype(x.dtype))


def leaky_relu(x, negative_slope):
    slope = float(negative_slope)
    return curve("leaky_relu", x, lambda x: np.where(x > 0, x, x.dtype.type(slope) * x), slope)


def _elu(x, low, high):
    """high * x above 0, else low * (exp(x) - 1)."""

    def definition(x):
        with quiet():
            return np.where(x > 0, high * x, low * np.expm1(np.minimum(x, 0))).astype(x.dtype)

    return curve("elu", x, definition, low, high)


def elu(x, alpha):
    return _elu(x, float(alpha), 1.0)


_SELU = _SELU_SCALE * _SELU_ALPHA, _SELU_SCALE


def selu(x):
    return _elu(x, *_SELU)


vjps(
    relu6=lambda g, y, x: curve_grad(g, x, "relu6"),
    leaky_relu=lambda g, y, x, negative_slope: curve_grad(g, x, "leaky_relu", float(negative_slope)),
    elu=lambda g, y, x, alpha: curve_grad(g, x, "elu", float(alpha), 1.0),
    selu=lambda g, y, x: curve_grad(g, x, "elu", *_SELU),
)


@recorded_rather_as(ops.elu)
def _(x, alpha):
    return with_slope_kept(x, "elu", float(alpha), 1.0)


@recorded_rather_as(ops.selu)
def _(x):
    return with_slope_kept(x, "elu", *_SELU)


# -- sigmoids ---------------------------------------------------------------------------


@silent
def _sigmoid_definition(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, np.ones((), x.dtype)) / (1 + e)


@silent
def _softplus_definition(x):
    return np.maximum(x, np.zeros((), x.dtype)) + np.log1p(np.exp(-np.abs(x)))


@silent
def _gelu_tanh_definition(x):
    u = math.sqrt(8 / math.pi) * (x + x.dtype.type(0.044715) * x * x * x)
    return x * _sigmoid_definition(u.astype(x.dtype))


@silent
def _gelu_definition(x):
    import scipy.special  # late: it takes a tenth of a second

    # erfc has the relative precision below 0 that 1 + erf loses
    return (0.5 * x * scipy.special.erfc(x * -math.sqrt(0.5))).astype(x.dtype)


def _hard_sigmoid_definition(x):
    return (np.clip(x + x.dtype.type(3), 0, 6) / 6).astype(x.dtype)


sigmoid, softplus = curved("sigmoid", _sigmoid_definition), curved("softplus", _softplus_definition)
log_sigmoid = curved("log_sigmoid", lambda x: -_softplus_definition(-x))
silu = curved("silu", lambda x: x * _sigmoid_definition(x))
hard_sigmoid = curved("hard_sigmoid", _hard_sigmoid_definition)
hard_silu = curved("hard_silu", lambda x: x * _hard_sigmoid_definition(x))


def gelu(x, approximate):
    if approximate:
        return curve("gelu_tanh", x, _gelu_tanh_definition)
    return curve("gelu", x, _gelu_definition)


vjps(
    sigmoid=lambda g, y, x: curve_grad(g, y, "sigmoid"),
    softplus=lambda g, y, x: curve_grad(g, x, "softplus"),
    log_sigmoid=lambda g, y, x: curve_grad(g, x, "log_sigmoid"),
    silu=lambda g, y, x: curve_grad(g, x, "silu"),
    gelu=lambda g, y, x, approximate: curve_grad(g, x, "gelu_tanh" if approximate else "gelu"),
    hard_sigmoid=lambda g, y, x: curve_grad(g, x, "hard_sigmoid"),
    hard_silu=lambda g, y, x: curve_grad(g, x, "hard_silu"),
)


@recorded_rather_as(ops.softplus)
def _(x):
    return with_slope_kept(x, "softplus")


@recorded_rather_as(ops.log_sigmoid)
def _(x):
    return with_slope_kept(x, "log_sigmoid")


@recorded_rather_as(ops.silu)
def _(x):
    return with_slope_kept(x, "silu")


@recorded_rather_as(ops.gelu)
def _(x, approximate):
    return with_slope_kept(x, "gelu_tanh" if approximate else "gelu")


# -- along axes -------------------------------------------------------------------------


def softmax(x, axis):
    if _has_kernel(x):
        return _over_rows(_native.kernels.softmax_rows, axis, x)
    with quiet():
        e = np.exp(x - np.max(x, axis, keepdims=True, initial=-np.inf))
        return e / np.sum(e, axis, keepdims=True)


@private_op(rule=lambda g, y, axis: Plan(y.shape, y.dtype, cast=y.dtype))
def softmax_grad(g: Tensor, y: Tensor, axis):
    """y * (g - sum(g * y)): the gradient of `softmax`."""
    if _has_kernel(y):
        return _over_rows(_native.kernels.softmax_rows_grad, axis, g, y)
    with quiet():
        return y * (g - np.sum(g * y, axis, keepdims=True))


@vjp(ops.softmax)
def _(g, y, x, axis):
    return softmax_grad(g if g.shape == y.shape else ops.broadcast_to(g, y.shape), y, axis)


@vjp(softmax_grad)
def _(h, dx, g, y, axis):
    # dx = y (g - s) with s = sum(g y), so sum(h dx) has, by y, the gradient h (g - s) - g sum(h y)
    s = ops.sum(g * y, axis, keepdims=True)
    return softmax_grad(h, y, axis), h * (g - s) - g * ops.sum(h * y, axis, keepdims=True)


def log_softmax(x, axis):
    if _has_kernel(x):
        return _over_rows(_native.kernels.log_softmax_rows, axis, x)
    with quiet():
        w = x - np.max(x, axis, keepdims=True, initial=-np.inf)
        return w - np.log(np.sum(np.exp(w), axis, keepdims=True))


@private_op(rule=lambda g, y, axis: Plan(y.shape, y.dtype, cast=y.dtype))
def log_softmax_grad(g: Tensor, y: Tensor, axis):
    """g - exp(y) * sum(g): the gradient of `log_softmax`."""
    if _has_kernel(y):
        return _over_rows(_native.kernels.log_softmax_rows_grad, axis, g, y)
    with quiet():
        return g - np.exp(y) * np.sum(g, axis, keepdims=True)


@vjp(ops.log_softmax)
def _(g, y, x, axis):
    return log_softmax_grad(ops.broadcast_to(g, y.shape), y, axis)


@vjp(log_softmax_grad)
def _(h, dx, g, y, axis):
    p = ops.exp(y)
    return h - ops.sum(h * p, axis, keepdims=True), -h * p * ops.sum(g, axis, keepdims=True)
