"""Pooling layers: windows, or whole images, become their greatest element or their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from kcore import config, ops
from kcore.layers.arguments import config_of, sizes, with_defaults
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer


class _Pooling(Layer):
    """A window that slides over the spatial axes.

    Args:
        pool_size: The window, one number or one for each spatial axis.
        strides: How far it moves; `pool_size` unless given.
        padding: "valid" for windows inside the image only; "same" for ceil(size / stride) of them, which
            may reach over its edges. What is outside never wins, and does not count for means.
        data_format: "channels_last": (batch, *spatial, channels), "channels_first":
            (batch, channels, *spatial); None is the default layout.

    Raises:
        ValueError: An argument is off, or the inputs don't fit.
    """

    rank: ClassVar[int]
    _pooled: ClassVar[Callable]

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = sizes(self, pool_size, self.rank, "pool_size")
        self.strides = self.pool_size if strides is None else sizes(self, strides, self.rank, "strides")
        self.padding = str(padding).lower()
        if self.padding not in ("valid", "same"):
            raise ValueError(f"{self.name}: padding={padding!r} should be 'valid' or 'same'.")
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self._pooled(inputs, self.pool_size, self.strides, self.padding, self.data_format)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "pool_size", "padding", "strides", "data_format")


class _MaxPooling(_Pooling):
    _pooled = staticmethod(ops.max_pool)


class _AveragePooling(_Pooling):
    _pooled = staticmethod(ops.average_pool)


class MaxPooling1D(_MaxPooling):
    """The greatest element of each window of a sequence (batch, steps, channels). See `MaxPooling2D`."""

    rank = 1
    __init__ = with_defaults(_Pooling.__init__, pool_size=2)


class MaxPooling2D(_MaxPooling):
    """The greatest element of each window of an image.

    Args:
        pool_size: The window, one number or (height, width).
        strides: How far it moves; `pool_size` unless given.
        padding: "valid" for windows inside the image only; "same" for ceil(size / stride) of them, which
            may reach over its edges; what is outside never wins.
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".

    Raises:
        ValueError: An argument is off, or the inputs don't fit.
    """

    rank = 2
    __init__ = with_defaults(_Pooling.__init__, pool_size=(2, 2))


class MaxPooling3D(_MaxPooling):
    """The greatest element of each window of a volume. See `MaxPooling2D`."""

    rank = 3
    __init__ = with_defaults(_Pooling.__init__, pool_size=(2, 2, 2))


class AveragePooling1D(_AveragePooling):
    """The mean of each window of a sequence (batch, steps, channels). See `AveragePooling2D`."""

    rank = 1


class AveragePooling2D(_AveragePooling):
    """The mean of each window of an image.

    Args:
        pool_size: The window, one number or (height, width).
        strides: How far it moves; `pool_size` unless given.
        padding: "valid" for windows inside the image only; "same" for ceil(size / stride) of them, which
            may reach over its edges; the mean is of the elements inside.
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".

    Raises:
        ValueError: An argument is off, or the inputs don't fit.
    """

    rank = 2


class AveragePooling3D(_AveragePooling):
    """The mean of each window of a volume. See `AveragePooling2D`."""

    rank = 3


# -- whole images -----------------------------------------------------------------------


class _GlobalPooling(Layer):
    """One value for each channel.

    Args:
        data_format: "channels_last": (batch, *spatial, channels), "channels_first":
            (batch, channels, *spatial); None is the default layout.
        keepdims: Whether the spatial axes stay, with size 1.
    """

    rank: ClassVar[int]
    _folded: ClassVar[Callable]

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.keepdims = keepdims
        first = 1 if self.data_format == "channels_last" else 2
        self._spatial = tuple(range(first, first + self.rank))
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self._folded(inputs, self._spatial, self.keepdims)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "data_format", "keepdims")


class _GlobalMaxPooling(_GlobalPooling):
    _folded = staticmethod(ops.max)


class _GlobalAveragePooling(_GlobalPooling):
    _folded = staticmethod(ops.mean)


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The greatest step of each channel of a sequence (batch, steps, channels). See `GlobalMaxPooling2D`."""

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The greatest element of each channel of an image.

    Args:
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".
        keepdims: Whether the spatial axes stay, with size 1.
    """

    rank = 2


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """The greatest element of each channel of a volume. See `GlobalMaxPooling2D`."""

    rank = 3


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """The mean of each channel of a sequence (batch, steps, channels), over the steps that the mask leaves.

    Args:
        data_format: "channels_last": (batch, steps, channels), or "channels_first".
        keepdims: Whether the axis of steps stays, with size 1.

    A sequence of which nothing is left has nan for its means.
    """

    rank = 1

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(inputs)
        (steps,) = self._spatial
        there = ops.expand_dims(ops.cast(mask, "bool"), 2 if steps == 1 else 1)
        total = ops.sum(ops.where(there, inputs, 0), steps, self.keepdims)
        return ops.divide(total, ops.sum(ops.cast(there, inputs.dtype), steps, self.keepdims))

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean of each channel of an image.

    Args:
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".
        keepdims: Whether the spatial axes stay, with size 1.
    """

    rank = 2


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """The mean of each channel of a volume. See `GlobalAveragePooling2D`."""

    rank = 3


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)
