"""Elementwise ops: arithmetic, comparisons, logic, bits, rounding and special functions.

Unary and binary ops that differ only by a formula are rows of a table. Unless a docstring
says otherwise, they follow IEEE 754: nan in gives nan out, infinities and signed zeros
are kept, and integer arithmetic wraps around.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes

from kcore import backends, dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, alias, op
from kcore.ops.numerics import complex_of
from kcore.ops.symbolic import Spec


def unary(name: str, doc: str, given: str, gives: str, rule: Callable[..., Plan] = rules.float_map) -> Callable:
    """A primitive on one tensor. In its docstring's example it is called with `given`, and the result holds `gives`."""

    def function(x: Tensor) -> Tensor:
        """(replaced below)"""

    return _declared(function, name, doc, given, gives, rule)


def binary(name: str, doc: str, given: str, gives: str, rule: Callable[..., Plan] = rules.promoted) -> Callable:
    """A primitive on two tensors that broadcast together."""

    def function(x1: Tensor, x2: Tensor) -> Tensor:
        """(replaced below)"""

    return _declared(function, name, doc, given, gives, rule)


def bits(name: str, doc: str, given: str, gives: str, rule: Callable[..., Plan]) -> Callable:
    """A primitive on the bits of two tensors; its parameters are x and y, as in the array API."""

    def function(x: Tensor, y: Tensor) -> Tensor:
        """(replaced below)"""

    return _declared(function, name, doc, given, gives, rule)


def _declared(function: Callable, name: str, doc: str, given: str, gives: str, rule: Callable[..., Plan]) -> Callable:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc}\n\n>>> ops.{name}({given})\nTensor({gives})\n"
    return op(rule)(function)


# -- rules of this family ---------------------------------------------------------------


divided = rules.promoted_float  # true division: floats stay, everything else becomes the default float
whole = rules.same  # rounding: integers and bools are whole already


def require_real(*xs: Spec) -> None:
    """Raises TypeError for complex numbers."""
    for x in xs:
        if dtypes.is_complex(x.dtype):
            raise TypeError(f"this is of real numbers, not of {dtypes.concrete(x.dtype)}.")


def of_reals(rule: Callable[..., Plan]) -> Callable[..., Plan]:
    """The rule, of real numbers only."""

    def real_rule(*xs: Spec) -> Plan:
        require_real(*xs)
        return rule(*xs)

    return real_rule


def magnitude(x: Spec) -> Plan:
    """|x|: complex numbers answer their real dtype."""
    dtype = dtypes.concrete(x.dtype)
    return Plan(x.shape, dtypes.real_of(dtype), cast=dtype)


def arithmetic(x1: Spec, x2: Spec) -> Plan:
    """As `promoted`; two bools count as int32."""
    plan = rules.promoted(x1, x2)
    if plan.outputs.dtype == "bool":
        return Plan(plan.outputs.shape, "int32", cast="int32")
    return plan


real_map, real_predicate = of_reals(rules.float_map), of_reals(rules.predicate)
ordered, ordered_compared = of_reals(rules.promoted), of_reals(rules.compared)
ordered_arithmetic, ordered_float = of_reals(arithmetic), of_reals(rules.promoted_float)


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

