"""Pooling: each window of an image becomes its greatest element, or its mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.ops import windows
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.rules import integers, one_of
from kcore.ops.symbolic import Spec


def _pooled(dtype: str, inputs: Spec, pool_size: Any, strides: Any, padding: str, data_format: str | None) -> Plan:
    rank = windows.spatial_rank(inputs)
    layout = windows.layout_of(data_format)
    size = integers(pool_size, rank, "pool_size")
    steps = size if strides is None else integers(strides, rank, "strides")
    one_of(padding, ("valid", "same"), "padding")
    counts, pads = windows.placed(windows.spatial_of(inputs.shape, layout), size, steps, padding)
    shape = windows.image_shape(inputs.shape[0], counts, windows.channels_of(inputs.shape, layout), layout)
    return Plan(shape, dtype, cast=dtype, pool_size=size, strides=steps, padding=pads, data_format=layout)


@op(rule=lambda inputs, **how: _pooled(dtypes.concrete(inputs.dtype), inputs, **how))
def max_pool(
    inputs: Tensor,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The greatest element of each window, over 1, 2 or 3 spatial axes.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first". Any real dtype.
        pool_size: The window, one number or one for each spatial axis.
        strides: How far it moves; None is `pool_size`.
        padding: "valid" for windows inside the image only; "same" for ceil(size / stride) of them,
            which may reach over its edges, at the end by one more where the number is odd. What is
            outside never wins.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        An image in the dtype of `inputs`. A nan in a window wins.

    Of equal elements the first in the window, row by row, gets the gradient.

    Raises:
        ValueError: The rank is another one, or no window fits the images.

    >>> ops.ravel(ops.max_pool(ops.reshape([1.0, 3.0, 2.0, 5.0], (1, 4, 1)), 2))
    Tensor([3., 5.], dtype=float32)
    """


