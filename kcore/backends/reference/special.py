"""Definitions and gradient rules of the special functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from kcore import ops
from kcore.backends.reference.curve import curve_grad, curved
from kcore.backends.reference.quiet import silent
from kcore.backends.reference.tape import vjp, vjps
from kcore.ops.mechanism import Plan, Tensor, private_op

# -- probability ------------------------------------------------------------------------


def _special(name: str) -> Callable:
    """A function of scipy.special, which takes half a second to import and so waits for its first use."""

    @silent
    def function(x):
        import scipy.special

        return getattr(scipy.special, name)(x)

    return function


erf = curved("erf", _special("erf"))
erfc, erfinv, i0 = _special("erfc"), _special("erfinv"), _special("i0")
_i1 = _special("i1")

vjps(
    erf=lambda g, y, x: curve_grad(g, x, "erf"),
    erfc=lambda g, y, x: g * (-2 / math.sqrt(math.pi)) * ops.exp(-x * x),
    erfinv=lambda g, y, x: g * (math.sqrt(math.pi) / 2) * ops.exp(y * y),
)


@private_op(rule=lambda x: Plan(x.shape, x.dtype))
def bessel_i1(x: Tensor):
    """The modified Bessel function of the first kind, of order 1."""
    return _i1(x)


@vjp(ops.i0)
def _(g, y, x):
    return g * bessel_i1(x)


@vjp(bessel_i1)
def _(g, y, x):
    zero = x == 0
    return g * (ops.i0(x) - ops.where(zero, 0.5, y / ops.where(zero, 1.0, x)))


logaddexp = silent(np.logaddexp)


@vjp(ops.logaddexp)
def _(g, y, x1, x2):
    # Not exp(x - y), which has y's rounding error: at 1000 that is 1e-4 in float32.
    same = ops.logical_and(ops.isinf(y), x1 == x2)
    gap = ops.where(same, 0.0, x1 - x2)
    return g * ops.sigmoid(gap), g * ops.sigmoid(-gap)


# -- number theory ----------------------------------------------------------------------

gcd = np.gcd

# -- floats as they are stored ----------------------------------------------------------

ldexp, nextafter = silent(np.ldexp), silent(np.nextafter)


@vjp(ops.ldexp)
def _(g, y, x1, x2):
    return ops.ldexp(g, x2), None
