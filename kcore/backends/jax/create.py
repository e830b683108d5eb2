"""Ops that make tensors, in JAX."""

from __future__ import annotations

import jax.numpy as jnp

from kcore import dtypes


def zeros(shape, dtype):
    return jnp.zeros(shape, dtypes.to_numpy(dtype))


def ones(shape, dtype):
    return jnp.ones(shape, dtypes.to_numpy(dtype))


def zeros_like(x, dtype):
    return jnp.zeros_like(x, dtypes.to_numpy(dtype))


def ones_like(x, dtype):
    return jnp.ones_like(x, dtypes.to_numpy(dtype))
