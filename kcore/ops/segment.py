"""Ops that gather elements into groups: sums by segment, counts, histograms."""

from __future__ import annotations

import operator
from typing import Any

from kcore import dtypes, ops
from kcore.ops import rules
from kcore.ops.convert import limits
from kcore.ops.mechanism import Plan, Tensor, documented, op
from kcore.ops.numerics import wide
from kcore.ops.symbolic import Spec

# -- segments ---------------------------------------------------------------------------


def _segmented(data: Spec, segment_ids: Spec, num_segments: int | None = None, sorted: bool = False) -> Plan:
    rules.at_least(data, 1, "data")
    rules.require_ndim(segment_ids, 1, "segment_ids")
    if None not in (data.shape[0], segment_ids.shape[0]) and data.shape[0] != segment_ids.shape[0]:
        raise ValueError(
            f"segment_ids of shape {segment_ids.shape} should be one for each row of data of shape {data.shape}."
        )
    if not dtypes.is_int(segment_ids.dtype):
        raise TypeError(f"segment_ids should be integers, not {segment_ids.dtype}.")
    count = None if num_segments is None else rules.known_size(num_segments)
    if count is not None and count < 0:
        raise ValueError(f"num_segments={num_segments!r} is negative.")
    return Plan((count, *data.shape[1:]), dtypes.concrete(data.dtype))


def _summed(data: Spec, segment_ids: Spec, num_segments: int | None = None, sorted: bool = False) -> Plan:
    plan = _segmented(data, segment_ids, num_segments)
    dtype = "int32" if dtypes.is_bool(data.dtype) else plan.outputs.dtype
    return Plan(plan.outputs.shape, dtype, cast={"data": dtype})


def _by_segment(data: Tensor, ids: Tensor, count: Any, empty: float, reduction: str) -> Tensor:
    if count is None:
        count = _one_past(ids)
    ids = ops.where(ops.less(ids, 0), count, ids)  # out of range, not from the end
    table = ops.full((count, *ops.shape(data)[1:]), empty, data.dtype)
    return ops.scatter_rows(table, ids, data, reduction)


def _one_past(numbers: Tensor, least: int = 0) -> Any:
    """The greatest number plus 1, or `least` if that is more: an int, or a tensor where it is only known later."""
    count = ops.maximum(ops.max(ops.cast(numbers, "int32"), initial=-1) + 1, least)
    return count if rules.is_traced(count) else int(ops.convert_to_numpy(count))


_SEGMENTS = """The {what} of the rows of `data` that have the same segment id.

    Args:
        data: (n, ...).
        segment_ids: Integers (n,), in any order. Rows with an id below 0, or not below `num_segments`, are left out.
        num_segments: The size of the result. For None it is the greatest id plus 1, which a compiled JAX function
            can't know.
        sorted: Whether the ids ascend; the result is the same.

    Returns:
        (num_segments, ...), {empty} where a segment has no row.{more}

    Raises:
        TypeError: The ids are not integers.
        ValueError: There is not one id for each row, or `num_segments` is negative.

    >>> ops.{name}([2, 3, 4], [0, 2, 0], 3)
    Tensor({gives}, dtype=int32)
    """


