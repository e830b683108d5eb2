"""Records of the elementwise ops."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from numpy import inf, nan

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import (
    AS_COMPLEX,
    FLOATS,
    PRECISE,
    arrays,
    complex_draw,
    draw,
    ints,
    pairs,
    points,
    unaries,
    whole,
)

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
SPECIAL = np.array([nan, inf, -inf, 0.0, -0.0])
# Every pair of special values and a few ordinary ones.
LEFT, RIGHT = (
    a.ravel() for a in np.meshgrid([nan, inf, -inf, 0.0, -0.0, 1.5, -2.0], [nan, inf, -inf, 0.0, -0.0, 1.5, -2.0])
)
# The reasons why a result may differ from the formula by more than its rounding.
SEVERAL_STEPS = {"float64": 4e-15, "float32": 1e-6}


def special(**known):
    """nan, the infinities and both zeros."""
    return Sample(SPECIAL, grad=False, why="nan, infinities, signed zeros", **known)


def unary(op, reference, *more, low=-2.0, high=2.0, dtypes=FLOATS, **known):
    """A function of one number: draws of its domain, special values, and what is hand-picked."""
    return Case(op, reference, [*unaries(low=low, high=high), special(), *more], dtypes=dtypes, **known)


def binary(op, reference, *more, low=-2.0, high=2.0, dtypes=FLOATS, **known):
    """A function of two numbers that broadcast."""
    samples = [*pairs(low=low, high=high), Sample(LEFT, RIGHT, grad=False, why="every pair of special values"), *more]
    return Case(op, reference, samples, dtypes=dtypes, **known)


NOT_ALIKE = Bad(np.ones((2, 3)), np.ones((4,)), match=r"\(2, 3\) and \(4,\) don't broadcast")
COMPLEX = Sample(complex_draw(3, 2), complex_draw(2, seed=5), grad=False, why="complex numbers")
MIXED = [
    Sample(whole(3), draw(3), grad=["x2"], why="int32 with floats gives the floats' dtype"),
    Sample(draw(2, 3), 2, grad=["x1"], why="a Python int is weak"),
    Sample(
        whole(3, dtype="uint8"), whole(3, dtype="int8", seed=1), dtypes=("uint8",), why="uint8 with int8 gives int16"
    ),
    Sample(whole(3, dtype="int32"), 0.5, grad=False, why="int32 with a Python float gives the default float"),
]

# -- arithmetic -------------------------------------------------------------------------

WRAPS = {
    "int8": ([127, -128, 100], [1, -1, 100]),
    "uint8": ([255, 0, 200], [1, 1, 100]),
    "int16": ([2**15 - 1, -(2**15), 3], [1, -1, 5]),
    "uint16": ([2**16 - 1, 0, 40000], [1, 1, 40000]),
    "int32": ([2**31 - 1, -(2**31), 2**20], [1, -1, 2**20]),
    "uint32": ([2**32 - 1, 0, 2**20], [1, 1, 2**20]),
    "int64": ([2**63 - 1, -(2**63), 2**40], [1, -1, 2**40]),
    "uint64": ([2**64 - 1, 0, 2**40], [1, 1, 2**40]),
}
WRAPPED = [ints(a, b, dtype=d, why="integers wrap around") for d, (a, b) in WRAPS.items()]

binary(ops.add, np.add, COMPLEX, *MIXED, *WRAPPED, errors=[NOT_ALIKE])
binary(ops.subtract, np.subtract, COMPLEX, *MIXED, *WRAPPED, errors=[NOT_ALIKE])
binary(ops.multiply, np.multiply, COMPLEX, *MIXED, *WRAPPED, errors=[NOT_ALIKE])
binary(
    ops.divide,
    np.true_divide,
    Sample(complex_draw(3, 2), complex_draw(2, seed=5), **AS_COMPLEX),
    ints(whole(4), [2, 0, -3, 7], why="integers become floats, x / 0 is infinite"),
    low=0.5,
    errors=[NOT_ALIKE],
)


def division(formula):
    """Of integers by 0: 0."""

    def run(x1, x2):
        y = formula(x1, x2)
        return np.where(x2 == 0, 0, y) if y.dtype.kind in "iu" else y

    return run


QUOTIENTS = [
    ints([7, -7, 7, -7, 5, 0], [2, 2, -2, -2, 0, 3], dtype=d, why="every pair of signs, and division by 0")
    for d in ("int8", "int16", "int32", "int64")
] + [
    ints([7, 200, 5, 0], [2, 30, 0, 3], dtype=d, why="unsigned, and division by 0")
    for d in ("uint8", "uint16", "uint32", "uint64")
]
EXACT = arrays(
    [7.0, -7.0, 7.0, -7.0, 6.0, -6.0], [2.0, 2.0, -2.0, -2.0, 3.0, 3.0], grad=False, why="every pair of signs"
)
FAR = arrays(
    [1e7, 123456.7, -1e6, 1.0, 6.0], [3.0, 0.7, 0.3, 0.1, 0.1], grad=False, dtypes=("float64",), why="large quotients"
)

binary(ops.floor_divide, division(np.floor_divide), *QUOTIENTS, EXACT, FAR, low=0.3, grad=False)
binary(ops.mod, division(np.remainder), *QUOTIENTS, EXACT, FAR, low=0.3)
binary(ops.fmod, division(np.fmod), *QUOTIENTS, EXACT, FAR, low=0.3)


def power_formula(x1, x2):
    if x1.dtype.kind == "i":
        y = np.power(x1, np.abs(x2))
        return np.where((x2 >= 0) | (np.abs(x1) == 1), y, 0)
    return np.power(x1, x2)


binary(
    ops.power,
    power_formula,
    Sample(draw(4), 2, why="a square of negative numbers too"),
    Sample(draw(4, low=0.5), -1.5, why="a negative exponent"),
    arrays(
        [0.0, 0.0, 0.0],
        [0.0, 1.0, 2.0],
        expect=[1.0, 0.0, 0.0],
        gradient=([0.0, 1.0, 0.0], [0.0, 0.0, 0.0]),
        why="powers of 0, flat in the exponent",
    ),
    arrays([2.0, -3.0], [0.0, 0.0], expect=[1.0, 1.0], gradient=([0.0, 0.0], [np.log(2.0), nan]), why="the exponent 0"),
    arrays([1.0, nan, -1.0], [nan, 0.0, inf], expect=[1.0, 1.0, 1.0], grad=False, why="IEEE 754's exceptions"),
    *(ints([2, -3, 5, 0, 1, -1], [3, 3, 0, 0, 7, 4], dtype=d, why="whole powers") for d in ("int8", "int32", "int64")),
    *(
        ints([2, 3, 5, 0, 1, 255], [3, 4, 0, 0, 7, 2], dtype=d, why="whole powers, wrapping around")
        for d in ("uint8", "uint16", "uint32")
    ),
    ints([2, 1, -1, -1, 0], [-1, -3, -3, -2, -1], expect=[0, 1, -1, 1, 0], why="negative whole exponents"),
    low=0.5,
    tol={"float64": 4e-15, "float32": 1e-6},
)
TIES = arrays([1.0, -2.0, 0.0], [1.0, -2.0, 0.0], expect=[1.0, -2.0, 0.0], gradient=([0.5] * 3, [0.5] * 3), why="ties")
binary(
    ops.maximum,
    np.maximum,
    *MIXED,
    TIES,
    arrays(
        [3.0],
        [[1.0, 3.0], [5.0, 3.0]],
        expect=[[3.0, 3.0], [5.0, 3.0]],
        gradient=([2.0], [[0.0, 0.5], [1.0, 0.5]]),
        why="ties of an operand that is broadcast",
    ),
    errors=[Bad(np.ones(2) * 1j, np.ones(2), match="complex64|complex128", error=TypeError)],
)
binary(ops.minimum, np.minimum, *MIXED, TIES)
binary(
    ops.arctan2,
    np.arctan2,
    arrays([0.0], [0.0], expect=[0.0], gradient=([0.0], [0.0]), why="the origin"),
    arrays(
        [0.0, -0.0, 0.0, -0.0], [-1.0, -1.0, 1.0, 1.0], expect=[np.pi, -np.pi, 0.0, -0.0], grad=False, why="the cut"
    ),
)
unary(
    ops.negative, np.negative, ints([1, 0, 255], dtype="uint8", expect=[255, 0, 1], why="unsigned numbers wrap around")
)
unary(ops.positive, np.positive)
unary(
    ops.absolute,
    np.absolute,
    points(0.0, -0.0, expect=[0.0, 0.0], gradient=[0.0, 0.0], why="the kink"),
    ints([-128, -1, 127], dtype="int8", expect=[-128, 1, 127], why="the least number has no counterpart"),
    Sample(complex_draw(3, 2), grad=False, why="complex numbers give real ones"),
)
unary(ops.sign, np.sign, points(0.0, -0.0, -3.0, expect=[0.0, 0.0, -1.0], gradient=[0.0] * 3, why="flat everywhere"))
unary(ops.square, np.square, Sample(complex_draw(3), **AS_COMPLEX))
unary(ops.reciprocal, np.reciprocal, points(0.0, -0.0, expect=[inf, -inf], grad=False, why="the pole"), low=0.5)

# -- exponentials, logarithms, roots ----------------------------------------------------

unary(
    ops.exp,
    np.exp,
    points(-100.0, 80.0, grad=False, dtypes=PRECISE, why="far out"),
    tol={"float64": 2e-15, "float32": 5e-7},
)
unary(ops.exp2, np.exp2, points(-20.0, 10.0, 3.0, expect=[2.0**-20, 1024.0, 8.0], grad=False, why="whole powers"))
unary(ops.expm1, np.expm1, points(1e-6, -1e-6, grad=False, why="near 0"), points(-40.0, expect=[-1.0], why="far out"))
unary(ops.log, np.log, points(0.0, expect=[-inf], gradient=[inf], why="infinitely steep at 0"), low=0.1)
unary(
    ops.log1p,
    np.log1p,
    points(1e-6, -1e-6, grad=False, why="near 0"),
    points(-1.0, -2.0, expect=[-inf, nan], grad=False, why="the end of the domain"),
    low=-0.9,
    tol={"float64": 4e-15, "float32": 5e-7},
)
unary(ops.log2, np.log2, points(8.0, 0.125, expect=[3.0, -3.0], grad=False, why="powers of 2"), low=0.1)
unary(ops.log10, np.log10, points(1000.0, expect=[3.0], grad=False, why="a power of 10"), low=0.1)
unary(
    ops.sqrt, np.sqrt, points(0.0, 4.0, expect=[0.0, 2.0], gradient=[inf, 0.25], why="infinitely steep at 0"), low=0.1
)
unary(ops.rsqrt, lambda x: 1 / np.sqrt(x), points(-1.0, expect=[nan], grad=False, why="below 0"), low=0.1)
unary(ops.cbrt, np.cbrt, points(-27.0, 8.0, expect=[-3.0, 2.0], why="whole roots"), low=0.1)

# -- trigonometry -----------------------------------------------------------------------

unary(ops.sin, np.sin, points(100.0, -1e3, grad=False, dtypes=PRECISE, why="many turns"))
unary(ops.cos, np.cos, points(100.0, -1e3, grad=False, dtypes=PRECISE, why="many turns"))
unary(ops.tan, np.tan, low=-1.4, high=1.4)
EDGES = points(-1.0, 1.0, 1.5, grad=False, why="the ends of the domain, and outside")
unary(ops.arcsin, np.arcsin, EDGES, points(-1.0, 1.0, gradient=[inf, inf], why="steep"), low=-0.9, high=0.9)
unary(ops.arccos, np.arccos, EDGES, points(-1.0, 1.0, gradient=[-inf, -inf], why="steep"), low=-0.9, high=0.9)
unary(ops.arctan, np.arctan)
unary(ops.sinh, np.sinh, points(1e-5, grad=False, why="near 0"))
unary(ops.cosh, np.cosh)
unary(ops.tanh, np.tanh, points(1e-5, -30.0, 30.0, grad=False, why="near 0, and far out"))
unary(
    ops.arcsinh,
    np.arcsinh,
    points(1e-5, grad=False, why="near 0"),
    arrays([1e10], grad=False, dtypes=PRECISE, why="far out"),
)
unary(
    ops.arccosh,
    np.arccosh,
    points(1.0, 0.5, expect=[0.0, nan], grad=False, why="the end of the domain"),
    low=1.1,
    high=4.0,
)
unary(ops.arctanh, np.arctanh, EDGES, points(1e-5, grad=False, why="near 0"), low=-0.9, high=0.9)
unary(ops.deg2rad, np.deg2rad, low=-360.0, high=360.0)
unary(ops.rad2deg, np.rad2deg, points(np.pi, expect=[180.0], why="half a turn"))
binary(
    ops.hypot,
    np.hypot,
    arrays([0.0, 3.0], [0.0, -4.0], expect=[0.0, 5.0], gradient=([0.0, 0.6], [0.0, -0.8]), why="the origin"),
    arrays([1e30, 1e-30], [1e30, 1e-30], grad=False, dtypes=PRECISE, why="squares over- and underflow"),
    arrays([1.0], [1.0], why="equal sides: smooth, second derivatives too"),
)

# -- rounding ---------------------------------------------------------------------------

HALVES = points(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, -0.2, gradient=[0.0] * 7, why="halves, and what becomes -0.0")
unary(ops.floor, np.floor, HALVES, grad=True)
unary(ops.ceil, np.ceil, HALVES)
unary(ops.trunc, np.trunc, HALVES)


def round_formula(x, decimals=0):
    return x if x.dtype.kind == "b" else np.round(x, decimals)


Case(
    ops.round,
    round_formula,
    samples=[
        *unaries(),
        special(),
        HALVES,
        Sample(draw(3, 4), 2, grad=False, dtypes=PRECISE, why="decimals"),
        arrays([123.4, -678.9], -2, expect=[100.0, -700.0], grad=False, why="before the point"),
        ints([123, -678, 50, 150], -2, expect=[100, -700, 0, 200], why="integers"),
        Sample(whole(3), 1, why="integers are whole"),
    ],
    errors=[Bad(np.ones(2), 0.5, match="decimals should be an integer")],
    tol={"float64": 1e-15, "float32": 5e-7},
    dtypes=FLOATS,
)

# -- comparisons and logic --------------------------------------------------------------

ORDER = [
    ints([1, 2, 3], [3, 2, 1], why="whole numbers"),
    ints([2**53 + 1, -(2**63)], [2**53, 2**63 - 1], dtype="int64", why="numbers that no float64 holds"),
    ints([2**64 - 1, 0], [2**64 - 2, 1], dtype="uint64", why="numbers that no int64 holds"),
    Sample(whole(3), 1.5, grad=False, why="integers with a Python float"),
]
NO_ORDER = Bad(np.ones(2) * 1j, np.ones(2), match="complex", error=TypeError)
for name in ("less", "less_equal", "greater", "greater_equal"):
    binary(getattr(ops, name), getattr(np, name), *ORDER, grad=False, errors=[NOT_ALIKE, NO_ORDER])
for name in ("equal", "not_equal"):
    binary(getattr(ops, name), getattr(np, name), *ORDER, COMPLEX, grad=False, errors=[NOT_ALIKE])
for name in ("logical_and", "logical_or", "logical_xor"):
    known = ints([0, 1, 2, 0], [0, 0, 5, 7], why="whole numbers")
    binary(getattr(ops, name), getattr(np, name), known, grad=False)
unary(ops.logical_not, np.logical_not, grad=False)
EITHER = arrays([nan + 1j, 1 + 1j, complex(1, inf)], grad=False, dtypes=("float64",), why="in either part")
for name in ("isnan", "isinf", "isfinite"):
    unary(getattr(ops, name), getattr(np, name), EITHER, grad=False)
REAL_ONLY = Bad(np.ones(2) * 1j, match="real numbers", error=TypeError)
unary(ops.isposinf, np.isposinf, grad=False, errors=[REAL_ONLY])
unary(ops.isneginf, np.isneginf, grad=False, errors=[REAL_ONLY])
unary(ops.signbit, np.signbit, ints([-3, 0, 4], why="whole numbers"), grad=False, errors=[REAL_ONLY])
unary(
    ops.isreal,
    np.isreal,
    arrays([1 + 0j, 1j, complex(1, nan)], expect=[True, False, False], grad=False, dtypes=("float64",), why="complex"),
    grad=False,
)


def close_formula(x1, x2, rtol=1e-5, atol=1e-8, equal_nan=False):
    return np.isclose(x1, x2, rtol=float(rtol), atol=float(atol), equal_nan=equal_nan)


binary(
    ops.isclose,
    close_formula,
    Sample(LEFT, RIGHT, equal_nan=True, grad=False, why="nan with nan"),
    arrays([1.0, 1.0], [1.05, 1.2], 0.1, expect=[True, False], grad=False, why="a tolerance"),
    ints([2**24 + 1, 5], [2**24, 5], 0.0, 0.0, expect=[False, True], grad=False, why="integers are not rounded first"),
    grad=False,
)
Case(
    ops.allclose,
    lambda x1, x2, **kw: np.allclose(x1, x2, **kw),
    samples=[
        Sample(draw(3, 4), draw(3, 4), expect=True),
        Sample(draw(3, 4), draw(4), expect=False),
        Sample(np.zeros((0,)), np.zeros((0,)), expect=True, why="nothing differs"),
        arrays([nan], [nan], expect=False, why="nan is close to nothing"),
        arrays([nan], [nan], equal_nan=True, expect=True, why="but to itself if wanted"),
    ],
    grad=False,
    errors=[NOT_ALIKE],
)

# -- bits -------------------------------------------------------------------------------


BIT_PAIRS = [Sample(whole(3, 4, high=100, dtype=d), whole(4, high=100, dtype=d, seed=1), dtypes=(d,)) for d in INTEGERS]
BOOLS = arrays([True, True, False], [True, False, False], why="bools")
NEGATIVE = ints([-1, -7, 8], [6, 3, -2], why="two's complement")
NO_FLOATS = Bad(np.ones(2), np.ones(2), match="integers and bools", error=TypeError)
for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    samples = [*BIT_PAIRS, BOOLS, NEGATIVE]
    Case(getattr(ops, name), getattr(np, name), samples, grad=False, dtypes=INTEGERS, errors=[NO_FLOATS])
Case(
    ops.bitwise_not,
    np.bitwise_not,
    [
        *(Sample(whole(3, 4, high=100, dtype=d), dtypes=(d,)) for d in INTEGERS),
        arrays([True, False], dtypes=("bool",)),
    ],
    grad=False,
    dtypes=INTEGERS,
    errors=[Bad(np.ones(2), match="integers and bools", error=TypeError)],
)


def left_shift_formula(x, y):
    bits = x.dtype.itemsize * 8
    return np.where(y >= bits, 0, np.left_shift(x, np.minimum(y, bits - 1))).astype(x.dtype)


def right_shift_formula(x, y):
    bits = x.dtype.itemsize * 8
    beyond = np.where(x < 0, -1, 0).astype(x.dtype) if x.dtype.kind == "i" else np.zeros_like(x)
    return np.where(y >= bits, beyond, np.right_shift(x, np.minimum(y, bits - 1)))


SHIFTS = [
    *(Sample(whole(3, 4, high=100, dtype=d), whole(4, high=8, dtype=d, seed=1), dtypes=(d,)) for d in INTEGERS),
    ints([-9, 5, -1, 7], [1, 31, 40, 32], why="signs, and as many bits as there are"),
    ints([200, 3, 9], [1, 8, 200], why="as many bits as there are", dtype="uint8"),
]
Case(ops.left_shift, left_shift_formula, SHIFTS, grad=False, dtypes=INTEGERS, errors=[NO_FLOATS])
Case(ops.right_shift, right_shift_formula, SHIFTS, grad=False, dtypes=INTEGERS, errors=[NO_FLOATS])

# -- with further arguments -------------------------------------------------------------


def cast_formula(x, dtype):
    target = np.dtype(getattr(ml_dtypes, dtype, dtype))
    x = x.real if np.iscomplexobj(x) and target.kind != "c" else x
    return np.asarray(x).astype(target)


Case(
    ops.cast,
    cast_formula,
    samples=[
        *(
            Sample(draw(3, 4), d, grad=False, dtypes=("float32",))
            for d in ("float16", "bfloat16", "int32", "bool", "complex64", "float64")
        ),
        Sample(draw(3, 4), "float64", dtypes=("float64",), why="the gradient passes"),
        arrays([1.9, -1.9, 0.5, -0.5], "int32", expect=[1, -1, 0, 0], grad=False, why="towards 0"),
        arrays(
            [nan, 0.0, -0.0, 0.1], "bool", expect=[True, False, False, True], grad=False, why="what is not 0 is true"
        ),
        ints([300, -1], "uint8", expect=[44, 255], why="integers wrap around"),
        arrays([True, False], "float32", expect=[1.0, 0.0], why="from bools"),
        Sample(complex_draw(3), "float32", grad=False, dtypes=("float64",), why="the imaginary part goes"),
        ints([2**40 + 1], "int32", expect=[1], why="from 64 bits", dtype="int64"),
    ],
    errors=[Bad(np.ones(2), "float31", match="'float31' is no dtype")],
)


Case(
    ops.clip,
    lambda x, x_min, x_max: np.minimum(np.maximum(x, x_min), x_max),
    samples=[
        Sample(draw(3, 5), -0.5, 0.7),
        Sample(
            draw(3, 5), draw(5, low=-1.0, high=0.0), draw(3, 1, low=0.0, high=1.0, seed=2), why="bounds that broadcast"
        ),
        arrays(
            [-1.0, 0.0, 0.5, 1.0, 2.0],
            0.0,
            1.0,
            expect=[0.0, 0.0, 0.5, 1.0, 1.0],
            gradient=[0.0, 1.0, 1.0, 1.0, 0.0],
            why="the edges belong to the inside",
        ),
        arrays([0.5], 2.0, 1.0, expect=[1.0], gradient=[0.0], why="bounds that cross: x_max wins"),
        arrays([nan, inf, -inf], -1.0, 1.0, expect=[nan, 1.0, -1.0], grad=False, why="nan stays"),
        ints([5, -5, 1], -2, 3, expect=[3, -2, 1], why="integers"),
        ints([5, -5, 1], 0.5, 3.5, expect=[3.5, 0.5, 1.0], grad=False, why="integers between floats"),
        arrays(
            [-1.0, 0.5, 3.0],
            [0.0, 0.0, 0.0],
            [1.0, 1.0, 1.0],
            gradient=([0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]),
            why="a bound gets the gradient where it is the result",
        ),
    ],
    dtypes=FLOATS,
)
Case(
    ops.where,
    lambda condition, x1=None, x2=None: tuple(np.nonzero(condition)) if x1 is None else np.where(condition, x1, x2),
    samples=[
        Sample(draw(3, 4) > 0, draw(3, 4, seed=1), draw(4, seed=2)),
        Sample(draw(3, 1) > 0, draw(4, seed=1), draw(3, 4, seed=2), why="all three broadcast"),
        arrays(
            [True, False],
            [1.0, inf],
            [nan, 2.0],
            expect=[1.0, 2.0],
            gradient=([1.0, 0.0], [0.0, 1.0]),
            why="the branch not taken does no harm",
        ),
        Sample(draw(4) > 0, draw(4, seed=1), 0, grad=["x1"], why="a Python number"),
        Sample(
            np.array([0.0, 2.0, nan]),
            np.array([1, 2, 3], "int32"),
            0.5,
            grad=False,
            dtypes=("float32",),
            why="what is not 0 is true; integers meet a float",
        ),
        Sample(draw(3, 4) > 0, dtypes=("float32",), why="the places where it is true"),
        Sample(np.zeros((0, 2), bool), dtypes=("float32",), why="no places"),
    ],
    errors=[Bad(np.ones(2) > 0, np.ones(2), match="both x1 and x2, or neither")],
    dtypes=FLOATS,
    symbolic=True,
)

# -- complex numbers --------------------------------------------------------------------

COMPLEX_ALONE = Sample(complex_draw(3, 2), why="complex numbers")
unary(ops.conj, np.conj, COMPLEX_ALONE)
unary(ops.real, np.real, COMPLEX_ALONE)
unary(ops.imag, lambda x: np.imag(x), COMPLEX_ALONE)
unary(
    ops.angle,
    np.angle,
    COMPLEX_ALONE,
    points(-3.0, 2.0, expect=[np.pi, 0.0], gradient=[0.0, 0.0], why="real numbers"),
    low=0.1,
)

# -- compositions -----------------------------------------------------------------------

unary(ops.fabs, np.fabs, points(0.0, gradient=[0.0], why="the kink"), errors=[REAL_ONLY])
TIE = arrays([1.0], [1.0], gradient=([0.5], [0.5]), why="ties")
binary(ops.fmax, np.fmax, TIE, *MIXED)
binary(ops.fmin, np.fmin, TIE, *MIXED)
binary(
    ops.heaviside,
    np.heaviside,
    arrays(
        [-1.0, 0.0, 2.0],
        [0.5, 0.25, 0.5],
        expect=[0.0, 0.25, 1.0],
        gradient=([0.0] * 3, [0.0, 1.0, 0.0]),
        why="the step",
    ),
)
binary(
    ops.divide_no_nan,
    lambda x1, x2: np.where(x2 == 0, 0, x1 / np.where(x2 == 0, 1, x2)),
    arrays([1.0, 0.0], [0.0, 0.0], expect=[0.0, 0.0], gradient=([0.0, 0.0], [0.0, 0.0]), why="division by 0"),
    low=0.5,
)
Case(
    ops.nan_to_num,
    lambda x, nan=0.0, posinf=None, neginf=None: (
        np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf) if x.dtype.kind in "fc" else x
    ),
    samples=[
        Sample(draw(3, 4)),
        arrays(
            [nan, inf, -inf, 1.0],
            5.0,
            7.0,
            -7.0,
            expect=[5.0, 7.0, -7.0, 1.0],
            gradient=[0.0, 0.0, 0.0, 1.0],
            why="what to put there",
        ),
        arrays([nan, inf, -inf], grad=False, dtypes=("float64",), why="the greatest numbers"),
        arrays([nan, 2.0], expect=[0.0, 2.0], grad=False, why="nan becomes 0"),
        Sample(whole(3), why="integers as they are"),
        arrays(
            [complex(nan, 1), complex(2, nan)], expect=[1j, 2 + 0j], grad=False, dtypes=("float64",), why="part by part"
        ),
    ],
    dtypes=FLOATS,
)
