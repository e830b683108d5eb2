"""Reductions in JAX."""

from __future__ import annotations

import jax.numpy as jnp


def sum(x, axis, keepdims):
    return jnp.sum(x, axis, keepdims=keepdims, dtype=x.dtype)


def prod(x, axis, keepdims, dtype):
    return jnp.prod(x, axis, keepdims=keepdims, dtype=x.dtype)


def mean(x, axis, keepdims):
    return jnp.mean(x, axis, keepdims=keepdims)


def max(x, axis, keepdims, initial):
    return jnp.max(x, axis, keepdims=keepdims, initial=initial)


def min(x, axis, keepdims, initial):
    return jnp.min(x, axis, keepdims=keepdims, initial=initial)


def argmax(x, axis, keepdims):
    return jnp.argmax(x, axis, keepdims=keepdims).astype("int32")


def argmin(x, axis, keepdims):
    return jnp.argmin(x, axis, keepdims=keepdims).astype("int32")


def any(x, axis, keepdims):
    return jnp.any(x, axis, keepdims=keepdims)


def all(x, axis, keepdims):
    return jnp.all(x, axis, keepdims=keepdims)


def cumsum(x, axis, dtype):
    return jnp.cumsum(x, axis, dtype=x.dtype)


def cumprod(x, axis, dtype):
    return jnp.cumprod(x, axis, dtype=x.dtype)
