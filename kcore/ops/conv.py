"""Convolutions over one, two or three spatial axes, and windows as columns.

Images are (batch, *spatial, channels), or (batch, channels, *spatial) for
data_format="channels_first". Kernels are laid out alike for both: their spatial sizes first.
As everywhere in deep learning the kernel is not flipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.ops import windows
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.numerics import wide
from kcore.ops.rules import integers, require_ndim, size_of
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


def _require_depth(inputs: Spec, kernel: Spec, layout: str, depth: int) -> None:
    """Raises ValueError unless the inputs have the channels that the kernel takes."""
    channels = windows.channels_of(inputs.shape, layout)
    if channels not in (None, depth):
        raise ValueError(
            f"inputs of shape {inputs.shape} have {channels} channels ({layout}), "
            f"but the kernel {kernel.shape} takes {depth}."
        )


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

    >>> signal = ops.reshape([1.0, 2.0, 4.0, 7.0], (1, 4, 1))
    >>> differences = ops.reshape([-1.0, 1.0], (2, 1, 1))
    >>> ops.ravel(ops.conv(signal, differences))
    Tensor([1., 2., 3.], dtype=float32)
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
    filters, depth = kernel.shape[-2:]
    _require_depth(inputs, kernel, layout, depth)
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

    >>> signal = ops.reshape([1.0, 2.0], (1, 2, 1))
    >>> ops.ravel(ops.conv_transpose(signal, ops.ones((2, 1, 1)), strides=2))
    Tensor([1., 1., 2., 2.], dtype=float32)
    """


def _depthwise(inputs: Spec, kernel: Spec, data_format: str | None, **how: Any) -> Plan:
    rank = _same_rank(inputs, kernel)
    layout = windows.layout_of(data_format)
    depth, multiplier = kernel.shape[-2:]
    _require_depth(inputs, kernel, layout, depth)
    as_groups = Spec((*kernel.shape[:rank], 1, depth * multiplier), kernel.dtype)
    return _conv(inputs, as_groups, data_format=layout, **how)


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

    >>> images = ops.ones((1, 3, 3, 2))
    >>> ops.depthwise_conv(images, ops.ones((2, 2, 2, 1)))[0, 0, 0]
    Tensor([4., 4.], dtype=float32)
    """
    depth, multiplier = kernel.shape[-2:]
    grouped = reshape(kernel, (*kernel.shape[:-2], 1, depth * multiplier))
    return conv(inputs, grouped, strides, padding, data_format, dilation_rate)


def _separable(
    inputs: Spec, depthwise_kernel: Spec, pointwise_kernel: Spec, data_format: str | None, **how: Any
) -> Plan:
    _same_rank(inputs, depthwise_kernel, "depthwise_kernel")
    rank = _same_rank(inputs, pointwise_kernel, "pointwise_kernel")
    if set(pointwise_kernel.shape[:rank]) != {1}:
        raise ValueError(f"pointwise_kernel should have spatial sizes of 1, not shape {pointwise_kernel.shape}.")
    first = _depthwise(inputs, depthwise_kernel, data_format, **how)
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

    >>> images = ops.ones((1, 3, 3, 2))
    >>> ops.separable_conv(images, ops.ones((2, 2, 2, 1)), ops.ones((1, 1, 2, 3)))[0, 0, 0]
    Tensor([8., 8., 8.], dtype=float32)
    """
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(y, pointwise_kernel, 1, "valid", data_format, 1)


# -- windows as columns -----------------------------------------------------------------


