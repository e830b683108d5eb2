"""Elementwise functions by native kernels: one pass over memory each, and one for the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from kcore import _native, dtypes, ops
from kcore._native.threads import threads_for
from kcore.backends.reference.layouts import contiguous
from kcore.backends.reference.tape import nested, recorded_as, vjp
from kcore.backends.reference.tensor import wrap
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.symbolic import Spec

# Up to so many elements a NumPy call is as fast as a kernel with its checks.
FEW = 1 << 12


def curve(name: str, x: np.ndarray, definition: Callable, a: float = 0.0, b: float = 0.0) -> np.ndarray:
    """The kernel `name` at x, or `definition(x)` where there is none for it."""
    if _native.kernels is None:
        return definition(x)
    if x.dtype.char in "fd":
        return _native.kernels.curve(name, contiguous(x), a, b, threads_for(x.size))
    return definition(x)


def curved(name: str, definition: Callable) -> Callable:
    """The function of x alone that `curve` of that name is."""

    def run(x: np.ndarray) -> np.ndarray:
        return curve(name, x, definition)

    run.__module__ = definition.__module__
    return run


# -- gradients --------------------------------------------------------------------------

_ROOT = math.sqrt(8 / math.pi)


def _silu(x, a, b):
    s = ops.sigmoid(x)
    return s + x * s * ops.sigmoid(-x)


def _gelu(x, a, b):
    # d/dx x P(x) = P(x) + x p(x), with p the normal density
    return 0.5 * ops.erfc(x * -math.sqrt(0.5)) + x * ops.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


def _gelu_tanh(x, a, b):
    u = _ROOT * (x + 0.044715 * x * x * x)
    s = ops.sigmoid(u)
    return s + x * s * ops.sigmoid(-u) * (_ROOT * (1 + 3 * 0.044715 * x * x))


def _elu(x, a, b):
    above = x > 0
    return ops.where(above, b, a * ops.exp(ops.where(above, 0, x)))


def _relu6(x, inside):
    return ops.where(ops.logical_or(x <= 0, x >= 6), 0.0, ops.full_like(x, inside))


# f'(x), or for exp, tanh and sigmoid f' in terms of y = f(x), as the kernels have it.
_SLOPES: dict[str, Callable] = {
    "exp": lambda y, a, b: y,
    "expm1": lambda x, a, b: ops.exp(x),
    "tanh": lambda y, a, b: 1 - y * y,
    "sigmoid": lambda y, a, b: y * (1 - y),
    "log_sigmoid": lambda x, a, b: ops.sigmoid(-x),
    "softplus": lambda x, a, b: ops.sigmoid(x),
    "silu": _silu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "erf": lambda x, a, b: (2 / math.sqrt(math.pi)) * ops.exp(-x * x),
    "elu": _elu,
    "leaky_relu": lambda x, a, b: ops.where(x > 0, 1.0, ops.full_like(x, a)),
    "relu6": lambda x, a, b: _relu6(x, 1.0),
    "hard_sigmoid": lambda x, a, b: _relu6(x + 3, 1 / 6),
    "hard_silu": lambda x, a, b: ops.hard_sigmoid(x) + x * _relu6(x + 3, 1 / 6),
}


@private_op(rule=lambda g, given, name, a=0.0, b=0.0: Plan(given.shape, given.dtype, cast=given.dtype))
def curve_grad(g: Tensor, given: Tensor, name, a=0.0, b=0.0):
    """g times the slope of the function `name`: at x, or for exp, tanh and sigmoid where the result is `given`."""
    if g.shape != given.shape:
        g = np.broadcast_to(g, given.shape)
    if _native.kernels is not None and given.dtype.char in "fd":
        return _grad(name, g, given, a, b)
    return _formula(wrap(g), wrap(given), name, a, b)


def _grad(name, g, given, a, b):
    return _native.kernels.curve_grad(name, contiguous(g), contiguous(given), a, b, threads_for(g.size))


@recorded_as(curve_grad)
def _formula(g, given, name, a, b):
    y = g * _SLOPES[name](given, a, b)
    return y if y.dtype == given.dtype else ops.cast(y, dtypes.name_of(given.dtype))


# A slope that takes an exponential is found in passing, beside the value, and kept instead of x. It has no gradient of its
# own: where there may be a second derivative, x is kept.


def with_slope_kept(x: Tensor, name: str, a: float = 0.0, b: float = 0.0) -> Tensor | None:
    """`curve` as it is recorded where its gradient takes the slope from forward; None where it does not."""
    if nested() or _native.kernels is None or x.dtype.char not in "fd" or x.size <= FEW:
        return None
    return curve_with_slope(x, name, a, b)[0]


@private_op(rule=lambda x, name, a, b: Plan.many((Spec(x.shape, x.dtype), Spec(x.shape, x.dtype))))
def curve_with_slope(x: Tensor, name, a, b):
    """The function `name` at x, and its slope there, by a kernel."""
    return _native.kernels.curve_with_slope(name, contiguous(x), a, b, threads_for(x.size))


@vjp(curve_with_slope)
def _(gs, ys, x, name, a, b):
    return curve_grad(gs[0], ys[1], "exp")  # whose slope is what it is given
