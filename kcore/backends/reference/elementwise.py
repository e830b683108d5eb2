"""Definitions and gradient rules of the elementwise ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.backends.reference import half, tape
from kcore.backends.reference.curve import curve_grad, curved
from kcore.backends.reference.quiet import quiet, silent
from kcore.backends.reference.tape import vjp, vjps

# -- arithmetic -------------------------------------------------------------------------

add, subtract, multiply = np.add, np.subtract, np.multiply
divide = silent(np.true_divide)
negative, positive, absolute = np.negative, np.positive, np.absolute
square, sign = np.square, np.sign
maximum, minimum = np.maximum, np.minimum
arctan2 = np.arctan2
reciprocal = silent(lambda x: 1 / x)


def _division(ufunc: Callable) -> Callable:
    """A division without NumPy's warnings, in which an integer by 0 gives 0."""

    @silent
    def function(x1: Any, x2: Any) -> Any:
        y = ufunc(x1, x2)
        return y if x1.dtype.kind not in "iu" else np.where(x2 == 0, np.zeros((), y.dtype), y)

    return function


floor_divide, mod, fmod = _division(np.floor_divide), _division(np.remainder), _division(np.fmod)


def power(x1, x2):
    with quiet():
        if x1.dtype.kind != "i":
            return np.power(x1, x2)
        # NumPy refuses negative integer exponents; 1 / x1**|x2| truncates to 0 unless |x1| is 1.
        y = np.power(x1, np.abs(x2))
        return np.where(x2 >= 0, y, np.where(np.abs(x1) == 1, y, np.zeros((), y.dtype)))


vjps(
    add=lambda g, y, x1, x2: (g, g),
    subtract=lambda g, y, x1, x2: (g, -g),
    multiply=lambda g, y, x1, x2: (g * tape.conj(x2), g * tape.conj(x1)),
    mod=lambda g, y, x1, x2: (g, -g * ops.floor_divide(x1, x2)),
    fmod=lambda g, y, x1, x2: (g, -g * ops.trunc(x1 / x2)),
)


@vjp(ops.divide)
def _(g, y, x1, x2):
    g1 = g / tape.conj(x2)
    return g1, -g1 * tape.conj(y)


@vjp(ops.power)
def _(g, y, x1, x2):
    # At x1 = 0 the logarithm is infinite where the power is flat in x2: 0 there.
    log = ops.log(ops.where(x1 == 0, ops.ones_like(x1), x1))
    lower = ops.where(x2 == 0, ops.zeros_like(x1), ops.power(x1, ops.where(x2 == 0, ops.ones_like(x2), x2 - 1)))
    return g * x2 * lower, g * ops.where(x1 == 0, ops.zeros_like(y), y * log)


def _shares(g, wins1, wins2, ties):
    """g for the argument that wins, half of it for both where they tie."""
    return tuple(g * ops.cast(ops.where(wins, 1.0, ops.where(ties, 0.5, 0.0)), g.dtype) for wins in (wins1, wins2))


vjps(
    maximum=lambda g, y, x1, x2: _shares(g, x1 > x2, x2 > x1, x1 == x2),
    minimum=lambda g, y, x1, x2: _shares(g, x1 < x2, x2 < x1, x1 == x2),
)


@vjp(ops.arctan2)
def _(g, y, x1, x2):
    r2 = x1 * x1 + x2 * x2
    scale = g / ops.where(r2 == 0, ops.ones_like(r2), r2)
    return scale * x2, -scale * x1


vjps(
    negative=lambda g, y, x: -g,
    positive=lambda g, y, x: g,
    absolute=lambda g, y, x: g * ops.sign(x),
    square=lambda g, y, x: g * 2 * tape.conj(x),
    reciprocal=lambda g, y, x: -g * y * y,
)


def divide_no_nan(x1, x2):
    with quiet():
        if x2.ndim == 0:  # the count of a mean, say
            return np.divide(x1, x2) if x2 != 0 else np.zeros_like(x1)
        return np.where(x2 == 0, np.zeros((), x1.dtype), np.divide(x1, x2))


@vjp(ops.divide_no_nan)
def _(g, y, x1, x2):
    g1 = ops.divide_no_nan(g, tape.conj(x2))
    return g1, -g1 * tape.conj(y)


# -- exponentials, logarithms, roots ----------------------------------------------------


exp, exp2, expm1 = curved("exp", silent(np.exp)), silent(np.exp2), curved("expm1", silent(np.expm1))
log, log1p, log2, log10 = curved("log", silent(np.log)), silent(np.log1p), silent(np.log2), silent(np.log10)
sqrt = silent(np.sqrt)
rsqrt = silent(lambda x: 1 / np.sqrt(x))
cbrt = np.cbrt


