"""Layers that change the colors of images."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from kcore import ops, random
from kcore.layers.augment import ImageLayer, factor_range, value_pair
from kcore.layers.geometry import chosen


class _Color(ImageLayer):
    """Layers that know the range of pixels' values, and have one factor."""

    # The least factor: of a number f, draws are from (0, f), or (-f, f) where it is -1.
    _least: ClassVar[float] = 0
    _names = ("factor", "value_range", "seed")

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, factor, self._least)
        self._low, self._high = value_pair(self, value_range)
        self.value_range = value_range
        self._set_seed(seed)

    def _clipped(self, images: Any) -> Any:
        return ops.clip(images, self._low, self._high)

    def _as_unit(self, images: Any) -> Any:
        """Values from 0 to 1."""
        return ops.divide(ops.subtract(images, self._low), self._high - self._low)

    def _from_unit(self, images: Any) -> Any:
        return ops.add(ops.multiply(images, self._high - self._low), self._low)

    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _hsv(self, images: Any) -> tuple[Any, Any, Any]:
        """Hue, saturation and value, with an axis of size 1."""
        unit = ops.clip(self._as_unit(images), 0.0, 1.0)
        found = ops.image.rgb_to_hsv(unit, data_format=self.data_format)
        return tuple(ops.split(found, 3, self._channel_axis()))

    def _rgb(self, hue: Any, saturation: Any, value: Any) -> Any:
        joined = ops.concatenate([hue, saturation, value], self._channel_axis())
        return self._from_unit(ops.image.hsv_to_rgb(joined, data_format=self.data_format))


