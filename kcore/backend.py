"""kcore.backend: which backend is active. As a function, a context manager that switches it.

with kcore.backend("torch"):
    ...  # runs on torch, in this thread or async task
"""

from __future__ import annotations

import gc
import sys
import types
from contextlib import AbstractContextManager
from typing import Any

from kcore import backends, dtypes, naming
from kcore.backends import active, installed, names
from kcore.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from kcore.dtypes import result_type
from kcore.naming import auto_name as get_uid
from kcore.ops.symbolic import KerasTensor

standardize_dtype = dtypes.standardize


def is_float_dtype(dtype: Any) -> bool:
    """Whether it is a real floating-point dtype."""
    return dtypes.is_float(dtypes.name_of(dtype))


def is_int_dtype(dtype: Any) -> bool:
    """Whether it is an integer dtype, signed or not."""
    return dtypes.is_int(dtypes.name_of(dtype))


def is_keras_tensor(x: Any) -> bool:
    """Whether it is a symbolic tensor."""
    return isinstance(x, KerasTensor)


def clear_session(free_memory: bool = True) -> None:
    """Starts automatic names and the global seed generator again. There is no global graph to clear."""
    from kcore.random.seed_generator import reset_global_seed_generator

    naming.reset_names()
    reset_global_seed_generator()
    if free_memory:
        gc.collect()


class _Module(types.ModuleType):
    """This module, callable."""

    def __call__(self, name: str) -> AbstractContextManager:
        """A context in which the named backend is active."""
        return backends.use(name)


sys.modules[__name__].__class__ = _Module