vjps(
    exp=lambda g, y, x: g * y,
    exp2=lambda g, y, x: g * y * math.log(2),
    expm1=lambda g, y, x: curve_grad(g, x, "expm1"),  # by x: y + 1 loses everything below -1 + eps
    log=lambda g, y, x: g / x,
    log1p=lambda g, y, x: g / (1 + x),
    log2=lambda g, y, x: g / (x * math.log(2)),
    log10=lambda g, y, x: g / (x * math.log(10)),
    sqrt=lambda g, y, x: g * 0.5 / y,
    rsqrt=lambda g, y, x: g * -0.5 * y / x,
    cbrt=lambda g, y, x: g / (3 * y * y),
)


# -- trigonometry -----------------------------------------------------------------------

sin, cos, tan = silent(np.sin), silent(np.cos), silent(np.tan)
arcsin, arccos, arctan = silent(np.arcsin), silent(np.arccos), silent(np.arctan)
sinh, cosh, tanh = silent(np.sinh), silent(np.cosh), curved("tanh", silent(np.tanh))
arcsinh, arccosh, arctanh = silent(np.arcsinh), silent(np.arccosh), silent(np.arctanh)


vjps(
    sin=lambda g, y, x: g * ops.cos(x),
    cos=lambda g, y, x: -g * ops.sin(x),
    tan=lambda g, y, x: g * (1 + y * y),
    arcsin=lambda g, y, x: g * ops.rsqrt((1 - x) * (1 + x)),
    arccos=lambda g, y, x: -g * ops.rsqrt((1 - x) * (1 + x)),
    arctan=lambda g, y, x: g / (1 + x * x),
    sinh=lambda g, y, x: g * ops.cosh(x),
    cosh=lambda g, y, x: g * ops.sinh(x),
    tanh=lambda g, y, x: curve_grad(g, y, "tanh"),
    arcsinh=lambda g, y, x: g * ops.rsqrt(x * x + 1),
    arccosh=lambda g, y, x: g * ops.rsqrt((x - 1) * (x + 1)),
    arctanh=lambda g, y, x: g / ((1 - x) * (1 + x)),
)


# -- rounding ---------------------------------------------------------------------------


def _whole(ufunc: Callable) -> Callable:
    return lambda x: x if x.dtype.kind in "biu" else ufunc(x)


floor, ceil, trunc = np.floor, np.ceil, _whole(np.trunc)


def round(x, decimals):
    if x.dtype.kind == "b" or (x.dtype.kind in "iu" and decimals >= 0):
        return x
    return np.round(x, decimals)


# -- comparisons, logic, bits -----------------------------------------------------------

equal, not_equal = np.equal, np.not_equal
less, less_equal, greater, greater_equal = np.less, np.less_equal, np.greater, np.greater_equal
logical_and, logical_or, logical_xor, logical_not = np.logical_and, np.logical_or, np.logical_xor, np.logical_not
isnan, isinf, isfinite = np.isnan, np.isinf, np.isfinite


def signbit(x):
    return np.signbit(x) if x.dtype.kind not in "biu" else x < 0


bitwise_and, bitwise_or, bitwise_xor, bitwise_not = np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.bitwise_not
left_shift, right_shift = np.left_shift, np.right_shift


# -- with further arguments -------------------------------------------------------------


def cast(x, dtype):
    to = dtypes.to_numpy(dtype)
    if x.dtype == to:
        return x
    if x.dtype.kind == "c" and to.kind != "c":
        x = x.real  # the imaginary part goes, as asked; NumPy would warn
    if x.dtype.kind == "b":
        return x.astype(to)
    if to == "float32" and half.is_half(x.dtype):
        return half.widened(x)
    if x.dtype == "float32" and half.is_half(to):
        return half.narrowed(x, to)
    with quiet():
        return x.astype(to)


@vjp(ops.cast)
def _(g, y, x, dtype):
    return g  # the tape casts it back


def clip(x, x_min, x_max):
    return np.minimum(np.maximum(x, x_min), x_max)


@vjp(ops.clip)
def _(g, y, x, x_min, x_max):
    zero = ops.zeros_like(g)
    below, above = x < x_min, ops.maximum(x, x_min) > x_max
    return (
        ops.where(ops.logical_or(below, above), zero, g),
        ops.where(ops.logical_and(below, ops.logical_not(above)), g, zero),
        ops.where(above, g, zero),
    )


def where(condition, x1, x2):
    if x1 is None:
        return tuple(i.astype("int32") for i in np.nonzero(condition))
    return np.where(condition, x1, x2)


@vjp(ops.where)
def _(g, y, condition, x1, x2):
    zero = ops.zeros_like(g)
    return None, ops.where(condition, g, zero), ops.where(condition, zero, g)


# -- complex numbers --------------------------------------------------------------------


def conj(x):
    return np.conj(x) if x.dtype.kind == "c" else x


real = np.real


def imag(x):
    return np.imag(x) if x.dtype.kind == "c" else np.zeros_like(x)


vjps(
    conj=lambda g, y, x: ops.conj(g),
    real=lambda g, y, x: g,
    imag=lambda g, y, x: g * 1j if dtypes.is_complex(dtypes.name_of(x.dtype)) else None,
)
