"""The family modules that make up the JAX backend's op table."""

from kcore.backends.jax import (
    activate,
    attention,
    conv,
    create,
    elementwise,
    index,
    linalg,
    pool,
    random,
    reduce,
    shape,
    sort,
    special,
)

MODULES = (
    activate,
    attention,
    conv,
    create,
    elementwise,
    index,
    linalg,
    pool,
    random,
    reduce,
    shape,
    sort,
    special,
)
