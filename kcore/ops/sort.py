"""Ops that order elements, or look them up among ordered ones.

nan counts as greater than everything, infinity included, and the two zeros as equal.
"""

from __future__ import annotations

import operator

from kcore import dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.symbolic import Spec


def _ordered(x: Spec, axis: int | None, dtype: str) -> Plan:
    rules.require_order(x)
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

    >>> ops.sort([3, 1, 2])
    Tensor([1, 2, 3], dtype=int32)
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

    >>> ops.argsort([3, 1, 2])
    Tensor([1, 2, 0], dtype=int32)
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

    >>> ops.take([3, 1, 2], ops.argpartition([3, 1, 2], 0))[0]
    Tensor(1, dtype=int32)
    """
    return ops.argsort(x, axis)


def _topped(x: Spec, k: int, sorted: bool = True) -> Plan:
    rules.require_order(x)
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

    >>> ops.top_k([1.0, 3.0, 2.0], 2)
    (Tensor([3., 2.], dtype=float32), Tensor([1, 2], dtype=int32))
    """


# -- looked up --------------------------------------------------------------------------


def _placed(sorted_sequence: Spec, values: Spec, side: str = "left") -> Plan:
    rules.one_of(side, ("left", "right"), "side")
    rules.require_ndim(sorted_sequence, 1, "sorted_sequence")
    dtype = dtypes.promote(sorted_sequence.dtype, values.dtype)
    rules.require_order(Spec((), dtype), "an operand")
    return Plan(values.shape, "int32", cast="int32" if dtype == "bool" else dtype)


@op(rule=_placed)
def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Tensor:
    """Where each value would go into an ascending sequence, as int32.

    Args:
        sorted_sequence: A vector in ascending order, nan last.
        values: Any shape.
        side: "left" goes before equal elements, "right" after them.

    Raises:
        ValueError: The sequence is no vector, or `side` is neither.
        TypeError: An operand is complex.

    >>> ops.searchsorted([1, 3, 5], [0, 3, 6])
    Tensor([0, 1, 3], dtype=int32)
    """


def _digitized(x: Spec, bins: Spec) -> Plan:
    rules.require_ndim(bins, 1, "bins")
    return _placed(bins, x)


@op(rule=_digitized)
def digitize(x: Tensor, bins: Tensor) -> Tensor:
    """The number of the bin that each element is in, as int32.

    Args:
        x: Any shape.
        bins: The edges, ascending or descending.

    Returns:
        i where bins[i - 1] <= x < bins[i], for descending edges bins[i - 1] > x >= bins[i]; 0 before the first and
        len(bins) after the last. nan is after everything.

    Raises:
        ValueError: The edges are no vector.
        TypeError: An operand is complex.

    >>> ops.digitize([0.5, 3.0, 6.0], [1.0, 3.0, 5.0])
    Tensor([0, 2, 3], dtype=int32)
    """
    rising = ops.searchsorted(bins, x, "right")
    count = ops.shape(bins)[0]
    if isinstance(count, int) and count < 2:
        return rising
    falling = count - ops.searchsorted(ops.flip(bins), x, "right")
    return ops.where(bins[0] <= bins[-1], rising, falling)


def _members(x1: Spec, x2: Spec, assume_unique: bool = False, invert: bool = False) -> Plan:
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    rules.require_order(Spec((), dtype), "an operand")
    return Plan(x1.shape, "bool", cast=dtype)


