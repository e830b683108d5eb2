"""The family modules that make up the JAX backend's op table."""

from kcore.backends.jax import (
    activate,
    attention,
    control,
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
    control,
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
