"""What layers for images have in common: images alone or with labels, masks and boxes; draws; ranges of factors."""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore import backends, config, ops, random
from kcore.layers.arguments import config_of
from kcore.layers.preprocess import DataLayer
from kcore.layers.strings import is_graph_tensor
from kcore.ops.symbolic import KerasTensor

# What a dict of data may hold beside the images.
_PARTS = ("images", "labels", "bounding_boxes", "segmentation_masks")


class ImageLayer(DataLayer):
    """A layer that changes images, in training at random, and what belongs to them along with them.

    Call arguments:
        data: Images, (batch, height, width, channels) or one without the batch; or a dict with "images" and any of
            "labels", "segmentation_masks" and "bounding_boxes". Other things in it pass.
        training: Whether random changes are made; True unless given.

    Returns:
        What came, changed; images as floats of the compute dtype.

    A subclass defines `transform_images(images, transformation, training)`, and `get_random_transformation(data,
    training, seed)` if something is drawn; the others leave labels, masks and boxes as they are.
    """

    seed: int | None = None
    _moves_pixels = False  # then boxes would not fit any more
    _at_random = True  # then nothing happens outside of training

    def __init__(self, data_format: str | None = None, bounding_box_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.bounding_box_format = bounding_box_format

    def _set_seed(self, seed: int | None) -> None:
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    # -- what a subclass defines --------------------------------------------------------

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """What is drawn for a batch; None if nothing is."""
        return None

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """Images, changed as was drawn."""
        raise NotImplementedError(f"{type(self).__name__} has no transform_images.")

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """Labels, changed as was drawn."""
        return labels

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Masks, changed as was drawn."""
        return segmentation_masks

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Boxes, changed as was drawn.

        Raises:
            ValueError: The layer moves pixels about, and does not know where boxes come to.
        """
        if self._moves_pixels:
            raise ValueError(f"{self.name}: {type(self).__name__} moves pixels, but does not move bounding boxes.")
        return bounding_boxes

    def transform_single_image(self, image: Any, transformation: Any, training: bool = True) -> Any:
        """One image, changed as was drawn for a batch of one."""
        return ops.squeeze(self.transform_images(ops.expand_dims(image, 0), transformation, training), 0)

    def transform_single_label(self, label: Any, transformation: Any, training: bool = True) -> Any:
        """One label, changed as was drawn for a batch of one."""
        return ops.squeeze(self.transform_labels(ops.expand_dims(label, 0), transformation, training), 0)

    def transform_single_segmentation_mask(
        self, segmentation_mask: Any, transformation: Any, training: bool = True
    ) -> Any:
        """One mask, changed as was drawn for a batch of one."""
        mask = ops.expand_dims(segmentation_mask, 0)
        return ops.squeeze(self.transform_segmentation_masks(mask, transformation, training), 0)

    def transform_single_bounding_box(self, bounding_box: Any, transformation: Any, training: bool = True) -> Any:
        """The boxes of one image, changed as was drawn for a batch of one."""
        return self.transform_bounding_boxes(bounding_box, transformation, training)

    # -- the call -----------------------------------------------------------------------

    def call(self, data: Any, training: bool = True) -> Any:
        parts = data if isinstance(data, dict) else {"images": data}
        if "images" not in parts:
            raise ValueError(f"{self.name}: the data should have 'images'; it has {', '.join(map(repr, parts))}.")
        parts = {k: ops.convert_to_tensor(v) if k != "bounding_boxes" and k in _PARTS else v for k, v in parts.items()}
        ndim = len(parts["images"].shape)
        if ndim not in (3, 4):
            raise ValueError(
                f"{self.name}: images should have 3 dimensions, or 4 with a batch, not shape "
                f"{tuple(parts['images'].shape)}."
            )
        single = ndim == 3
        if single:
            parts = {k: ops.expand_dims(v, 0) if k in _PARTS and hasattr(v, "shape") else v for k, v in parts.items()}
        active = bool(training) or not self._at_random
        drawn = self.get_random_transformation(parts, training=active, seed=self._keys(data)) if active else None
        made = {k: self._changed(k, v, drawn, active) for k, v in parts.items()}
        if single:
            made = {k: ops.squeeze(v, 0) if k in _PARTS and hasattr(v, "shape") else v for k, v in made.items()}
        return made if isinstance(data, dict) else made["images"]

    def _changed(self, kind: str, value: Any, drawn: Any, active: bool) -> Any:
        if kind == "images":
            value = self._as_images(value)
            return self.transform_images(value, drawn, training=active) if active else self._left_alone(value)
        if not active:
            return value
        if kind == "labels":
            return self.transform_labels(value, drawn, training=active)
        if kind == "segmentation_masks":
            return self.transform_segmentation_masks(value, drawn, training=active)
        return self.transform_bounding_boxes(value, drawn, training=active) if kind == "bounding_boxes" else value

    def _as_images(self, images: Any) -> Any:
        return ops.cast(images, self.compute_dtype)

    def _left_alone(self, images: Any) -> Any:
        """Images outside of training."""
        return images

    def _keys(self, data: Any) -> Any:
        """What draws are made from. In a graph of another backend, a new key at every step."""
        generator = self.__dict__.get("generator")
        leaves = data.values() if isinstance(data, dict) else [data]
        if generator is None or not any(is_graph_tensor(x) for x in leaves) or generator.backend.name == "tensorflow":
            return generator
        return _GraphKeys(generator)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def compute_output_spec(self, data: Any, training: bool = True) -> Any:
        if isinstance(data, dict):
            return {
                k: KerasTensor(self.compute_output_shape(v.shape), self._image_dtype(v)) if k == "images" else v
                for k, v in data.items()
            }
        return KerasTensor(self.compute_output_shape(data.shape), self._image_dtype(data))

    def _image_dtype(self, images: Any) -> str:
        return self.compute_dtype

    # -- helpers ------------------------------------------------------------------------

    def _images_of(self, data: Any) -> Any:
        return data["images"] if isinstance(data, dict) else data

    def _size(self, shape: Any) -> tuple[Any, Any]:
        """(height, width) of images of that shape, with or without a batch."""
        first = len(shape) - (3 if self.data_format == "channels_last" else 2)
        return shape[first], shape[first + 1]

    def _batch(self, data: Any) -> Any:
        images = self._images_of(data)
        return ops.shape(images)[0] if len(images.shape) == 4 else 1

    def _uniform(self, shape: tuple, low: Any, high: Any, seed: Any) -> Any:
        return random.uniform(shape, low, high, dtype="float32", seed=self.generator if seed is None else seed)

    def _per_image(self, values: Any, images: Any) -> Any:
        """A value for each image, to meet their pixels."""
        return ops.cast(ops.reshape(values, (-1, 1, 1, 1)), images.dtype)

    def get_config(self) -> dict:
        own: dict[str, Any] = {"data_format": self.data_format}
        if self.bounding_box_format is not None:
            own["bounding_box_format"] = self.bounding_box_format
        return super().get_config() | own | config_of(self, *self._names)

    _names: tuple[str, ...] = ()


class _GraphKeys(random.SeedGenerator):
    """A generator's keys, drawn by a graph of the tensorflow backend whenever it runs."""

    def __init__(self, generator: random.SeedGenerator) -> None:
        self.backend, self._generator = backends.load("tensorflow"), generator

    def next(self, ordered: bool = True) -> Any:
        def draw() -> np.ndarray:
            return np.asarray(self._generator.backend.numpy(self._generator.next(ordered)), "uint32")

        return self.backend.on_host(draw, [], "uint32", (2,), np.asarray)


def factor_range(layer: Any, factor: Any, least: float, name: str = "factor") -> tuple[float, float]:
    """(lowest, highest) from a number or two: of a number f, (0, f), or (-|f|, |f|) where `least` is -1.

    Raises:
        ValueError: It is neither, or beyond [least, 1].
    """
    try:
        two = isinstance(factor, (tuple, list))
        low, high = sorted(factor) if two else (least, abs(factor)) if least < 0 else (0, factor)
        if least < 0 and not two:
            low = -high
        fits = (-1 if two else least) <= low <= high <= 1
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"{layer.name}: {name}={factor!r} should be a number, or two, within [{least:g}, 1].")
    return low, high


def value_pair(layer: Any, value_range: Any) -> tuple[float, float]:
    """The range of pixels' values, ascending.

    Raises:
        ValueError: It is no two ascending numbers.
    """
    if not (isinstance(value_range, (tuple, list)) and len(value_range) == 2 and value_range[0] < value_range[1]):
        raise ValueError(f"{layer.name}: value_range={value_range!r} should be two ascending numbers.")
    return value_range[0], value_range[1]


def checked(layer: Any, value: Any, allowed: tuple[str, ...], name: str) -> Any:
    """`value`, which should be one of those allowed.

    Raises:
        ValueError: It is not.
    """
    if value not in allowed:
        raise ValueError(f"{layer.name}: {name}={value!r} should be one of {', '.join(allowed)}.")
    return value
