"""The tensor: an array of the library, with kcore's operators and a place for the tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_strict as xp
import numpy as np

_STANDARD = {
    np.dtype(name) for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}
_STANDARD |= {np.dtype(name) for name in ("float32", "float64", "complex64", "complex128")}


class NoKernel(Exception):
    """The library does not do this for arrays of this dtype."""


class Tensor:
    """An array of the library; of a dtype that the standard does not have, a NumPy array.

    Operators (+, [], @...) are attached by the backend.
    """

    _node: Any = None  # how it was computed, where a gradient is being taken
    _output = 0

    def __init__(self, data: Any, dtype: np.dtype) -> None:
        self.data, self.dtype = data, dtype

    @classmethod
    def of(cls, array: np.ndarray) -> Tensor:
        """A tensor with the values of a NumPy array."""
        data = xp.asarray(np.array(array)) if array.dtype in _STANDARD else np.array(array)
        return cls(data, array.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def numpy(self) -> np.ndarray:
        return self.data if isinstance(self.data, np.ndarray) else np.from_dlpack(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype)

    def __repr__(self) -> str:
        return f"Tensor({self.numpy()!r})"

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))  # type: ignore[index]

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    __index__ = __int__


def translated(function: Callable) -> Callable:
    """An op of kcore as a function of the library's arrays: unwraps the tensors among its arguments, wraps its results."""

    def op(*args: Any) -> Any:
        arrays = [_unwrapped(a) for a in args]
        try:
            return _wrapped(function(*arrays))
        except TypeError as error:
            if "dtypes are allowed" in str(error):  # the standard has no sum of bools, say; kcore has
                raise NoKernel(str(error)) from None
            raise

    op.__name__ = getattr(function, "__name__", "op")
    op.__module__ = function.__module__
    return op


def _unwrapped(a: Any) -> Any:
    if isinstance(a, Tensor):
        if isinstance(a.data, np.ndarray):
            raise NoKernel(f"there are no {a.dtype} arrays")
        return a.data
    return [_unwrapped(x) for x in a] if isinstance(a, list) else a


def _wrapped(y: Any) -> Any:
    if isinstance(y, (list, tuple)):
        return type(y)(_wrapped(e) for e in y)
    return Tensor(y, np.dtype(str(y.dtype).rpartition(".")[2]))
