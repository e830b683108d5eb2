"""Sparse tensors: made, asked for and taken apart, in one way on every backend.

What they are is the backend's: `docs/sparse.md` says what, and what ops do with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore import backends, dtypes, ops
from kcore.backends import coo as host
from kcore.ops.symbolic import KerasTensor


def tensor(indices: Any, values: Any, shape: Any, dtype: Any = None) -> Any:
    """A sparse tensor of the active backend.

    Args:
        indices: Integers (stored, ndim): where each stored element is, in any order.
        values: (stored,). An element that is named more than once is the sum.
        shape: Sizes.
        dtype: That of the values unless given.

    Raises:
        TypeError: The indices are not integers.
        ValueError: Shapes don't go together, or an index is out of range.

    >>> x = kcore.sparse.tensor([[0, 1], [1, 2], [0, 1]], [1.0, 2.0, 3.0], (2, 3))
    >>> ops.convert_to_numpy(x)
    array([[0., 4., 0.],
           [0., 0., 2.]], dtype=float32)
    """
    name = None if dtype is None else dtypes.name_of(dtype)
    return backends.active().convert(_checked(host.checked, "tensor", indices, values, shape), name)


def from_dense(x: Any) -> Any:
    """The sparse tensor that stores the elements of x that are not 0.

    >>> kcore.sparse.is_sparse(kcore.sparse.from_dense([[0.0, 1.0]]))
    True
    """
    return backends.active().convert(host.from_dense(np.asarray(ops.convert_to_numpy(x))))


def to_dense(x: Any) -> Any:
    """x as a dense tensor, through which gradients flow."""
    return ops.convert_to_tensor(x, sparse=False)


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse tensor of any framework, a SciPy sparse array, or a symbolic tensor that stands for one."""
    return x.sparse if isinstance(x, KerasTensor) else host.is_sparse(x)


def parts(x: Any) -> tuple[Any, Any]:
    """(indices, values) of what a sparse tensor stores, each element once: (stored, ndim) and (stored,).

    On JAX there may be padding: rows of indices that are out of range.

    Raises:
        TypeError: x is not sparse.
    """
    if not host.is_sparse(x):
        raise TypeError(f"sparse.parts: x should be a sparse tensor, not {type(x).__name__}.")
    backend = backends.active()
    found = backend.coo(backend.convert(x))
    return backend.convert(found.indices), found.values


def _checked(function: Any, name: str, *args: Any) -> Any:
    try:
        return function(*args)
    except (TypeError, ValueError) as error:
        raise type(error)(f"sparse.{name}: {error}") from None
