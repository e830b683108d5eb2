"""Elementwise ops: arithmetic, comparisons, logic, bits, rounding and special functions.

Unary and binary ops that differ only by a formula are rows of a table. Unless a docstring
says otherwise, they follow IEEE 754: nan in gives nan out, infinities and signed zeros
are kept, and integer arithmetic wraps around.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcore import dtypes
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.symbolic import Spec


def unary(name: str, doc: str, rule: Callable[..., Plan] = rules.float_map) -> Callable[[Tensor], Tensor]:
    """A primitive on one tensor."""

    def function(x: Tensor) -> Tensor:
        """(replaced below)"""

    return _declared(function, name, doc, rule)


def binary(name: str, doc: str, rule: Callable[..., Plan] = rules.promoted) -> Callable[[Tensor, Tensor], Tensor]:
    """A primitive on two tensors that broadcast together."""

    def function(x1: Tensor, x2: Tensor) -> Tensor:
        """(replaced below)"""

    return _declared(function, name, doc, rule)


def bits(name: str, doc: str, rule: Callable[..., Plan]) -> Callable[[Tensor, Tensor], Tensor]:
    """A primitive on the bits of two tensors; its parameters are x and y, as in the array API."""

    def function(x: Tensor, y: Tensor) -> Tensor:
        """(replaced below)"""

    return _declared(function, name, doc, rule)


def _declared(function: Callable, name: str, doc: str, rule: Callable[..., Plan]) -> Callable:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return op(rule)(function)


# -- rules of this family ---------------------------------------------------------------


def divided(x1: Spec, x2: Spec) -> Plan:
    """True division: floats stay, everything else becomes the default float."""
    return rules.promoted_float(x1, x2)


def whole(x: Spec) -> Plan:
    """Rounding: integers are whole already, bools too; both keep their dtype (bool as int32)."""
    return rules.numeric_map(x)


def magnitude(x: Spec) -> Plan:
    """|x|: complex numbers answer their real dtype, bools int32."""
    dtype = "int32" if dtypes.is_bool(x.dtype) else dtypes.concrete(x.dtype)
    return Plan(x.shape, dtypes.real_of(dtype), cast=dtype)


def arithmetic(x1: Spec, x2: Spec) -> Plan:
    """As `promoted`; two bools count as int32."""
    plan = rules.promoted(x1, x2)
    if plan.outputs.dtype == "bool":
        return Plan(plan.outputs.shape, "int32", cast="int32")
    return plan


def bitwise(x: Spec, y: Spec) -> Plan:
    """Integers or bools."""
    plan = rules.promoted(x, y)
    _require_bits(plan.outputs.dtype)
    return plan


def shifted(x: Spec, y: Spec) -> Plan:
    """Integers; bools count as int32."""
    plan = arithmetic(x, y)
    _require_bits(plan.outputs.dtype)
    return plan


def inverted(x: Spec) -> Plan:
    """Integers or bools."""
    _require_bits(x.dtype)
    return rules.same(x)


def _require_bits(dtype: str) -> None:
    if not (dtypes.is_int(dtype) or dtypes.is_bool(dtype)):
        raise TypeError(f"bits are of integers and bools, not of {dtypes.concrete(dtype)}.")


# -- arithmetic -------------------------------------------------------------------------

add = binary("add", "x1 + x2, with broadcasting and dtype promotion.")
subtract = binary("subtract", "x1 - x2, with broadcasting and dtype promotion; two bools give int32.", arithmetic)
multiply = binary("multiply", "x1 * x2, with broadcasting and dtype promotion.")
divide = binary("divide", "x1 / x2. Integers become the default float; x / 0 is inf or nan, as IEEE 754 has it.", divided)
floor_divide = binary(
    "floor_divide",
    "The largest whole number not above x1 / x2. Floats follow Python's //; an integer divided by 0 gives 0.",
    arithmetic,
)
mod = binary(
    "mod",
    "The remainder of `floor_divide`, with the sign of x2. An integer modulo 0 gives 0, a float modulo 0 nan.",
    arithmetic,
)
power = binary(
    "power",
    "x1 raised to x2. Integers wrap around; a negative integer exponent gives the truncated reciprocal: "
    "1 for 1, +-1 for -1, else 0. The gradient in x2 at x1 = 0 is 0.",
    arithmetic,
)
maximum = binary("maximum", "The greater of x1 and x2; nan if either is. At a tie each gets half of the gradient.")
minimum = binary("minimum", "The lesser of x1 and x2; nan if either is. At a tie each gets half of the gradient.")
arctan2 = binary("arctan2", "The angle of the point (x2, x1) in (-pi, pi]. Its gradient at the origin is 0.", divided)

negative = unary("negative", "-x; unsigned integers wrap around.", rules.numeric_map)
positive = unary("positive", "+x, as an operator needs it.", rules.numeric_map)
absolute = unary("absolute", "|x|. The gradient at 0 is 0.", magnitude)
sign = unary("sign", "-1, 0 or 1; nan for nan. Its gradient is 0 everywhere.", rules.numeric_map)
square = unary("square", "x * x.", rules.numeric_map)
reciprocal = unary("reciprocal", "1 / x.")

# -- exponentials, logarithms, roots ----------------------------------------------------

exp = unary("exp", "e**x.")
expm1 = unary("expm1", "e**x - 1, precise near 0.")
log = unary("log", "The natural logarithm: -inf at 0, nan below.")
log1p = unary("log1p", "log(1 + x), precise near 0.")
log2 = unary("log2", "The logarithm to base 2.")
log10 = unary("log10", "The logarithm to base 10.")
sqrt = unary("sqrt", "The square root; nan below 0. The gradient at 0 is inf.")
rsqrt = unary("rsqrt", "1 / sqrt(x): inf at 0, nan below.")

# -- trigonometry -----------------------------------------------------------------------

sin = unary("sin", "Sine of radians.")
cos = unary("cos", "Cosine of radians.")
tan = unary("tan", "Tangent of radians.")
arcsin = unary("arcsin", "Inverse sine, in [-pi/2, pi/2]; nan outside [-1, 1].")
arccos = unary("arccos", "Inverse cosine, in [0, pi]; nan outside [-1, 1].")
arctan = unary("arctan", "Inverse tangent, in [-pi/2, pi/2].")
sinh = unary("sinh", "Hyperbolic sine.")
cosh = unary("cosh", "Hyperbolic cosine.")
tanh = unary("tanh", "Hyperbolic tangent.")
arcsinh = unary("arcsinh", "Inverse hyperbolic sine.")
arccosh = unary("arccosh", "Inverse hyperbolic cosine; nan below 1.")
arctanh = unary("arctanh", "Inverse hyperbolic tangent: infinite at -1 and 1, nan outside.")

# -- special functions ------------------------------------------------------------------

erf = unary("erf", "The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x.")
erfinv = unary("erfinv", "The inverse of `erf`: infinite at -1 and 1, nan outside.")

# -- rounding ---------------------------------------------------------------------------

floor = unary("floor", "The largest whole number not above x. Its gradient is 0.", whole)
ceil = unary("ceil", "The smallest whole number not below x. Its gradient is 0.", whole)
trunc = unary("trunc", "The whole part of x. Its gradient is 0.", whole)

# -- comparisons and logic --------------------------------------------------------------

equal = binary("equal", "x1 == x2; nan equals nothing.", rules.compared)
not_equal = binary("not_equal", "x1 != x2; true where either is nan.", rules.compared)
less = binary("less", "x1 < x2; false where either is nan.", rules.compared)
less_equal = binary("less_equal", "x1 <= x2; false where either is nan.", rules.compared)
greater = binary("greater", "x1 > x2; false where either is nan.", rules.compared)
greater_equal = binary("greater_equal", "x1 >= x2; false where either is nan.", rules.compared)
logical_and = binary("logical_and", "Both true; nonzero numbers and nan count as true.", rules.logical)
logical_or = binary("logical_or", "Either true; nonzero numbers and nan count as true.", rules.logical)
logical_xor = binary("logical_xor", "Exactly one true; nonzero numbers and nan count as true.", rules.logical)
isnan = unary("isnan", "Whether x is not a number.", rules.predicate)
isinf = unary("isinf", "Whether x is an infinity.", rules.predicate)
isfinite = unary("isfinite", "Whether x is neither infinite nor nan.", rules.predicate)


@op(rule=lambda x: Plan(x.shape, "bool", cast="bool"))
def logical_not(x: Tensor) -> Tensor:
    """Not true; nonzero numbers and nan count as true."""


# -- bits -------------------------------------------------------------------------------

bitwise_and = bits("bitwise_and", "The bits that both have; `logical_and` on bools.", bitwise)
bitwise_or = bits("bitwise_or", "The bits that either has; `logical_or` on bools.", bitwise)
bitwise_xor = bits("bitwise_xor", "The bits that exactly one has; `logical_xor` on bools.", bitwise)
bitwise_not = unary("bitwise_not", "Every bit flipped; `logical_not` on bools.", inverted)
left_shift = bits("left_shift", "x * 2**y, wrapping around; 0 where y is the number of bits or more.", shifted)
right_shift = bits("right_shift", "floor(x / 2**y): signed integers keep their sign.", shifted)


# -- with further arguments -------------------------------------------------------------


@op(rule=lambda x, dtype: Plan(x.shape, dtypes.name_of(dtype), dtype=dtypes.name_of(dtype)))
def cast(x: Tensor, dtype: Any) -> Tensor:
    """`x` with each element converted to `dtype`.

    Floats are truncated towards 0 to become integers; out of range, and for nan, the result
    is one of that dtype's values but not specified. Integers wrap around. Nonzero is true.
    The gradient passes between inexact dtypes and stops at others.
    """


def _rounded(x: Spec, decimals: int) -> Plan:
    if not hasattr(decimals, "__index__"):
        raise TypeError(f"decimals should be an integer, not {decimals!r}.")
    return whole(x)


@op(rule=_rounded)
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """`x` rounded to that many decimals, halves to even. Its gradient is 0.

    Integers are returned as they are unless `decimals` is negative.
    """


def _clipped(x: Spec, x_min: Spec, x_max: Spec) -> Plan:
    dtype = dtypes.promote(x.dtype, x_min.dtype, x_max.dtype)
    dtype = "int32" if dtype == "bool" else dtype
    return Plan(rules.broadcast(x.shape, x_min.shape, x_max.shape), dtype, cast=dtype)


@op(rule=_clipped)
def clip(x: Tensor, x_min: Tensor, x_max: Tensor) -> Tensor:
    """min(max(x, x_min), x_max): x_max wins where they cross, nan stays nan.

    The gradient of x is 1 inside the bounds and on them, 0 outside; a bound gets it where it is
    the result and x is strictly outside.
    """


def _chosen(condition: Spec, x1: Spec | None, x2: Spec | None) -> Plan:
    if x1 is None and x2 is None:
        return Plan.many(tuple(Spec((None,), "int32") for _ in condition.shape), cast="bool")
    if x1 is None or x2 is None:
        raise ValueError("give both x1 and x2, or neither.")
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    shape = rules.broadcast(condition.shape, x1.shape, x2.shape)
    return Plan(shape, dtype, cast={"condition": "bool", "x1": dtype, "x2": dtype})


@op(rule=_chosen)
def where(condition: Tensor, x1: Tensor | None = None, x2: Tensor | None = None) -> Tensor:
    """Elements of x1 where condition is true, else of x2.

    With x1 and x2 left out: the indices of the true elements, an int32 array for each axis.
    The gradient of the branch not taken is 0, even beside an infinity.
    """


# -- complex numbers --------------------------------------------------------------------

conj = unary("conj", "The complex conjugate; real numbers are their own.", rules.same)
real = unary("real", "The real part.", lambda x: Plan(x.shape, dtypes.real_of(dtypes.concrete(x.dtype))))
imag = unary("imag", "The imaginary part; 0 for real numbers.", lambda x: Plan(x.shape, dtypes.real_of(dtypes.concrete(x.dtype))))
