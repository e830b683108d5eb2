"""Definitions and gradient rules of the elementwise ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.backends.reference import half, tape
from kcore.backends.reference.curve import curve, curve_grad
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tape import vjp


def _silent(ufunc: Callable) -> Callable:
    """The function without NumPy's warnings: inf and nan are results here, not accidents."""

    def function(*args: Any) -> Any:
        with quiet():
            return ufunc(*args)

    return function


# -- arithmetic -------------------------------------------------------------------------

add, subtract, multiply = np.add, np.subtract, np.multiply
divide = _silent(np.true_divide)
negative, positive, absolute = np.negative, np.positive, np.absolute
square = np.square
maximum, minimum = np.maximum, np.minimum
arctan2 = np.arctan2
reciprocal = _silent(lambda x: 1 / x)


def sign(x):
    return np.sign(x)


def floor_divide(x1, x2):
    with quiet():
        y = np.floor_divide(x1, x2)
    return y if x1.dtype.kind not in "iu" else np.where(x2 == 0, np.zeros((), y.dtype), y)


def mod(x1, x2):
    with quiet():
        y = np.remainder(x1, x2)
    return y if x1.dtype.kind not in "iu" else np.where(x2 == 0, np.zeros((), y.dtype), y)


def power(x1, x2):
    with quiet():
        if x1.dtype.kind != "i":
            return np.power(x1, x2)
        # NumPy refuses negative integer exponents; 1 / x1**|x2| truncates to 0 unless |x1| is 1.
        y = np.power(x1, np.abs(x2))
        return np.where(x2 >= 0, y, np.where(np.abs(x1) == 1, y, np.zeros((), y.dtype)))


@vjp(ops.add)
def _(g, y, x1, x2):
    return g, g


@vjp(ops.subtract)
def _(g, y, x1, x2):
    return g, -g


@vjp(ops.multiply)
def _(g, y, x1, x2):
    return g * tape.conj(x2), g * tape.conj(x1)


@vjp(ops.divide)
def _(g, y, x1, x2):
    g1 = g / tape.conj(x2)
    return g1, -g1 * tape.conj(y)


@vjp(ops.mod)
def _(g, y, x1, x2):
    return g, -g * ops.floor_divide(x1, x2)


def fmod(x1, x2):
    with quiet():
        y = np.fmod(x1, x2)
    return y if x1.dtype.kind not in "iu" else np.where(x2 == 0, np.zeros((), y.dtype), y)


@vjp(ops.fmod)
def _(g, y, x1, x2):
    return g, -g * ops.trunc(x1 / x2)


@vjp(ops.power)
def _(g, y, x1, x2):
    # At x1 = 0 the logarithm is infinite where the power is flat in x2: 0 there.
    log = ops.log(ops.where(x1 == 0, ops.ones_like(x1), x1))
    lower = ops.where(x2 == 0, ops.zeros_like(x1), ops.power(x1, ops.where(x2 == 0, ops.ones_like(x2), x2 - 1)))
    return g * x2 * lower, g * ops.where(x1 == 0, ops.zeros_like(y), y * log)


def _share(wins, ties):
    return ops.where(wins, 1.0, ops.where(ties, 0.5, 0.0))


@vjp(ops.maximum)
def _(g, y, x1, x2):
    return g * ops.cast(_share(x1 > x2, x1 == x2), g.dtype), g * ops.cast(_share(x2 > x1, x1 == x2), g.dtype)


@vjp(ops.minimum)
def _(g, y, x1, x2):
    return g * ops.cast(_share(x1 < x2, x1 == x2), g.dtype), g * ops.cast(_share(x2 < x1, x1 == x2), g.dtype)


@vjp(ops.arctan2)
def _(g, y, x1, x2):
    r2 = x1 * x1 + x2 * x2
    scale = g / ops.where(r2 == 0, ops.ones_like(r2), r2)
    return scale * x2, -scale * x1


@vjp(ops.negative)
def _(g, y, x):
    return -g


@vjp(ops.positive)
def _(g, y, x):
    return g


