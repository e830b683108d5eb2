"""Statistics: order statistics, averages, correlations, and the reductions that pass over nan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.backends.host import to_array
from kcore.ops import rules
from kcore.ops.mechanism import Axes, Plan, Tensor, op
from kcore.ops.numerics import complex_of, real_dtype, root, squared, wide
from kcore.ops.reduce import folded_peak, folded_place, folded_product, folded_spread, running
from kcore.ops.symbolic import Spec

# -- quantiles --------------------------------------------------------------------------

METHODS = ("linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf")


def _places(count: int, q: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the quantiles q lie in `count` sorted elements: between which two, and how far towards the second.

    Computed on the host in float64, so that no rounding moves a quantile to another element.
    """
    last = max(count - 1, 0)
    at = q * last
    if method == "inverted_cdf":
        low = high = np.maximum(np.ceil(q * count) - 1, 0)
    elif method == "nearest":
        low = high = np.rint(at)
    elif method == "lower":
        low = high = np.floor(at)
    elif method == "higher":
        low = high = np.ceil(at)
    else:
        low, high = np.floor(at), np.ceil(at)
    part = at - low if method == "linear" else np.full_like(at, 0.5)
    return low.astype("int32"), high.astype("int32"), np.where(low == high, 0.0, part)


def _quantile_rule(scale: float) -> Any:
    """The rule, with q given in parts of `scale`."""

    def rule(x: Spec, q: Any, axis: Axes, method: str, keepdims: bool) -> Plan:
        rules.require_order(x)
        rules.one_of(method, METHODS, "method")
        if rules.is_traced(q):
            raise TypeError("q should be known numbers; it selects elements.")
        parts = np.asarray(to_array(q) if hasattr(q, "dtype") else q, "float64")
        if not ((parts >= 0) & (parts <= scale)).all():
            raise ValueError(f"q={q!r} should be from 0 to {scale:g}.")
        axes = rules.normalize_axes(axis, x.shape)
        rules.require_elements(x, axis, axes)
        dtype = dtypes.float_of(x.dtype)
        shape = parts.shape + rules.fold(x.shape, axes, keepdims)
        return Plan(shape, dtype, cast=dtype, axis=axes, q=_nested(parts / scale))

    return rule


def _nested(q: np.ndarray) -> Any:
    """The numbers as nested tuples, which can be remembered."""
    return float(q) if q.ndim == 0 else tuple(_nested(e) for e in q)


