"""Reductions in JAX."""

from __future__ import annotations

import jax
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
    return _place(jax.lax.argmax, x, axis, keepdims)


def argmin(x, axis, keepdims):
    return _place(jax.lax.argmin, x, axis, keepdims)


def _place(find, x, axis, keepdims):
    # Not jnp.argmax, which counts in int64 for 64-bit x, and can't be lowered where the outer trace is in 32 bits.
    if axis is None:
        place = find(jnp.ravel(x), 0, jnp.int32)
        return jnp.reshape(place, (1,) * x.ndim) if keepdims else place
    place = find(x, axis, jnp.int32)
    return jnp.expand_dims(place, axis) if keepdims else place


def any(x, axis, keepdims):
    return jnp.any(x, axis, keepdims=keepdims)


def all(x, axis, keepdims):
    return jnp.all(x, axis, keepdims=keepdims)


def cumsum(x, axis, dtype):
    return jnp.cumsum(x, axis, dtype=x.dtype)


def cumprod(x, axis, dtype):
    return jnp.cumprod(x, axis, dtype=x.dtype)
