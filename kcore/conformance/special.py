"""Records of the special functions."""

from __future__ import annotations

import numpy as np
import scipy.special as special
from numpy import inf, nan

from kcore import ops
from kcore.conformance.elementwise import INTEGERS, REAL_ONLY, binary, unary
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import FLOATS, PRECISE, arrays, draw, ints, points, whole

# -- probability ------------------------------------------------------------------------

unary(ops.erf, special.erf, points(1e-5, -6.0, 6.0, grad=False, why="near 0, and far out"), errors=[REAL_ONLY])
unary(ops.erfc, special.erfc, points(5.0, grad=False, why="where 1 - erf(x) would be 0"), errors=[REAL_ONLY])
unary(
    ops.erfinv,
    special.erfinv,
    points(-1.0, 1.0, 1.5, expect=[-inf, inf, nan], grad=False, why="the ends of the domain, and outside"),
    points(-1.0, 1.0, gradient=[inf, inf], why="infinitely steep at the ends"),
    low=-0.95,
    high=0.95,
    errors=[REAL_ONLY],
)
unary(
    ops.i0,
    special.i0,
    points(0.0, expect=[1.0], why="the least value, second derivatives too"),
    points(-8.0, 12.0, grad=False, dtypes=PRECISE, why="far out"),
)
binary(
    ops.logaddexp,
    np.logaddexp,
    arrays([1.0, -2.0], [1.0, -2.0], why="equal numbers: smooth, second derivatives too"),
    arrays([1000.0, -1000.0], [999.0, -1000.0], dtypes=PRECISE, why="exp over- and underflows"),
    arrays([0.0], [-15.0], grad=False, why="one much smaller"),
    arrays([inf, -inf], [inf, -inf], expect=[inf, -inf], gradient=([0.5, 0.5], [0.5, 0.5]), why="equal infinities"),
)
binary(
    ops.logaddexp2,
    np.logaddexp2,
    arrays([3.0], [3.0], expect=[4.0], why="equal numbers"),
    tol={"float64": 2e-15, "float32": 1e-6},
)
unary(
    ops.sinc,
    np.sinc,
    points(0.0, expect=[1.0], why="the removable singularity, second derivatives too"),
    points(0.1499, 0.1501, -0.01, 1e-4, why="on both sides of where the series ends"),
    points(1.0, -2.0, 30.0, grad=False, dtypes=("float64",), why="its zeros"),
    tol={"float64": 2e-15, "float32": 1e-6},
)

# -- number theory ----------------------------------------------------------------------

DIVISORS = [
    *(Sample(whole(3, 4, high=60, dtype=d), whole(4, high=60, dtype=d, seed=1), dtypes=(d,)) for d in INTEGERS),
    ints([0, 0, 7, -12, -12], [0, 5, 0, 18, -18], why="zeros and signs"),
    Sample(
        whole(3, dtype="int8"), whole(3, dtype="uint8", seed=1), dtypes=("int8",), why="int8 with uint8 gives int16"
    ),
]
NO_FLOATS = Bad(np.ones(2), np.ones(2), match="of integers, not of float64", error=TypeError)
Case(ops.gcd, np.gcd, DIVISORS, grad=False, dtypes=INTEGERS, errors=[NO_FLOATS])
SMALL = [s for s in DIVISORS if s.dtypes != ("int8",)]  # multiples that int8 can't hold wrap around in no set way
Case(ops.lcm, np.lcm, SMALL, grad=False, dtypes=INTEGERS, errors=[NO_FLOATS])

# -- floats as they are stored ----------------------------------------------------------


def ldexp_formula(x1, x2):
    return np.ldexp(x1.astype("float64"), x2)


Case(
    ops.ldexp,
    ldexp_formula,
    samples=[
        Sample(draw(3, 5), whole(5, low=-4, high=5)),
        Sample(draw(3), 3, why="a Python int"),
        Sample(
            np.array([2.0**-100, 1.0]),
            np.array([200, -100], "int32"),
            grad=False,
            dtypes=PRECISE,
            why="2**x2 alone overflows float32",
        ),
        Sample(
            np.array([nan, inf, -inf, 0.0, -0.0]),
            np.array([3, -3, 9, 5, 5], "int32"),
            expect=[nan, inf, -inf, 0.0, -0.0],
            grad=False,
            why="special values",
        ),
        Sample(whole(3), whole(3, seed=1), why="integers become floats"),
    ],
    dtypes=FLOATS,
    grad=["x1"],
    errors=[Bad(np.ones(2), np.ones(2), match="x2 should hold integers", error=TypeError)],
)


def operands(x1, x2):
    """The operands themselves: what the next number is depends on the dtype of the result."""
    return np.stack(np.broadcast_arrays(x1, x2))


def exactly_next(got, want, tol):
    x1, x2 = want.astype(got.dtype)
    np.testing.assert_array_equal(got.astype("float64"), np.nextafter(x1, x2).astype("float64"))


Case(
    ops.nextafter,
    operands,
    samples=[
        Sample(draw(3, 5), draw(5, seed=1)),
        arrays([1.0, 1.0, -1.0, 2.0], [2.0, 0.0, -2.0, 2.0], why="up, down, away from 0, nowhere"),
        arrays([0.0, 0.0, -0.0], [1.0, -1.0, 1.0], why="the least subnormal numbers"),
        arrays([nan, 1.0, inf, -inf], [1.0, nan, 0.0, 0.0], why="special values"),
    ],
    compare=exactly_next,
    grad=False,
    dtypes=FLOATS,
)

# -- complex numbers --------------------------------------------------------------------


def polar_formula(abs_, angle):
    y = np.empty(np.broadcast_shapes(abs_.shape, angle.shape), complex)
    y.real, y.imag = abs_ * np.cos(angle), abs_ * np.sin(angle)
    return y


binary(
    ops.polar,
    polar_formula,
    arrays([2.0], [np.pi], expect=[-2.0 + 0j], dtypes=PRECISE, why="half a turn"),
)
