"""Activations in JAX."""

from __future__ import annotations

import jax

relu, sigmoid, silu = jax.nn.relu, jax.nn.sigmoid, jax.nn.silu
elu = jax.nn.elu
softmax, log_softmax = jax.nn.softmax, jax.nn.log_softmax


def softplus(x):
    return jax.nn.softplus(x)
