"""Layers that move elements about: reshape, permute, repeat, crop, enlarge and pad."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from kcore import config, ops
from kcore.layers.arguments import config_of, positive, sizes, with_defaults
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer
from kcore.ops.symbolic import KerasTensor


class Flatten(Layer):
    """Everything but the batch axis in one axis; a vector gets one of size 1.

    Args:
        data_format: With "channels_first" the channels are moved to the end first, so that the order of
            the elements is that of "channels_last".
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)
        self._channels_first = self.data_format == "channels_first"

    def call(self, inputs: Any) -> Any:
        count = len(inputs.shape)
        if self._channels_first and count > 2:
            inputs = ops.transpose(inputs, (0, *range(2, count), 1))
        batch, *rest = ops.shape(inputs)
        known = all(isinstance(d, int) for d in rest)
        return ops.reshape(inputs, (batch, math.prod(rest) if known else -1))

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "data_format")


class Reshape(Layer):
    """The same elements of each sample in another shape.

    Args:
        target_shape: The shape without the batch axis; one size may be -1, and is then what is left.

    Raises:
        ValueError: More than one size is -1, or the number of elements differs.
    """

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)
        if self.target_shape.count(-1) > 1:
            raise ValueError(f"{self.name}: target_shape={self.target_shape} should have at most one -1.")
        self.built = True

    def call(self, inputs: Any) -> Any:
        batch, *rest = ops.shape(inputs)
        target = self.target_shape
        if all(isinstance(d, int) for d in rest):
            target = self._resolved(math.prod(rest), inputs.shape)
        return ops.reshape(inputs, (batch, *target))

    def _resolved(self, count: int, input_shape: Any) -> tuple[int, ...]:
        """The target with -1 as the size that it stands for."""
        target = self.target_shape
        rest = math.prod(d for d in target if d != -1)
        fits = rest == count if -1 not in target else rest and count % rest == 0
        if not fits:
            raise ValueError(
                f"{self.name}: inputs of shape {tuple(input_shape)} have {count} elements in a sample, which don't "
                f"fit target_shape={target}."
            )
        return tuple(count // rest if d == -1 else d for d in target)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "target_shape")


class Permute(Layer):
    """The axes after the first in another order.

    Args:
        dims: The axes, counted from 1: (2, 1) swaps the first two after the batch axis.

    Raises:
        ValueError: `dims` does not name each axis once.
    """

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"{self.name}: dims={dims!r} should name each of the axes 1 to {len(self.dims)} once.")
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Any:
        return ops.transpose(inputs, (0, *self.dims))

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "dims")


class RepeatVector(Layer):
    """Each sample's vector, n times as a sequence: (batch, features) to (batch, n, features).

    Args:
        n: How many times.

    Raises:
        ValueError: `n` is no positive integer.
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive(self, n, "n")
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> Any:
        batch, features = ops.shape(inputs)
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (batch, self.n, features))

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "n")


class _Spatial(Layer):
    """A layer on the spatial axes of images."""

    rank: ClassVar[int]

    def _set_layout(self, data_format: str | None) -> None:
        self.data_format = config.standardize_data_format(data_format)
        self._first = 1 if self.data_format == "channels_last" else 2
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _pairs(self, value: Any, name: str) -> tuple[tuple[int, int], ...]:
        """(before, after) for each spatial axis, of one number, one for each axis, or pairs.

        Raises:
            ValueError: It is none of these.
        """
        if hasattr(value, "__index__"):
            value = (value,) * self.rank
        if isinstance(value, str) or not hasattr(value, "__len__") or len(value) != self.rank:
            raise ValueError(f"{self.name}: {name}={value!r} should be an integer, or {self.rank} of them or of pairs.")
        return tuple(sizes(self, pair, 2, name, least=0) for pair in value)  # type: ignore[misc]


# -- cropping ---------------------------------------------------------------------------


class _Cropping(_Spatial):
    cropping: Any

    def _crop(self, inputs: Any, cropping: tuple[tuple[int, int], ...]) -> Any:
        spatial = inputs.shape[self._first : self._first + self.rank]
        for size, (before, after) in zip(spatial, cropping, strict=True):
            if size is not None and before + after >= size:
                raise ValueError(
                    f"{self.name}: cropping={self.cropping} leaves nothing of inputs of shape {tuple(inputs.shape)}."
                )
        kept = tuple(slice(before, -after if after else None) for before, after in cropping)
        return inputs[(slice(None),) * self._first + kept]


class Cropping1D(_Cropping):
    """A sequence without its first and last steps.

    Args:
        cropping: How many go at both ends, or (at the start, at the end).

    Raises:
        ValueError: `cropping` is something else, or nothing is left.
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_layout("channels_last")
        self.cropping = sizes(self, cropping, 2, "cropping", least=0)

    def call(self, inputs: Any) -> Any:
        return self._crop(inputs, (self.cropping,))

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "cropping")


