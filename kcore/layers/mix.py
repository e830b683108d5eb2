"""MixUp and CutMix, which blend the samples of a batch; and Pipeline, layers one after the other."""

from __future__ import annotations

from typing import Any

from kcore import ops, random
from kcore.layers.augment import ImageLayer, factor_range
from kcore.layers.layer import Layer


class _Mixing(ImageLayer):
    """Layers that need several samples, and labels beside the images."""

    def call(self, data: Any, training: bool = True) -> Any:
        if not isinstance(data, dict) or "labels" not in data:
            raise ValueError(f"{self.name}: the data should be a dict with 'images' and 'labels'.")
        if len(data["images"].shape) != 4:
            raise ValueError(
                f"{self.name}: images should come in a batch, (batch, height, width, channels), not shape "
                f"{tuple(data['images'].shape)}."
            )
        return super().call(data, training)

    def _order(self, batch: Any, seed: Any) -> Any:
        return random.shuffle(ops.arange(batch, dtype="int32"), seed=self.generator if seed is None else seed)

    def _blended(self, x: Any, weight: Any, order: Any) -> Any:
        weight = ops.cast(ops.reshape(weight, (-1, *(1,) * (len(x.shape) - 1))), x.dtype)
        return ops.add(ops.multiply(weight, x), ops.multiply(ops.subtract(1, weight), ops.take(x, order, 0)))

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        labels = ops.cast(labels, self.compute_dtype)
        return self._blended(labels, transformation["mix_weight"], transformation["permutation_order"])

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Not to be had: boxes of two images make no boxes of a blend."""
        raise ValueError(f"{self.name}: {type(self).__name__} does not blend bounding boxes.")


class MixUp(_Mixing):
    """Images and labels, each blended with those of another of the batch (Zhang et al. 2018).

    Args:
        alpha: The weights are drawn from a beta distribution of (alpha, alpha).
        data_format: "channels_last" or "channels_first".
        seed: Makes the draws repeatable.

    Input: a dict with "images" and "labels", (batch, classes).
    """

    _names = ("alpha", "seed")

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if not alpha > 0:
            raise ValueError(f"{self.name}: alpha={alpha!r} should be positive.")
        self.alpha = alpha
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        batch = self._batch(data)
        order = self._order(batch, seed)
        weight = random.beta((batch,), self.alpha, self.alpha, seed=self.generator if seed is None else seed)
        return {"mix_weight": weight, "permutation_order": order}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._blended(images, transformation["mix_weight"], transformation["permutation_order"])

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        masks = ops.cast(segmentation_masks, self.compute_dtype)
        return self._blended(masks, transformation["mix_weight"], transformation["permutation_order"])


class CutMix(_Mixing):
    """Images with a rectangle of another of the batch, and labels blended by its area (Yun et al. 2019).

    Args:
        factor: The side of the rectangle, as a share of the image's, is sqrt(1 - f), with f drawn from (0, factor) or
            between two numbers. What lies outside the image is cut off.
        seed: Makes the draws repeatable.
        data_format: "channels_last" or "channels_first".

    Input: a dict with "images" and "labels", (batch, classes).
    """

    _names = ("factor", "seed")

    def __init__(
        self, factor: Any = 1.0, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, factor, 0)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        batch = self._batch(data)
        order = self._order(batch, seed)
        side = ops.sqrt(1 - self._uniform((batch, 1), *self.factor, seed))
        height, width = self._size(ops.shape(self._images_of(data)))
        inside, share = [], 1.0
        for n in (height, width):
            size = ops.cast(n, "float32")
            middle, half = self._uniform((batch, 1), 0.0, 1.0, seed) * size, side * size / 2
            first, last = ops.maximum(ops.round(middle - half), 0.0), ops.minimum(ops.round(middle + half), size)
            places = ops.cast(ops.expand_dims(ops.arange(n, dtype="int32"), 0), "float32")
            inside.append(ops.logical_and(places >= first, places < last))
            share = share * (last - first) / size
        masks = ops.logical_and(ops.expand_dims(inside[0], 2), ops.expand_dims(inside[1], 1))
        axis = -1 if self.data_format == "channels_last" else 1
        weight = ops.reshape(1 - share, (-1, 1, 1, 1))
        return {"permutation_order": order, "batch_masks": ops.expand_dims(masks, axis), "mix_weight": weight}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        other = ops.take(images, transformation["permutation_order"], 0)
        return ops.where(transformation["batch_masks"], other, images)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self.transform_images(segmentation_masks, transformation, training)


class Pipeline(Layer):
    """Layers one after the other, for data of any structure.

    Args:
        layers: The layers.
    """

    _convert_inputs = False

    def __init__(self, layers: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        self._pipeline_layers = list(layers)
        self.built = True

    @property
    def layers(self) -> list[Any]:
        """The layers, in order."""
        return self._pipeline_layers

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        from kcore.layers import home
        from kcore.layers.signature import call_signature

        for layer in self._pipeline_layers:
            takes = call_signature(home.own_class(layer).call).has_training
            inputs = layer(inputs, training=training) if takes else layer(inputs)
        return inputs

    def get_config(self) -> dict:
        from kcore import saving

        return {
            "layers": [saving.serialize_keras_object(layer) for layer in self._pipeline_layers],
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The layers of a config."""
        from kcore import saving

        made = [saving.deserialize_keras_object(x, custom_objects=custom_objects) for x in config["layers"]]
        return cls(**{**config, "layers": made})