add = binary("add", "x1 + x2, with broadcasting and dtype promotion.", "[1, 2], 0.5", "[1.5, 2.5], dtype=float32")
subtract = binary(
    "subtract",
    "x1 - x2, with broadcasting and dtype promotion; two bools give int32.",
    "[3, 2], [1, 5]",
    "[ 2, -3], dtype=int32",
    arithmetic,
)
multiply = binary(
    "multiply", "x1 * x2, with broadcasting and dtype promotion.", "[1, 2], [3, 4]", "[3, 8], dtype=int32"
)
divide = binary(
    "divide",
    "x1 / x2. Integers become the default float; x / 0 is inf or nan, as IEEE 754 has it.",
    "[1, 2], 4",
    "[0.25, 0.5 ], dtype=float32",
    divided,
)
true_divide = alias("true_divide", divide)
floor_divide = binary(
    "floor_divide",
    "The largest whole number not above x1 / x2. Floats follow Python's //; an integer divided by 0 gives 0.",
    "[7, -7], 2",
    "[ 3, -4], dtype=int32",
    ordered_arithmetic,
)
mod = binary(
    "mod",
    "The remainder of `floor_divide`, with the sign of x2. An integer modulo 0 gives 0, a float modulo 0 nan. "
    "The gradient takes the quotient for constant.",
    "[7, -7], 3",
    "[1, 2], dtype=int32",
    ordered_arithmetic,
)
fmod = binary(
    "fmod",
    "The remainder of division towards 0, as C has it, with the sign of x1. An integer modulo 0 gives 0, a float nan.",
    "[7, -7], 3",
    "[ 1, -1], dtype=int32",
    ordered_arithmetic,
)
power = binary(
    "power",
    "x1 raised to x2. Integers wrap around; a negative integer exponent gives the truncated reciprocal: "
    "1 for 1, +-1 for -1, else 0. The gradient in x2 at x1 = 0 is 0.",
    "[2, 3], 2",
    "[4, 9], dtype=int32",
    arithmetic,
)
maximum = binary(
    "maximum",
    "The greater of x1 and x2; nan if either is. At a tie each gets half of the gradient.",
    "[1, 5], [3, 2]",
    "[3, 5], dtype=int32",
    ordered,
)
minimum = binary(
    "minimum",
    "The lesser of x1 and x2; nan if either is. At a tie each gets half of the gradient.",
    "[1, 5], [3, 2]",
    "[1, 2], dtype=int32",
    ordered,
)
arctan2 = binary(
    "arctan2",
    "The angle of the point (x2, x1) in [-pi, pi]. Its gradient at the origin is 0.",
    "[1.0, 0.0], [1.0, -1.0]",
    "[0.7854, 3.1416], dtype=float32",
    ordered_float,
)

negative = unary(
    "negative", "-x; unsigned integers wrap around.", "[1, -2]", "[-1,  2], dtype=int32", rules.numeric_map
)
positive = unary("positive", "+x, as an operator needs it.", "[1, -2]", "[ 1, -2], dtype=int32", rules.numeric_map)
absolute = abs = unary("absolute", "|x|. The gradient at 0 is 0.", "[1, -2]", "[1, 2], dtype=int32", magnitude)
sign = unary(
    "sign",
    "-1, 0 or 1; nan for nan. Its gradient is 0 everywhere.",
    "[-3.0, 0.0, 5.0]",
    "[-1.,  0.,  1.], dtype=float32",
    rules.numeric_map,
)
square = unary("square", "x * x.", "[1, -3]", "[1, 9], dtype=int32", rules.numeric_map)
reciprocal = unary("reciprocal", "1 / x; infinite at 0, with its sign.", "[2.0, -4.0]", "[ 0.5 , -0.25], dtype=float32")

# -- exponentials, logarithms, roots ----------------------------------------------------

exp = unary("exp", "e**x.", "[0.0, 1.0]", "[1.    , 2.7183], dtype=float32")
exp2 = unary("exp2", "2**x.", "[0.0, 3.0]", "[1., 8.], dtype=float32")
expm1 = unary("expm1", "e**x - 1, precise near 0.", "[0.0, 1.0]", "[0.    , 1.7183], dtype=float32")
log = unary(
    "log",
    "The natural logarithm: -inf at 0, where the gradient is inf; nan below.",
    "[1.0, 0.0]",
    "[  0., -inf], dtype=float32",
)
log1p = unary(
    "log1p", "log(1 + x), precise near 0; -inf at -1, nan below.", "[0.0, 1.0]", "[0.    , 0.6931], dtype=float32"
)
log2 = unary("log2", "The logarithm to base 2: -inf at 0, nan below.", "[1.0, 8.0]", "[0., 3.], dtype=float32")
log10 = unary("log10", "The logarithm to base 10: -inf at 0, nan below.", "[1.0, 1000.0]", "[0., 3.], dtype=float32")
sqrt = unary(
    "sqrt", "The square root; nan below 0. The gradient at 0 is inf.", "[4.0, 2.0]", "[2.    , 1.4142], dtype=float32"
)
rsqrt = unary("rsqrt", "1 / sqrt(x): inf at 0, nan below.", "[4.0, 0.0]", "[0.5, inf], dtype=float32")
cbrt = unary(
    "cbrt",
    "The real cube root, of negative numbers too. Its gradient at 0 is not finite.",
    "[8.0, -27.0]",
    "[ 2., -3.], dtype=float32",
    real_map,
)

