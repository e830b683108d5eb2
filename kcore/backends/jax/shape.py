"""Ops that give elements another arrangement, in JAX."""

from __future__ import annotations

import jax.numpy as jnp

reshape, broadcast_to, swapaxes, transpose = jnp.reshape, jnp.broadcast_to, jnp.swapaxes, jnp.transpose
expand_dims, squeeze, flip = jnp.expand_dims, jnp.squeeze, jnp.flip


def roll(x, shift, axis):
    return jnp.roll(x, shift[0] if axis is None else shift, axis)
