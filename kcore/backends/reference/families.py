"""The family modules that make up the reference backend's op table."""

from kcore.backends.reference import (
    activate,
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
