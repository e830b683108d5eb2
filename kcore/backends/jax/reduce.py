"""Reductions in JAX."""

from __future__ import annotations

import jax.numpy as jnp


def sum(x, axis, keepdims):
    return jnp.sum(x, axis, keepdims=keepdims, dtype=x.dtype)


def max(x, axis, keepdims, initial):
    return jnp.max(x, axis, keepdims=keepdims, initial=initial)


def mean(x, axis, keepdims):
    return jnp.mean(x, axis, keepdims=keepdims)