class RandomContrast(_Color):
    """Images with more or less contrast: (x - mean) * c + mean, the mean being that of each channel of an image.

    Args:
        factor: c is drawn from (1, 1 + factor), or for two numbers from (1 - first, 1 + second).
        value_range: The least and greatest value, within which results stay.
        seed: Makes the draws repeatable.
    """

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(factor, value_range, seed=seed, **kwargs)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        shape = (self._batch(data), 1, 1, 1)
        return {"contrast_factor": self._uniform(shape, 1 - self.factor[0], 1 + self.factor[1], seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        mean = ops.mean(images, axes, keepdims=True)
        factor = self._per_image(transformation["contrast_factor"], images)
        return self._clipped(ops.add(ops.multiply(ops.subtract(images, mean), factor), mean))


class RandomBrightness(_Color):
    """Images made brighter or darker by a number for each.

    Args:
        factor: The number, as a share of the range of values, is drawn from (-factor, factor), or between two.
        value_range: The least and greatest value, within which results stay.
        seed: Makes the draws repeatable.
    """

    _least = -1

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(factor, value_range, seed=seed, **kwargs)
        self.value_range = sorted(self.value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        share = self._uniform((self._batch(data), 1, 1, 1), *self.factor, seed)
        return {"rgb_delta": ops.multiply(share, self._high - self._low)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._clipped(ops.add(images, self._per_image(transformation["rgb_delta"], images)))


class RandomSaturation(_Color):
    """Images with stronger or weaker colors: the saturation times f / (1 - f) + 1.

    Args:
        factor: f is drawn from (-factor, factor), or between two numbers: -1 makes images gray.
        value_range: The least and greatest value.
        data_format: "channels_last" or "channels_first"; there are three channels.
        seed: Makes the draws repeatable.
    """

    _least = -1

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        drawn = self._uniform((self._batch(data),), *self.factor, seed)
        return {"factor": ops.divide(drawn, ops.add(ops.subtract(1.0, drawn), 1e-7))}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        hue, saturation, value = self._hsv(images)
        times = self._per_image(transformation["factor"], images)
        return self._rgb(hue, ops.clip(ops.multiply(saturation, times), 0.0, 1.0), value)


class RandomHue(_Color):
    """Images with their hues turned about the color wheel, one way or the other.

    Args:
        factor: How far, as a share of half a turn: drawn from (0, factor), or between two numbers.
        value_range: The least and greatest value.
        data_format: "channels_last" or "channels_first"; there are three channels.
        seed: Makes the draws repeatable.
    """

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        batch = self._batch(data)
        sign = ops.where(self._uniform((batch,), 0.0, 1.0, seed) > 0.5, -1.0, 1.0)
        return {"factor": ops.multiply(sign, self._uniform((batch,), *self.factor, seed) * 0.5)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        hue, saturation, value = self._hsv(images)
        turned = ops.mod(ops.add(hue, self._per_image(transformation["factor"], images)), 1.0)
        return self._rgb(turned, saturation, value)


class RandomSharpness(_Color):
    """Images made sharper or blurred: between a blurred image (0), the image itself (1/2), and beyond (1).

    Args:
        factor: Drawn from (0, factor), or between two numbers.
        value_range: The least and greatest value, within which results stay.
        data_format: "channels_last" or "channels_first".
        seed: Makes the draws repeatable.
    """

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        return {"factor": self._uniform((self._batch(data),), *self.factor, seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        axis = self._channel_axis()
        weights = np.ones((3, 3)) / 13
        weights[1, 1] = 5 / 13
        depth = images.shape[axis]
        kernel = ops.cast(np.broadcast_to(weights[:, :, None, None], (3, 3, depth, 1)), images.dtype)
        smooth = ops.depthwise_conv(images, kernel, 1, "same", self.data_format)
        factor = self._per_image(transformation["factor"], images)
        return self._clipped(ops.add(smooth, ops.multiply(ops.subtract(images, smooth), 2 * factor)))


class RandomColorDegeneration(_Color):
    """Images on the way to gray: the image (0), to its gray version (1); below 0 away from it.

    Args:
        factor: Drawn from (-factor, factor), or between two numbers.
        value_range: The least and greatest value, within which results stay.
        data_format: "channels_last" or "channels_first"; there are three channels.
        seed: Makes the draws repeatable.
    """

    _least = -1

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        return {"factor": self._uniform((self._batch(data), 1, 1, 1), *self.factor, seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        gray = ops.image.rgb_to_grayscale(images, data_format=self.data_format)
        factor = self._per_image(transformation["factor"], images)
        return self._clipped(ops.add(images, ops.multiply(factor, ops.subtract(gray, images))))


class RandomInvert(_Color):
    """Images with their values turned upside down, some of them.

    Args:
        factor: The probability of an image is drawn from (0, factor), or between two numbers: (1, 1) for all.
        value_range: The least and greatest value.
        seed: Makes the draws repeatable.
        data_format: "channels_last" or "channels_first".
    """

    def __init__(
        self,
        factor: Any = 1.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, data_format, seed, **kwargs)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        return {"apply_inversion": chosen(self, self._batch(data), seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        applied = ops.reshape(transformation["apply_inversion"], (-1, 1, 1, 1))
        return ops.where(applied, ops.subtract(self._low + self._high, images), images)


class RandomGrayscale(ImageLayer):
    """Images in gray, some of them; the channels stay.

    Args:
        factor: The probability of an image.
        data_format: "channels_last" or "channels_first"; there are three channels.
        seed: Makes the draws repeatable.
    """

    _names = ("factor",)

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if not isinstance(factor, (int, float)) or not 0 <= factor <= 1:
            raise ValueError(f"{self.name}: factor={factor!r} should be a number from 0 to 1.")
        self.factor = factor
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        return ops.less(self._uniform((self._batch(data), 1, 1, 1), 0.0, 1.0, seed), self.factor)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        gray = ops.image.rgb_to_grayscale(images, data_format=self.data_format)
        return ops.where(transformation, gray, images)


class RandomPosterization(_Color):
    """Images with fewer shades: only the first bits of each value, as one of 256.

    Args:
        factor: How many bits are kept: drawn from 1 to factor - 1, or from the first of two numbers to below the second.
        value_range: The least and greatest value.
        data_format: "channels_last" or "channels_first".
        seed: Makes the draws repeatable.
    """

    _BITS = 8

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(1.0, value_range, data_format, seed, **kwargs)
        pair = (1, factor) if isinstance(factor, int) else tuple(sorted(factor)) if _is_pair(factor) else (0, 0)
        if not all(isinstance(n, int) for n in pair) or not 1 <= pair[0] <= pair[1] <= self._BITS:
            raise ValueError(f"{self.name}: factor={factor!r} should be an integer from 1 to 8, or two of them.")
        self.factor = pair
        self.value_range = list(value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        low, high = self.factor
        source = self.generator if seed is None else seed
        kept = random.randint((self._batch(data),), low, max(high, low + 1), seed=source)
        return {"shift_factor": ops.cast(ops.subtract(self._BITS, kept), "uint8")}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        shades = ops.floor(ops.multiply(self._as_unit(images), 255.0))
        step = ops.power(2.0, self._per_image(transformation["shift_factor"], images))
        return self._from_unit(ops.divide(ops.multiply(ops.floor(ops.divide(shades, step)), step), 255.0))


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


class Solarization(ImageLayer):
    """Images made brighter, with all values from a threshold on turned upside down.

    Args:
        addition_factor: What is added, as a share of the range of values: drawn from (0, factor), or between two.
        threshold_factor: The threshold, in the same way.
        value_range: The least and greatest value.
        seed: Makes the draws repeatable.
    """

    _names = ("value_range", "addition_factor", "threshold_factor", "seed")

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.addition_factor = factor_range(self, addition_factor, 0, "addition_factor")
        self.threshold_factor = factor_range(self, threshold_factor, 0, "threshold_factor")
        self._low, self._high = value_pair(self, value_range)
        self.value_range = list(value_range)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        shape, width = (self._batch(data), 1, 1, 1), self._high - self._low
        additions = self._uniform(shape, *self.addition_factor, seed) * width
        return {"additions": additions, "thresholds": self._uniform(shape, *self.threshold_factor, seed) * width}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        brighter = ops.add(images, self._per_image(transformation["additions"], images))
        brighter = ops.clip(brighter, self._low, self._high)
        below = ops.less(brighter, self._per_image(transformation["thresholds"], images))
        return ops.where(below, brighter, ops.subtract(self._low + self._high, brighter))


class AutoContrast(ImageLayer):
    """Images whose values fill the whole range: each channel's least becomes the least, its greatest the greatest.

    A channel of one value stays as it is. Nothing is random: it is the same outside of training.

    Args:
        value_range: The least and greatest value.
    """

    _names = ("value_range",)
    _at_random = False

    def __init__(self, value_range: Any = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._low, self._high = value_pair(self, value_range)
        self.value_range = list(value_range)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        least, most = ops.min(images, axes, keepdims=True), ops.max(images, axes, keepdims=True)
        width = ops.subtract(most, least)
        flat = ops.equal(width, 0)
        scaled = ops.divide(ops.subtract(images, least), ops.where(flat, 1.0, width))
        stretched = ops.add(ops.multiply(scaled, self._high - self._low), self._low)
        return ops.where(flat, images, ops.clip(stretched, self._low, self._high))