# -- trigonometry -----------------------------------------------------------------------

sin = unary("sin", "Sine of radians.", "[0.0, 1.0]", "[0.    , 0.8415], dtype=float32")
cos = unary("cos", "Cosine of radians.", "[0.0, 1.0]", "[1.    , 0.5403], dtype=float32")
tan = unary("tan", "Tangent of radians.", "[0.0, 1.0]", "[0.    , 1.5574], dtype=float32")
arcsin = unary(
    "arcsin",
    "Inverse sine, in [-pi/2, pi/2]; nan outside [-1, 1]. The gradient at -1 and 1 is inf.",
    "[0.0, 1.0]",
    "[0.    , 1.5708], dtype=float32",
)
arccos = unary(
    "arccos",
    "Inverse cosine, in [0, pi]; nan outside [-1, 1]. The gradient at -1 and 1 is -inf.",
    "[0.0, 1.0]",
    "[1.5708, 0.    ], dtype=float32",
)
arctan = unary("arctan", "Inverse tangent, in [-pi/2, pi/2].", "[0.0, 1.0]", "[0.    , 0.7854], dtype=float32")
sinh = unary("sinh", "Hyperbolic sine.", "[0.0, 1.0]", "[0.    , 1.1752], dtype=float32")
cosh = unary("cosh", "Hyperbolic cosine.", "[0.0, 1.0]", "[1.    , 1.5431], dtype=float32")
tanh = unary("tanh", "Hyperbolic tangent.", "[0.0, 1.0]", "[0.    , 0.7616], dtype=float32")
arcsinh = unary("arcsinh", "Inverse hyperbolic sine.", "[0.0, 1.0]", "[0.    , 0.8814], dtype=float32")
arccosh = unary("arccosh", "Inverse hyperbolic cosine; nan below 1.", "[1.0, 2.0]", "[0.   , 1.317], dtype=float32")
arctanh = unary(
    "arctanh",
    "Inverse hyperbolic tangent: infinite at -1 and 1, nan outside.",
    "[0.0, 0.5]",
    "[0.    , 0.5493], dtype=float32",
)

# -- rounding ---------------------------------------------------------------------------

floor = unary(
    "floor",
    "The largest whole number not above x, as a float. Its gradient is 0.",
    "[1.5, -1.5]",
    "[ 1., -2.], dtype=float32",
    real_map,
)
ceil = unary(
    "ceil",
    "The smallest whole number not below x, as a float. Its gradient is 0.",
    "[1.5, -1.5]",
    "[ 2., -1.], dtype=float32",
    real_map,
)
trunc = unary(
    "trunc",
    "The whole part of x, in x's dtype. Its gradient is 0.",
    "[1.5, -1.5]",
    "[ 1., -1.], dtype=float32",
    of_reals(whole),
)

# -- comparisons and logic --------------------------------------------------------------

equal = binary("equal", "x1 == x2; nan equals nothing.", "[1, 2], [1, 3]", "[ True, False]", rules.compared)
not_equal = binary(
    "not_equal", "x1 != x2; true where either is nan.", "[1, 2], [1, 3]", "[False,  True]", rules.compared
)
less = binary("less", "x1 < x2; false where either is nan.", "[1, 2], [1, 3]", "[False,  True]", ordered_compared)
less_equal = binary(
    "less_equal", "x1 <= x2; false where either is nan.", "[1, 2], [1, 3]", "[ True,  True]", ordered_compared
)
greater = binary("greater", "x1 > x2; false where either is nan.", "[1, 4], [1, 3]", "[False,  True]", ordered_compared)
greater_equal = binary(
    "greater_equal", "x1 >= x2; false where either is nan.", "[1, 2], [1, 3]", "[ True, False]", ordered_compared
)
logical_and = binary(
    "logical_and",
    "Both true; nonzero numbers and nan count as true.",
    "[True, True], [True, False]",
    "[ True, False]",
    rules.logical,
)
logical_or = binary(
    "logical_or",
    "Either true; nonzero numbers and nan count as true.",
    "[False, True], [False, False]",
    "[False,  True]",
    rules.logical,
)
logical_xor = binary(
    "logical_xor",
    "Exactly one true; nonzero numbers and nan count as true.",
    "[True, True], [True, False]",
    "[False,  True]",
    rules.logical,
)
isnan = unary("isnan", "Whether x is not a number.", '[1.0, float("nan")]', "[False,  True]", rules.predicate)
isinf = unary("isinf", "Whether x is an infinity.", '[1.0, float("inf")]', "[False,  True]", rules.predicate)
isfinite = unary(
    "isfinite", "Whether x is neither infinite nor nan.", '[1.0, float("inf")]', "[ True, False]", rules.predicate
)
signbit = unary(
    "signbit",
    "Whether x has a minus sign; -0.0 has one, and so may nan.",
    "[1.0, -0.0]",
    "[False,  True]",
    real_predicate,
)


