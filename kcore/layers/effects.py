"""Layers that erase, blur, or change several things about an image's colors."""

from __future__ import annotations

from typing import Any

from kcore import ops, random
from kcore.layers.arguments import sizes
from kcore.layers.augment import ImageLayer, factor_range, value_pair
from kcore.layers.color import RandomBrightness, RandomContrast, RandomHue, RandomSaturation
from kcore.layers.geometry import chosen


class RandomErasing(ImageLayer):
    """Images with a rectangle filled, some of them (Zhong et al. 2017).

    Args:
        factor: The probability of an image is drawn from (0, factor), or between two numbers: (1, 1) for all.
        scale: Between which shares of the image's area the rectangle's is drawn; each side has the root of such a
            share. What lies outside the image is cut off.
        fill_value: What it is filled with; normal noise within the range of values unless given.
        value_range: The least and greatest value.
        seed: Makes the draws repeatable.
        data_format: "channels_last" or "channels_first".
    """

    _names = ("factor", "scale", "fill_value", "value_range", "seed")

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: float | None = None,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, factor, 0)
        self.scale = factor_range(self, scale, 0, "scale")
        self._low, self._high = value_pair(self, value_range)
        self.value_range, self.fill_value = value_range, fill_value
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        images, batch = self._images_of(data), self._batch(data)
        applied = chosen(self, batch, seed)
        inside = []
        for n in self._size(ops.shape(images)):
            size = ops.cast(n, "float32")
            half = ops.sqrt(self._uniform((batch, 1), *self.scale, seed)) * size / 2
            middle = self._uniform((batch, 1), 0.0, 1.0, seed) * size
            places = ops.cast(ops.expand_dims(ops.arange(n, dtype="int32"), 0), "float32") + 0.5
            inside.append(ops.less(ops.abs(places - middle), half))
        masks = ops.logical_and(ops.expand_dims(inside[0], 2), ops.expand_dims(inside[1], 1))
        return {
            "apply_erasing": applied,
            "batch_masks": ops.expand_dims(masks, -1 if self.data_format == "channels_last" else 1),
            "fill_value": self._filling(images, seed),
        }

    def _filling(self, images: Any, seed: Any) -> Any:
        if self.fill_value is not None:
            return ops.cast(self.fill_value, self.compute_dtype)
        width = self._high - self._low
        source = self.generator if seed is None else seed
        noise = random.normal(ops.shape(images), self._low + width / 2, width / 2, dtype="float32", seed=source)
        return ops.clip(noise, self._low, self._high)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        applied = ops.reshape(transformation["apply_erasing"], (-1, 1, 1, 1))
        erased = ops.logical_and(applied, transformation["batch_masks"])
        return ops.where(erased, ops.cast(transformation["fill_value"], images.dtype), images)


class RandomGaussianBlur(ImageLayer):
    """Images blurred, some of them.

    Args:
        factor: The probability of an image is drawn from (0, factor), or between two numbers: (1, 1) for all.
        kernel_size: How many pixels the blur looks at, one number or (height, width).
        sigma: The standard deviations of the bell, down and across, in pixels: drawn from (0, sigma), or between two
            numbers, for each batch.
        value_range: The least and greatest value, within which results stay.
        data_format: "channels_last" or "channels_first".
        seed: Makes the draws repeatable.
    """

    _names = ("factor", "kernel_size", "sigma", "value_range", "seed")

    def __init__(
        self,
        factor: Any = 1.0,
        kernel_size: Any = 3,
        sigma: Any = 1.0,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, factor, 0)
        self.kernel_size = sizes(self, kernel_size, 2, "kernel_size")
        two = isinstance(sigma, (tuple, list))
        low, high = sigma if two else (0, sigma)
        if not 0 <= low <= high or not high > 0:
            raise ValueError(f"{self.name}: sigma={sigma!r} should be a positive number, or two that ascend.")
        self.sigma = (low, high)
        self._low, self._high = value_pair(self, value_range)
        self.value_range = value_range
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        applied = chosen(self, self._batch(data), seed)
        return {"should_apply_blur": applied, "blur_factor": self._uniform((2,), *self.sigma, seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        depth = images.shape[-1 if self.data_format == "channels_last" else 1]
        made = images
        for i, n in enumerate(self.kernel_size):
            at = ops.subtract(ops.arange(n, dtype="float32"), (n - 1) / 2)
            sigma = ops.maximum(ops.cast(transformation["blur_factor"], "float32")[i], 1e-3)
            bell = ops.exp(ops.negative(ops.square(at / sigma) / 2))
            shape = (n, 1, 1, 1) if i == 0 else (1, n, 1, 1)
            kernel = ops.broadcast_to(ops.reshape(bell / ops.sum(bell), shape), (*shape[:2], depth, 1))
            made = ops.depthwise_conv(made, ops.cast(kernel, images.dtype), 1, "same", self.data_format)
        applied = ops.reshape(transformation["should_apply_blur"], (-1, 1, 1, 1))
        return ops.where(applied, ops.clip(made, self._low, self._high), images)


class RandomColorJitter(ImageLayer):
    """Images with brightness, contrast, saturation and hue changed, one after the other.

    Args:
        value_range: The least and greatest value.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: As for `RandomBrightness`, `RandomContrast`,
            `RandomSaturation` and `RandomHue`; those not given leave that as it is.
        seed: Makes the draws repeatable.
        data_format: "channels_last" or "channels_first"; there are three channels.
    """

    _names = ("value_range", "brightness_factor", "contrast_factor", "saturation_factor", "hue_factor", "seed")

    def __init__(
        self,
        value_range: Any = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = value_range
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        self._set_seed(seed)
        kinds = (
            (RandomBrightness, brightness_factor),
            (RandomContrast, contrast_factor),
            (RandomSaturation, saturation_factor),
            (RandomHue, hue_factor),
        )
        options = {
            "value_range": value_range,
            "seed": seed,
            "data_format": self.data_format,
            "dtype": self.dtype_policy,
        }
        self._jitters = [kind(factor, **options) for kind, factor in kinds if factor is not None]

    def build(self, input_shape: Any) -> None:
        """There is nothing to build."""

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        # Each draws from a generator of its own; in a graph, from that of the call.
        shared = seed if seed is not self.generator else None
        return [layer.get_random_transformation(data, training, shared) for layer in self._jitters]

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        for layer, drawn in zip(self._jitters, transformation, strict=True):
            images = layer.transform_images(images, drawn, training)
        return images
