"""Layers that move an image's pixels: resize, crop, flip, turn, zoom, shift, shear, tilt."""

from __future__ import annotations

import math
from typing import Any

from kcore import ops
from kcore.layers.arguments import positive
from kcore.layers.augment import ImageLayer, checked, factor_range

FILL_MODES = ("constant", "nearest", "wrap", "reflect")
INTERPOLATIONS = ("nearest", "bilinear")


class _Sized(ImageLayer):
    """Layers whose images come out in a size of their own."""

    height: int
    width: int
    _moves_pixels = True

    def _set_size(self, height: Any, width: Any) -> None:
        self.height, self.width = positive(self, height, "height"), positive(self, width, "width")

    def compute_output_shape(self, input_shape: Any) -> tuple:
        shape = list(input_shape)
        first = len(shape) - (3 if self.data_format == "channels_last" else 2)
        shape[first : first + 2] = self.height, self.width
        return tuple(shape)

    def _cut(self, images: Any, top: Any, left: Any) -> Any:
        if self.data_format == "channels_last":
            start, size = (0, top, left, 0), (images.shape[0], self.height, self.width, images.shape[3])
        else:
            start, size = (0, 0, top, left), (images.shape[0], images.shape[1], self.height, self.width)
        if isinstance(top, int) and isinstance(left, int):
            return images[tuple(slice(a, None if n is None else a + n) for a, n in zip(start, size, strict=True))]
        return ops.slice(images, ops.stack([ops.cast(a, "int32") for a in start]), size)

    def _fitted(self, images: Any) -> Any:
        """The greatest part of the images that has the ratio of the sides, resized."""
        return ops.image.resize(
            images, (self.height, self.width), crop_to_aspect_ratio=True, data_format=self.data_format
        )

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self.transform_images(segmentation_masks, transformation, training)


class Resizing(_Sized):
    """Images in another size.

    Args:
        height, width: The new size.
        interpolation, antialias, crop_to_aspect_ratio, pad_to_aspect_ratio, fill_mode, fill_value: As for
            `ops.image.resize`. Masks take the nearest pixel.
        data_format: "channels_last" or "channels_first".

    Images stay integers if they are. Nothing is random: it is the same outside of training.

    Raises:
        ValueError: An argument is off.
    """

    _at_random = False
    _names = (
        *("height", "width", "interpolation", "crop_to_aspect_ratio"),
        *("pad_to_aspect_ratio", "fill_mode", "fill_value", "antialias"),
    )

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_size(height, width)
        known = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area")
        self.interpolation = checked(self, interpolation, known, "interpolation")
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(f"{self.name}: crop_to_aspect_ratio and pad_to_aspect_ratio can't both be True.")
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = crop_to_aspect_ratio, pad_to_aspect_ratio
        self.fill_mode, self.fill_value, self.antialias = fill_mode, fill_value, antialias

    def _as_images(self, images: Any) -> Any:
        return images

    def _image_dtype(self, images: Any) -> str:
        return images.dtype

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._resized(images, self.interpolation)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._resized(segmentation_masks, "nearest")

    def _resized(self, images: Any, interpolation: str) -> Any:
        return ops.image.resize(
            images,
            (self.height, self.width),
            interpolation=interpolation,
            antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )


class CenterCrop(_Sized):
    """The middle of images; of images that are smaller, the greatest part of that ratio of sides, enlarged.

    Args:
        height, width: The size of what is cut out.
        data_format: "channels_last" or "channels_first".
    """

    _at_random = False
    _names = ("height", "width")

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_size(height, width)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        height, width = self._size(ops.shape(images))
        if isinstance(height, int) and isinstance(width, int) and (height < self.height or width < self.width):
            return self._fitted(images)
        return self._cut(images, (height - self.height) // 2, (width - self.width) // 2)


class RandomCrop(_Sized):
    """A part of images, at a place that is drawn for each batch.

    Args:
        height, width: The size of what is cut out.
        seed: Makes the draws repeatable.
        data_format: "channels_last" or "channels_first".

    Outside of training, and where images are smaller, it is the greatest part of that ratio of sides, resized.
    """

    _names = ("height", "width", "seed")

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, name=name, **kwargs)
        self._set_size(height, width)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """(top, left) of what is cut out; None where images are smaller."""
        height, width = self._size(ops.shape(self._images_of(data)))
        if isinstance(height, int) and isinstance(width, int) and (height < self.height or width < self.width):
            return None
        most = height - self.height, width - self.width
        draws = [self._uniform((), 0.0, 1.0, seed) for _ in most]
        places = [
            ops.floor(ops.multiply(u, ops.cast(ops.add(m, 1), "float32"))) for u, m in zip(draws, most, strict=True)
        ]
        return tuple(ops.cast(p, "int32") for p in places)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._fitted(images) if transformation is None else self._cut(images, *transformation)

    def _left_alone(self, images: Any) -> Any:
        return self._fitted(images)


