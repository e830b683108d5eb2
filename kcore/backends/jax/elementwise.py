"""Elementwise ops in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp

add, subtract, multiply, divide = jnp.add, jnp.subtract, jnp.multiply, jnp.true_divide
negative, positive, sign = jnp.negative, jnp.positive, jnp.sign
square, reciprocal = jnp.square, jnp.reciprocal
maximum, minimum = jnp.maximum, jnp.minimum

exp, exp2, expm1, log, log1p = jnp.exp, jnp.exp2, jnp.expm1, jnp.log, jnp.log1p
log2, log10, sqrt, rsqrt, cbrt = jnp.log2, jnp.log10, jnp.sqrt, jax.lax.rsqrt, jnp.cbrt
sin, cos, tan = jnp.sin, jnp.cos, jnp.tan
arcsin, arccos, arctan = jnp.arcsin, jnp.arccos, jnp.arctan
sinh, cosh, tanh = jnp.sinh, jnp.cosh, jnp.tanh
arcsinh, arccosh, arctanh = jnp.arcsinh, jnp.arccosh, jnp.arctanh

equal, not_equal = jnp.equal, jnp.not_equal
less, less_equal, greater, greater_equal = jnp.less, jnp.less_equal, jnp.greater, jnp.greater_equal
logical_and, logical_or, logical_xor, logical_not = jnp.logical_and, jnp.logical_or, jnp.logical_xor, jnp.logical_not
isnan, isinf, isfinite, signbit = jnp.isnan, jnp.isinf, jnp.isfinite, jnp.signbit
bitwise_and, bitwise_or, bitwise_xor, bitwise_not = jnp.bitwise_and, jnp.bitwise_or, jnp.bitwise_xor, jnp.bitwise_not
left_shift, right_shift = jnp.left_shift, jnp.right_shift
conj, real, imag = jnp.conj, jnp.real, jnp.imag


def _division(function):
    """The function, with 0 for integers by 0."""

    def divided(x1, x2):
        y = function(x1, x2)
        return y if jnp.issubdtype(x1.dtype, jnp.inexact) else jnp.where(x2 == 0, jnp.zeros((), y.dtype), y)

    return divided


floor_divide, mod, fmod = _division(jnp.floor_divide), _division(jnp.mod), _division(jnp.fmod)


def absolute(x):
    # JAX's own has gradient 1 at 0.
    return x * jnp.sign(x) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.abs(x)


@jax.custom_jvp
def _inexact_power(x1, x2):
    return jnp.power(x1, x2)


@_inexact_power.defjvp
def _(primals, tangents):
    # JAX's is nan at 0**0.
    (x1, x2), (t1, t2) = primals, tangents
    y = _inexact_power(x1, x2)
    lower = jnp.where(x2 == 0, 0, _inexact_power(x1, jnp.where(x2 == 0, 1, x2 - 1)))
    log = jnp.log(jnp.where(x1 == 0, 1, x1))
    return y, t1 * x2 * lower + t2 * jnp.where(x1 == 0, 0, y * log)


def power(x1, x2):
    if jnp.issubdtype(x1.dtype, jnp.inexact):
        return _inexact_power(x1, x2)
    if not jnp.issubdtype(x1.dtype, jnp.signedinteger):
        return jnp.power(x1, x2)
    y = jnp.power(x1, jnp.abs(x2))
    return jnp.where((x2 >= 0) | (jnp.abs(x1) == 1), y, jnp.zeros((), y.dtype))


def arctan2(x1, x2):
    # At the origin JAX's gradient is nan; there it is taken where it is 0.
    origin = (x1 == 0) & (x2 == 0)
    safe = jnp.arctan2(jnp.where(origin, jnp.zeros_like(x1), x1), jnp.where(origin, jnp.ones_like(x2), x2))
    return jnp.where(origin, jax.lax.stop_gradient(jnp.arctan2(x1, x2)), safe)


floor, ceil = jnp.floor, jnp.ceil


def trunc(x):
    return jnp.trunc(x) if jnp.issubdtype(x.dtype, jnp.inexact) else x


def round(x, decimals):
    if x.dtype == bool or (decimals >= 0 and jnp.issubdtype(x.dtype, jnp.integer)):
        return x
    if jnp.issubdtype(x.dtype, jnp.integer):  # JAX rounds no integers
        unit = jnp.asarray(10**-decimals, x.dtype)
        below = x // unit
        twice = 2 * (x - below * unit)
        return (below + ((twice > unit) | ((twice == unit) & (below % 2 == 1)))) * unit
    return jnp.round(x, decimals)


def clip(x, x_min, x_max):
    # Not by minimum and maximum, which halve the gradient of x on a bound.
    y = jnp.where((x >= x_min) | jnp.isnan(x), x, x_min)
    return jnp.where((y <= x_max) | jnp.isnan(y), y, x_max)


def where(condition, x1, x2):
    if x1 is None:
        return tuple(i.astype("int32") for i in jnp.nonzero(condition))
    return jnp.where(condition, x1, x2)
