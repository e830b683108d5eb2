"""Normalizations: x moved and scaled by statistics that are given, or taken along axes.

16-bit floats are computed in float32 and rounded once, at the end.
"""

from __future__ import annotations

from typing import Any

from kcore import config, dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Axes, Plan, Tensor, op
from kcore.ops.numerics import narrow
from kcore.ops.symbolic import Shape, Spec


def _require_fit(x: Spec, part: Spec | None, sizes: Shape, name: str) -> None:
    """Raises ValueError unless `part` has as many elements as `sizes`, as far as is known."""
    if part is None:
        return
    have, want = rules.size_of(part.shape), rules.size_of(sizes)
    if have is not None and want is not None and have != want:
        raise ValueError(
            f"{name} of shape {part.shape} does not fit the normalized sizes {sizes} of x of shape {x.shape}."
        )


def _along_axes(x: Spec, axis: Axes, epsilon: float | None = None, **parts: Spec | None) -> Plan:
    """x normalized along `axis`, with parts that have an element for each place along it."""
    axes = rules.normalize_axes(axis, x.shape)
    for name, part in parts.items():
        _require_fit(x, part, tuple(x.shape[a] for a in axes), name)
    dtype = dtypes.float_of(x.dtype)
    return Plan(x.shape, dtype, cast={"x": dtype}, axis=axes)


def _wide(*tensors: Tensor | None) -> tuple:
    """The tensors in the dtype to compute in: what they meet in, at least float32."""
    met = dtypes.promote(*(dtypes.name_of(t.dtype) for t in tensors if t is not None))
    wide = dtypes.accumulator(dtypes.float_of(met))
    return tuple(None if t is None else ops.cast(t, wide) if dtypes.name_of(t.dtype) != wide else t for t in tensors)


def _along(part: Tensor, x: Tensor, axis: tuple[int, ...]) -> Tensor:
    """`part`, in row-major order along `axis`, with size 1 elsewhere; so it broadcasts with x."""
    if axis == (len(x.shape) - 1,) and len(part.shape) == 1:
        return part
    sizes = [-1] * len(x.shape) if len(axis) == 1 else ops.shape(x)
    return ops.reshape(part, tuple(sizes[i] if i in axis else 1 for i in range(len(x.shape))))


def _scaled(y: Tensor, factor: Tensor | None, offset: Tensor | None, axis: tuple[int, ...]) -> Tensor:
    """y * factor + offset, with one of each along `axis`."""
    if factor is not None:
        y = y * _along(factor, y, axis)
    return y if offset is None else y + _along(offset, y, axis)


