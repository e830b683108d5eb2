"""Special functions in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp

erf, erfc, erfinv, i0 = jax.lax.erf, jax.lax.erfc, jax.lax.erf_inv, jnp.i0
gcd, ldexp = jnp.gcd, jnp.ldexp


def logaddexp(x1, x2):
    same = (x1 == x2) & jnp.isinf(x1)  # JAX's gradient there is nan
    y = jnp.logaddexp(jnp.where(same, 0, x1), jnp.where(same, 0, x2))
    return jnp.where(same, jnp.maximum(x1, x2), y)


def nextafter(x1, x2):
    return jnp.nextafter(x1, x2)
