"""Ops that move elements about, in JAX."""

from __future__ import annotations

import jax.numpy as jnp

reshape, broadcast_to, swapaxes = jnp.reshape, jnp.broadcast_to, jnp.swapaxes
