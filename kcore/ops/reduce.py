"""Reductions: folds of one axis, several, or all of them; and running ones.

Folding an empty axis gives the neutral element (0, 1, False, True, -inf) or nan, or is refused
where there is neither. Complex numbers have no order: ops that need one refuse them.
"""

from __future__ import annotations

import math
from typing import Any

from kcore import config, dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Axes, Plan, Tensor, op
from kcore.ops.numerics import real_dtype, root, squared, vector_norm, wide
from kcore.ops.symbolic import Spec

# -- rules of this family ---------------------------------------------------------------


def _peak(x: Spec, axis: Axes, keepdims: bool, initial: float | None = None) -> Plan:
    """A reduction that picks an element; an empty axis needs `initial`."""
    rules.require_order(x)
    axes = rules.normalize_axes(axis, x.shape)
    if initial is None:
        rules.require_elements(x, axis, axes, "; give initial")
    dtype = dtypes.concrete(x.dtype)
    return Plan(rules.fold(x.shape, axes, keepdims), dtype, cast=dtype, axis=axes)


def folded_peak(x: Spec, axis: Axes, keepdims: bool) -> Plan:
    """A reduction that picks an element."""
    rules.require_elements(x, axis, rules.normalize_axes(axis, x.shape))
    return _peak(x, axis, keepdims)


def folded_place(x: Spec, axis: int | None, keepdims: bool) -> Plan:
    """A reduction to the place of an element, along one axis or (None) in the flattened tensor."""
    rules.require_order(x)
    axes = rules.normalize_axes(axis if axis is None else (axis,), x.shape)
    rules.require_elements(x, axis, axes)
    return Plan(rules.fold(x.shape, axes, keepdims), "int32", axis=None if axis is None else axes[0])


def folded_product(x: Spec, axis: Axes, keepdims: bool, dtype: Any) -> Plan:
    """As `folded_sum`, in `dtype` if one is given."""
    plan = rules.folded_sum(x, axis, keepdims)
    name = rules.dtype_or(dtype, plan.outputs.dtype)
    return Plan(plan.outputs.shape, name, cast=name, dtype=name, **plan.arguments)


def folded_spread(x: Spec, axis: Axes, keepdims: bool) -> Plan:
    """A reduction to a real float: complex numbers answer their real dtype."""
    axes = rules.normalize_axes(axis, x.shape)
    dtype = dtypes.float_of(x.dtype)
    return Plan(rules.fold(x.shape, axes, keepdims), dtypes.real_of(dtype), cast=dtype, axis=axes)


def _counted(x: Spec, axis: Axes) -> Plan:
    """A reduction that counts."""
    axes = rules.normalize_axes(axis, x.shape)
    return Plan(rules.fold(x.shape, axes, False), "int32", axis=axes)


def running(x: Spec, axis: int | None, dtype: Any) -> Plan:
    """Along one axis, or along the flattened tensor for None; bools count as int32."""
    name = rules.dtype_or(dtype, "int32" if dtypes.is_bool(x.dtype) else x.dtype)
    if axis is None:
        return Plan((rules.size_of(x.shape),), name, cast=name, dtype=name)
    return Plan(x.shape, name, cast=name, dtype=name, axis=rules.normalize_axis(axis, x.ndim, x.shape))


# -- sums and products ------------------------------------------------------------------


