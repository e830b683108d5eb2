"""Ops that make tensors of other things and other dtypes, without arithmetic."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from kcore import backends, dtypes, ops
from kcore.backends.coo import is_sparse
from kcore.backends.host import to_array
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.symbolic import KerasTensor, Spec

# -- conversions ------------------------------------------------------------------------


def convert_to_tensor(x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Tensor:
    """x as a tensor of the active backend.

    Args:
        x: A number, nested lists, an array, a Variable, or any framework's tensor. A KerasTensor is returned as
            it is, or cast.
        dtype: The result's; for None arrays keep theirs, and Python numbers become bool, int32, the
            default float or complex64.
        sparse: False makes a sparse x dense; else it stays sparse, and any other x dense.
        ragged: Taken as it comes: there are no ragged tensors.

    Raises:
        TypeError: x holds something else than numbers.
        ValueError: Nested lists are ragged.

    >>> ops.convert_to_tensor([1, 2], dtype="float32")
    Tensor([1., 2.], dtype=float32)
    """
    name = None if dtype is None else dtypes.name_of(dtype)
    if isinstance(x, KerasTensor):
        x = array(x) if x.sparse and sparse is False else x
        return x if name in (None, x.dtype) else ops.cast(x, name)
    if hasattr(x, "__kcore_value__"):
        x = x.__kcore_value__()
    backend = backends.active()
    if sparse is False and is_sparse(x):
        x = array(x)
    return backend.convert(x, name)


def convert_to_numpy(x: Any) -> np.ndarray:
    """x as a NumPy array of the same dtype; ml_dtypes has bfloat16 and float8. A sparse tensor becomes dense.

    Raises:
        ValueError: x is a KerasTensor, which has no values.

    >>> ops.convert_to_numpy(ops.arange(3))
    array([0, 1, 2], dtype=int32)
    """
    if isinstance(x, KerasTensor):
        return np.asarray(x)
    if hasattr(x, "__kcore_value__"):
        x = x.__kcore_value__()
    return backends.active().numpy(x)


def _arrayed(x: Spec, dtype: Any = None) -> Plan:
    name = rules.dtype_or(dtype, x.dtype)
    return Plan(x.shape, name, cast={"x": name}, dtype=name)


@op(rule=_arrayed)
def array(x: Tensor, dtype: Any = None) -> Tensor:
    """x as a dense tensor, in `dtype` if given: `convert_to_tensor` that a model can hold.

    >>> ops.array([1, 2], dtype="float32")
    Tensor([1., 2.], dtype=float32)
    """
    return x


@op(rule=rules.same)
def copy(x: Tensor) -> Tensor:
    """A tensor with x's values, in memory of its own where tensors can be changed in place.

    >>> x = ops.array([1, 2])
    >>> y = ops.copy(x)
    >>> x[0] = 5
    >>> y
    Tensor([1, 2], dtype=int32)
    """


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor of the active backend.

    >>> ops.is_tensor([1, 2]), ops.is_tensor(ops.array([1, 2]))
    (False, True)
    """
    return backends.active().is_tensor(x)


def dtype(x: Any) -> str:
    """The name of x's dtype.

    >>> ops.dtype(ops.ones(2))
    'float32'
    """
    if isinstance(x, KerasTensor) or hasattr(x, "dtype"):
        return dtypes.name_of(x.dtype)
    return dtypes.name_of(to_array(x).dtype)


# -- other dtypes -----------------------------------------------------------------------


