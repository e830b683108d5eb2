"""Special functions, elementwise: of probability, of number theory, and of the floats themselves."""

from __future__ import annotations

import math

from kcore import dtypes, ops
from kcore.ops import rules
from kcore.ops.elementwise import binary, ordered_float, real_map, require_real, unary
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.numerics import complex_of
from kcore.ops.symbolic import Spec

# -- probability ------------------------------------------------------------------------

erf = unary(
    "erf",
    "The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x.",
    "[0.0, 1.0]",
    "[0.    , 0.8427], dtype=float32",
    real_map,
)
erfc = unary(
    "erfc", "1 - erf(x), precise where that is small.", "[0.0, 1.0]", "[1.    , 0.1573], dtype=float32", real_map
)
erfinv = unary(
    "erfinv",
    "The inverse of `erf`: infinite at -1 and 1, where the gradient is inf too; nan outside.",
    "[0.0, 0.5]",
    "[0.    , 0.4769], dtype=float32",
    real_map,
)
i0 = unary(
    "i0",
    "The modified Bessel function of the first kind, of order 0.",
    "[0.0, 1.0]",
    "[1.    , 1.2661], dtype=float32",
    real_map,
)

logaddexp = binary(
    "logaddexp",
    "log(exp(x1) + exp(x2)), without overflow and precise where one is much smaller. Two equal infinities share the gradient.",
    "[0.0, 1000.0], [0.0, 1000.0]",
    "[   0.6931, 1000.6932], dtype=float32",
    ordered_float,
)


@op(rule=ordered_float)
def logaddexp2(x1: Tensor, x2: Tensor) -> Tensor:
    """log2(2**x1 + 2**x2), without overflow.

    >>> ops.logaddexp2([0.0, 2000.0], [0.0, 2000.0])
    Tensor([   1.    , 2000.9999], dtype=float32)
    """
    scale = math.log(2)
    return logaddexp(x1 * scale, x2 * scale) / scale


@op(rule=rules.float_map)
def sinc(x: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0, where derivatives of every order are right too.

    >>> ops.sinc([0.0, 0.5])
    Tensor([1.    , 0.6366], dtype=float32)
    """
    near = ops.less(ops.absolute(x), 0.15)
    far = math.pi * ops.where(near, 1, x)
    square = ops.square(math.pi * ops.where(near, x, 0))
    # The Taylor series of sin(t) / t; at t = 0.15 pi the first term left out is below 1e-17.
    series = 1.0
    for k in range(7, 0, -1):
        series = 1.0 - square / (2 * k * (2 * k + 1)) * series
    return ops.where(near, series, ops.sin(far) / far)


# -- number theory ----------------------------------------------------------------------


def _integral(x1: Spec, x2: Spec) -> Plan:
    plan = rules.promoted(x1, x2)
    if not dtypes.is_int(plan.outputs.dtype):
        raise TypeError(f"this is of integers, not of {plan.outputs.dtype}.")
    return plan


gcd = binary(
    "gcd",
    "The greatest common divisor, not negative; of 0 and 0 it is 0.",
    "[12, 7], 18",
    "[6, 1], dtype=int32",
    _integral,
)


@op(rule=_integral)
def lcm(x1: Tensor, x2: Tensor) -> Tensor:
    """The least common multiple, not negative; 0 if either is 0.

    >>> ops.lcm([4, 6], 10)
    Tensor([20, 30], dtype=int32)
    """
    divisor = gcd(x1, x2)
    return ops.absolute(ops.floor_divide(x1, divisor) * x2)


# -- floats as they are stored ----------------------------------------------------------


def _scaled(x1: Spec, x2: Spec) -> Plan:
    if not dtypes.is_int(x2.dtype):
        raise TypeError(f"x2 should hold integers, not {dtypes.concrete(x2.dtype)}.")
    require_real(x1)
    dtype = dtypes.float_of(x1.dtype)
    return Plan(rules.broadcast(x1.shape, x2.shape), dtype, cast={"x1": dtype, "x2": "int32"})


@op(rule=_scaled)
def ldexp(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 * 2**x2 for integers x2, exact unless the result is subnormal or overflows.

    >>> ops.ldexp([0.5, 3.0], [2, -1])
    Tensor([2. , 1.5], dtype=float32)
    """
    # In thirds: 2.0**x2 at once may overflow where the result does not.
    third = ops.where(x2 < 0, -(-x2 // 3), x2 // 3)
    for part in (third, third, x2 - 2 * third):
        x1 = x1 * ops.power(2.0, ops.cast(part, dtypes.name_of(x1.dtype)))
    return x1


nextafter = binary(
    "nextafter",
    "The next number of the float dtype after x1, towards x2; x2 where they are equal.",
    "0.0, [1.0, -1.0]",
    "[ 0., -0.], dtype=float32",
    ordered_float,
)


# -- complex numbers --------------------------------------------------------------------


def _from_polar(abs_: Spec, angle: Spec) -> Plan:
    plan = ordered_float(abs_, angle)
    dtype = "float64" if plan.outputs.dtype == "float64" else "float32"
    return Plan(plan.outputs.shape, "complex128" if dtype == "float64" else "complex64", cast=dtype)


@op(rule=_from_polar)
def polar(abs_: Tensor, angle: Tensor) -> Tensor:
    """The complex number of absolute value `abs_` and argument `angle`, in radians.

    complex128 for float64, else complex64.

    >>> ops.polar(2.0, 0.0)
    Tensor(2.+0.j, dtype=complex64)
    """
    return complex_of(abs_ * ops.cos(angle), abs_ * ops.sin(angle))