class _CroppingImage(_Cropping):
    def __init__(self, cropping: Any = 0, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_layout(data_format)
        self.cropping = self._pairs(cropping, "cropping")

    def call(self, inputs: Any) -> Any:
        return self._crop(inputs, self.cropping)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "cropping", "data_format")


class Cropping2D(_CroppingImage):
    """An image without its edges.

    Args:
        cropping: An integer, (height, width), or ((top, bottom), (left, right)).
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".

    Raises:
        ValueError: `cropping` is something else, or nothing is left.
    """

    rank = 2
    __init__ = with_defaults(_CroppingImage.__init__, cropping=((0, 0), (0, 0)))


class Cropping3D(_CroppingImage):
    """A volume without its faces. See `Cropping2D`."""

    rank = 3
    __init__ = with_defaults(_CroppingImage.__init__, cropping=((1, 1), (1, 1), (1, 1)))


# -- enlarging --------------------------------------------------------------------------


class UpSampling1D(_Spatial):
    """A sequence with each step repeated.

    Args:
        size: How many times.
    """

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_layout("channels_last")
        self.size = positive(self, size, "size")

    def call(self, inputs: Any) -> Any:
        return ops.repeat(inputs, self.size, axis=1)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "size")


class UpSampling2D(_Spatial):
    """An image made larger.

    Args:
        size: How many times, one number or (height, width).
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".
        interpolation: "nearest" repeats the elements; "bilinear", "bicubic", "lanczos3" and "lanczos5"
            as in `ops.image.resize`.

    Raises:
        ValueError: An argument is off.
    """

    rank = 2

    def __init__(
        self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._set_layout(data_format)
        self.size = sizes(self, size, 2, "size")
        known = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        self.interpolation = str(interpolation).lower()
        if self.interpolation not in known:
            raise ValueError(f"{self.name}: interpolation={interpolation!r} should be one of {', '.join(known)}.")

    def call(self, inputs: Any) -> Any:
        if self.interpolation == "nearest":
            return _repeated(inputs, self._first, self.size)
        if isinstance(inputs, KerasTensor):  # sizes may be open
            return KerasTensor(self.compute_output_shape(inputs.shape), inputs.dtype)
        shape = ops.shape(inputs)
        target = tuple(n * k for n, k in zip(shape[self._first : self._first + 2], self.size, strict=True))
        return ops.image.resize(inputs, target, interpolation=self.interpolation, data_format=self.data_format)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        first = self._first
        made = [None if n is None else n * k for n, k in zip(input_shape[first : first + 2], self.size, strict=True)]
        return (*input_shape[:first], *made, *input_shape[first + 2 :])

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "size", "data_format", "interpolation")


class UpSampling3D(_Spatial):
    """A volume with its elements repeated.

    Args:
        size: How many times, one number or one for each spatial axis.
        data_format: "channels_last": (batch, *three sizes, channels), or "channels_first".
    """

    rank = 3

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_layout(data_format)
        self.size = sizes(self, size, 3, "size")

    def call(self, inputs: Any) -> Any:
        return _repeated(inputs, self._first, self.size)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "size", "data_format")


def _repeated(inputs: Any, first: int, counts: tuple[int, ...]) -> Any:
    for axis, count in enumerate(counts, first):
        inputs = ops.repeat(inputs, count, axis=axis)
    return inputs


# -- padding ----------------------------------------------------------------------------


class _ZeroPadding(_Spatial):
    padding: Any

    def _pad(self, inputs: Any, padding: tuple[tuple[int, int], ...]) -> Any:
        width = [(0, 0)] * len(inputs.shape)
        width[self._first : self._first + self.rank] = padding
        return ops.pad(inputs, tuple(width))

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "padding", "data_format")


class ZeroPadding1D(_ZeroPadding):
    """A sequence with zeros at its ends.

    Args:
        padding: How many at both ends, or (at the start, at the end).
        data_format: "channels_last": (batch, steps, channels), or "channels_first".

    Raises:
        ValueError: `padding` is something else.
    """

    rank = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_layout(data_format)
        self.padding = sizes(self, padding, 2, "padding", least=0)

    def call(self, inputs: Any) -> Any:
        return self._pad(inputs, (self.padding,))


class _ZeroPaddingImage(_ZeroPadding):
    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_layout(data_format)
        self.padding = self._pairs(padding, "padding")

    def call(self, inputs: Any) -> Any:
        return self._pad(inputs, self.padding)


class ZeroPadding2D(_ZeroPaddingImage):
    """An image with zeros around it.

    Args:
        padding: An integer, (height, width), or ((top, bottom), (left, right)).
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".

    Raises:
        ValueError: `padding` is something else.
    """

    rank = 2
    __init__ = with_defaults(_ZeroPaddingImage.__init__, padding=(1, 1))


class ZeroPadding3D(_ZeroPaddingImage):
    """A volume with zeros around it. See `ZeroPadding2D`."""

    rank = 3
    __init__ = with_defaults(_ZeroPaddingImage.__init__, padding=((1, 1), (1, 1), (1, 1)))