@op(rule=_quantile_rule(1.0))
def quantile(x: Tensor, q: Any, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The value below which a share q of the elements over `axis` lies.

    Args:
        x: Any shape and real dtype. Integers are taken as the default float.
        q: A share from 0 to 1, or several in lists or an array.
        axis: An int, several, or None for all.
        method: What to take where q lies between two elements: "linear" interpolates, "lower" and "higher"
            take one of them, "midpoint" their mean, "nearest" the nearer one (of equally near, the even
            position), "inverted_cdf" the first that has a share of at least q up to it.
        keepdims: Keep the folded axes with size 1.

    Returns:
        The shape of q, then that of x less `axis`; nan where any element is.

    Raises:
        ValueError: q or `method` is none of those, an axis is out of range or empty, or, when it runs,
            its size is not known.
        TypeError: x is complex.

    >>> ops.quantile([1.0, 2.0, 4.0], 0.75)
    Tensor(3., dtype=float32)
    """
    rows, count = _sorted_rows("quantile", x, axis)
    parts = np.asarray(q, "float64")
    low, high, part = _places(count, parts.reshape(-1), method)
    found = _between(ops.take(rows, low, -1), ops.take(rows, high, -1), part)
    found = ops.where(ops.isnan(rows[..., -1:]), math.nan, found)  # nan is sorted to the end
    return _unfolded(found, parts.shape, x, axis, keepdims)


@op(rule=_quantile_rule(100.0))
def percentile(x: Tensor, q: Any, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """`quantile` with q in percent, from 0 to 100.

    >>> ops.percentile([1.0, 2.0, 4.0], 75)
    Tensor(3., dtype=float32)
    """
    return quantile(x, q, axis, method, keepdims)


@op(rule=lambda x, axis, keepdims: _quantile_rule(1.0)(x, 0.5, axis, "linear", keepdims))
def median(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The middle element over `axis` in sorted order, or the mean of the two middle ones; nan if any is.

    Raises:
        ValueError: An axis is out of range, named twice or empty.
        TypeError: x is complex.

    >>> ops.median([[1.0, 5.0, 2.0], [4.0, 0.0, 9.0]], axis=1)
    Tensor([2., 4.], dtype=float32)
    """
    return quantile(x, 0.5, axis, "linear", keepdims)


@op(rule=_quantile_rule(1.0))
def nanquantile(x: Tensor, q: Any, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """`quantile` of the elements that are not nan; nan where all are.

    >>> ops.nanquantile([1.0, float("nan"), 3.0], 0.5)
    Tensor(2., dtype=float32)
    """
    rows, count = _sorted_rows("nanquantile", x, axis)
    parts = np.asarray(q, "float64")
    # The places for each number of elements that may be left.
    tables = zip(*(_places(n, parts.reshape(-1), method) for n in range(count + 1)), strict=True)
    left = ops.sum(ops.cast(ops.logical_not(ops.isnan(rows)), "int32"), -1)
    low, high, part = (ops.take(np.stack(table), left, 0) for table in tables)
    rows = ops.where(ops.isnan(rows), math.inf, rows)
    low, high = (ops.take_along_axis(rows, at, -1) for at in (low, high))
    found = _between(low, high, ops.cast(part, dtypes.name_of(rows.dtype)))
    found = ops.where(ops.expand_dims(ops.equal(left, 0), -1), math.nan, found)
    return _unfolded(found, parts.shape, x, axis, keepdims)


@op(rule=_quantile_rule(100.0))
def nanpercentile(x: Tensor, q: Any, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """`percentile` of the elements that are not nan; nan where all are.

    >>> ops.nanpercentile([1.0, float("nan"), 3.0], 50)
    Tensor(2., dtype=float32)
    """
    return nanquantile(x, q, axis, method, keepdims)


@op(rule=lambda x, axis, keepdims: _quantile_rule(1.0)(x, 0.5, axis, "linear", keepdims))
def nanmedian(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`median` of the elements that are not nan; nan where all are.

    >>> ops.nanmedian([1.0, float("nan"), 3.0])
    Tensor(2., dtype=float32)
    """
    return nanquantile(x, 0.5, axis, "linear", keepdims)


def _sorted_rows(name: str, x: Tensor, axis: Sequence[int]) -> tuple[Tensor, int]:
    """The folded axes as one, at the end, with their elements in order; and its size."""
    kept = [i for i in range(len(x.shape)) if i not in axis]
    moved = ops.transpose(x, (*kept, *axis))
    sizes = [x.shape[i] for i in axis]
    if None in sizes:
        raise ValueError(f"{name}: the size of axis={axis} should be known; x has shape {x.shape}.")
    count = math.prod(sizes)
    return ops.sort(ops.reshape(moved, (*ops.shape(moved)[: len(kept)], count)), -1), count


def _between(low: Tensor, high: Tensor, part: Any) -> Tensor:
    """low + part * (high - low), and no nan where an infinity is not touched or met by itself."""
    alone = ops.logical_or(ops.equal(part, 0), ops.logical_and(ops.isinf(low), ops.equal(low, high)))
    gap = ops.where(alone, 0.0, ops.where(alone, 0.0, high) - ops.where(alone, 0.0, low))
    return ops.add(low, ops.multiply(gap, ops.cast(part, dtypes.name_of(low.dtype))))


def _unfolded(found: Tensor, q_shape: tuple[int, ...], x: Tensor, axis: Sequence[int], keepdims: bool) -> Tensor:
    """(kept axes, quantiles) as (quantiles, kept axes), with the folded axes back if wanted."""
    y = ops.moveaxis(found, -1, 0)
    y = ops.reshape(y, (*q_shape, *ops.shape(y)[1:]))
    return ops.expand_dims(y, [len(q_shape) + a for a in axis]) if keepdims else y


# -- averages and correlations ----------------------------------------------------------


def _averaged(x: Spec, axis: Axes, weights: Spec | None) -> Plan:
    axes = rules.normalize_axes(axis, x.shape)
    dtype = dtypes.float_of(x.dtype if weights is None else dtypes.promote(x.dtype, weights.dtype))
    if weights is not None and weights.shape != x.shape:
        if axis is None or weights.ndim != 1 or len(axes) != 1:
            raise ValueError(
                f"weights of shape {weights.shape} should have the shape of x, {x.shape}, or be a vector along one axis."
            )
        size = x.shape[axes[0]]
        if None not in (size, weights.shape[0]) and size != weights.shape[0]:
            raise ValueError(f"there are {weights.shape[0]} weights for {size} elements along axis={axis!r}.")
    return Plan(rules.fold(x.shape, axes, False), dtype, cast=dtype, axis=axes)


@op(rule=_averaged)
def average(x: Tensor, axis: Axes = None, weights: Tensor | None = None) -> Tensor:
    """The weighted mean over `axis`: sum(x * weights) / sum(weights), divided by 0 where the weights add up to it.

    Args:
        x: Any shape. Integers are taken as the default float.
        axis: An int, several, or None for all.
        weights: Of x's shape, or a vector along the one axis. None weighs all alike.

    Raises:
        ValueError: The weights don't fit, or an axis is out of range.

    >>> ops.average([1.0, 2.0], weights=[3.0, 1.0])
    Tensor(1.25, dtype=float32)
    """
    if weights is None:
        return ops.mean(x, axis)
    dtype = dtypes.name_of(x.dtype)
    x, weights = wide(x), wide(weights)
    if len(weights.shape) != len(x.shape):
        weights = ops.reshape(weights, [-1 if i in axis else 1 for i in range(len(x.shape))])
    total = ops.sum(ops.multiply(x, weights), axis)
    weight = ops.sum(ops.broadcast_to(weights, ops.shape(x)), axis)
    return ops.cast(ops.divide(total, weight), dtype)


def _correlated(x: Spec) -> Plan:
    rules.require_ndim(x, (1, 2))
    dtype = dtypes.float_of(x.dtype)
    return Plan((x.shape[0], x.shape[0]) if x.ndim == 2 else (), dtype, cast=dtype)


@op(rule=_correlated)
def corrcoef(x: Tensor) -> Tensor:
    """Pearson's correlation of every row of x with every other, held in [-1, 1]; nan where a row is constant.

    Args:
        x: (variables, observations), or (observations,), which gives 1.

    Raises:
        ValueError: x is no vector or matrix.

    >>> ops.corrcoef([[1.0, 2.0, 3.0], [6.0, 4.0, 2.0]])
    Tensor([[ 1., -1.],
           [-1.,  1.]], dtype=float32)
    """
    dtype = dtypes.name_of(x.dtype)
    x = wide(x)
    vector = len(x.shape) == 1
    rows = ops.expand_dims(x, 0) if vector else x
    centred = rows - ops.mean(rows, 1, keepdims=True)
    size = ops.cast(ops.sqrt(ops.sum(squared(centred), 1, keepdims=True)), dtypes.name_of(x.dtype))
    y = ops.divide(centred, size)
    y = ops.matmul(y, ops.conj(ops.transpose(y)))
    if dtypes.is_complex(dtype):
        y = complex_of(ops.clip(ops.real(y), -1, 1), ops.clip(ops.imag(y), -1, 1))
    else:
        y = ops.clip(y, -1, 1)
    return ops.cast(ops.squeeze(y, (0, 1)) if vector else y, dtype)


def _slid(x1: Spec, x2: Spec, mode: str) -> Plan:
    for x, name in ((x1, "x1"), (x2, "x2")):
        rules.require_ndim(x, 1, name)
        if x.shape == (0,):
            raise ValueError(f"{name} is empty.")
    rules.one_of(mode, ("valid", "same", "full"), "mode")
    dtype = dtypes.float_of(dtypes.promote(x1.dtype, x2.dtype))
    n, m = x1.shape[0], x2.shape[0]
    if None in (n, m):
        return Plan((None,), dtype, cast=dtype)
    size = {"valid": abs(n - m) + 1, "same": max(n, m), "full": n + m - 1}[mode]
    return Plan((size,), dtype, cast=dtype)


@op(rule=_slid)
def correlate(x1: Tensor, x2: Tensor, mode: str = "valid") -> Tensor:
    """The cross-correlation of two vectors: y[k] = sum over n of x1[n + k] * conj(x2[n]).

    Args:
        x1, x2: Vectors. Integers are taken as the default float.
        mode: "full" has every shift k at which they overlap, "valid" those at which the shorter one is
            inside of the longer, "same" as many as the longer one has elements, around the middle.

    Raises:
        ValueError: An operand is empty or no vector, or `mode` is none of those.

    >>> ops.correlate([1.0, 2.0, 3.0], [0.0, 1.0], mode="full")
    Tensor([1., 2., 3., 0.], dtype=float32)
    """
    n, m = x1.shape[0], x2.shape[0]
    if n < m:  # as if they were exchanged: conjugated, and the shifts in the other order
        return ops.flip(ops.conj(correlate(x2, x1, mode)))
    before = {"full": m - 1, "same": m // 2, "valid": 0}[mode]
    after = {"full": m - 1, "same": m - 1 - m // 2, "valid": 0}[mode]
    signal = ops.pad(x1, ((before, after),))
    windows = np.arange(n + before + after - m + 1)[:, None] + np.arange(m)
    return ops.matmul(ops.take(signal, windows), ops.conj(x2))


def _signal_to_noise(x1: Spec, x2: Spec, max_val: float) -> Plan:
    if not rules.agree(x1.shape, x2.shape):
        raise ValueError(f"x1 and x2 should have one shape, not {x1.shape} and {x2.shape}.")
    dtype = dtypes.float_of(dtypes.promote(x1.dtype, x2.dtype))
    return Plan((), dtype, cast=dtype)


@op(rule=_signal_to_noise)
def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Tensor:
    """The peak signal-to-noise ratio in decibels: 10 log10(max_val**2 / mean((x1 - x2)**2)); inf where they are equal.

    Args:
        x1, x2: Of one shape. Integers are taken as the default float.
        max_val: The greatest value that a signal may have.

    Raises:
        ValueError: The shapes differ.

    >>> ops.psnr([0.0, 1.0], [0.1, 0.9], max_val=1.0)
    Tensor(20., dtype=float32)
    """
    dtype = dtypes.name_of(x1.dtype)
    error = ops.mean(ops.square(wide(x1) - wide(x2)))
    return ops.cast(20 * math.log10(max_val) - 10 * ops.log10(error), dtype)


# -- reductions that pass over nan ------------------------------------------------------


def _valid(x: Tensor) -> Tensor:
    return ops.logical_not(ops.isnan(x))


@op(rule=rules.folded_sum)
def nansum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The `sum` of the elements that are not nan; 0 where all are.

    >>> ops.nansum([1.0, float("nan"), 3.0])
    Tensor(4., dtype=float32)
    """
    return ops.sum(ops.where(ops.isnan(x), 0, x), axis, keepdims)


@op(rule=lambda x, axis, keepdims: folded_product(x, axis, keepdims, None))
def nanprod(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The product of the elements that are not nan; 1 where all are.

    >>> ops.nanprod([2.0, float("nan"), 3.0])
    Tensor(6., dtype=float32)
    """
    return ops.prod(ops.where(ops.isnan(x), 1, x), axis, keepdims)


@op(rule=rules.folded_float)
def nanmean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The `mean` of the elements that are not nan; nan where all are.

    >>> ops.nanmean([1.0, float("nan"), 3.0])
    Tensor(2., dtype=float32)
    """
    dtype = dtypes.name_of(x.dtype)
    return ops.cast(_nan_mean(wide(x), _valid(x), axis, keepdims), dtype)


def _nan_mean(x: Tensor, valid: Tensor, axis: Axes, keepdims: bool, least: int = 0) -> Tensor:
    """The mean of the valid elements, of `least` ones at least."""
    total = ops.sum(ops.where(valid, x, 0), axis, keepdims)
    count = ops.sum(ops.cast(valid, real_dtype(x)), axis, keepdims)
    return ops.divide(total, ops.maximum(count, least) if least else count)


@op(rule=folded_spread)
def nanvar(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The `var` of the elements that are not nan; nan where all are.

    >>> ops.nanvar([1.0, float("nan"), 3.0])
    Tensor(1., dtype=float32)
    """
    dtype, valid = real_dtype(x), _valid(x)
    x = ops.where(valid, wide(x), 0)
    for _ in range(2):  # centred twice, as in `var`
        x = ops.where(valid, x - _nan_mean(x, valid, axis, True, least=1), 0)
    return ops.cast(_nan_mean(squared(x), valid, axis, keepdims), dtype)


@op(rule=folded_spread)
def nanstd(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The `std` of the elements that are not nan; nan where all are. Where it is 0, so is its gradient.

    >>> ops.nanstd([1.0, float("nan"), 3.0])
    Tensor(1., dtype=float32)
    """
    return ops.cast(root(nanvar(wide(x), axis, keepdims)), real_dtype(x))


@op(rule=folded_peak)
def nanmax(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The `max` of the elements that are not nan; nan where all are.

    >>> ops.nanmax([1.0, float("nan"), 3.0])
    Tensor(3., dtype=float32)
    """
    return _nan_peak(ops.max, -math.inf, x, axis, keepdims)


@op(rule=folded_peak)
def nanmin(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The `min` of the elements that are not nan; nan where all are.

    >>> ops.nanmin([1.0, float("nan"), 3.0])
    Tensor(1., dtype=float32)
    """
    return _nan_peak(ops.min, math.inf, x, axis, keepdims)


def _nan_peak(fold: Any, neutral: float, x: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    if not dtypes.is_inexact(dtypes.name_of(x.dtype)):
        return fold(x, axis, keepdims)
    gone = ops.isnan(x)
    return ops.where(ops.all(gone, axis, keepdims), math.nan, fold(ops.where(gone, neutral, x), axis, keepdims))


@op(rule=folded_place)
def nanargmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The `argmax` of the elements that are not nan; -1 where all are.

    >>> ops.nanargmax([1.0, float("nan"), 3.0])
    Tensor(2, dtype=int32)
    """
    return _nan_place(ops.argmax, -math.inf, x, axis, keepdims)


@op(rule=folded_place)
def nanargmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The `argmin` of the elements that are not nan; -1 where all are.

    >>> ops.nanargmin([1.0, float("nan"), 3.0])
    Tensor(0, dtype=int32)
    """
    return _nan_place(ops.argmin, math.inf, x, axis, keepdims)


def _nan_place(find: Any, neutral: float, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    if not dtypes.is_inexact(dtypes.name_of(x.dtype)):
        return find(x, axis, keepdims)
    gone = ops.isnan(x)
    found = find(ops.where(gone, neutral, x), axis, keepdims)
    # An infinity that stands for a nan ties with true ones: the first valid element is as good as them.
    first = ops.argmin(ops.cast(gone, "int32"), axis, keepdims)
    only = ops.equal(_nan_peak(ops.max if neutral < 0 else ops.min, neutral, x, axis, keepdims), neutral)
    return ops.where(ops.all(gone, axis, keepdims), -1, ops.where(only, first, found))


@op(rule=running)
def nancumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """`cumsum` with nan counted as 0.

    >>> ops.nancumsum([1.0, float("nan"), 3.0])
    Tensor([1., 1., 4.], dtype=float32)
    """
    return ops.cumsum(ops.where(ops.isnan(x), 0, x), axis, dtype)


@op(rule=running)
def nancumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """`cumprod` with nan counted as 1.

    >>> ops.nancumprod([2.0, float("nan"), 3.0])
    Tensor([2., 2., 6.], dtype=float32)
    """
    return ops.cumprod(ops.where(ops.isnan(x), 1, x), axis, dtype)
