"""Reductions in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def sum(x, axis, keepdims):
    return jnp.sum(x, axis, keepdims=keepdims, dtype=x.dtype)


def prod(x, axis, keepdims, dtype):
    return jnp.prod(x, axis, keepdims=keepdims, dtype=x.dtype)


def _folded(fold):
    return lambda x, axis, keepdims: fold(x, axis, keepdims=keepdims)


def _peak(fold):
    return lambda x, axis, keepdims, initial: fold(x, axis, keepdims=keepdims, initial=initial)


def _running(fold):
    return lambda x, axis, dtype: fold(x, axis, dtype=x.dtype)


def _place(find):
    # Not jnp.argmax: inside an op of 64 bits it counts in int64, and can't be lowered where the outer trace has 32.
    def found(x, axis, keepdims):
        if axis is None:
            place = find(jnp.ravel(x), 0, jnp.int32)
            return jnp.reshape(place, (1,) * x.ndim) if keepdims else place
        place = find(x, axis, jnp.int32)
        return jnp.expand_dims(place, axis) if keepdims else place

    return found


mean, any, all = _folded(jnp.mean), _folded(jnp.any), _folded(jnp.all)
max, min, argmax, argmin = _peak(jnp.max), _peak(jnp.min), _place(jax.lax.argmax), _place(jax.lax.argmin)
cumsum, cumprod = _running(jnp.cumsum), _running(jnp.cumprod)