def _viewed(x: Spec, dtype: Any = None) -> Plan:
    have = dtypes.concrete(x.dtype)
    name = have if dtype is None else dtypes.name_of(dtype)
    old, new = (dtypes.to_numpy(n).itemsize for n in (have, name))
    if old == new:
        return Plan(x.shape, name, dtype=name)
    rules.at_least(x, 1)
    last = x.shape[-1]
    if last is not None and last * old % new:
        raise ValueError(f"x of shape {x.shape} has {last * old} bytes in a row, no multiple of the {new} of {name}.")
    return Plan((*x.shape[:-1], None if last is None else last * old // new), name, dtype=name)


@op(rule=_viewed)
def view(x: Tensor, dtype: Any = None) -> Tensor:
    """The bytes of x read as another dtype; the last axis has more or fewer elements where their sizes differ.

    Args:
        x: Any shape and dtype; at least one dimension where the sizes differ.
        dtype: What to read; x's own for None. The order of bytes is little-endian.

    There is no gradient through another dtype than x's.

    Raises:
        ValueError: A row has not a whole number of elements.

    >>> ops.view(ops.array([1.0]), "int32")
    Tensor([1065353216], dtype=int32)
    """


@op(rule=lambda x, dtype: Plan(x.shape, dtypes.name_of(dtype), dtype=dtypes.name_of(dtype)))
def saturate_cast(x: Tensor, dtype: Any) -> Tensor:
    """x converted to `dtype`, with what it can't hold moved to its least or greatest value.

    Args:
        x: Any shape, real.
        dtype: The result's. Floats are truncated towards 0 to become integers, and nan becomes 0; infinities become
            the greatest finite numbers.

    The gradient is 0 where a value was moved.

    >>> ops.saturate_cast([-5, 3, 300], "uint8")
    Tensor([  0,   3, 255], dtype=uint8)
    """
    have = dtypes.name_of(x.dtype)
    if dtypes.is_bool(dtype) or dtypes.is_bool(have):
        return ops.cast(x, dtype)
    low, high = (tightest(a, b) for tightest, a, b in zip((max, min), limits(have), limits(dtype), strict=True))
    if not dtypes.is_float(have) or (dtypes.is_float(dtype) and float(np.asarray(high, dtypes.to_numpy(have))) == high):
        return ops.cast(ops.clip(x, _exactly(low, have), _exactly(high, have)), dtype)
    # The greatest number of `dtype` may be none of `have`: what reaches it is set afterwards.
    below, above = ops.less_equal(x, float(low)), ops.greater_equal(x, float(high))
    moved = ops.logical_or(below, above)
    if not dtypes.is_float(dtype):
        moved = ops.logical_or(moved, ops.isnan(x))
    rest = ops.cast(ops.where(moved, 0.0, x), dtype)
    return ops.where(above, _exactly(high, dtype), ops.where(below, _exactly(low, dtype), rest))


def _exactly(value: float, dtype: str) -> Tensor:
    """A number of that dtype; a Python integer alone would be an int32 first."""
    return ops.convert_to_tensor(np.asarray(value, dtypes.to_numpy(dtype)))


def limits(dtype: str) -> tuple[float, float]:
    """The least and the greatest finite value of a dtype."""
    kind = ml_dtypes.finfo if dtypes.is_float(dtype) else ml_dtypes.iinfo
    found = kind(dtypes.to_numpy(dtype))
    of = float if dtypes.is_float(dtype) else int
    return of(found.min), of(found.max)


def _paired(x: Spec) -> Plan:
    rules.at_least(x, 1)
    if x.shape[-1] not in (2, None):
        raise ValueError(f"x of shape {x.shape} should end in 2: the real and the imaginary part.")
    if dtypes.is_complex(x.dtype):
        raise TypeError("x is complex already.")
    part = "float64" if x.dtype == "float64" else "float32"
    return Plan(x.shape[:-1], "complex128" if part == "float64" else "complex64", cast=part)


@op(rule=_paired)
def view_as_complex(x: Tensor) -> Tensor:
    """Complex numbers from pairs of real and imaginary part along the last axis.

    Args:
        x: (..., 2), real. float64 gives complex128, anything else complex64.

    Raises:
        ValueError: The last axis has not size 2.
        TypeError: x is complex.

    >>> ops.view_as_complex([[1.0, 2.0]])
    Tensor([1.+2.j], dtype=complex64)
    """


@op(rule=lambda x: Plan((*x.shape, 2), dtypes.real_of(dtypes.concrete(x.dtype))))
def view_as_real(x: Tensor) -> Tensor:
    """The real and imaginary part of each element along a new last axis; for real x the latter is 0.

    >>> ops.view_as_real(ops.array([1 + 2j]))
    Tensor([[1., 2.]], dtype=float32)
    """
    return ops.stack([ops.real(x), ops.imag(x)], -1)
