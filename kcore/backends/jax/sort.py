"""Ops that order elements, in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def sort(x, axis):
    return jnp.sort(x, axis, stable=True)


def argsort(x, axis):
    return jnp.argsort(x, axis, stable=True).astype("int32")


def top_k(x, k, sorted):
    key = x
    if jnp.issubdtype(x.dtype, jnp.floating):
        # XLA orders by bits: -0 before 0, and nan by its sign.
        key = jnp.where(x == 0, 0, jnp.where(jnp.isnan(x), jnp.nan, x)).astype(x.dtype)
    indices = jax.lax.top_k(jax.lax.stop_gradient(key), k)[1].astype("int32")
    return jnp.take_along_axis(x, indices, -1), indices


def searchsorted(sorted_sequence, values, side):
    return jnp.searchsorted(sorted_sequence, values, side).astype("int32")
