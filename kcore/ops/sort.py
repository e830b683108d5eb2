"""Ops that order elements, or look them up among ordered ones.

nan counts as greater than everything, infinity included, and the two zeros as equal.
"""

from __future__ import annotations

import operator

from kcore import dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.symbolic import Spec


def _require_order(x: Spec, name: str = "x") -> None:
    if dtypes.is_complex(x.dtype):
        raise TypeError(f"{name} is complex; complex numbers have no order.")


def _ordered(x: Spec, axis: int | None, dtype: str) -> Plan:
    _require_order(x)
    if axis is None:
        return Plan((rules.size_of(x.shape),), dtype)
    return Plan(x.shape, dtype, axis=rules.normalize_axis(axis, x.ndim, x.shape))


@op(rule=lambda x, axis=-1: _ordered(x, axis, dtypes.concrete(x.dtype)))
def sort(x: Tensor, axis: int | None = -1) -> Tensor:
    """x with the elements along an axis in ascending order, equal ones in the order they had.

    Args:
        x: Any shape, real.
        axis: An int; None sorts the flattened x.

    nan comes last. The gradient follows each element to its place.

    Raises:
        TypeError: x is complex.
        ValueError: The axis is out of range.
    """
    if axis is None:
        x, axis = ops.ravel(x), 0
    return ops.take_along_axis(x, ops.argsort(x, axis), axis)


@op(rule=lambda x, axis=-1: _ordered(x, axis, "int32"))
def argsort(x: Tensor, axis: int | None = -1) -> Tensor:
    """The indices that sort x along an axis, as int32; equal elements stay in order, nan comes last.

    Args:
        x: Any shape, real.
        axis: An int; None sorts the flattened x.

    Raises:
        TypeError: x is complex.
        ValueError: The axis is out of range.
    """


def _partitioned(x: Spec, kth: int, axis: int | None = -1) -> Plan:
    plan = _ordered(x, axis, "int32")
    size = plan.outputs.shape[plan.arguments.get("axis", 0)]
    at = operator.index(kth)
    if size is not None:
        at = rules.normalize_axis(kth, size, name="kth")
    plan.arguments["kth"] = at
    return plan


@op(rule=_partitioned)
def argpartition(x: Tensor, kth: int, axis: int | None = -1) -> Tensor:
    """Indices that put the kth smallest element in its place, smaller ones before it, greater ones after.

    The order on either side is not promised; here it is that of `argsort`.

    Args:
        x: Any shape, real.
        kth: A position in the sorted order; negative ones count from the end.
        axis: An int; None takes the flattened x.

    Raises:
        TypeError: x is complex.
        ValueError: `kth` or the axis is out of range.
    """
    return ops.argsort(x, axis)


def _topped(x: Spec, k: int, sorted: bool = True) -> Plan:
    _require_order(x)
    rules.require_ndim(x, (1, 32))
    count = operator.index(k)
    size = x.shape[-1]
    if count < 0 or (size is not None and count > size):
        raise ValueError(f"k={k!r} is out of range for x of shape {x.shape}; expected 0 <= k <= {size}.")
    shape = (*x.shape[:-1], count)
    return Plan.many((Spec(shape, dtypes.concrete(x.dtype)), Spec(shape, "int32")), k=count)


@op(rule=_topped)
def top_k(x: Tensor, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The k greatest elements along the last axis, and their indices.

    Args:
        x: At least one dimension, real.
        k: How many.
        sorted: Whether they have to be in descending order; they always are.

    Returns:
        (values, indices), both (..., k); indices are int32. Of equal elements the one with the lower index
        comes first; nan is greater than any number.

    Raises:
        TypeError: x is complex.
        ValueError: `k` is negative or greater than the axis.
    """