@op(rule=rules.folded_sum)
def sum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis`; 0 over an empty one.

    Args:
        x: Any shape and dtype. Bools and integers below 32 bits are summed in 32 bits.
        axis: An int, several, or None for all. Negative axes count from the end.
        keepdims: Keep the folded axes with size 1.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.sum([[1, 2], [3, 4]], axis=0)
    Tensor([4, 6], dtype=int32)
    """


@op(rule=folded_product)
def prod(x: Tensor, axis: Axes = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """The product over `axis`; 1 over an empty one.

    Args:
        x: Any shape and dtype. Bools and integers below 32 bits are multiplied in 32 bits.
        axis: An int, several, or None for all.
        keepdims: Keep the folded axes with size 1.
        dtype: What to multiply in and return; None is that of `x`, widened as above.

    Gradients of every order are right where elements are 0: each element's is the product of
    the others.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.prod([[1, 2], [3, 4]], axis=0)
    Tensor([3, 8], dtype=int32)
    """


@op(rule=rules.folded_float)
def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean over `axis`, nan over an empty one.

    Integers and bools are taken as the default float. float16 and bfloat16 are summed in float32.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.mean([[1, 2], [3, 5]], axis=-1)
    Tensor([1.5, 4. ], dtype=float32)
    """


@op(rule=folded_spread)
def var(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The population variance over `axis`: the mean of |x - mean(x)|**2; nan over an empty axis.

    Stable: centred before it is squared, and centred again, because the rounded mean of large numbers is
    off. Complex numbers give their real dtype.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.var([1.0, 3.0])
    Tensor(1., dtype=float32)
    """
    dtype = real_dtype(x)
    return ops.cast(mean(squared(_centred(wide(x), axis)), axis, keepdims), dtype)


def _centred(x: Tensor, axis: Axes) -> Tensor:
    x = x - mean(x, axis, keepdims=True)
    return x - mean(x, axis, keepdims=True)


@op(rule=folded_spread)
def std(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The square root of `var`. Where it is 0, so is its gradient.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.std([1.0, 3.0])
    Tensor(1., dtype=float32)
    """
    dtype = real_dtype(x)
    return ops.cast(root(var(wide(x), axis, keepdims)), dtype)


def _moments(x: Spec, axes: Axes, keepdims: bool, synchronized: bool) -> Plan:
    axes = rules.normalize_axes(axes, x.shape, "axes")
    dtype = dtypes.float_of(x.dtype)
    shape = rules.fold(x.shape, axes, keepdims)
    return Plan.many((Spec(shape, dtype), Spec(shape, dtypes.real_of(dtype))), cast=dtype, axes=axes)


@op(rule=_moments)
def moments(x: Tensor, axes: Axes, keepdims: bool = False, synchronized: bool = False) -> tuple[Tensor, Tensor]:
    """The mean and the population variance over `axes`, as (mean, variance).

    float16 and bfloat16 are summed in float32; the variance is as stable as `var`.

    Args:
        x: Any shape. Integers are taken as the default float.
        axes: An int, several, or None for all.
        keepdims: Keep the folded axes with size 1.
        synchronized: Over all replicas of a distributed run, where the framework makes each see only
            its part of the batch (tf.distribute, torch.distributed); elsewhere it changes nothing.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.moments(ops.array([1.0, 3.0]), axes=0)
    (Tensor(2., dtype=float32), Tensor(1., dtype=float32))
    """
    return mean(x, axes, keepdims), var(x, axes, keepdims)


# -- order ------------------------------------------------------------------------------


@op(rule=_peak)
def max(x: Tensor, axis: Axes = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """The greatest element over `axis`; nan if any is.

    Args:
        x: Any shape and real dtype.
        axis: An int, several, or None for all.
        keepdims: Keep the folded axes with size 1.
        initial: Counts as one more element; needed where an axis is empty.

    Ties share the gradient equally; at a tie with `initial` they get half of it.

    Raises:
        ValueError: An axis is out of range, named twice, or empty without `initial`.
        TypeError: x is complex.

    >>> ops.max([[1, 5], [3, 4]], axis=0)
    Tensor([3, 5], dtype=int32)
    """


@op(rule=_peak)
def min(x: Tensor, axis: Axes = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """The least element over `axis`; nan if any is.

    Args:
        x: Any shape and real dtype.
        axis: An int, several, or None for all.
        keepdims: Keep the folded axes with size 1.
        initial: Counts as one more element; needed where an axis is empty.

    Ties share the gradient equally; at a tie with `initial` they get half of it.

    Raises:
        ValueError: An axis is out of range, named twice, or empty without `initial`.
        TypeError: x is complex.

    >>> ops.min([[1, 5], [3, 4]], axis=0)
    Tensor([1, 4], dtype=int32)
    """


@op(rule=folded_peak)
def amax(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`max` under NumPy's other name.

    >>> ops.amax([[1, 5], [3, 4]], axis=0)
    Tensor([3, 5], dtype=int32)
    """
    return max(x, axis, keepdims)


@op(rule=folded_peak)
def amin(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`min` under NumPy's other name.

    >>> ops.amin([[1, 5], [3, 4]], axis=0)
    Tensor([1, 4], dtype=int32)
    """
    return min(x, axis, keepdims)


@op(rule=folded_peak)
def ptp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """From peak to peak: max(x) - min(x) over `axis`.

    Raises:
        ValueError: An axis is out of range, named twice or empty.
        TypeError: x is complex.

    >>> ops.ptp([1, 5, 3])
    Tensor(4, dtype=int32)
    """
    return max(x, axis, keepdims) - min(x, axis, keepdims)


@op(rule=folded_place)
def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the greatest element along `axis`, the first of several; nan counts as the greatest.

    Args:
        x: Any shape and real dtype.
        axis: One axis; None is for the index into the flattened tensor.
        keepdims: Keep the folded axis (for None: all of them) with size 1.

    Returns:
        int32.

    Raises:
        ValueError: The axis is out of range or empty.
        TypeError: x is complex.

    >>> ops.argmax([1, 5, 3])
    Tensor(1, dtype=int32)
    """


@op(rule=folded_place)
def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the least element along `axis`, the first of several; nan counts as the least.

    Args:
        x: Any shape and real dtype.
        axis: One axis; None is for the index into the flattened tensor.
        keepdims: Keep the folded axis (for None: all of them) with size 1.

    Returns:
        int32.

    Raises:
        ValueError: The axis is out of range or empty.
        TypeError: x is complex.

    >>> ops.argmin([1, 5, 3])
    Tensor(0, dtype=int32)
    """


# -- logic ------------------------------------------------------------------------------


@op(rule=rules.folded_bool)
def any(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether any element over `axis` is true; nonzero numbers and nan are. False over an empty axis.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.any([[True, False], [False, False]], axis=1)
    Tensor([ True, False])
    """


@op(rule=rules.folded_bool)
def all(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether every element over `axis` is true; nonzero numbers and nan are. True over an empty axis.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.all([[True, False], [True, True]], axis=1)
    Tensor([False,  True])
    """


@op(rule=_counted)
def count_nonzero(x: Tensor, axis: Axes = None) -> Tensor:
    """The number of elements over `axis` that are not 0, in int32; nan is not 0.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.count_nonzero([[0, 1], [2, 3]], axis=0)
    Tensor([1, 2], dtype=int32)
    """
    return sum(ops.cast(ops.not_equal(x, 0), "int32"), axis)


# -- running ----------------------------------------------------------------------------


@op(rule=running)
def cumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The sums of all elements up to each one.

    Args:
        x: Any shape and dtype. Bools are summed in int32; integers wrap around in their own dtype.
        axis: One axis; None runs through the flattened tensor.
        dtype: What to sum in and return; None is that of `x`.

    Raises:
        ValueError: The axis is out of range.

    >>> ops.cumsum([1, 2, 3])
    Tensor([1, 3, 6], dtype=int32)
    """


@op(rule=running)
def cumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The products of all elements up to each one.

    Args:
        x: Any shape and dtype. Bools are multiplied in int32; integers wrap around in their own dtype.
        axis: One axis; None runs through the flattened tensor.
        dtype: What to multiply in and return; None is that of `x`.

    Gradients of every order are right where elements are 0.

    Raises:
        ValueError: The axis is out of range.

    >>> ops.cumprod([1, 2, 3])
    Tensor([1, 2, 6], dtype=int32)
    """


# -- exponentials -----------------------------------------------------------------------


@op(rule=rules.folded_float)
def logsumexp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over `axis`, without overflow.

    Args:
        x: Any shape. Integers are taken as the default float.
        axis: An int, several, or None for all. Negative axes count from the end.
        keepdims: Keep the folded axes with size 1.

    Returns:
        The shape of `x` less `axis`, in the float dtype of `x`. Folding an empty axis
        gives -inf; infinities and nan come through as the formula has them.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.logsumexp([1000.0, 1000.0])
    Tensor(1000.6932, dtype=float32)
    """
    order = ops.real(x) if dtypes.is_complex(dtypes.name_of(x.dtype)) else x
    top = ops.stop_gradient(max(order, axis, keepdims=True, initial=-math.inf))
    top = ops.where(ops.isfinite(top), top, 0.0)  # exp carries inf and nan by itself; inf - inf would not
    total = ops.log(sum(wide(ops.exp(x - top)), axis, keepdims))
    return ops.cast(total, dtypes.name_of(x.dtype)) + (top if keepdims else sum(top, axis))


# -- norms ------------------------------------------------------------------------------


def _normalized(x: Spec, axis: int, order: int, epsilon: float | None) -> Plan:
    if not isinstance(order, (int, float)) or isinstance(order, bool) or order < 1:
        raise ValueError(f"order={order!r} should be a number of at least 1.")
    axes = rules.normalize_axes(axis, x.shape)
    dtype = dtypes.float_of(x.dtype)
    return Plan(x.shape, dtype, cast=dtype, axis=axes, epsilon=config.epsilon() if epsilon is None else epsilon)


@op(rule=_normalized)
def normalize(x: Tensor, axis: Axes = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """x divided by its norm along `axis`, or by `epsilon` where the norm is less. nan spreads along `axis`.

    Args:
        x: Any shape. Integers are taken as the default float.
        axis: An int, several, or None for all.
        order: Of the norm: the sum of |x|**order, to the power of 1 / order; inf is the greatest |x|.
        epsilon: The least divisor; None is `config.epsilon()`.

    Raises:
        ValueError: `order` is below 1, or an axis is out of range or named twice.

    >>> ops.normalize([[3.0, 4.0]])
    Tensor([[0.6, 0.8]], dtype=float32)
    """
    dtype, x = dtypes.name_of(x.dtype), wide(x)
    return ops.cast(x / ops.maximum(vector_norm(x, order, axis, keepdims=True), epsilon), dtype)
