"""The family modules that make up the JAX backend's op table."""

from kcore.backends.jax import activate, create, elementwise, linalg, reduce, shape

MODULES = (activate, create, elementwise, linalg, reduce, shape)
