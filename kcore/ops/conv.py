"""Convolutions over one, two or three spatial axes.

Images are (batch, *spatial, channels), or (batch, channels, *spatial) for
data_format="channels_first". Kernels are laid out alike for both: their spatial sizes first.
As everywhere in deep learning the kernel is not flipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kcore import dtypes
from kcore.ops import windows
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.rules import integers
from kcore.ops.shape import reshape
from kcore.ops.symbolic import Spec


def _sum_dtype(inputs: Spec, kernel: Spec) -> str:
    """What the two meet in; int32 for two bools."""
    dtype = dtypes.promote(inputs.dtype, kernel.dtype)
    return "int32" if dtype == "bool" else dtype


def _same_rank(inputs: Spec, kernel: Spec, name: str = "the kernel") -> int:
    rank = windows.spatial_rank(inputs)
    if kernel.ndim != inputs.ndim:
        raise ValueError(
            f"inputs of shape {inputs.shape} need a kernel of {inputs.ndim} dimensions, but {name} has shape {kernel.shape}."
        )
    if None in kernel.shape:
        raise ValueError(f"the sizes of a kernel should be known, but {name} has shape {kernel.shape}.")
    if 0 in kernel.shape[:rank]:
        raise ValueError(f"{name} of shape {kernel.shape} has no elements to slide over the inputs.")
    return rank


def _conv(inputs: Spec, kernel: Spec, strides: Any, padding: Any, data_format: str | None, dilation_rate: Any) -> Plan:
    rank = _same_rank(inputs, kernel)
    layout = windows.layout_of(data_format)
    strides = integers(strides, rank, "strides")
    dilation = integers(dilation_rate, rank, "dilation_rate")
    channels = windows.channels_of(inputs.shape, layout)
    depth, filters = kernel.shape[-2:]
    if channels is not None and (channels % depth if depth else channels):
        raise ValueError(
            f"inputs of shape {inputs.shape} have {channels} channels ({layout}), "
            f"but the kernel {kernel.shape} takes a multiple of {depth}."
        )
    groups = channels // depth if channels else 1
    if filters % groups:
        raise ValueError(
            f"the kernel {kernel.shape} makes {filters} channels, which {groups} groups can't share evenly."
        )
    span = windows.spans(kernel.shape[:rank], dilation)
    sizes, pads = windows.placed(windows.spatial_of(inputs.shape, layout), span, strides, padding)
    dtype = _sum_dtype(inputs, kernel)
    shape = windows.image_shape(inputs.shape[0], sizes, filters, layout)
    return Plan(shape, dtype, cast=dtype, strides=strides, padding=pads, data_format=layout, dilation_rate=dilation)


@op(rule=_conv)
def conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str | Sequence[tuple[int, int]] = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """The convolution of images with a kernel, over 1, 2 or 3 spatial axes.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        kernel: (*size, channels / groups, filters). The shapes tell the number of groups: filters
            are cut into so many equal runs, and each run sees its own run of channels.
        strides: How far the window moves, one number or one for each spatial axis.
        padding: "valid" for none; "same" for zeros around the images, so that the result has
            ceil(size / stride) positions, with the extra zero of an odd number at the end; or
            (before, after) for each spatial axis.
        data_format: "channels_last" or "channels_first"; None is the default layout.
        dilation_rate: How far apart the kernel's elements lie.

    Returns:
        Images with `filters` channels, in the dtype that inputs and kernel meet in (int32 for two bools).
        Each element sums its window times the kernel; 16-bit floats are summed in float32.

    Raises:
        ValueError: Ranks or channels don't fit each other, or no window fits the images.
    """


def _conv_transpose(
    inputs: Spec,
    kernel: Spec,
    strides: Any,
    padding: str,
    output_padding: Any,
    data_format: str | None,
    dilation_rate: Any,
) -> Plan:
    rank = _same_rank(inputs, kernel)
    layout = windows.layout_of(data_format)
    strides = integers(strides, rank, "strides")
    dilation = integers(dilation_rate, rank, "dilation_rate")
    if padding not in ("valid", "same"):
        raise ValueError(f"padding={padding!r} should be 'valid' or 'same'.")
    several = isinstance(output_padding, (tuple, list)) and None in output_padding
    if output_padding is None or (several and set(output_padding) == {None}):
        extras: tuple[int | None, ...] = (None,) * rank
    else:
        extras = integers(output_padding, rank, "output_padding", least=0)
    channels = windows.channels_of(inputs.shape, layout)
    filters, depth = kernel.shape[-2:]
    if channels not in (None, depth):
        raise ValueError(
            f"inputs of shape {inputs.shape} have {channels} channels ({layout}), "
            f"but the kernel {kernel.shape} takes {depth}."
        )
    span = windows.spans(kernel.shape[:rank], dilation)
    cuts = [_transposed(k, s, padding, e) for k, s, e in zip(span, strides, extras, strict=True)]
    sizes = tuple(
        None if n is None else (n - 1) * s + k - before - after + extra
        for n, k, s, (before, after, extra) in zip(
            windows.spatial_of(inputs.shape, layout), span, strides, cuts, strict=True
        )
    )
    if any(n is not None and n < 0 for n in sizes):
        raise ValueError(
            f"inputs of shape {inputs.shape} with the kernel {kernel.shape} leave a negative size: {sizes}."
        )
    dtype = _sum_dtype(inputs, kernel)
    return Plan(
        windows.image_shape(inputs.shape[0], sizes, filters, layout),
        dtype,
        cast=dtype,
        strides=strides,
        padding=tuple((before, after) for before, after, _ in cuts),
        output_padding=tuple(extra for _, _, extra in cuts),
        data_format=layout,
        dilation_rate=dilation,
    )


def _transposed(span: int, stride: int, padding: str, extra: int | None) -> tuple[int, int, int]:
    """How many positions the full result, (n - 1) * stride + span long, loses in front and behind, and gains behind."""
    if padding == "valid":
        grows = extra if extra is not None else max(stride - span, 0)
        return 0, 0, grows
    # What goes is what the matching convolution would pad; without output_padding it is such
    # that n * stride positions stay.
    goes = span - stride if extra is None else 2 * (span // 2) - extra
    before = max(goes, 0) // 2
    after = goes - before
    return before, max(after, 0), max(-after, 0)


@op(rule=_conv_transpose)
def conv_transpose(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """The transpose of a convolution: each input element adds its multiple of the kernel to the result.

    It is the gradient of `conv` by its inputs, and makes images larger where conv makes them smaller.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        kernel: (*size, filters, channels).
        strides: How far apart the copies of the kernel lie, one number or one for each spatial axis.
        padding: With "valid" every copy lies inside the result; with "same" and no
            `output_padding` the result has size * stride positions.
        output_padding: Positions added at the end. With it the result has
            (size - 1) * stride + span + output_padding positions for "valid", where span is
            (kernel size - 1) * dilation + 1, and 2 * (span // 2) fewer for "same". None chooses the
            number so that "valid" has at least size * stride of them.
        data_format: "channels_last" or "channels_first"; None is the default layout.
        dilation_rate: How far apart the kernel's elements lie.

    Returns:
        Images with `filters` channels, in the dtype that inputs and kernel meet in (int32 for two bools).

    Raises:
        ValueError: Ranks or channels don't fit each other.
    """


def _depthwise(
    inputs: Spec, kernel: Spec, strides: Any, padding: Any, data_format: str | None, dilation_rate: Any
) -> Plan:
    rank = _same_rank(inputs, kernel)
    layout = windows.layout_of(data_format)
    channels = windows.channels_of(inputs.shape, layout)
    depth, multiplier = kernel.shape[-2:]
    if channels not in (None, depth):
        raise ValueError(
            f"inputs of shape {inputs.shape} have {channels} channels ({layout}), "
            f"but the kernel {kernel.shape} takes {depth}."
        )
    as_groups = Spec((*kernel.shape[:rank], 1, depth * multiplier), kernel.dtype)
    return _conv(inputs, as_groups, strides, padding, layout, dilation_rate)


@op(rule=_depthwise)
def depthwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str | Sequence[tuple[int, int]] = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """The convolution of each channel with kernels of its own.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        kernel: (*size, channels, multiplier).
        strides, padding, data_format, dilation_rate: As in `conv`.

    Returns:
        Images with channels * multiplier channels: those made of the first input channel come first.

    Raises:
        ValueError: Ranks or channels don't fit each other, or no window fits the images.
    """
    depth, multiplier = kernel.shape[-2:]
    grouped = reshape(kernel, (*kernel.shape[:-2], 1, depth * multiplier))
    return conv(inputs, grouped, strides, padding, data_format, dilation_rate)


def _separable(
    inputs: Spec,
    depthwise_kernel: Spec,
    pointwise_kernel: Spec,
    strides: Any,
    padding: Any,
    data_format: str | None,
    dilation_rate: Any,
) -> Plan:
    _same_rank(inputs, depthwise_kernel, "depthwise_kernel")
    rank = _same_rank(inputs, pointwise_kernel, "pointwise_kernel")
    if set(pointwise_kernel.shape[:rank]) != {1}:
        raise ValueError(f"pointwise_kernel should have spatial sizes of 1, not shape {pointwise_kernel.shape}.")
    first = _depthwise(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    made, depth = first.outputs, pointwise_kernel.shape[-2]
    channels = windows.channels_of(made.shape, first.arguments["data_format"])
    if channels != depth:
        raise ValueError(
            f"depthwise_kernel {depthwise_kernel.shape} makes {channels} channels, "
            f"but pointwise_kernel {pointwise_kernel.shape} takes {depth}."
        )
    second = _conv(made, pointwise_kernel, 1, "valid", data_format, 1)
    dtype = second.outputs.dtype
    return Plan(second.outputs.shape, dtype, cast=dtype, **first.arguments)


@op(rule=_separable)
def separable_conv(
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str | Sequence[tuple[int, int]] = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """`depthwise_conv`, and then a mix of the channels at each position.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        depthwise_kernel: (*size, channels, multiplier).
        pointwise_kernel: (1, ..., 1, channels * multiplier, filters).
        strides, padding, data_format, dilation_rate: Of the depthwise part, as in `conv`.

    Returns:
        Images with `filters` channels.

    Raises:
        ValueError: Ranks or channels don't fit each other, or no window fits the images.
    """
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(y, pointwise_kernel, 1, "valid", data_format, 1)