@vjp(ops.absolute)
def _(g, y, x):
    return g * ops.sign(x)


@vjp(ops.square)
def _(g, y, x):
    return g * 2 * tape.conj(x)


@vjp(ops.reciprocal)
def _(g, y, x):
    return -g * y * y


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


def _curve(name: str, ufunc: Callable) -> Callable:
    """A function with a kernel of that name, defined by NumPy's."""
    definition = _silent(ufunc)
    return lambda x: curve(name, x, definition)


exp, exp2, expm1 = _curve("exp", np.exp), _silent(np.exp2), _curve("expm1", np.expm1)
log, log1p, log2, log10 = _curve("log", np.log), _silent(np.log1p), _silent(np.log2), _silent(np.log10)
sqrt = _silent(np.sqrt)
rsqrt = _silent(lambda x: 1 / np.sqrt(x))
cbrt = np.cbrt


@vjp(ops.exp)
def _(g, y, x):
    return g * y


@vjp(ops.exp2)
def _(g, y, x):
    return g * y * math.log(2)


@vjp(ops.expm1)
def _(g, y, x):
    return curve_grad(g, x, "expm1")  # by x: y + 1 loses everything below -1 + eps


@vjp(ops.log)
def _(g, y, x):
    return g / x


@vjp(ops.log1p)
def _(g, y, x):
    return g / (1 + x)


@vjp(ops.log2)
def _(g, y, x):
    return g / (x * math.log(2))


@vjp(ops.log10)
def _(g, y, x):
    return g / (x * math.log(10))


@vjp(ops.sqrt)
def _(g, y, x):
    return g * 0.5 / y


@vjp(ops.rsqrt)
def _(g, y, x):
    return g * -0.5 * y / x


@vjp(ops.cbrt)
def _(g, y, x):
    return g / (3 * y * y)


# -- trigonometry -----------------------------------------------------------------------

sin, cos, tan = _silent(np.sin), _silent(np.cos), _silent(np.tan)
arcsin, arccos, arctan = _silent(np.arcsin), _silent(np.arccos), _silent(np.arctan)
sinh, cosh, tanh = _silent(np.sinh), _silent(np.cosh), _curve("tanh", np.tanh)
arcsinh, arccosh, arctanh = _silent(np.arcsinh), _silent(np.arccosh), _silent(np.arctanh)


@vjp(ops.sin)
def _(g, y, x):
    return g * ops.cos(x)


@vjp(ops.cos)
def _(g, y, x):
    return -g * ops.sin(x)


@vjp(ops.tan)
def _(g, y, x):
    return g * (1 + y * y)


@vjp(ops.arcsin)
def _(g, y, x):
    return g * ops.rsqrt((1 - x) * (1 + x))


@vjp(ops.arccos)
def _(g, y, x):
    return -g * ops.rsqrt((1 - x) * (1 + x))


@vjp(ops.arctan)
def _(g, y, x):
    return g / (1 + x * x)


@vjp(ops.sinh)
def _(g, y, x):
    return g * ops.cosh(x)


@vjp(ops.cosh)
def _(g, y, x):
    return g * ops.sinh(x)


@vjp(ops.tanh)
def _(g, y, x):
    return curve_grad(g, y, "tanh")


@vjp(ops.arcsinh)
def _(g, y, x):
    return g * ops.rsqrt(x * x + 1)


@vjp(ops.arccosh)
def _(g, y, x):
    return g * ops.rsqrt((x - 1) * (x + 1))


@vjp(ops.arctanh)
def _(g, y, x):
    return g / ((1 - x) * (1 + x))


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


def real(x):
    return np.real(x)


def imag(x):
    return np.imag(x) if x.dtype.kind == "c" else np.zeros_like(x)


@vjp(ops.conj)
def _(g, y, x):
    return ops.conj(g)


@vjp(ops.real)
def _(g, y, x):
    return g


@vjp(ops.imag)
def _(g, y, x):
    return g * 1j if dtypes.is_complex(dtypes.name_of(x.dtype)) else None