@op(rule=lambda x: Plan(x.shape, "bool", cast="bool"))
def logical_not(x: Tensor) -> Tensor:
    """Not true; nonzero numbers and nan count as true.

    >>> ops.logical_not([True, False])
    Tensor([False,  True])
    """


# -- bits -------------------------------------------------------------------------------

bitwise_and = bits(
    "bitwise_and", "The bits that both have; `logical_and` on bools.", "6, [3, 4]", "[2, 4], dtype=int32", bitwise
)
bitwise_or = bits(
    "bitwise_or", "The bits that either has; `logical_or` on bools.", "6, [3, 4]", "[7, 6], dtype=int32", bitwise
)
bitwise_xor = bits(
    "bitwise_xor", "The bits that exactly one has; `logical_xor` on bools.", "6, [3, 4]", "[5, 2], dtype=int32", bitwise
)
bitwise_not = unary(
    "bitwise_not", "Every bit flipped; `logical_not` on bools.", "[0, 5]", "[-1, -6], dtype=int32", inverted
)
left_shift = bits(
    "left_shift",
    "x * 2**y, wrapping around; 0 where y is the number of bits or more.",
    "3, [0, 2]",
    "[ 3, 12], dtype=int32",
    shifted,
)
right_shift = bits(
    "right_shift", "floor(x / 2**y): signed integers keep their sign.", "[12, -12], 2", "[ 3, -3], dtype=int32", shifted
)
bitwise_invert = alias("bitwise_invert", bitwise_not)
bitwise_left_shift = alias("bitwise_left_shift", left_shift)
bitwise_right_shift = alias("bitwise_right_shift", right_shift)


# -- with further arguments -------------------------------------------------------------


@op(rule=lambda x, dtype: Plan(x.shape, dtypes.name_of(dtype), dtype=dtypes.name_of(dtype)))
def cast(x: Tensor, dtype: Any) -> Tensor:
    """`x` with each element converted to `dtype`.

    Floats are truncated towards 0 to become integers; out of range, and for nan, the result
    is one of that dtype's values but not specified. Integers wrap around. Nonzero is true.
    The gradient passes between inexact dtypes and stops at others.

    >>> ops.cast([1.7, -1.7], "int32")
    Tensor([ 1, -1], dtype=int32)
    """
    return backends.active().convert(x, dtype)


def _rounded(x: Spec, decimals: int) -> Plan:
    if not hasattr(decimals, "__index__"):
        raise TypeError(f"decimals should be an integer, not {decimals!r}.")
    return whole(x)


@op(rule=_rounded)
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """`x` rounded to that many decimals, halves to even. Its gradient is 0.

    Integers are returned as they are unless `decimals` is negative.

    >>> ops.round([0.5, 1.5, 2.567], 1)
    Tensor([0.5, 1.5, 2.6], dtype=float32)
    """


def _clipped(x: Spec, x_min: Spec, x_max: Spec) -> Plan:
    require_real(x, x_min, x_max)
    dtype = dtypes.promote(x.dtype, x_min.dtype, x_max.dtype)
    dtype = "int32" if dtype == "bool" else dtype
    return Plan(rules.broadcast(x.shape, x_min.shape, x_max.shape), dtype, cast=dtype)


@op(rule=_clipped)
def clip(x: Tensor, x_min: Tensor, x_max: Tensor) -> Tensor:
    """min(max(x, x_min), x_max): x_max wins where they cross, nan stays nan.

    The gradient of x is 1 inside the bounds and on them, 0 outside; a bound gets it where it is
    the result and x is strictly outside.

    >>> ops.clip([-1, 2, 5], 0, 3)
    Tensor([0, 2, 3], dtype=int32)
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

    >>> ops.where([True, False], [1, 2], [10, 20])
    Tensor([ 1, 20], dtype=int32)
    """


