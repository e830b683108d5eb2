"""The family modules that make up the tensorflow backend's op table."""

from kcore.backends.tensorflow import (
    activate,
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

MODULES = (activate, control, conv, create, elementwise, index, linalg, pool, random, reduce, shape, sort, special)
