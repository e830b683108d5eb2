"""Reductions: folds of one axis, several, or all of them."""

from __future__ import annotations

from kcore import dtypes
from kcore.ops import rules
from kcore.ops.mechanism import Axes, Plan, Tensor, op
from kcore.ops.symbolic import Spec


@op(rule=rules.folded_sum)
def sum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis`; 0 over an empty one.

    Args:
        x: Any shape and dtype. Bools and integers below 32 bits are summed in 32 bits.
        axis: An int, several, or None for all. Negative axes count from the end.
        keepdims: Keep the folded axes with size 1.

    Raises:
        ValueError: An axis is out of range or named twice.
    """


def peak(x: Spec, axis: Axes, keepdims: bool, initial: float | None) -> Plan:
    """A reduction that picks an element; an empty axis needs `initial`."""
    axes = rules.normalize_axes(axis, x.shape)
    if initial is None and any(x.shape[a] == 0 for a in axes):
        raise ValueError(f"x of shape {x.shape} has no elements along axis={axis!r}; give initial.")
    dtype = dtypes.concrete(x.dtype)
    return Plan(rules.fold(x.shape, axes, keepdims), dtype, cast=dtype, axis=axes)


@op(rule=peak)
def max(x: Tensor, axis: Axes = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """The greatest element over `axis`; nan if any is.

    Args:
        x: Any shape and dtype.
        axis: An int, several, or None for all.
        keepdims: Keep the folded axes with size 1.
        initial: Counts as one more element; needed where an axis is empty.

    Ties share the gradient equally.

    Raises:
        ValueError: An axis is out of range, named twice, or empty without `initial`.
    """


@op(rule=rules.folded_float)
def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean over `axis`, nan over an empty one.

    Integers and bools are taken as the default float. float16 and bfloat16 are summed in float32.

    Raises:
        ValueError: An axis is out of range or named twice.
    """
