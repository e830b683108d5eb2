"""Definitions and gradient rules of the special functions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np

from kcore import ops
from kcore.backends.reference.curve import curve, curve_grad
from kcore.backends.reference.tape import vjp
from kcore.ops.mechanism import Plan, Tensor, private_op

# -- probability ------------------------------------------------------------------------


def _special(name: str) -> Callable:
    """A function of scipy.special, which takes half a second to import and so waits for its first use."""

    def function(x):
        import scipy.special

        narrow = x.dtype.itemsize == 2  # scipy has no 16-bit loops
        with np.errstate(all="ignore"), warnings.catch_warnings():
            y = getattr(scipy.special, name)(x.astype("float32") if narrow else x)
        return y.astype(x.dtype) if narrow else y

    return function


_erf_definition = _special("erf")
erfc, erfinv, i0 = _special("erfc"), _special("erfinv"), _special("i0")
_i1 = _special("i1")


def erf(x):
    return curve("erf", x, _erf_definition)


@vjp(ops.erf)
def _(g, y, x):
    return curve_grad(g, x, "erf")


@vjp(ops.erfc)
def _(g, y, x):
    return g * (-2 / math.sqrt(math.pi)) * ops.exp(-x * x)


@vjp(ops.erfinv)
def _(g, y, x):
    return g * (math.sqrt(math.pi) / 2) * ops.exp(y * y)


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


def logaddexp(x1, x2):
    with np.errstate(all="ignore"):
        return np.logaddexp(x1, x2)


@vjp(ops.logaddexp)
def _(g, y, x1, x2):
    # Not exp(x - y), which has y's rounding error: at 1000 that is 1e-4 in float32.
    same = ops.logical_and(ops.isinf(y), x1 == x2)
    gap = ops.where(same, 0.0, x1 - x2)
    return g * ops.sigmoid(gap), g * ops.sigmoid(-gap)


# -- number theory ----------------------------------------------------------------------

gcd = np.gcd

# -- floats as they are stored ----------------------------------------------------------


def ldexp(x1, x2):
    with np.errstate(all="ignore"):
        if x1.dtype.itemsize == 2:  # bfloat16 has no loop
            return np.ldexp(x1.astype("float32"), x2).astype(x1.dtype)
        return np.ldexp(x1, x2)


@vjp(ops.ldexp)
def _(g, y, x1, x2):
    return ops.ldexp(g, x2), None


def nextafter(x1, x2):
    with np.errstate(all="ignore"):
        return np.nextafter(x1, x2)
