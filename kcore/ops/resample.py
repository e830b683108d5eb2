"""Ops that sample images at other places: resize, warp, look up coordinates. `kcore.ops.image` offers them.

Pixels are points: pixel i of a row lies at coordinate i, and covers i - 1/2 to i + 1/2. What is
resampled is computed in float32, for float64 and integers of 32 bits or more in float64;
integers are rounded at the end and kept within the range of their dtype.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.ops import rules, windows
from kcore.ops.mechanism import Plan, Shape, Tensor, op
from kcore.ops.resample_axis import by_matrix, filter_weights, growth, mixed, resized_axes
from kcore.ops.symbolic import Spec

# -- pieces -----------------------------------------------------------------------------


def frame_of(layout: str) -> tuple[int, int, int]:
    """The axes of height, width and channels, counted from the end, so that one image and a batch read alike."""
    return (-3, -2, -1) if layout == "channels_last" else (-2, -1, -3)


def require_images(images: Spec, name: str = "images") -> None:
    """Raises ValueError unless it is one image or a batch of them."""
    rules.require_ndim(images, (3, 4), name)


def with_size(shape: Shape, layout: str, height: int | None, width: int | None) -> tuple[int | None, ...]:
    """The shape with another height and width."""
    sizes = list(shape)
    for axis, size in zip(frame_of(layout), (height, width), strict=False):
        sizes[axis] = size
    return tuple(sizes)


def size_pair(size: Any, name: str = "size") -> tuple[int, int]:
    """(height, width), both at least 1.

    Raises:
        ValueError: It is no such pair.
    """
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f"{name}={size!r} should be (height, width).")
    return rules.integers(size, 2, name)  # type: ignore[return-value]


def computing_dtype(dtype: str) -> str:
    """The float dtype in which images of this dtype are computed."""
    return "float64" if dtype in ("float64", "int32", "int64", "uint32", "uint64") else "float32"


def restored(y: Tensor, dtype: str, half_away: bool = False) -> Tensor:
    """Computed values in the images' own dtype: integers are rounded and kept in range."""
    if dtypes.is_int(dtype):
        return ops.saturate_cast(nearest_whole(y) if half_away else ops.round(y), dtype)
    return ops.cast(y, dtype)


def nearest_whole(x: Tensor) -> Tensor:
    """The nearest whole number; halves go away from zero."""
    return ops.sign(x) * ops.floor(ops.absolute(x) + 0.5)


def one_image_as_batch(images: Tensor, layout: str) -> Tensor:
    """(batch, height, width, channels), whatever the layout, and for one image too."""
    x = images if layout == "channels_last" else ops.moveaxis(images, -3, -1)
    return x if len(x.shape) == 4 else ops.expand_dims(x, 0)


def as_given(y: Tensor, rank: int, layout: str) -> Tensor:
    """The reverse of `one_image_as_batch`."""
    y = y if rank == 4 else ops.squeeze(y, 0)
    return y if layout == "channels_last" else ops.moveaxis(y, -1, -3)


# -- resize -----------------------------------------------------------------------------

METHODS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5", "area")


def _resized(
    images: Spec,
    size: Any,
    interpolation: str,
    crop_to_aspect_ratio: bool,
    pad_to_aspect_ratio: bool,
    fill_mode: str,
    data_format: str | None,
    **rest: Any,
) -> Plan:
    require_images(images)
    layout = windows.layout_of(data_format)
    pair = size_pair(size)
    rules.one_of(interpolation, METHODS, "interpolation")
    rules.one_of(fill_mode, ("constant",), "fill_mode")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("crop_to_aspect_ratio and pad_to_aspect_ratio can't both be True.")
    if any(images.shape[axis] == 0 for axis in frame_of(layout)[:2]):
        raise ValueError(f"images of shape {images.shape} have no pixels to resize.")
    return Plan(with_size(images.shape, layout, *pair), dtypes.concrete(images.dtype), size=pair, data_format=layout)


