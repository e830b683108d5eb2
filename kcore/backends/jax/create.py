"""Ops that make tensors, in JAX."""

from __future__ import annotations

import jax.numpy as jnp

from kcore import dtypes
from kcore.backends.host import float_range

tril, triu, diagonal = jnp.tril, jnp.triu, jnp.diagonal


def _typed(make):
    """The function, whose last argument is a dtype, with the dtype by its name."""
    return lambda *given: make(*given[:-1], dtypes.to_numpy(given[-1]))


zeros, ones, eye, tri = _typed(jnp.zeros), _typed(jnp.ones), _typed(jnp.eye), _typed(jnp.tri)
zeros_like, ones_like = _typed(jnp.zeros_like), _typed(jnp.ones_like)


def arange(start, stop, step, dtype):
    if dtypes.is_int(dtype) and all(isinstance(v, int) for v in (start, stop, step)):
        return jnp.arange(start, stop, step, dtypes.to_numpy(dtype))
    return jnp.asarray(float_range(start, stop, step, dtype))
