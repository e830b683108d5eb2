"""The family modules that make up the JAX backend's op table."""

from kcore.backends.jax import activate, attention, create, elementwise, linalg, reduce, shape

MODULES = (activate, attention, create, elementwise, linalg, reduce, shape)