@op(rule=_members)
def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element of x1 is among those of x2; nan is among nothing.

    Args:
        x1: Any shape.
        x2: Any shape.
        assume_unique: Whether neither has an element twice; the result is the same.
        invert: Whether to ask for those that are not.

    Raises:
        TypeError: An operand is complex.

    >>> ops.isin([1, 2, 3], [3, 1])
    Tensor([ True, False,  True])
    """
    among = ops.sort(ops.ravel(x2))
    if among.shape[0] == 0:
        found = ops.zeros_like(x1, "bool")
    else:
        places = ops.minimum(ops.searchsorted(among, x1), ops.shape(among)[0] - 1)
        found = ops.equal(ops.take(among, places, 0), x1)
    return ops.logical_not(found) if invert else found


def _in_top(targets: Spec, predictions: Spec, k: int) -> Plan:
    if not dtypes.is_int(targets.dtype):
        raise TypeError(f"targets should be integers, not {targets.dtype}.")
    rules.at_least(predictions, 1, "predictions")
    rows = predictions.shape[:-1]
    if not rules.agree(targets.shape, rows):
        raise ValueError(
            f"targets of shape {targets.shape} should be one for each row of predictions of shape {predictions.shape}."
        )
    return Plan(targets.shape, "bool", k=operator.index(k))


@op(rule=_in_top)
def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Tensor:
    """Whether the prediction for the target is among the k greatest of its row.

    Args:
        targets: The index of the target in each row, (...).
        predictions: (..., classes).
        k: How many count.

    Returns:
        True where fewer than k predictions are greater than the target's, so that ties at the edge are all in. False
        where the target is no index of the row, or its prediction nan. Other nan count as greater than nothing.

    Raises:
        TypeError: The targets are not integers.
        ValueError: There is not one target for each row.

    >>> ops.in_top_k([0, 1], [[0.2, 0.5, 0.3], [0.2, 0.5, 0.3]], k=2)
    Tensor([False,  True])
    """
    classes = ops.shape(predictions)[-1]
    valid = ops.logical_and(ops.greater_equal(targets, 0), ops.less(targets, classes))
    at = ops.expand_dims(ops.where(valid, targets, 0), -1)
    mine = ops.take_along_axis(predictions, at, -1)
    greater = ops.sum(ops.cast(ops.greater(predictions, mine), "int32"), -1)
    valid = ops.logical_and(valid, ops.equal(ops.squeeze(mine, -1), ops.squeeze(mine, -1)))
    return ops.logical_and(valid, ops.less(greater, k))


# -- unique -----------------------------------------------------------------------------


def _uniques(
    x: Spec,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Spec | None = None,
) -> Plan:
    rules.require_order(x)
    dtype = dtypes.concrete(x.dtype)
    count = None if size is None else operator.index(size)
    if count is not None and count < 0:
        raise ValueError(f"size={size!r} is negative.")
    at = None if axis is None else rules.normalize_axis(axis, x.ndim, x.shape)
    shape: tuple = (count,) if at is None else (*x.shape[:at], count, *x.shape[at + 1 :])
    outputs = [Spec(shape, dtype)]
    outputs += [Spec((count,), "int32")] * bool(return_index)
    outputs += [Spec(x.shape if at is None else (x.shape[at],), "int32")] * bool(return_inverse)
    outputs += [Spec((count,), "int32")] * bool(return_counts)
    cast = {"x": dtype, "fill_value": dtype}
    if len(outputs) == 1:
        return Plan(shape, dtype, cast=cast, axis=at, size=count)
    return Plan.many(tuple(outputs), cast=cast, axis=at, size=count)


@op(rule=_uniques)
def unique(
    x: Tensor,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Tensor | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """The different elements of x, or the different slices along an axis, in ascending order.

    Args:
        x: Any shape, real. No nan equals another.
        sorted: Whether the order matters; it is always ascending, of slices by their first element that differs.
        return_index: Whether to return where each comes first.
        return_inverse: Whether to return, for each element of x, which one it is.
        return_counts: Whether to return how often each comes.
        axis: The axis of slices; None takes the elements of the flattened x.
        size: The number to return: the rest is left out, or filled. For None it is as many as there are, which a
            compiled JAX function can't know.
        fill_value: What to fill with; the first one for None. Its index is that of the first, its count 0.

    Returns:
        The values, or a tuple of these and what else is asked for, in the order above, as int32.

    Raises:
        TypeError: x is complex.
        ValueError: The axis is out of range, or `size` is negative.

    >>> ops.unique([3, 1, 3], return_counts=True)
    (Tensor([1, 3], dtype=int32), Tensor([1, 2], dtype=int32))
    """
    rows = ops.ravel(x) if axis is None else ops.moveaxis(x, axis, 0)
    order, new = _groups(rows)
    n = ops.shape(rows)[0]
    group = ops.cumsum(ops.cast(new, "int32")) - 1  # of each row in sorted order
    found = ops.sum(ops.cast(new, "int32"))
    if size is None:
        size = found if rules.is_traced(found) else int(ops.convert_to_numpy(found))
    # The place of the first of each group, in sorted order; that of the first group where there is none.
    firsts = ops.where(new, group, size)
    starts = ops.scatter_rows(ops.zeros((size,), "int32"), firsts, ops.arange(n, dtype="int32"))
    index = ops.take(order, starts, 0)
    values = ops.take(rows, index, 0)
    if fill_value is not None:
        filled = ops.reshape(ops.less(ops.arange(size, dtype="int32"), found), (-1,) + (1,) * (len(values.shape) - 1))
        values = ops.where(filled, values, fill_value)
    results = [values if axis is None else ops.moveaxis(values, 0, axis)]
    if return_index:
        results.append(index)
    if return_inverse:
        inverse = ops.scatter_rows(ops.zeros_like(order), order, group)
        results.append(ops.reshape(inverse, ops.shape(x)) if axis is None else inverse)
    if return_counts:
        one = ops.ones_like(order)
        results.append(ops.scatter_rows(ops.zeros((size,), "int32"), group, one, "add"))
    return results[0] if len(results) == 1 else tuple(results)


def _groups(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(the indices that sort the rows, which of the sorted rows differ from the one before)."""
    n = ops.shape(rows)[0]
    columns = [rows] if len(rows.shape) == 1 else ops.unstack(ops.reshape(rows, (n, -1)), axis=1)
    order = ops.arange(n, dtype="int32")
    for column in reversed(columns):  # the first one decides: it is sorted last, and sorting is stable
        order = ops.take(order, ops.argsort(ops.take(column, order, 0)), 0)
    new = ops.equal(ops.arange(n, dtype="int32"), 0)
    for column in columns:
        ranked = ops.take(column, order, 0)
        new = ops.logical_or(new, ops.not_equal(ranked, ops.roll(ranked, 1)))
    return order, new
