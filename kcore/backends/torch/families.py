"""The family modules that make up the torch backend's op table."""

from kcore.backends.torch import (
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
