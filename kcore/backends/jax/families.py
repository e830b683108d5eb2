"""The family modules that make up the JAX backend's op table."""

from kcore.backends.jax import create, elementwise, linalg, reduce, shape

MODULES = (create, elementwise, linalg, reduce, shape)
