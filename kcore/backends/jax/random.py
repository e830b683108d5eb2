"""Random primitives in JAX, on its Threefry kernel."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax.extend.random import threefry2x32_p

from kcore.backends.threefry import COUNTERS, threshold


@functools.partial(jax.jit, static_argnums=1)
def random_bits(key, shape):
    x0, x1 = _cipher(key, shape)
    return jnp.bitwise_xor(x0, x1)


@functools.partial(jax.jit, static_argnums=1)
def random_words(key, shape):
    return jnp.stack(_cipher(key, shape), -1)


# How many bits of a word each float takes, as jax.random does.
_PLACES = {"float16": (16, 10), "bfloat16": (8, 7), "float32": (32, 23)}


@functools.partial(jax.jit, static_argnums=(1, 2))
def random_unit(key, shape, dtype):
    if dtype == "float64":
        high, low = _cipher(key, shape)
        return high.astype(dtype) * 2.0**-32 + (low >> 12).astype(dtype) * 2.0**-52
    taken, places = _PLACES[dtype]
    bits = random_bits(key, shape) & jnp.uint32(2**taken - 1)
    return (bits >> (taken - places)).astype(dtype) * jnp.asarray(2.0**-places, dtype)


@functools.partial(jax.jit, static_argnums=(1, 2))
def random_mask(key, shape, probability):
    limit = threshold(probability)
    return jnp.ones(shape, bool) if limit == COUNTERS else random_bits(key, shape) < jnp.uint32(limit)


@functools.partial(jax.jit, static_argnums=(1, 4))
def random_uniform(key, shape, minval, maxval, dtype):
    # Compiled as one, and so with one rounding where XLA has a fused multiply-add.
    return jnp.maximum(minval, random_unit(key, shape, dtype) * (maxval - minval) + minval)


@jax.jit
def random_erfinv(x):
    return jax.lax.erf_inv(x)  # the same formula


def _cipher(key, shape):
    # Not jax.random.bits: what that gives depends on jax_threefry_partitionable, the user's setting.
    n = math.prod(shape)
    parts = [_counted(key, start, min(COUNTERS, n - start)) for start in range(0, max(n, 1), COUNTERS)]
    return [jnp.reshape(jnp.concatenate(words), shape) for words in zip(*parts)]


def _counted(key, start, n):
    """The words for `n` counters from `start`."""
    low = jax.lax.iota(jnp.uint32, n)
    k0, k1, high = (jnp.broadcast_to(k, (n,)) for k in (key[0], key[1], jnp.uint32(start // COUNTERS)))
    return threefry2x32_p.bind(k0, k1, high, low)
