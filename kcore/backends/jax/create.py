"""Ops that make tensors, in JAX."""

from __future__ import annotations

import jax.numpy as jnp

from kcore import dtypes
from kcore.backends.host import float_range

tril, triu, diagonal = jnp.tril, jnp.triu, jnp.diagonal


def zeros(shape, dtype):
    return jnp.zeros(shape, dtypes.to_numpy(dtype))


def ones(shape, dtype):
    return jnp.ones(shape, dtypes.to_numpy(dtype))


def zeros_like(x, dtype):
    return jnp.zeros_like(x, dtypes.to_numpy(dtype))


def ones_like(x, dtype):
    return jnp.ones_like(x, dtypes.to_numpy(dtype))


def arange(start, stop, step, dtype):
    if dtypes.is_int(dtype) and all(isinstance(v, int) for v in (start, stop, step)):
        return jnp.arange(start, stop, step, dtypes.to_numpy(dtype))
    return jnp.asarray(float_range(start, stop, step, dtype))


def eye(N, M, k, dtype):
    return jnp.eye(N, M, k, dtypes.to_numpy(dtype))


def tri(N, M, k, dtype):
    return jnp.tri(N, M, k, dtypes.to_numpy(dtype))