# -- complex numbers --------------------------------------------------------------------

conj = conjugate = unary(
    "conj",
    "The complex conjugate; real numbers are their own.",
    "ops.array([1 + 2j])",
    "[1.-2.j], dtype=complex64",
    rules.same,
)
real = unary(
    "real",
    "The real part.",
    "ops.array([1 + 2j])",
    "[1.], dtype=float32",
    lambda x: Plan(x.shape, dtypes.real_of(dtypes.concrete(x.dtype))),
)
imag = unary(
    "imag",
    "The imaginary part; 0 for real numbers.",
    "ops.array([1 + 2j])",
    "[2.], dtype=float32",
    lambda x: Plan(x.shape, dtypes.real_of(dtypes.concrete(x.dtype))),
)


@op(rule=lambda x: Plan(x.shape, dtypes.real_of(dtypes.float_of(x.dtype)), cast=dtypes.float_of(x.dtype)))
def angle(x: Tensor) -> Tensor:
    """The argument of a complex number, in [-pi, pi]; of a real one 0, or pi where its sign is minus.

    Its gradient at 0 is 0.

    >>> ops.angle(ops.array([1 + 1j]))
    Tensor([0.7854], dtype=float32)
    """
    return arctan2(imag(x), real(x))


@op(rule=rules.predicate)
def isreal(x: Tensor) -> Tensor:
    """Whether the imaginary part is 0; true for real dtypes.

    >>> ops.isreal(ops.array([1 + 0j, 1 + 2j]))
    Tensor([ True, False])
    """
    return equal(imag(x), 0)


# -- compositions -----------------------------------------------------------------------


@op(rule=real_map)
def fabs(x: Tensor) -> Tensor:
    """|x| as a float.

    >>> ops.fabs([1, -2])
    Tensor([1., 2.], dtype=float32)
    """
    return absolute(x)


@op(rule=rules.float_map)
def deg2rad(x: Tensor) -> Tensor:
    """Degrees as radians: x * pi / 180.

    >>> ops.deg2rad([180.0, 90.0])
    Tensor([3.1416, 1.5708], dtype=float32)
    """
    return x * (math.pi / 180)


@op(rule=rules.float_map)
def rad2deg(x: Tensor) -> Tensor:
    """Radians as degrees: x * 180 / pi.

    >>> ops.rad2deg([0.0, 1.0])
    Tensor([ 0.    , 57.2958], dtype=float32)
    """
    return x * (180 / math.pi)


@op(rule=real_predicate)
def isposinf(x: Tensor) -> Tensor:
    """Whether x is positive infinity.

    >>> ops.isposinf([float("inf"), -float("inf")])
    Tensor([ True, False])
    """
    return equal(x, math.inf)


@op(rule=real_predicate)
def isneginf(x: Tensor) -> Tensor:
    """Whether x is negative infinity.

    >>> ops.isneginf([float("inf"), -float("inf")])
    Tensor([False,  True])
    """
    return equal(x, -math.inf)


@op(rule=ordered)
def fmax(x1: Tensor, x2: Tensor) -> Tensor:
    """The greater of x1 and x2; where one is nan, the other. At a tie each gets half of the gradient.

    >>> ops.fmax([1.0, float("nan")], [0.5, 2.0])
    Tensor([1., 2.], dtype=float32)
    """
    return where(isnan(x1), x2, where(isnan(x2), x1, maximum(x1, x2)))


@op(rule=ordered)
def fmin(x1: Tensor, x2: Tensor) -> Tensor:
    """The lesser of x1 and x2; where one is nan, the other. At a tie each gets half of the gradient.

    >>> ops.fmin([1.0, float("nan")], [0.5, 2.0])
    Tensor([0.5, 2. ], dtype=float32)
    """
    return where(isnan(x1), x2, where(isnan(x2), x1, minimum(x1, x2)))


@op(rule=ordered_float)
def heaviside(x1: Tensor, x2: Tensor) -> Tensor:
    """0 where x1 is negative, 1 where it is positive, x2 where it is 0, nan where it is nan.

    The gradient of x1 is 0; that of x2 is 1 where x1 is 0.

    >>> ops.heaviside([-1.0, 0.0, 2.0], 0.5)
    Tensor([0. , 0.5, 1. ], dtype=float32)
    """
    step = where(isnan(x1), math.nan, cast(greater(x1, 0), dtypes.name_of(x1.dtype)))
    return where(equal(x1, 0), x2, step)


