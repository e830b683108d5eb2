"""Ops on images: `kcore.ops.image`.

An image is (height, width, channels), a batch (batch, height, width, channels); for
data_format="channels_first" the channels come before the height.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.ops import rules, windows
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.resample import (
    affine_transform,
    as_given,
    bordered,
    computing_dtype,
    elastic_transform,
    frame_of,
    map_coordinates,
    one_image_as_batch,
    perspective_transform,
    require_images,
    resize,
    restored,
    scale_and_translate,
    with_size,
)
from kcore.ops.symbolic import Spec

__all__ = [
    "affine_transform",
    "crop_images",
    "elastic_transform",
    "extract_patches",
    "extract_patches_3d",
    "gaussian_blur",
    "hsv_to_rgb",
    "map_coordinates",
    "pad_images",
    "perspective_transform",
    "resize",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "scale_and_translate",
    "sobel_edges",
    "ssim",
]


# -- cropping and padding ---------------------------------------------------------------


def _two_of(before: Any, after: Any, target: Any, names: Sequence[str]) -> None:
    """Raises ValueError unless two of the three are given, and are sizes."""
    given = dict(zip(names, (before, after, target), strict=True))
    told = ", ".join(f"{n}={v!r}" for n, v in given.items())
    if sum(v is not None for v in given.values()) != 2:
        raise ValueError(f"give exactly two of {', '.join(names)}; here {told}.")
    if any(v is not None and (not hasattr(v, "__index__") or v < 0) for v in given.values()):
        raise ValueError(f"{told}: sizes should be integers of at least 0.")


def _edged(kind: str, images: Spec, data_format: str | None, **edges: int | None) -> Plan:
    """The rule of crop_images (of kind "cropping") and pad_images ("padding")."""
    require_images(images)
    layout = windows.layout_of(data_format)
    sizes = []
    for axis, *names in (
        (0, f"top_{kind}", f"bottom_{kind}", "target_height"),
        (1, f"left_{kind}", f"right_{kind}", "target_width"),
    ):
        before, after, target = (edges[name] for name in names)
        _two_of(before, after, target, names)
        n = images.shape[frame_of(layout)[axis]]
        told = ", ".join(f"{name}={edges[name]}" for name in names)
        ends = (before or 0) + (after or 0)
        if n is not None and kind == "cropping" and ends + (target or 0) > n:
            raise ValueError(f"images of shape {images.shape} have only {n} pixels to crop from; {told}.")
        if n is not None and kind == "padding" and target is not None and target < n + ends:
            raise ValueError(f"images of shape {images.shape} have {n} pixels already; {told} leaves no room.")
        if target is None and n is not None:
            target = n - ends if kind == "cropping" else n + ends
        sizes.append(target)
    return Plan(with_size(images.shape, layout, *sizes), dtypes.concrete(images.dtype), data_format=layout)


@op(rule=lambda **given: _edged("cropping", **given))
def crop_images(
    images: Tensor,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """A part of the images.

    Args:
        images: One image or a batch, any dtype.
        top_cropping, bottom_cropping, target_height: How many rows go above and below, and how many
            stay; exactly two of them.
        left_cropping, right_cropping, target_width: The same for columns.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Raises:
        ValueError: Not exactly two are given, one is negative, or there are too few pixels.

    >>> ops.image.crop_images(ops.zeros((1, 5, 6, 3)), top_cropping=1, left_cropping=2, target_height=3, target_width=3).shape
    (1, 3, 3, 3)
    """
    index: list[Any] = [slice(None)] * len(images.shape)
    for axis, before, after, target in zip(
        frame_of(data_format),
        (top_cropping, left_cropping),
        (bottom_cropping, right_cropping),
        (target_height, target_width),
        strict=False,
    ):
        # Counted from the end where the size is not needed for it, because it may be unknown.
        if after is None:
            index[axis] = slice(before, before + target)
        else:
            start = before if before is not None else ops.shape(images)[axis] - after - target
            index[axis] = slice(start, -after if after else None)
    return ops.get_item(images, tuple(index))


@op(rule=lambda **given: _edged("padding", **given))
def pad_images(
    images: Tensor,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """The images with zeros around them.

    Args:
        images: One image or a batch, any dtype.
        top_padding, bottom_padding, target_height: How many rows come above and below, and how many there
            are then; exactly two of them.
        left_padding, right_padding, target_width: The same for columns.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Raises:
        ValueError: Not exactly two are given, one is negative, or the target is too small.

    >>> ops.image.pad_images(ops.ones((2, 2, 1)), top_padding=1, left_padding=0, target_height=3, target_width=3)[:, :, 0]
    Tensor([[0., 0., 0.],
           [1., 1., 0.],
           [1., 1., 0.]], dtype=float32)
    """
    x = images
    for axis, before, after, target in zip(
        frame_of(data_format),
        (top_padding, left_padding),
        (bottom_padding, right_padding),
        (target_height, target_width),
        strict=False,
    ):
        if target is not None:
            rest = target - ops.shape(images)[axis] - (after if before is None else before)
            before, after = (rest, after) if before is None else (before, rest)
        x = bordered(x, axis, before, after, 0)
    return x


# -- patches ----------------------------------------------------------------------------


def _patches(
    rank: int, name: str, x: Spec, size: Any, strides: Any, dilation_rate: Any, padding: str, data_format: Any
) -> Plan:
    rules.require_ndim(x, (rank + 1, rank + 2), name)
    layout = windows.layout_of(data_format)
    size = rules.integers(size, rank, "size")
    steps = size if strides is None else rules.integers(strides, rank, "strides")
    dilation = rules.integers(dilation_rate, rank, "dilation_rate")
    rules.one_of(padding, ("valid", "same"), "padding")
    lead, shape = x.shape[: x.ndim - rank - 1], (None, *x.shape[x.ndim - rank - 1 :])
    channels = windows.channels_of(shape, layout)
    counts, _ = windows.placed(windows.spatial_of(shape, layout), windows.spans(size, dilation), steps, padding)
    made = None if channels is None else channels * math.prod(size)
    return Plan(
        (*lead, *windows.image_shape(None, counts, made, layout)[1:]),
        dtypes.concrete(x.dtype),
        size=size,
        strides=steps,
        dilation_rate=dilation,
        data_format=layout,
    )


def _cut(x: Tensor, size: tuple, strides: tuple, dilation: tuple, padding: str, layout: str) -> Tensor:
    """What each window holds, as the channels of the result: for each place in the window, all channels."""
    rank, ndim = len(size), len(x.shape)
    axes = range(ndim - rank - 1, ndim - 1) if layout == "channels_last" else range(ndim - rank, ndim)
    if (
        strides == size
        and max(dilation) == 1
        and all(x.shape[a] and x.shape[a] % k == 0 for a, k in zip(axes, size, strict=True))
    ):
        return _tiles(x, size, axes, layout)
    span = windows.spans(size, dilation)
    counts = []
    for axis, k, s in zip(axes, span, strides, strict=True):
        n = ops.shape(x)[axis]
        if padding == "same":
            count = -(-n // s)
            total = (count - 1) * s + k - n
            total = max(total, 0) if isinstance(total, int) else ops.maximum(total, 0)
            x = bordered(x, axis, total // 2, total - total // 2, 0)
        else:
            count = (n - k) // s + 1
        counts.append(count)
    parts = []
    for place in itertools.product(*map(range, size)):
        index: list[Any] = [slice(None)] * ndim
        for axis, p, d, s, count in zip(axes, place, dilation, strides, counts, strict=True):
            index[axis] = slice(p * d, p * d + (count - 1) * s + 1, s)
        parts.append(ops.get_item(x, tuple(index)))
    return ops.concatenate(parts, -1 if layout == "channels_last" else ndim - rank - 1)


def _tiles(x: Tensor, size: tuple, axes: range, layout: str) -> Tensor:
    """The same where windows lie side by side and fill the image: one reshape and one transpose."""
    sizes = ops.shape(x)
    lead = list(sizes[: len(sizes) - len(size) - 1])
    counts = [sizes[a] // k for a, k in zip(axes, size, strict=True)]
    cut = [n for pair in zip(counts, size, strict=True) for n in pair]
    first, rank = len(lead), len(size)
    last = layout == "channels_last"
    channels = sizes[-1] if last else sizes[first]
    x = ops.reshape(x, (*lead, *cut, channels) if last else (*lead, channels, *cut))
    begin = first if last else first + 1
    outer, inner = range(begin, begin + 2 * rank, 2), range(begin + 1, begin + 2 * rank, 2)
    made = channels * math.prod(size)
    if last:
        return ops.reshape(ops.transpose(x, (*range(first), *outer, *inner, len(x.shape) - 1)), (*lead, *counts, made))
    return ops.reshape(ops.transpose(x, (*range(first), *inner, first, *outer)), (*lead, made, *counts))


@op(rule=lambda images, **how: _patches(2, "images", images, **how))
def extract_patches(
    images: Tensor,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The windows of images, each laid out along the channels.

    Args:
        images: One image or a batch, any dtype.
        size: (height, width) of a window, or one number for both.
        strides: How far it moves; None is `size`.
        dilation_rate: How far apart the pixels lie that it takes.
        padding: "valid" for windows inside the image only; "same" for ceil(size / stride) of them, with
            zeros around the image.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        (batch, rows, columns, height * width * channels), for one image without the batch: row by
        row of the window, and for each pixel its channels.

    Raises:
        ValueError: No window fits, or an argument is none of the above.

    >>> image = ops.reshape(ops.arange(16), (4, 4, 1))
    >>> ops.image.extract_patches(image, 2)[0]
    Tensor([[0, 1, 4, 5],
           [2, 3, 6, 7]], dtype=int32)
    """
    return _cut(images, size, strides, dilation_rate, padding, data_format)