@op(rule=lambda inputs, **how: _pooled(dtypes.float_of(inputs.dtype), inputs, **how))
def average_pool(
    inputs: Tensor,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of each window, over 1, 2 or 3 spatial axes.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
            Integers are taken as the default float.
        pool_size: The window, one number or one for each spatial axis.
        strides: How far it moves; None is `pool_size`.
        padding: "valid" for windows inside the image only; "same" for ceil(size / stride) of them,
            which may reach over its edges. The mean is of the elements inside the image.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        An image in the float dtype of `inputs`. 16-bit floats are summed in float32.

    Raises:
        ValueError: The rank is another one, or no window fits the images.

    >>> ops.ravel(ops.average_pool(ops.reshape([1.0, 3.0, 2.0], (1, 3, 1)), 2, padding="same"))
    Tensor([2., 2.], dtype=float32)
    """


def _adapted(dtype: str, inputs: Spec, output_size: Any, data_format: str | None) -> Plan:
    rank = windows.spatial_rank(inputs)
    layout = windows.layout_of(data_format)
    size = integers(output_size, rank, "output_size")
    if 0 in windows.spatial_of(inputs.shape, layout):
        raise ValueError(f"inputs of shape {inputs.shape} have nothing to pool.")
    shape = windows.image_shape(inputs.shape[0], size, windows.channels_of(inputs.shape, layout), layout)
    return Plan(shape, dtype, cast=dtype, output_size=size, data_format=layout)


def _spatial_axes(rank: int, layout: str) -> range:
    return range(1, rank + 1) if layout == "channels_last" else range(2, rank + 2)


def _even(inputs: Tensor, output_size: tuple[int, ...], layout: str) -> tuple[int, ...] | None:
    """The window with which plain pooling gives the same: where all of them have one size."""
    sizes = windows.spatial_of(inputs.shape, layout)
    if any(n is None or n % out for n, out in zip(sizes, output_size, strict=True)):
        return None
    return tuple(n // out for n, out in zip(sizes, output_size, strict=True))  # type: ignore[operator]


def _segments(x: Tensor, axis: int, out: int) -> tuple[Tensor, Tensor, Any]:
    """x with `axis` cut into `out` pieces (pieces, length), what of them counts, and how much that is.

    Piece i goes from floor(i * n / out) to ceil((i + 1) * n / out). Shorter ones repeat their last
    element, which does not count.
    """
    n = ops.shape(x)[axis]
    known = isinstance(n, int)
    xp: Any = np if known else ops
    numbers = xp.arange(out, dtype="int32")
    first, end = numbers * n // out, ((numbers + 1) * n + (out - 1)) // out
    length = int((end - first).max()) if known else n // out + 2
    index = first[:, None] + xp.arange(length, dtype="int32")[None]
    around = (1,) * axis, (1,) * (len(x.shape) - axis - 1)
    counted = ops.reshape(index < end[:, None], (*around[0], out, length, *around[1]))
    pieces = ops.take(x, xp.minimum(index, end[:, None] - 1), axis)
    return pieces, counted, ops.reshape(end - first, (*around[0], out, *around[1]))


@op(rule=lambda inputs, **how: _adapted(dtypes.float_of(inputs.dtype), inputs, **how))
def adaptive_average_pool(inputs: Tensor, output_size: int | Sequence[int], data_format: str | None = None) -> Tensor:
    """Means over windows that are chosen to give a result of `output_size`, over 1, 2 or 3 spatial axes.

    Along an axis of n elements, window i of m goes from floor(i * n / m) to ceil((i + 1) * n / m);
    so they overlap where m does not divide n.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
            Integers are taken as the default float.
        output_size: How many windows, one number or one for each spatial axis.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        An image in the float dtype of `inputs`.

    Raises:
        ValueError: The rank is another one, or a size is 0.

    >>> ops.ravel(ops.adaptive_average_pool(ops.reshape([1.0, 3.0, 2.0], (1, 3, 1)), 2))
    Tensor([2. , 2.5], dtype=float32)
    """
    window = _even(inputs, output_size, data_format)
    if window is not None:
        return average_pool(inputs, window, None, "valid", data_format)
    dtype = dtypes.name_of(inputs.dtype)
    x = ops.cast(inputs, dtypes.accumulator(dtype))
    for axis, out in reversed(list(zip(_spatial_axes(len(output_size), data_format), output_size, strict=True))):
        pieces, counted, count = _segments(x, axis, out)
        x = ops.sum(ops.where(counted, pieces, ops.zeros_like(pieces)), axis + 1) / ops.cast(count, x.dtype)
    return ops.cast(x, dtype)


@op(rule=lambda inputs, **how: _adapted(dtypes.concrete(inputs.dtype), inputs, **how))
def adaptive_max_pool(inputs: Tensor, output_size: int | Sequence[int], data_format: str | None = None) -> Tensor:
    """The greatest elements of windows that are chosen to give a result of `output_size`.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first". Any real dtype.
        output_size: How many windows, one number or one for each spatial axis; they lie as in
            `adaptive_average_pool`.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        An image in the dtype of `inputs`. A nan in a window wins.

    Of equal elements the first in the window, row by row, gets the gradient.

    Raises:
        ValueError: The rank is another one, or a size is 0.

    >>> ops.ravel(ops.adaptive_max_pool(ops.reshape([1.0, 3.0, 2.0], (1, 3, 1)), 2))
    Tensor([3., 3.], dtype=float32)
    """
    window = _even(inputs, output_size, data_format)
    if window is not None:
        return max_pool(inputs, window, None, "valid", data_format)
    x = inputs
    # From the last axis to the first, so that among equals the first row by row is found.
    for axis, out in reversed(list(zip(_spatial_axes(len(output_size), data_format), output_size, strict=True))):
        pieces, _, _ = _segments(x, axis, out)
        place = ops.argmax(pieces, axis + 1, keepdims=True)
        x = ops.squeeze(ops.take_along_axis(pieces, place, axis + 1), axis + 1)
    return x
