"""Linear algebra in JAX."""

from __future__ import annotations

import jax.numpy as jnp

matmul = jnp.matmul