@op(rule=_resized)
def resize(
    images: Tensor,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images in another size.

    Args:
        images: (batch, height, width, channels) or (height, width, channels); for "channels_first"
            the channels come before the height. Any real dtype.
        size: (height, width) of the result.
        interpolation: "nearest", "bilinear", "bicubic" (Keys' cubic, a = -1/2), "lanczos3", "lanczos5", or
            "area", the mean of what each new pixel covers. Beside the edges a filter counts only the
            pixels that there are.
        antialias: Whether filters widen where images shrink, so that every pixel counts. "nearest"
            and "area" take no notice.
        crop_to_aspect_ratio: First cut the images, evenly on both sides, to the new ratio of width to height.
        pad_to_aspect_ratio: First pad them to it, with `fill_value`.
        fill_mode: "constant" is the only one.
        fill_value: What to pad with.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        The images, in their dtype. Integers are rounded, halves to even, and kept within the range of
        their dtype. A nan or an infinity reaches the new pixels around it; perhaps its whole row and
        column if the images shrink with `antialias`, or with "area".

    Raises:
        ValueError: An argument is none of the above, or the images have no pixels.

    >>> image = ops.reshape([1.0, 3.0], (1, 2, 1))
    >>> ops.image.resize(image, (1, 4))[0, :, 0]
    Tensor([1. , 1.5, 2.5, 3. ], dtype=float32)
    """
    x = framed(images, size, crop_to_aspect_ratio, pad_to_aspect_ratio, fill_value, data_format)
    return resized(x, size, interpolation, antialias, data_format, resized_axes)


def framed(x: Tensor, size: tuple[int, int], crop: bool, pad: bool, fill_value: float, layout: str) -> Tensor:
    """Images cropped, or padded, to the ratio of `size`, if asked."""
    if crop:
        x = _cropped_to_ratio(x, size, frame_of(layout))
    return _padded_to_ratio(x, size, frame_of(layout), fill_value) if pad else x


def resized(
    x: Tensor, size: tuple[int, int], interpolation: str, antialias: bool, layout: str, along: Callable
) -> Tensor:
    """Images in another size, with along(x, pairs, interpolation, antialias) for what a filter does: (axis, out) one by one."""
    axes, dtype = frame_of(layout), dtypes.name_of(x.dtype)
    sizes = ops.shape(x)
    pairs = sorted(zip(axes, size, strict=False), key=lambda pair: growth(sizes[pair[0]], pair[1]))
    if interpolation == "nearest":
        for axis, out in pairs:
            x = ops.take(x, nearest(sizes[axis], out), axis)
        return x
    x = ops.cast(x, computing_dtype(dtype))
    changed = [
        (axis, out)
        for axis, out in pairs
        if by_matrix(sizes[axis], out, interpolation, antialias) or growth(sizes[axis], out) != 1
    ]
    return restored(along(x, changed, interpolation, antialias), dtype)


def nearest(n: Any, out: int) -> Any:
    """The pixel in which the middle of each new pixel lies: floor((i + 1/2) * n / out)."""
    if isinstance(n, int):
        return (2 * np.arange(out) + 1) * n // (2 * out)
    return ops.floor_divide((2 * ops.arange(out, dtype="int32") + 1) * n, 2 * out)


def _least(a: Any, b: Any) -> Any:
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else ops.minimum(a, b)


def _most(a: Any, b: Any) -> Any:
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else ops.maximum(a, b)


def _cropped_to_ratio(x: Tensor, size: tuple[int, int], axes: Sequence[int]) -> Tensor:
    sizes = ops.shape(x)
    height, width = sizes[axes[0]], sizes[axes[1]]
    kept = (_most(_least(height, width * size[0] // size[1]), 1), _most(_least(width, height * size[1] // size[0]), 1))
    index: list[Any] = [slice(None)] * len(sizes)
    for axis, n, keep in zip(axes, (height, width), kept, strict=False):
        start = (n - keep) // 2
        index[axis] = slice(start, start + keep)
    return ops.get_item(x, tuple(index))


def _padded_to_ratio(x: Tensor, size: tuple[int, int], axes: Sequence[int], fill_value: float) -> Tensor:
    sizes = ops.shape(x)
    height, width = sizes[axes[0]], sizes[axes[1]]
    wanted = (_most(height, width * size[0] // size[1]), _most(width, height * size[1] // size[0]))
    for axis, n, want in zip(axes, (height, width), wanted, strict=False):
        before = (want - n) // 2
        x = bordered(x, axis, before, want - n - before, fill_value)
    return x


def bordered(x: Tensor, axis: int, before: Any, after: Any, value: float) -> Tensor:
    """x with a constant added at both ends of an axis; how often may be a tensor."""
    if all(isinstance(n, int) for n in (before, after)):
        pads = [(0, 0)] * len(x.shape)
        pads[axis] = (before, after)
        return ops.pad(x, pads, constant_values=value)
    sizes = list(ops.shape(x))
    bars = [ops.full([*sizes[:axis], n, *sizes[axis:][1:]], value, x.dtype) for n in (before, after)]
    return ops.concatenate([bars[0], x, bars[1]], axis)


# -- scale_and_translate ----------------------------------------------------------------

_SCALING = {
    "linear": "bilinear",
    "bilinear": "bilinear",
    "trilinear": "bilinear",
    "cubic": "bicubic",
    "bicubic": "bicubic",
    "tricubic": "bicubic",
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
}


def _scaled(
    images: Spec, output_shape: Any, scale: Spec, translation: Spec, spatial_dims: Any, method: str, antialias: bool
) -> Plan:
    shape = rules.checked_shape(output_shape, "output_shape")
    if len(shape) != images.ndim:
        raise ValueError(
            f"output_shape={shape} should have {images.ndim} sizes, as images of shape {images.shape} have."
        )
    axes = tuple(rules.normalize_axis(a, images.ndim, images.shape, "spatial_dims") for a in spatial_dims)
    if len(set(axes)) < len(axes):
        raise ValueError(f"spatial_dims={tuple(spatial_dims)} names an axis twice.")
    for axis, (n, out) in enumerate(zip(images.shape, shape, strict=True)):
        if axis not in axes and n not in (None, out):
            raise ValueError(
                f"output_shape={shape} differs from {images.shape} along axis {axis}, which spatial_dims leaves out."
            )
    for given, name in ((scale, "scale"), (translation, "translation")):
        if given.shape not in ((len(axes),), (None,)):
            raise ValueError(
                f"{name} should have shape ({len(axes)},), one number for each of spatial_dims, not {given.shape}."
            )
    rules.one_of(method, tuple(_SCALING), "method")
    dtype = dtypes.float_of(images.dtype)
    cast = {"images": dtype, "scale": computing_dtype(dtype), "translation": computing_dtype(dtype)}
    return Plan(shape, dtype, cast=cast, output_shape=shape, spatial_dims=axes)


@op(rule=_scaled)
def scale_and_translate(
    images: Tensor,
    output_shape: Shape,
    scale: Tensor,
    translation: Tensor,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Images stretched by `scale`, then moved by `translation`, into a canvas of another size.

    The point x of an axis, counted from the image's edge, comes to x * scale + translation.

    Args:
        images: Any shape; integers are taken as the default float.
        output_shape: Sizes of all axes; those not in `spatial_dims` stay.
        scale, translation: A number for each of `spatial_dims`.
        spatial_dims: The axes to change.
        method: "linear" (also "bilinear", "trilinear"), "cubic" (also "bicubic", "tricubic"),
            "lanczos3" or "lanczos5".
        antialias: Whether filters widen where images shrink.

    Returns:
        Images in their float dtype; 0 where the canvas is outside them.

    Raises:
        ValueError: Shapes don't fit each other, or the method is none of the above.

    >>> ops.image.scale_and_translate([1.0, 3.0], (4,), [2.0], [0.0], (0,), "linear")
    Tensor([1. , 1.5, 2.5, 3. ], dtype=float32)
    """
    dtype = dtypes.name_of(scale.dtype)
    x = ops.cast(images, dtype)
    sizes = ops.shape(images)
    for k, axis in enumerate(spatial_dims):
        n, out = sizes[axis], output_shape[axis]
        step = 1 / scale[k]
        i, j = ops.arange(out, dtype=dtype)[:, None], ops.cast(ops.arange(n, dtype="int32"), dtype)[None]
        places = (i + 0.5 - translation[k]) * step - 0.5
        spread = ops.maximum(step, 1.0) if antialias else 1.0
        weights = filter_weights(ops, places, j, ops.cast(n - 1, dtype), spread, _SCALING[method])
        x = mixed(x, weights, axis)
    return ops.cast(x, images.dtype)


# -- looking up coordinates -------------------------------------------------------------

FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def _inside(index: Tensor, n: Any, fill_mode: str) -> Tensor:
    """Integer coordinates along an axis of n, moved inside it as the mode says."""
    if fill_mode == "wrap":
        return ops.mod(index, n)
    if fill_mode == "reflect":  # a b c | c b a | a b c
        index = ops.mod(index, 2 * n)
        return ops.minimum(index, 2 * n - 1 - index)
    if fill_mode == "mirror":  # a b c b a b c
        period = _most(2 * n - 2, 1)
        index = ops.mod(index, period)
        return ops.minimum(index, period - index)
    return ops.clip(index, 0, n - 1)


def looked_up(
    rows: Tensor,
    sizes: Sequence[Any],
    places: Sequence[Tensor],
    order: int,
    fill_mode: str,
    fill_value: Any,
    first: Any = 0,
) -> Tensor:
    """Values at places between those of a grid.

    Args:
        rows: The grid's values in row-major order, (elements,) or (elements, channels); floats.
        sizes: Of the grid.
        places: A coordinate for each axis of the grid, all of one shape.
        first: Which row the grid begins at, if it is one of several; broadcasts against places.
    """
    channels = len(rows.shape) - 1
    dtype = rows.dtype

    def over_channels(t: Tensor) -> Tensor:
        return ops.expand_dims(t, -1) if channels else t

    if order == 0:
        corners = [[(nearest_whole(p), None)] for p in places]
    else:
        lower = [ops.floor(p) for p in places]
        corners = [[(low, 1 - (p - low)), (low + 1, p - low)] for p, low in zip(places, lower, strict=True)]
    total: Any = None
    for corner in itertools.product(*corners):
        row, weight, valid = first, None, None
        for n, (at, part) in zip(sizes, corner, strict=True):
            index = ops.cast(at, "int32")
            if fill_mode == "constant":
                ok = ops.logical_and(index >= 0, index < n)
                valid = ok if valid is None else ops.logical_and(valid, ok)
            row = row * n + _inside(index, n, fill_mode)
            if part is not None:
                weight = part if weight is None else weight * part
        value = ops.take(rows, row, 0)
        if valid is not None:
            value = ops.where(over_channels(valid), value, ops.cast(fill_value, dtype))
        if weight is not None:
            value = value * ops.cast(over_channels(weight), dtype)
        total = value if total is None else total + value
    return total


def _looked_up(inputs: Spec, coordinates: Spec, order: int, fill_mode: str, fill_value: float) -> Plan:
    if coordinates.ndim < 2 or coordinates.shape[0] not in (None, inputs.ndim):
        raise ValueError(
            f"coordinates should have shape ({inputs.ndim}, ...), a coordinate for each axis of inputs of shape "
            f"{inputs.shape}, not {coordinates.shape}."
        )
    if 0 in inputs.shape:
        raise ValueError(f"inputs of shape {inputs.shape} have nothing to look up.")
    rules.one_of(order, (0, 1), "order")
    rules.one_of(fill_mode, FILL_MODES, "fill_mode")
    dtype = dtypes.concrete(inputs.dtype)
    return Plan(coordinates.shape[1:], dtype, cast={"inputs": dtype, "coordinates": computing_dtype(dtype)})


@op(rule=_looked_up)
def map_coordinates(
    inputs: Tensor, coordinates: Tensor, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> Tensor:
    """The values of `inputs` at fractional coordinates.

    Args:
        inputs: Any shape of at least one dimension.
        coordinates: (ndim of inputs, ...): for each axis, where to look along it.
        order: 0 for the nearest element (halves go away from zero), 1 for linear interpolation.
        fill_mode: What lies outside: "constant" is `fill_value`, "nearest" the edge, "wrap" the other
            end, "reflect" the mirror image with the edge doubled, "mirror" without.
        fill_value: For "constant".

    Returns:
        Shape `coordinates.shape[1:]`, in the dtype of `inputs`; integers are rounded, halves away from zero.

    With order 1 the gradient by the coordinates is that of the straight line towards the next element.
    Coordinates that are nan or infinite have no meaning.

    Raises:
        ValueError: Shapes don't fit, `inputs` is empty, or an argument is none of the above.

    >>> ops.image.map_coordinates([[0.0, 1.0], [2.0, 3.0]], [[0.5, 1.0], [0.5, 0.0]], order=1)
    Tensor([1.5, 2. ], dtype=float32)
    """
    dtype = dtypes.name_of(inputs.dtype)
    rows = ops.reshape(ops.cast(inputs, computing_dtype(dtype)), (-1,))
    places = [coordinates[i] for i in range(len(inputs.shape))]
    y = looked_up(rows, ops.shape(inputs), places, order, fill_mode, fill_value)
    return restored(y, dtype, half_away=True)


def sampled(images: Tensor, x: Tensor, y: Tensor, interpolation: str, fill_mode: str, fill_value: Any) -> Tensor:
    """Images (batch, height, width, channels) at columns x and rows y, (batch or 1, ...), in float."""
    batch, height, width, channels = ops.shape(images)
    rows = ops.reshape(images, (-1, channels))
    number = ops.reshape(ops.arange(batch, dtype="int32"), (-1, *(1,) * (len(x.shape) - 1)))
    order = {"nearest": 0, "bilinear": 1}[interpolation]
    return looked_up(rows, (height, width), (y, x), order, fill_mode, fill_value, first=number)


def pixel_grid(height: Any, width: Any, dtype: str) -> tuple[Tensor, Tensor]:
    """Column and row numbers of all pixels, of shapes (1, 1, width) and (1, height, 1)."""
    x, y = (ops.cast(ops.arange(n, dtype="int32"), dtype) for n in (width, height))
    return x[None, None, :], y[None, :, None]


# -- affine and perspective -------------------------------------------------------------


def _warped(images: Spec, cast: Sequence[str], interpolation: str, data_format: str | None, **rest: Any) -> Plan:
    require_images(images)
    rules.one_of(interpolation, ("bilinear", "nearest"), "interpolation")
    dtype = dtypes.concrete(images.dtype)
    to = dict.fromkeys(cast, computing_dtype(dtype)) | {"images": dtype}
    return Plan(images.shape, dtype, cast=to, data_format=windows.layout_of(data_format))


def _require_one_each(images: Spec, given: Spec, one: tuple[int, ...], name: str) -> None:
    """Raises ValueError unless `given` is one for all images, or has a batch of them."""
    batch = images.shape[0] if images.ndim == 4 else 1
    each = given.ndim == len(one) + 1 and (None in (given.shape[0], batch) or given.shape[0] in (1, batch))
    if given.shape[-len(one) :] != one or not (each or given.ndim == len(one)):
        raise ValueError(
            f"{name} should have shape {one}, or {('batch', *one)} with one for each image, not {given.shape} "
            f"beside images of shape {images.shape}."
        )


def _affine(images: Spec, transform: Spec, fill_mode: str, **rest: Any) -> Plan:
    plan = _warped(images, ("transform",), **rest)
    _require_one_each(images, transform, (8,), "transform")
    rules.one_of(fill_mode, FILL_MODES, "fill_mode")
    return plan


@op(rule=_affine)
def affine_transform(
    images: Tensor,
    transform: Tensor,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images turned, stretched, sheared and moved.

    Args:
        images: (batch, height, width, channels) or (height, width, channels); for "channels_first"
            the channels come before the height.
        transform: (a0, a1, a2, b0, b1, b2, c0, c1), for all images or one row for each: the pixel in
            column x and row y of the result is the one in column (a0 x + a1 y + a2) / k and row
            (b0 x + b1 y + b2) / k of the image, with k = c0 x + c1 y + 1.
        interpolation: "bilinear" or "nearest".
        fill_mode: What lies outside an image, as in `map_coordinates`.
        fill_value: For "constant".
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        Images of the same shape and dtype; integers are rounded.

    Raises:
        ValueError: Shapes don't fit each other, or an argument is none of the above.

    >>> image = ops.reshape(ops.arange(4.0), (2, 2, 1))
    >>> right = [1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0]  # each pixel shows the one to its left
    >>> ops.image.affine_transform(image, right)[:, :, 0]
    Tensor([[0., 0.],
           [0., 2.]], dtype=float32)
    """
    dtype = dtypes.name_of(images.dtype)
    batch = ops.cast(one_image_as_batch(images, data_format), computing_dtype(dtype))
    _, height, width, _ = ops.shape(batch)
    a = ops.reshape(transform, (-1, 8, 1, 1))
    x, y = pixel_grid(height, width, computing_dtype(dtype))
    columns, rows = (a[:, i] * x + a[:, i + 1] * y + a[:, i + 2] for i in (0, 3))
    scale = a[:, 6] * x + a[:, 7] * y + 1
    found = sampled(batch, columns / scale, rows / scale, interpolation, fill_mode, fill_value)
    return as_given(restored(found, dtype, half_away=True), len(images.shape), data_format)


def _perspective(images: Spec, start_points: Spec, end_points: Spec, **rest: Any) -> Plan:
    plan = _warped(images, ("start_points", "end_points"), **rest)
    _require_one_each(images, start_points, (4, 2), "start_points")
    _require_one_each(images, end_points, (4, 2), "end_points")
    return plan


@op(rule=_perspective)
def perspective_transform(
    images: Tensor,
    start_points: Tensor,
    end_points: Tensor,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images seen from elsewhere: straight lines stay straight, and four points come to four others.

    Args:
        images: (batch, height, width, channels) or (height, width, channels); for "channels_first"
            the channels come before the height.
        start_points: Four (column, row) points in the images, (4, 2) for all or (batch, 4, 2). No three
            on a line.
        end_points: Where they come to.
        interpolation: "bilinear" or "nearest".
        fill_value: What lies outside an image.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        Images of the same shape and dtype; integers are rounded.

    Raises:
        ValueError: Shapes don't fit each other, or an argument is none of the above.

    >>> image = ops.reshape(ops.arange(4.0), (2, 2, 1))
    >>> corners = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> ops.image.perspective_transform(image, corners, corners)[:, :, 0]
    Tensor([[0., 1.],
           [2., 3.]], dtype=float32)
    """
    dtype = dtypes.name_of(images.dtype)
    batch = ops.cast(one_image_as_batch(images, data_format), computing_dtype(dtype))
    _, height, width, _ = ops.shape(batch)
    h = _homography(ops.reshape(end_points, (-1, 4, 2)), ops.reshape(start_points, (-1, 4, 2)))
    h = h[:, :, :, None, None]
    x, y = pixel_grid(height, width, computing_dtype(dtype))
    columns, rows, scale = (h[:, i, 0] * x + h[:, i, 1] * y + h[:, i, 2] for i in range(3))
    found = sampled(batch, columns / scale, rows / scale, interpolation, "constant", fill_value)
    return as_given(restored(found, dtype, half_away=True), len(images.shape), data_format)


def _homography(before: Tensor, after: Tensor) -> Tensor:
    """(batch, 3, 3): the projective map that takes four points to four others, up to a factor."""
    center = ops.mean(before, 1, keepdims=True)  # small numbers keep the digits of the differences
    there, back = _frame_of_points(after), _frame_of_points(before - center)
    h = ops.matmul(there, _adjugate(back))
    shift = h[:, :, 2] - h[:, :, 0] * center[:, :, 0] - h[:, :, 1] * center[:, :, 1]
    return ops.stack([h[:, :, 0], h[:, :, 1], shift], -1)


def _frame_of_points(points: Tensor) -> Tensor:
    """The matrix whose columns are multiples of the first three points, such that they add up to the fourth."""
    corners = ops.swapaxes(ops.concatenate([points, ops.ones_like(points[:, :, :1])], -1), 1, 2)
    base, fourth = corners[:, :, :3], corners[:, :, 3:]
    return base * ops.swapaxes(ops.matmul(_adjugate(base), fourth), 1, 2)


def _adjugate(m: Tensor) -> Tensor:
    """The inverse of (batch, 3, 3) matrices times their determinants."""
    a, b, c = (m[:, :, i] for i in range(3))
    return ops.stack([_crossed(b, c), _crossed(c, a), _crossed(a, b)], 1)


def _crossed(a: Tensor, b: Tensor) -> Tensor:
    """The cross product of (batch, 3) vectors."""
    (a0, a1, a2), (b0, b1, b2) = ([t[:, i] for i in range(3)] for t in (a, b))
    return ops.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], -1)


# -- elastic ----------------------------------------------------------------------------


def _elastic(
    images: Spec, sigma: float, interpolation: str, fill_mode: str, data_format: str | None, **rest: Any
) -> Plan:
    rules.one_of(fill_mode, FILL_MODES, "fill_mode")
    if not sigma > 0:
        raise ValueError(f"sigma={sigma!r} should be a positive number.")
    return _warped(images, (), interpolation, data_format)


@op(rule=_elastic)
def elastic_transform(
    images: Tensor,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Tensor:
    """Images with each pixel moved a little, neighbours alike: random shifts, blurred.

    Args:
        images: (batch, height, width, channels) or (height, width, channels); for "channels_first"
            the channels come before the height.
        alpha: How far pixels move: the shifts are alpha times normal numbers that are blurred.
        sigma: The standard deviation of the blur, in pixels.
        interpolation: "bilinear" or "nearest".
        fill_mode, fill_value: What lies outside an image, as in `map_coordinates`.
        seed: An int, a SeedGenerator, or None for the global generator.
        data_format: "channels_last" or "channels_first"; None is the default layout.

    Returns:
        Images of the same shape and dtype; integers are rounded. The same seed moves pixels alike
        on every backend.

    Raises:
        ValueError: An argument is none of the above.

    >>> image = ops.ones((4, 4, 1))
    >>> ops.image.elastic_transform(image, seed=1).shape
    (4, 4, 1)
    """
    from kcore import random
    from kcore.ops import image

    dtype = dtypes.name_of(images.dtype)
    computing = computing_dtype(dtype)
    batch = ops.cast(one_image_as_batch(images, data_format), computing)
    count, height, width, _ = ops.shape(batch)
    width_of_blur = 2 * math.ceil(3 * sigma) + 1
    shifts = random.normal((count, height, width, 2), dtype=computing, seed=seed)
    shifts = alpha * image.gaussian_blur(shifts, (width_of_blur,) * 2, (sigma,) * 2, "channels_last")
    x, y = pixel_grid(height, width, computing)
    found = sampled(batch, x + shifts[..., 0], y + shifts[..., 1], interpolation, fill_mode, fill_value)
    return as_given(restored(found, dtype, half_away=True), len(images.shape), data_format)
