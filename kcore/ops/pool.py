"""Pooling: each window of an image becomes its greatest element, or its mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kcore import dtypes
from kcore.ops import windows
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.rules import integers, one_of
from kcore.ops.symbolic import Spec


def _pooled(inputs: Spec, dtype: str, pool_size: Any, strides: Any, padding: str, data_format: str | None) -> Plan:
    rank = windows.spatial_rank(inputs)
    layout = windows.layout_of(data_format)
    size = integers(pool_size, rank, "pool_size")
    steps = size if strides is None else integers(strides, rank, "strides")
    one_of(padding, ("valid", "same"), "padding")
    counts, pads = windows.placed(windows.spatial_of(inputs.shape, layout), size, steps, padding)
    shape = windows.image_shape(inputs.shape[0], counts, windows.channels_of(inputs.shape, layout), layout)
    return Plan(shape, dtype, cast=dtype, pool_size=size, strides=steps, padding=pads, data_format=layout)


def _greatest(inputs: Spec, pool_size: Any, strides: Any, padding: str, data_format: str | None) -> Plan:
    return _pooled(inputs, dtypes.concrete(inputs.dtype), pool_size, strides, padding, data_format)


def _averaged(inputs: Spec, pool_size: Any, strides: Any, padding: str, data_format: str | None) -> Plan:
    return _pooled(inputs, dtypes.float_of(inputs.dtype), pool_size, strides, padding, data_format)


@op(rule=_greatest)
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
    """


@op(rule=_averaged)
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
    """