class RandomFlip(ImageLayer):
    """Images flipped, each with probability 1/2.

    Args:
        mode: "horizontal" (left and right change places), "vertical", or "horizontal_and_vertical" for both at once.
        seed: Makes the draws repeatable.
        data_format: "channels_last" or "channels_first".
    """

    _names = ("seed", "mode")
    _moves_pixels = True

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_seed(seed)
        self.mode = checked(self, mode, ("horizontal", "vertical", "horizontal_and_vertical"), "mode")

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        draws = self._uniform((self._batch(data), 1, 1, 1), 0.0, 1.0, seed)
        return {"flips": ops.less_equal(draws, 0.5), "input_shape": tuple(self._images_of(data).shape)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        rows = 1 if self.data_format == "channels_last" else 2
        axes = {"horizontal": (rows + 1,), "vertical": (rows,)}.get(self.mode, (rows, rows + 1))
        return ops.where(transformation["flips"], ops.flip(images, axes), images)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self.transform_images(segmentation_masks, transformation, training)


class _Affine(ImageLayer):
    """Layers that are an affine map of the plane for each image. A subclass gives the map."""

    _moves_pixels = True

    def _set_filling(self, fill_mode: str, interpolation: str, fill_value: float, seed: int | None) -> None:
        self.fill_mode = checked(self, fill_mode, FILL_MODES, "fill_mode")
        self.interpolation = checked(self, interpolation, INTERPOLATIONS, "interpolation")
        self.fill_value = fill_value
        self._set_seed(seed)

    def _matrix(self, transformation: Any) -> Any:
        """(batch, 8), as `ops.image.affine_transform` takes it."""
        raise NotImplementedError(f"{type(self).__name__} has no _matrix.")

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._moved(images, transformation, self.interpolation)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._moved(segmentation_masks, transformation, "nearest")

    def _moved(self, images: Any, transformation: Any, interpolation: str) -> Any:
        return ops.image.affine_transform(
            images,
            ops.reshape(self._matrix(transformation), (-1, 8)),
            interpolation=interpolation,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )

    def _middle(self, shape: Any) -> tuple[Any, Any]:
        """(row, column) of the middle of images."""
        height, width = self._size(shape)
        return (height - 1) / 2, (width - 1) / 2


def _rows(*parts: Any) -> Any:
    """(batch, 8) of numbers and vectors of a batch."""
    like = next(p for p in parts if not isinstance(p, (int, float)))
    flat = [ops.full_like(ops.reshape(like, (-1,)), p) if isinstance(p, (int, float)) else p for p in parts]
    return ops.stack([ops.reshape(p, (-1,)) for p in flat], 1)


class RandomRotation(_Affine):
    """Images turned about their middle.

    Args:
        factor: How far, as a share of a whole turn: drawn from (-factor, factor), or between two numbers. What is
            positive turns counter-clockwise.
        fill_mode: What lies outside an image: "reflect", "constant", "nearest" or "wrap".
        interpolation: "bilinear" or "nearest".
        seed: Makes the draws repeatable.
        fill_value: For "constant".
        data_format: "channels_last" or "channels_first".

    Raises:
        ValueError: An argument is off.
    """

    _names = ("factor", "fill_mode", "fill_value", "interpolation", "seed")

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, factor, -1)
        self._set_filling(fill_mode, interpolation, fill_value, seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        low, high = self.factor
        batch, shape = self._batch(data), ops.shape(self._images_of(data))
        angle = self._uniform((batch,), low * 360.0, high * 360.0, seed)
        turn = ops.multiply(angle, math.pi / 180)
        cos, sin = ops.cos(turn), ops.sin(turn)
        row, column = self._middle(shape)
        shift_x = column - (cos * column - sin * row)
        shift_y = row - (sin * column + cos * row)
        height, width = self._size(shape)
        return {
            "angle": angle,
            "rotation_matrix": _rows(cos, -sin, shift_x, sin, cos, shift_y, 0.0, 0.0),
            "image_height": height,
            "image_width": width,
            "batch_size": batch,
        }

    def _matrix(self, transformation: Any) -> Any:
        return transformation["rotation_matrix"]


class RandomZoom(_Affine):
    """Images enlarged or shrunk about their middle.

    Args:
        height_factor, width_factor: By how much, drawn from (-factor, factor), or between two numbers: 0.2 shows 20%
            more of the image, -0.2 less. Without a width factor the ratio of the sides stays.
        fill_mode, interpolation, seed, fill_value, data_format: As for `RandomRotation`.
    """

    _names = ("height_factor", "width_factor", "fill_mode", "interpolation", "seed", "fill_value")

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height_range = factor_range(self, height_factor, -1, "height_factor")
        self._width_range = None if width_factor is None else factor_range(self, width_factor, -1, "width_factor")
        self._set_filling(fill_mode, interpolation, fill_value, seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        shape = (self._batch(data), 1)
        height = 1 + self._uniform(shape, *self._height_range, seed)
        width = height if self._width_range is None else 1 + self._uniform(shape, *self._width_range, seed)
        return {"height_zoom": height, "width_zoom": width, "input_shape": ops.shape(self._images_of(data))}

    def _matrix(self, transformation: Any) -> Any:
        height, width = transformation["height_zoom"], transformation["width_zoom"]
        row, column = self._middle(transformation["input_shape"])
        return _rows(width, 0.0, (1 - width) * column, 0.0, height, (1 - height) * row, 0.0, 0.0)


class RandomTranslation(_Affine):
    """Images shifted.

    Args:
        height_factor, width_factor: How far down and right, as shares of the image's sides: drawn from (-factor,
            factor), or between two numbers.
        fill_mode, interpolation, seed, fill_value, data_format: As for `RandomRotation`.
    """

    _names = ("height_factor", "width_factor", "fill_mode", "interpolation", "seed", "fill_value")

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height_range = factor_range(self, height_factor, -1, "height_factor")
        self._width_range = factor_range(self, width_factor, -1, "width_factor")
        self._set_filling(fill_mode, interpolation, fill_value, seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        shape, images = (self._batch(data), 1), ops.shape(self._images_of(data))
        height, width = (ops.cast(n, "float32") for n in self._size(images))
        down = self._uniform(shape, *self._height_range, seed) * height
        right = self._uniform(shape, *self._width_range, seed) * width
        return {"translations": ops.concatenate([right, down], 1), "input_shape": images}

    def _matrix(self, transformation: Any) -> Any:
        right, down = (transformation["translations"][:, i] for i in (0, 1))
        return _rows(1.0, 0.0, ops.negative(right), 0.0, 1.0, ops.negative(down), 0.0, 0.0)


class RandomShear(_Affine):
    """Images slanted.

    Args:
        x_factor, y_factor: How far rows and columns are shifted for each pixel down and right: drawn from (-factor,
            factor), or between two numbers, with a random sign.
        interpolation, fill_mode, fill_value, data_format, seed: As for `RandomRotation`.
    """

    _names = ("x_factor", "y_factor", "fill_mode", "interpolation", "seed", "fill_value")

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.x_factor = factor_range(self, x_factor, -1, "x_factor")
        self.y_factor = factor_range(self, y_factor, -1, "y_factor")
        self._set_filling(fill_mode, interpolation, fill_value, seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        shape = (self._batch(data), 1)
        sign = ops.where(self._uniform(shape, 0.0, 1.0, seed) < 0.5, 1.0, -1.0)
        down = self._uniform(shape, *self.y_factor, seed)
        right = self._uniform(shape, *self.x_factor, seed)
        factors = ops.concatenate([right, down], 1) * sign
        return {"shear_factor": factors, "input_shape": tuple(self._images_of(data).shape)}

    def _matrix(self, transformation: Any) -> Any:
        right, down = (transformation["shear_factor"][:, i] for i in (0, 1))
        return _rows(1.0, right, 0.0, down, 1.0, 0.0, 0.0, 0.0)


class RandomPerspective(ImageLayer):
    """Images seen from elsewhere.

    Args:
        factor: The probability of an image is drawn from (0, factor), or between two numbers: (1, 1) for all.
        scale: How far corners move, as a share of their distance from the upper left one.
        interpolation: "bilinear" or "nearest".
        fill_value: What lies outside an image.
        seed: Makes the draws repeatable.
        data_format: "channels_last" or "channels_first".
    """

    _names = ("factor", "scale", "interpolation", "fill_value", "seed")
    _moves_pixels = True

    def __init__(
        self,
        factor: Any = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, factor, 0)
        self.scale, self.fill_value = scale, fill_value
        self.interpolation = checked(self, interpolation, INTERPOLATIONS, "interpolation")
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        images = self._images_of(data)
        batch = self._batch(data)
        applied = chosen(self, batch, seed)
        height, width = (ops.cast(n - 1, "float32") for n in self._size(ops.shape(images)))
        corners = ops.stack([0 * width, 0 * width, width, 0 * width, 0 * width, height, width, height])
        start = ops.broadcast_to(ops.reshape(corners, (1, 4, 2)), (batch, 4, 2))
        moved = self._uniform((batch, 4, 2), -0.5 * self.scale, 0.5 * self.scale, seed)
        return {
            "apply_perspective": applied,
            "start_points": start,
            "end_points": start * (1 + moved),
            "input_shape": tuple(images.shape),
        }

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._tilted(images, transformation, self.interpolation)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._tilted(segmentation_masks, transformation, "nearest")

    def _tilted(self, images: Any, transformation: Any, interpolation: str) -> Any:
        made = ops.image.perspective_transform(
            images,
            transformation["start_points"],
            transformation["end_points"],
            interpolation=interpolation,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )
        return ops.where(ops.reshape(transformation["apply_perspective"], (-1, 1, 1, 1)), made, images)


def chosen(layer: Any, batch: Any, seed: Any) -> Any:
    """Which images of a batch are changed, for a layer whose `factor` is a range of probabilities."""
    probability = layer._uniform((batch,), *layer.factor, seed)
    return ops.less(layer._uniform((batch,), 0.0, 1.0, seed), probability)