def _columns(
    sizes: Sequence[int | None], kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[tuple[int | None, ...], dict[str, Any]]:
    """How many windows there are along the two axes, and the arguments in pairs."""
    kernel = integers(kernel_size, 2, "kernel_size")
    apart, steps = integers(dilation, 2, "dilation"), integers(stride, 2, "stride")
    pads = integers(padding, 2, "padding", least=0)
    counts, _ = windows.placed(tuple(sizes), windows.spans(kernel, apart), steps, [(p, p) for p in pads])
    return counts, {"kernel_size": kernel, "dilation": apart, "padding": pads, "stride": steps}


def _places(count: Any, size: int, dilation: int, stride: int) -> Any:
    """The position of each element of each window along a padded axis: (size, count)."""
    xp: Any = np if isinstance(count, int) else ops
    return xp.arange(size, dtype="int32")[:, None] * dilation + xp.arange(count, dtype="int32") * stride


def _unfolded(x: Spec, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Plan:
    require_ndim(x, 4)
    counts, pairs = _columns(x.shape[2:], kernel_size, dilation, padding, stride)
    channels = None if x.shape[1] is None else x.shape[1] * math.prod(pairs["kernel_size"])
    return Plan((x.shape[0], channels, size_of(counts)), dtypes.concrete(x.dtype), **pairs)


@op(rule=_unfolded)
def unfold(
    x: Tensor,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """The windows of channels-first images as columns: what turns a convolution into a product of matrices.

    Args:
        x: (batch, channels, height, width), any dtype.
        kernel_size: (height, width) of a window, or one number for both.
        dilation: How far apart a window's elements lie.
        padding: How many zeros go before and after each of the two axes.
        stride: How far the window moves.

    Returns:
        (batch, channels * height * width of a window, number of windows): a column is a window, channel by
        channel and row by row, and columns follow the windows row by row.

    Raises:
        ValueError: x has another number of dimensions, or no window fits.

    >>> ops.unfold(ops.reshape(ops.arange(6), (1, 1, 2, 3)), 2)[0]
    Tensor([[0, 1],
           [1, 2],
           [3, 4],
           [4, 5]], dtype=int32)
    """
    if any(padding):
        x = ops.constant_pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)), 0)
    batch, channels, *sizes = ops.shape(x)
    for axis, n, k, d, s in zip((2, 4), sizes, kernel_size, dilation, stride, strict=True):
        x = ops.take(x, _places((n - (k - 1) * d - 1) // s + 1, k, d, s), axis)  # (..., k, count, ...)
    x = ops.transpose(x, (0, 1, 2, 4, 3, 5))
    rows, columns = ops.shape(x)[4:]
    return ops.reshape(x, (batch, channels * math.prod(kernel_size), rows * columns))


def _folded(x: Spec, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Plan:
    require_ndim(x, 3)
    size = integers(output_size, 2, "output_size")
    counts, pairs = _columns(size, kernel_size, dilation, padding, stride)
    elements, number = math.prod(pairs["kernel_size"]), size_of(counts)
    if x.shape[1] is not None and x.shape[1] % elements:
        raise ValueError(
            f"x of shape {x.shape} has columns of {x.shape[1]} elements, "
            f"which kernel_size={kernel_size!r} can't share evenly."
        )
    if x.shape[2] not in (None, number):
        raise ValueError(
            f"x of shape {x.shape} has {x.shape[2]} columns, but output_size={output_size!r} has {number} windows."
        )
    dtype = "int32" if x.dtype == "bool" else dtypes.concrete(x.dtype)
    channels = None if x.shape[1] is None else x.shape[1] // elements
    return Plan((x.shape[0], channels, *size), dtype, cast=dtype, output_size=size, **pairs)


@op(rule=_folded)
def fold(
    x: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Channels-first images whose windows are the columns of x; where windows overlap they add up.

    It is the gradient of `unfold`, and not its inverse: an element comes back times the number of windows
    that have it.

    Args:
        x: (batch, channels * height * width of a window, number of windows), as `unfold` gives them.
        output_size: (height, width) of the result, or one number for both.
        kernel_size, dilation, padding, stride: Of the windows, as in `unfold`. What falls on the padding is dropped.

    Returns:
        (batch, channels, *output_size) in the dtype of x; bools count as int32. 16-bit floats are summed in float32.

    Raises:
        ValueError: x has another number of dimensions, or columns of another length or number.

    >>> ops.fold(ops.ones((1, 4, 2)), output_size=(2, 3), kernel_size=2)[0, 0]
    Tensor([[1., 2., 1.],
           [1., 2., 1.]], dtype=float32)
    """
    dtype, x = x.dtype, wide(x)
    batch, length, _ = ops.shape(x)
    given: Any = (output_size, padding, kernel_size, dilation, stride)
    counts = [(n + 2 * p - (k - 1) * d - 1) // s + 1 for n, p, k, d, s in zip(*given, strict=True)]
    channels = length // math.prod(kernel_size)
    size: Any = kernel_size
    x = ops.reshape(x, (batch, channels, *size, *counts))
    x = ops.transpose(x, (3, 5, 2, 4, 0, 1))  # both axes of windows in front, the columns' first
    for axis in (1, 0):
        n, count = output_size[axis], counts[axis]
        place = _places(count, kernel_size[axis], dilation[axis], stride[axis]).ravel() - padding[axis]
        place = np.where(place < 0, n, place)  # before the image; else it would count from the end
        rest = ops.shape(x)[2:]
        x = ops.scatter_rows(ops.zeros((n, *rest), x.dtype), place, ops.reshape(x, (len(place), *rest)), "add")
        x = ops.moveaxis(x, 0, -1)
    # Now (batch, channels, width, height).
    return ops.cast(ops.swapaxes(x, 2, 3), dtype)
