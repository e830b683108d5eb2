"""The base class of initializers."""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore import backends, config, dtypes
from kcore.ops import rules


class Initializer:
    """A function of a shape and a dtype that makes a variable's first value.

    A subclass defines `__call__` and, if it takes arguments, `get_config`.
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """The first value: a tensor of that shape and dtype."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__.")

    def get_config(self) -> dict[str, Any]:
        """What it can be made from again."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """One made from a config."""
        return cls(**config)

    def clone(self) -> Any:
        """A new one with this one's config."""
        return type(self).from_config(self.get_config())


def checked(initializer: Initializer, shape: Any, dtype: Any) -> tuple[tuple[int, ...], str]:
    """(shape, dtype) as a tuple of ints and a name; None is the default float.

    Raises:
        ValueError: A size is negative or unknown, or there is no such dtype; the message names the initializer.
    """
    try:
        return rules.checked_shape(shape), config.floatx() if dtype is None else dtypes.name_of(dtype)
    except ValueError as error:
        raise ValueError(f"{type(initializer).__name__}: {error}") from None


def as_tensor(array: Any, dtype: str) -> Any:
    """The values as a tensor of the active backend."""
    backend = backends.active()
    return backend.convert(np.asarray(array).astype(dtypes.to_numpy(dtype)))
