"""Special functions in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp

erf, erfc, erfinv, i0 = jax.lax.erf, jax.lax.erfc, jax.lax.erf_inv, jnp.i0
logaddexp, gcd, ldexp = jnp.logaddexp, jnp.gcd, jnp.ldexp


def nextafter(x1, x2):
    return jnp.nextafter(x1, x2)