@op(rule=divided)
def divide_no_nan(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 / x2, and 0 where x2 is 0; the gradients there are 0 too.

    >>> ops.divide_no_nan([1.0, 1.0], [2.0, 0.0])
    Tensor([0.5, 0. ], dtype=float32)
    """
    zero = equal(x2, 0)
    return where(zero, 0, divide(x1, where(zero, 1, x2)))


@op(rule=ordered_float)
def hypot(x1: Tensor, x2: Tensor) -> Tensor:
    """sqrt(x1**2 + x2**2) without overflow; inf if either is infinite, even beside nan. The gradient at (0, 0) is 0.

    >>> ops.hypot([3.0, 1e30], [4.0, 1e30])
    Tensor([5.0000e+00, 1.4142e+30], dtype=float32)
    """
    size = ops.stop_gradient(maximum(absolute(x1), absolute(x2)))
    scale = where(logical_and(greater(size, 0), isfinite(size)), size, 1)  # the result does not depend on it
    total = square(x1 / scale) + square(x2 / scale)
    zero = equal(total, 0)
    y = where(zero, 0, scale * sqrt(where(zero, 1, total)))
    return where(logical_or(isinf(x1), isinf(x2)), math.inf, y)


def _close(x1: Spec, x2: Spec, rtol: float, atol: float, equal_nan: bool) -> Plan:
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    # Elements must not be rounded together before they are compared.
    dtype = "float64" if dtype in ("int32", "uint32", "int64", "uint64") else dtypes.float_of(dtype)
    return Plan(rules.broadcast(x1.shape, x2.shape), "bool", cast=dtype)


@op(rule=_close)
def isclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |x1 - x2| <= atol + rtol * |x2|, elementwise.

    An infinity is close to itself alone. nan is close to nothing, or to nan with `equal_nan`.

    >>> ops.isclose([1.0, 1.0], [1.000001, 1.1])
    Tensor([ True, False])
    """
    finite = logical_and(isfinite(x1), isfinite(x2))
    near = less_equal(absolute(x1 - x2), atol + rtol * absolute(x2))
    found = logical_or(logical_and(finite, near), equal(x1, x2))
    return logical_or(found, logical_and(isnan(x1), isnan(x2))) if equal_nan else found


def _all_close(x1: Spec, x2: Spec, rtol: float, atol: float, equal_nan: bool) -> Plan:
    rules.broadcast(x1.shape, x2.shape)
    return Plan((), "bool")


@op(rule=_all_close)
def allclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether `isclose` holds everywhere.

    >>> ops.allclose([1.0, 1.0], [1.000001, 1.1])
    Tensor(False)
    """
    return ops.all(isclose(x1, x2, rtol, atol, equal_nan))


def _numbered(x: Spec, nan: float, posinf: float | None, neginf: float | None) -> Plan:
    dtype = dtypes.concrete(x.dtype)
    if not dtypes.is_inexact(dtype):
        return Plan(x.shape, dtype)
    most = float(ml_dtypes.finfo(dtypes.to_numpy(dtypes.real_of(dtype))).max)
    found = {"posinf": most if posinf is None else posinf, "neginf": -most if neginf is None else neginf}
    return Plan(x.shape, dtype, cast=dtype, **found)


@op(rule=_numbered)
def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """x with nan and infinities replaced; None is the greatest and least finite number of the dtype.

    Integers are returned as they are, complex numbers part by part. The gradient is 0 where x is replaced.

    >>> ops.nan_to_num([1.0, float("nan")], nan=-1.0)
    Tensor([ 1., -1.], dtype=float32)
    """
    dtype = dtypes.name_of(x.dtype)
    if dtypes.is_complex(dtype):
        parts = [nan_to_num(part(x), nan, posinf, neginf) for part in (real, imag)]
        return complex_of(*parts)
    if not dtypes.is_float(dtype):
        return x
    x = where(isnan(x), nan, x)
    x = where(equal(x, math.inf), posinf, x)
    return where(equal(x, -math.inf), neginf, x)