@op(rule=_summed)
@documented(_SEGMENTS, what="sum", empty="0", gives="[6, 0, 3]", more=" Bools count as int32.")
def segment_sum(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    return _by_segment(data, segment_ids, num_segments, 0, "add")


@op(rule=_summed)
@documented(_SEGMENTS, what="product", empty="1", gives="[8, 1, 3]", more=" Bools count as int32.")
def segment_prod(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    return _by_segment(data, segment_ids, num_segments, 1, "mul")


@op(rule=_segmented)
@documented(
    _SEGMENTS,
    what="greatest",
    empty="-inf, or the least integer,",
    gives="[          4, -2147483648,           3]",
    more=" Rows that tie share the gradient equally.",
)
def segment_max(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    return _by_segment(data, segment_ids, num_segments, _ends(data)[0], "max")


@op(rule=_segmented)
@documented(
    _SEGMENTS,
    what="least",
    empty="inf, or the greatest integer,",
    gives="[         2, 2147483647,          3]",
    more=" Rows that tie share the gradient equally.",
)
def segment_min(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    return _by_segment(data, segment_ids, num_segments, _ends(data)[1], "min")


def _ends(data: Tensor) -> tuple[float, float]:
    dtype = dtypes.name_of(data.dtype)
    if dtypes.is_bool(dtype):
        return False, True
    return (-float("inf"), float("inf")) if dtypes.is_float(dtype) else limits(dtype)


# -- counts -----------------------------------------------------------------------------


def _binned(x: Spec, weights: Spec | None = None, minlength: int = 0, sparse: bool = False) -> Plan:
    rules.require_ndim(x, (1, 2))
    if not (dtypes.is_int(x.dtype) or dtypes.is_bool(x.dtype)):
        raise TypeError(f"x should be integers, not {x.dtype}.")
    if weights is not None and rules.broadcast(weights.shape, x.shape) != rules.broadcast((), x.shape):
        raise ValueError(f"weights of shape {weights.shape} should have x's shape {x.shape}.")
    dtype = "int32" if weights is None else dtypes.concrete(weights.dtype)
    dtype = "int32" if dtype == "bool" else dtype
    cast = {"x": "int32", "weights": dtype}
    made = Spec((*x.shape[:-1], None), dtype, bool(sparse))
    return Plan.many(made, cast=cast, minlength=operator.index(minlength))


@op(rule=_binned)
def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """How often each number from 0 on occurs in x, or the sum of the weights where it does.

    Args:
        x: Integers, (n,), or (batch, n) for a count of each row. Those below 0 are left out.
        weights: One for each element of x.
        minlength: The least size of the result.
        sparse: Whether the result is a sparse tensor.

    Returns:
        As many counts as the greatest number of x plus 1, or `minlength`; int32, or of the dtype of the weights. A
        compiled JAX function can't know that size.

    Raises:
        TypeError: x is not of integers.
        ValueError: x has another number of dimensions, or the weights another shape.

    >>> ops.bincount([0, 2, 2])
    Tensor([1, 0, 2], dtype=int32)
    """
    count = _one_past(x, minlength)
    batch = ops.shape(x)[:-1]
    rows = batch[0] if batch else 1
    total = rows * count
    # Each row has counts of its own, one row after the other; what is left out goes past the end.
    places = x + ops.expand_dims(ops.arange(rows, dtype="int32"), 1) * count if batch else x
    places = ops.where(ops.less(x, 0), total, places)
    ones = ops.ones(ops.shape(x), "int32") if weights is None else ops.broadcast_to(weights, ops.shape(x))
    y = ops.scatter_rows(ops.zeros((total,), ones.dtype), ops.ravel(places), ops.ravel(ones), "add")
    return ops.reshape(y, (*batch, count))


def _histogrammed(x: Spec, bins: int = 10, range: tuple[float, float] | None = None) -> Plan:
    rules.require_ndim(x, 1)
    if not hasattr(bins, "__index__"):
        raise TypeError(f"bins={bins!r} should be an integer.")
    count = operator.index(bins)
    if count < 1:
        raise ValueError(f"bins={bins!r} should be at least 1.")
    if range is not None and not (len(range) == 2 and range[0] < range[1]):
        raise ValueError(f"range={range!r} should be two numbers, the second greater than the first.")
    dtype = dtypes.float_of(x.dtype)
    ends = None if range is None else tuple(float(e) for e in range)
    return Plan.many((Spec((count,), dtype), Spec((count + 1,), dtype)), cast=dtype, bins=count, range=ends)


@op(rule=_histogrammed)
def histogram(x: Tensor, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Tensor, Tensor]:
    """How many elements of x are in each of `bins` intervals of one width.

    Args:
        x: A vector. Integers are taken as the default float.
        bins: The number of intervals.
        range: The ends of the first and the last one. For None they are the least and greatest element, a half to
            either side where these are equal, and 0 and 1 where there is none; x should be finite then. What is outside, and nan, is not counted.

    Returns:
        (counts, edges), both in x's float dtype: (bins,) and (bins + 1,). 16-bit floats are compared in float32. An interval has its lower edge, and the last
        one its upper one too.

    Raises:
        ValueError: x is no vector, `bins` is below 1, or the range is empty.
        TypeError: `bins` is no integer.

    >>> ops.histogram([0.0, 0.1, 0.9, 1.0], bins=2)
    (Tensor([2., 2.], dtype=float32), Tensor([0. , 0.5, 1. ], dtype=float32))
    """
    dtype, x = x.dtype, wide(x)
    if range is not None:
        low, high = (ops.cast(e, x.dtype) for e in range)
    elif x.shape[0] == 0:
        low, high = ops.zeros((), x.dtype), ops.ones((), x.dtype)
    else:
        low, high = ops.min(x), ops.max(x)
        half = ops.where(ops.equal(low, high), 0.5, 0.0)
        low, high = low - ops.cast(half, x.dtype), high + ops.cast(half, x.dtype)
    edges = ops.linspace(low, high, bins + 1)
    places = ops.searchsorted(edges, x, "right") - 1
    places = ops.where(ops.equal(x, high), bins - 1, ops.where(ops.less(places, 0), bins, places))
    counts = ops.scatter_rows(ops.zeros((bins,), x.dtype), places, ops.ones_like(x), "add")
    return ops.cast(counts, dtype), ops.cast(edges, dtype)
