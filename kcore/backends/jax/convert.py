"""Ops that make tensors of other dtypes, in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kcore import dtypes

copy = jnp.copy


def view(x, dtype):
    if dtypes.name_of(x.dtype) == dtype:
        return x
    if x.ndim:
        return x.view(dtypes.to_numpy(dtype))
    return x[None].view(dtypes.to_numpy(dtype))[0]


def view_as_complex(x):
    return jax.lax.complex(x[..., 0], x[..., 1])
