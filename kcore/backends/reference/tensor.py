"""The reference backend's tensor: a NumPy array whose operators are kcore's ops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kcore import _native
from kcore.backends.coo import Coo, densified
from kcore.backends.reference.tracer import Tracer


class Tensor(np.ndarray):
    """A NumPy array to everyone outside; `+`, `[]`, `@`... follow kcore's promotion and are differentiable.

    NumPy's own functions take it as the array that it is, without gradients. Operators are
    attached by `kcore.ops.operators`.
    """

    # The tape's record of how this tensor was computed, and which of the results it is.
    _node: Any = None
    _output = 0

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Any:
        # What NumPy's functions make of a Tensor is NumPy's: a plain array or scalar.
        return array[()] if return_scalar else array.view(np.ndarray)

    def __setitem__(self, index: Any, value: Any) -> None:
        if self._node is not None:
            raise ValueError("A tensor that gradients flow through can't be changed in place; use ops.slice_update.")
        super().__setitem__(index, value)

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray)).replace("array", "Tensor", 1)

    def __str__(self) -> str:
        return str(self.view(np.ndarray))

    def __format__(self, spec: str) -> str:
        return format(self.view(np.ndarray), spec)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __reduce__(self) -> Any:
        return np.ndarray.__reduce__(self.view(np.ndarray))

    def numpy(self) -> np.ndarray:
        """The same memory as a plain NumPy array."""
        return self.view(np.ndarray)


class Memory(np.ndarray):
    """What a variable's value lies in. Nobody but its `Storage` writes into it, so what is made of it can be kept.

    It is no view, so it is at the root of all views of it.

    Attributes:
        changes: How often it has been written since it was made.
    """

    changes = 0


_HUGE_PAGE = 2 << 20


def _lasting(shape: tuple[int, ...], dtype: np.dtype) -> Memory:
    """Memory from the pool, whose pages are huge, unless that would leave a good part of them empty.

    An optimizer walks four arrays at once, which takes a quarter longer in small pages.
    """
    size = math.prod(shape) * dtype.itemsize
    if _native.available and dtype.char in "fd" and 0 <= -size % _HUGE_PAGE <= size // 8:
        return _native.kernels.new_array(shape, dtype.name, Memory)
    return Memory(shape, dtype)


class Storage:
    """A variable's value between calls; to everyone else a tensor that can't be written.

    Attributes:
        memory: Where it lies.
        array: The same as a plain array, for `changing` alone.
        value: The tensor that ops get, read-only.
    """

    __slots__ = ("array", "memory", "value")

    def __init__(self, value: Any, dtype: Any) -> None:
        self.memory = _lasting(np.shape(value), dtype)
        self.memory[...] = value
        self.array = self.memory.view(np.ndarray)
        self.value = self.memory.view(Tensor)
        self.value.flags.writeable = False

    def __reduce__(self) -> Any:
        return Storage, (self.array.copy(), self.array.dtype)

    def changing(self) -> np.ndarray:
        """The array, to be written now."""
        self.memory.changes += 1
        return self.array


def root(x: np.ndarray) -> np.ndarray:
    """The array that `x` is a view of, after any number of views: a variable's `Memory`, or what owns the data."""
    while x.__class__ is not Memory and isinstance(x.base, np.ndarray):
        x = x.base
    return x


class SparseTensor(Coo):
    """The stored elements of a tensor: NumPy arrays, each element once, in row-major order.

    Operators are attached by `kcore.ops.operators`. SciPy's sparse arrays become one, and `tocoo` makes one
    of it again.
    """

    __slots__ = ("__weakref__", "_keras_mask")
    _home = "reference"

    def tocoo(self) -> Any:
        """The same as a `scipy.sparse.coo_array`, of any number of dimensions."""
        import scipy.sparse

        return scipy.sparse.coo_array((np.asarray(self.values), tuple(self.indices.T)), self.shape)

    def numpy(self) -> np.ndarray:
        """The dense array."""
        return densified(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return densified(self).astype(dtype, copy=False) if dtype is not None else densified(self)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))  # type: ignore[index]


def wrap(y: Any) -> Any:
    """NumPy results as Tensors: arrays and scalars, in a tuple or list or alone; no copy."""
    if isinstance(y, (tuple, list)):
        return type(y)(wrap(e) for e in y)
    if y.__class__ is Tensor or y.__class__ is Tracer:
        return y
    return np.asarray(y).view(Tensor)


def detach(x: Any) -> Any:
    """The same values with no history."""
    if isinstance(x, SparseTensor):
        return SparseTensor(x.indices, detach(x.values), x.shape)
    return x.view(np.ndarray).view(Tensor) if getattr(x, "_node", None) is not None else x