@op(rule=_along_axes)
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: Axes,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with one of each along `axis`.

    Args:
        x: Any shape.
        mean, variance, offset, scale: As many elements as x has along `axis`.
        axis: The axis, or axes, that these belong to: mostly the channels.
        epsilon: Added to the variance.

    Returns:
        The shape and float dtype of x.

    Raises:
        ValueError: An axis is out of range, or an operand does not fit it.

    >>> ops.batch_normalization([[1.0], [3.0]], mean=[2.0], variance=[1.0], axis=-1, epsilon=0.0)
    Tensor([[-1.],
           [ 1.]], dtype=float32)
    """
    dtype = dtypes.name_of(x.dtype)
    x, mean, variance, offset, scale = _wide(x, mean, variance, offset, scale)
    factor = ops.rsqrt(variance + epsilon)
    if scale is not None:
        factor = factor * scale
    return narrow(_scaled(x - _along(mean, x, axis), factor, offset, axis), dtype)


def _batchwise(x: Spec, **rest: Any) -> Plan:
    plan = _along_axes(x, **rest)
    statistic = Spec(tuple(x.shape[a] for a in plan.arguments["axis"]), plan.outputs.dtype)
    plan.outputs = plan.outputs, statistic, statistic
    return plan


@op(rule=_batchwise)
def normalize_batch(
    x: Tensor, offset: Tensor | None = None, scale: Tensor | None = None, axis: Axes = -1, epsilon: float = 1e-3
) -> tuple[Tensor, Tensor, Tensor]:
    """`batch_normalization` of x by its own statistics, and these.

    Args:
        x: Any shape.
        offset, scale: As many elements as x has along `axis`.
        axis: The axis, or axes, that have statistics of their own: mostly the channels.
        epsilon: Added to the variance.

    Returns:
        The result, of the shape and float dtype of x; the mean and the variance over the other axes,
        of the sizes along `axis`.

    Raises:
        ValueError: An axis is out of range, or an operand does not fit it.

    >>> y, mean, variance = ops.normalize_batch([[1.0], [3.0]], epsilon=0.0)
    >>> mean, variance
    (Tensor([2.], dtype=float32), Tensor([1.], dtype=float32))
    """
    at = (axis,) if isinstance(axis, int) else axis
    at = rules.normalize_axes(at, tuple(x.shape))
    mean, variance = ops.moments(x, tuple(i for i in range(len(x.shape)) if i not in at))
    return ops.batch_normalization(x, mean, variance, at, offset, scale, epsilon), mean, variance


def _groupwise(x: Spec, gamma: Spec | None, beta: Spec | None, groups: int, axis: int, epsilon: float) -> Plan:
    if not isinstance(axis, int):
        raise TypeError(f"axis={axis!r} should be one axis.")
    plan = _along_axes(x, axis, gamma=gamma, beta=beta)
    (at,) = plan.arguments["axis"]
    if at == 0:
        raise ValueError(f"axis={axis} is that of the samples, in x of shape {x.shape}.")
    channels = x.shape[at]
    if not isinstance(groups, int) or groups < 1 or (channels is not None and channels % groups):
        raise ValueError(f"groups={groups} can't share the {channels} channels of x of shape {x.shape} evenly.")
    return Plan(x.shape, plan.outputs.dtype, cast=plan.cast, axis=at)


@op(rule=_groupwise)
def group_normalization(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    groups: int = 32,
    axis: int = -1,
    epsilon: float = 1e-3,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, by the statistics of a group of channels in one sample.

    Args:
        x: (samples, ...), with the channels along `axis`.
        gamma, beta: As many elements as there are channels.
        groups: How many. Each is of neighbouring channels.
        axis: The axis of the channels; not the first.
        epsilon: Added to the variance.

    Returns:
        The shape and float dtype of x. A constant group gives `beta`.

    Raises:
        ValueError: The groups can't share the channels evenly, `axis` is out of range, or `gamma` or `beta` does not
            fit.
        TypeError: `axis` is not one axis.

    >>> ops.group_normalization([[1.0, 3.0, 0.0, 10.0]], groups=2, epsilon=0.0)
    Tensor([[-1.,  1., -1.,  1.]], dtype=float32)
    """
    dtype = dtypes.name_of(x.dtype)
    x, gamma, beta = _wide(x, gamma, beta)
    shape = ops.shape(x)
    grouped = ops.reshape(x, (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :]))
    mean, variance = ops.moments(grouped, tuple(i for i in range(1, len(shape) + 1) if i != axis), keepdims=True)
    y = ops.reshape((grouped - mean) * ops.rsqrt(variance + epsilon), shape)
    return narrow(_scaled(y, gamma, beta, (axis,)), dtype)


@op(rule=_along_axes)
def layer_normalization(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, axis: Axes = -1, epsilon: float | None = None
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with mean and variance over `axis`.

    Args:
        x: Any shape.
        gamma, beta: As many elements as x has along `axis`, in that order.
        axis: An int, several, or None for all.
        epsilon: Added to the variance; None is `config.epsilon()`.

    Returns:
        The shape and float dtype of x. A constant slice gives `beta`; nan and infinities make a slice nan.

    Raises:
        ValueError: An axis is out of range, or `gamma` or `beta` does not fit.

    >>> ops.layer_normalization([[1.0, 3.0], [0.0, 10.0]])
    Tensor([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """
    dtype = dtypes.name_of(x.dtype)
    x, gamma, beta = _wide(x, gamma, beta)
    centred = x - ops.mean(x, axis, keepdims=True)
    variance = ops.mean(ops.square(centred), axis, keepdims=True)
    y = centred * ops.rsqrt(variance + (config.epsilon() if epsilon is None else epsilon))
    return narrow(_scaled(y, gamma, beta, axis), dtype)


@op(rule=_along_axes)
def rms_normalization(x: Tensor, scale: Tensor | None = None, axis: Axes = -1, epsilon: float | None = None) -> Tensor:
    """x / sqrt(mean(x**2) + epsilon) * scale, with the mean over `axis` (Zhang & Sennrich 2019).

    Args:
        x: Any shape.
        scale: As many elements as x has along `axis`, in that order.
        axis: An int, several, or None for all.
        epsilon: Added to the mean square; None is `config.epsilon()`.

    Returns:
        The shape and float dtype of x. Zeros stay zeros; nan spreads along `axis`.

    Raises:
        ValueError: An axis is out of range, or `scale` does not fit.

    >>> ops.rms_normalization([[3.0, 4.0]])
    Tensor([[0.8485, 1.1314]], dtype=float32)
    """
    dtype = dtypes.name_of(x.dtype)
    x, scale = _wide(x, scale)
    square = ops.mean(ops.square(x), axis, keepdims=True)
    epsilon = config.epsilon() if epsilon is None else epsilon
    return narrow(_scaled(x * ops.rsqrt(square + epsilon), scale, None, axis), dtype)
