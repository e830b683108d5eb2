"""Ops that join tensors, take them apart, repeat and pad them, in JAX."""

from __future__ import annotations

import jax.numpy as jnp

concatenate, stack, tile = jnp.concatenate, jnp.stack, jnp.tile


def split(x, indices_or_sections, axis):
    return list(jnp.split(x, indices_or_sections, axis))


def unstack(x, num, axis):
    return list(jnp.unstack(x, axis=axis))


def constant_pad(x, pad_width, value):
    return jnp.pad(x, pad_width, constant_values=value) if pad_width else x
