"""Ops that give elements another arrangement, in JAX."""

from __future__ import annotations

import jax.numpy as jnp

reshape, broadcast_to, swapaxes, transpose = jnp.reshape, jnp.broadcast_to, jnp.swapaxes, jnp.transpose
expand_dims, squeeze, flip, tile = jnp.expand_dims, jnp.squeeze, jnp.flip, jnp.tile
concatenate, stack = jnp.concatenate, jnp.stack


def roll(x, shift, axis):
    return jnp.roll(x, shift[0] if axis is None else shift, axis)


def split(x, indices_or_sections, axis):
    return list(jnp.split(x, indices_or_sections, axis))


def unstack(x, num, axis):
    return list(jnp.unstack(x, axis=axis))


def constant_pad(x, pad_width, value):
    return jnp.pad(x, pad_width, constant_values=value)
