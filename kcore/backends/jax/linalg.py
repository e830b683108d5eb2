"""Products in JAX."""

from __future__ import annotations

import jax.numpy as jnp

matmul = jnp.matmul


def einsum(subscripts, operands):
    return jnp.einsum(subscripts, *operands)
