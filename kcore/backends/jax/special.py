"""Special functions in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp

erf, erfc, erfinv = jax.lax.erf, jax.lax.erfc, jax.lax.erf_inv
gcd, ldexp = jnp.gcd, jnp.ldexp


@jax.custom_jvp
def _i0(x):
    return jnp.i0(x)


@jax.custom_jvp
def _i1(x):
    return jax.scipy.special.i1(x)


def _i1_slope(x):
    zero = x == 0  # where JAX's is 0, not 1/2
    return _i0(x) - jnp.where(zero, 0.5, _i1(x) / jnp.where(zero, 1, x))


_i0.defjvps(lambda g, y, x: g * _i1(x))
_i1.defjvps(lambda g, y, x: g * _i1_slope(x))


def i0(x):
    return _i0(x)


def logaddexp(x1, x2):
    same = (x1 == x2) & jnp.isinf(x1)  # JAX's gradient there is nan
    y = jnp.logaddexp(jnp.where(same, 0, x1), jnp.where(same, 0, x2))
    return jnp.where(same, jnp.maximum(x1, x2), y)


def nextafter(x1, x2):
    return jnp.nextafter(x1, x2)