@op(rule=lambda volumes, **how: _patches(3, "volumes", volumes, **how))
def extract_patches_3d(
    volumes: Tensor,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The windows of volumes, each laid out along the channels; see `extract_patches`.

    Args:
        volumes: (batch, depth, height, width, channels), or without the batch.
        size: (depth, height, width) of a window, or one number for all.
        strides, dilation_rate, padding, data_format: As in `extract_patches`.

    Returns:
        (batch, slices, rows, columns, depth * height * width * channels).

    Raises:
        ValueError: No window fits, or an argument is none of the above.

    >>> ops.image.extract_patches_3d(ops.zeros((1, 4, 4, 4, 2)), 2).shape
    (1, 2, 2, 2, 16)
    """
    return _cut(volumes, size, strides, dilation_rate, padding, data_format)


# -- filters ----------------------------------------------------------------------------


def _bell(size: int, sigma: float) -> np.ndarray:
    """`size` values of a Gaussian around its middle; they sum to 1."""
    x = np.arange(size) - (size - 1) / 2
    y = np.exp(-0.5 * np.square(x / sigma))
    return y / y.sum()


def _filtered(x: Tensor, down: np.ndarray, across: np.ndarray, padding: str) -> Tensor:
    """Batches of channels-last images, each channel filtered along its columns and then its rows."""
    channels = x.shape[-1]
    for weights, shape in ((down, (-1, 1, 1, 1)), (across, (1, -1, 1, 1))):
        kernel = np.repeat(weights.reshape(shape), channels, 2).astype(dtypes.name_of(x.dtype))
        x = ops.depthwise_conv(x, kernel, 1, padding, "channels_last")
    return x


def _blurred(images: Spec, kernel_size: Any, sigma: Any, data_format: str | None) -> Plan:
    require_images(images)
    size = rules.integers(kernel_size, 2, "kernel_size")
    sigmas = tuple(sigma) if isinstance(sigma, (tuple, list)) else (sigma,) * 2
    if len(sigmas) != 2 or not all(float(s) > 0 for s in sigmas):
        raise ValueError(f"sigma={sigma!r} should be a positive number, or two of them.")
    dtype = dtypes.concrete(images.dtype)
    layout = windows.layout_of(data_format)
    return Plan(images.shape, dtype, kernel_size=size, sigma=tuple(map(float, sigmas)), data_format=layout)


@op(rule=_blurred)
def gaussian_blur(
    images: Tensor,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Images blurred by a bell curve, cut off and scaled to a sum of 1. Beyond the edges are zeros.

    Args:
        images: One image or a batch, any real dtype.
        kernel_size: (height, width) of the curve.
        sigma: Its standard deviations along height and width, in pixels.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        Images of the same shape and dtype; integers are rounded.

    Raises:
        ValueError: A size or a deviation is not positive.

    >>> image = ops.image.pad_images(ops.ones((1, 1, 1)), 1, 1, 1, 1)
    >>> ops.image.gaussian_blur(image)[:, :, 0]
    Tensor([[0.0751, 0.1238, 0.0751],
           [0.1238, 0.2042, 0.1238],
           [0.0751, 0.1238, 0.0751]], dtype=float32)
    """
    dtype = dtypes.name_of(images.dtype)
    x = ops.cast(one_image_as_batch(images, data_format), computing_dtype(dtype))
    down, across = (_bell(k, s) for k, s in zip(kernel_size, sigma, strict=True))
    return as_given(restored(_filtered(x, down, across, "same"), dtype), len(images.shape), data_format)


def _sobel(images: Spec, data_format: str | None) -> Plan:
    require_images(images)
    dtype = dtypes.float_of(images.dtype)
    return Plan((*images.shape, 2), dtype, cast=dtype, data_format=windows.layout_of(data_format))


@op(rule=_sobel)
def sobel_edges(images: Tensor, data_format: str | None = None) -> Tensor:
    """How much brighter images get, downwards and to the right, by Sobel's filters. Beyond the edges are zeros.

    Args:
        images: One image or a batch; integers are taken as the default float.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        The shape of `images` with a last axis of 2: (down, right).

    >>> image = ops.reshape([0.0, 0.0, 1.0] * 3, (1, 3, 3, 1))
    >>> ops.image.sobel_edges(image)[0, 1, 1]  # (channels, 2): down, and to the right
    Tensor([[0., 4.]], dtype=float32)
    """
    x = one_image_as_batch(images, data_format)
    smooth, slope = np.array([1.0, 2.0, 1.0]), np.array([-1.0, 0.0, 1.0])
    pair = [
        as_given(_filtered(x, *f, "same"), len(images.shape), data_format) for f in ((slope, smooth), (smooth, slope))
    ]
    return ops.stack(pair, -1)


def _compared(image1: Spec, image2: Spec, filter_size: int, data_format: str | None, **rest: Any) -> Plan:
    require_images(image1, "image1")
    require_images(image2, "image2")
    layout = windows.layout_of(data_format)
    if not rules.agree(image1.shape, image2.shape):
        raise ValueError(f"image1 and image2 should have one shape, not {image1.shape} and {image2.shape}.")
    for axis in frame_of(layout)[:2]:
        if image1.shape[axis] is not None and image1.shape[axis] < filter_size:
            raise ValueError(f"images of shape {image1.shape} are smaller than filter_size={filter_size}.")
    dtype = dtypes.float_of(dtypes.promote(image1.dtype, image2.dtype))
    return Plan(image1.shape[:-3], dtype, cast=dtype, data_format=layout)


@op(rule=_compared)
def ssim(
    image1: Tensor,
    image2: Tensor,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """The structural similarity of two images: 1 if they are the same, less the less alike they are.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", 2004, with means and variances under a Gaussian window, averaged over all of its places
    and all channels.

    Args:
        image1, image2: One image or a batch each, of one shape; integers are taken as the default float.
        max_val: The largest value a pixel can have.
        filter_size, filter_sigma: Of the Gaussian window, in pixels.
        k1, k2: The constants that keep quotients of small numbers steady.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        (batch,), or a scalar for one image; nan where a pixel is nan.

    Raises:
        ValueError: The shapes differ, or the window does not fit the images.

    >>> image = ops.reshape(ops.arange(256.0) / 255, (1, 16, 16, 1))
    >>> ops.image.ssim(image, image)
    Tensor([1.], dtype=float32)
    """
    x, y = (one_image_as_batch(t, data_format) for t in (image1, image2))
    bell = _bell(filter_size, filter_sigma)

    def mean(t: Tensor) -> Tensor:
        return _filtered(t, bell, bell, "valid")

    # Variances do not change with the origin, and lose fewer digits near it.
    center = (ops.mean(x, (1, 2), keepdims=True) + ops.mean(y, (1, 2), keepdims=True)) / 2
    x, y = x - center, y - center
    mean_x, mean_y = mean(x), mean(y)
    variances = mean(x * x) - mean_x * mean_x + mean(y * y) - mean_y * mean_y
    covariance = mean(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + center, mean_y + center
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    brightness = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    found = ops.mean(brightness * structure, (1, 2, 3))
    return found if len(image1.shape) == 4 else ops.squeeze(found, 0)


# -- colours ----------------------------------------------------------------------------


def _channel_axis(images: Spec, data_format: str | None, allowed: tuple[int, ...]) -> tuple[str, int]:
    require_images(images)
    layout = windows.layout_of(data_format)
    axis = frame_of(layout)[2]
    if images.shape[axis] is not None and images.shape[axis] not in allowed:
        raise ValueError(
            f"images of shape {images.shape} have {images.shape[axis]} channels ({layout}); "
            f"expected {' or '.join(map(str, allowed))}."
        )
    return layout, axis


def _grey(images: Spec, data_format: str | None) -> Plan:
    layout, axis = _channel_axis(images, data_format, (3, 1))
    shape = list(images.shape)
    shape[axis] = 1
    return Plan(shape, dtypes.concrete(images.dtype), data_format=layout)


@op(rule=_grey)
def rgb_to_grayscale(images: Tensor, data_format: str | None = None) -> Tensor:
    """The brightness of colours, 0.2989 red + 0.587 green + 0.114 blue.

    Args:
        images: One image or a batch, of 3 channels; those of 1 channel come back as they are.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        Images of 1 channel in the same dtype; integers lose their fraction.

    Raises:
        ValueError: There is another number of channels.

    >>> ops.image.rgb_to_grayscale([[[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]])
    Tensor([[[0.2989],
            [0.9999]]], dtype=float32)
    """
    axis = frame_of(data_format)[2]
    if images.shape[axis] == 1:
        return images
    dtype = dtypes.name_of(images.dtype)
    x = ops.cast(images, computing_dtype(dtype))
    red, green, blue = ops.split(x, 3, axis)
    return ops.cast(0.2989 * red + 0.587 * green + 0.114 * blue, dtype)


def _recoloured(images: Spec, data_format: str | None) -> Plan:
    layout, _ = _channel_axis(images, data_format, (3,))
    if not dtypes.is_float(images.dtype):
        raise ValueError(f"images should be floats, not {images.dtype}.")
    return Plan(images.shape, images.dtype, data_format=layout)


@op(rule=_recoloured)
def rgb_to_hsv(images: Tensor, data_format: str | None = None) -> Tensor:
    """Red, green and blue as hue, saturation and value, all from 0 to 1 if they were.

    Args:
        images: One image or a batch, floats, of 3 channels.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        The same shape and dtype. Grey has hue 0, black saturation 0. nan makes its pixel nan.

    Raises:
        ValueError: There is another number of channels, or the dtype is no float.

    >>> ops.image.rgb_to_hsv([[[0.0, 1.0, 0.0]]])
    Tensor([[[0.3333, 1.    , 1.    ]]], dtype=float32)
    """
    axis = frame_of(data_format)[2]
    red, green, blue = ops.split(images, 3, axis)
    value = ops.max(images, axis, keepdims=True)
    reach = value - ops.min(images, axis, keepdims=True)
    grey = reach == 0
    sixth = ops.where(grey, ops.zeros_like(reach), 1 / (6 * ops.where(grey, ops.ones_like(reach), reach)))
    hue = ops.where(
        value == red,
        (green - blue) * sixth,
        ops.where(value == green, (blue - red) * sixth + 1 / 3, (red - green) * sixth + 2 / 3),
    )
    hue = ops.where(hue < 0, hue + 1, hue)
    dark = value <= 0
    saturation = ops.where(dark, ops.zeros_like(value), reach / ops.where(dark, ops.ones_like(value), value))
    return ops.concatenate([hue, saturation, value], axis)


@op(rule=_recoloured)
def hsv_to_rgb(images: Tensor, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value as red, green and blue; the reverse of `rgb_to_hsv`.

    Args:
        images: One image or a batch, floats, of 3 channels.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: There is another number of channels, or the dtype is no float.

    >>> ops.image.hsv_to_rgb([[[0.3333333, 1.0, 1.0]]])
    Tensor([[[0., 1., 0.]]], dtype=float32)
    """
    axis = frame_of(data_format)[2]
    hue, saturation, value = ops.split(images, 3, axis)
    sixth = 6 * (hue - ops.floor(hue))  # hues go round
    red = ops.clip(ops.absolute(sixth - 3) - 1, 0, 1)
    green = ops.clip(2 - ops.absolute(sixth - 2), 0, 1)
    blue = ops.clip(2 - ops.absolute(sixth - 4), 0, 1)
    return ops.concatenate([(1 - saturation + saturation * c) * value for c in (red, green, blue)], axis)
