"""Layers that only act in training: noise that keeps a model from relying on single values, and penalties."""

from __future__ import annotations

import math
from typing import Any

from kcore import config, ops, random
from kcore.layers.arguments import config_of
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer

# The negative saturation value of selu: -alpha * scale (Klambauer et al. 2017).
_SELU_FLOOR = -1.6732632423543772 * 1.0507009873554805


class _Noisy(Layer):
    """A layer that draws in training and does nothing else."""

    seed_generator: random.SeedGenerator | None = None

    def _set_noise(self, amount: float, name: str, seed: int | None) -> None:
        """Keeps the amount, from 0 to 1, and makes the seed generator, where one is needed."""
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount <= 1:
            raise ValueError(f"{self.name}: {name}={amount!r} should be a number from 0 to 1.")
        setattr(self, name, amount)
        self.seed = seed
        if amount > 0:
            self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True
        self.built = True


class Dropout(_Noisy):
    """In training, elements are zeroed at a rate, and the others divided by 1 - rate, so that sums stay alike.

    Args:
        rate: From 0 to 1.
        noise_shape: The shape of the mask, which broadcasts to the inputs': None in it is the inputs' size,
            1 drops along that axis as one. None draws for each element.
        seed: Makes the draws repeatable.

    Raises:
        ValueError: `rate` is no number from 0 to 1, or `noise_shape` no sequence.
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_noise(rate, "rate", seed)
        self.noise_shape = _noise_shape(self, noise_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        return random.dropout(inputs, self.rate, self.noise_shape, self.seed_generator)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "rate", "seed", "noise_shape")


def _noise_shape(layer: Any, noise_shape: Any) -> tuple | None:
    if noise_shape is None:
        return None
    if not isinstance(noise_shape, (tuple, list)) or not all(d is None or isinstance(d, int) for d in noise_shape):
        raise ValueError(f"{layer.name}: noise_shape={noise_shape!r} should be a sequence of integers and None.")
    return tuple(noise_shape)


class _SpatialDropout(_Noisy):
    rank: int

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._set_noise(rate, "rate", seed)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _noise(self) -> tuple:
        """The mask's shape: one element for each sample and channel."""
        return (None, *(1,) * self.rank, None)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        return random.dropout(inputs, self.rate, self._noise(), self.seed_generator)

    def get_config(self) -> dict:
        return config_of(self, "rate", "seed", "name") | {"dtype": self.dtype_policy.name}


class SpatialDropout1D(_SpatialDropout):
    """As `Dropout`, for sequences (batch, steps, channels): a channel is dropped for all steps.

    Args:
        rate: From 0 to 1.
        seed: Makes the draws repeatable.
    """

    rank = 1


class _SpatialDropoutImage(_SpatialDropout):
    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = config.standardize_data_format(data_format)

    def _noise(self) -> tuple:
        return super()._noise() if self.data_format == "channels_last" else (None, None, *(1,) * self.rank)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "data_format")


class SpatialDropout2D(_SpatialDropoutImage):
    """As `Dropout`, for images: a channel is dropped at all positions.

    Args:
        rate: From 0 to 1.
        data_format: "channels_last": (batch, height, width, channels), or "channels_first".
        seed: Makes the draws repeatable.
    """

    rank = 2


class SpatialDropout3D(_SpatialDropoutImage):
    """As `SpatialDropout2D`, for volumes."""

    rank = 3


class GaussianDropout(_Noisy):
    """In training, elements are multiplied by normal numbers of mean 1 and variance rate / (1 - rate).

    Args:
        rate: From 0 to below 1; the variance is that of `Dropout` with this rate.
        seed: Makes the draws repeatable.

    Raises:
        ValueError: `rate` is no such number.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_noise(rate, "rate", seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        spread = math.sqrt(self.rate / (1 - self.rate)) if self.rate < 1 else math.inf
        return ops.multiply(
            inputs, random.normal(ops.shape(inputs), 1.0, spread, self.compute_dtype, self.seed_generator)
        )

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "rate", "seed")


class GaussianNoise(_Noisy):
    """In training, normal numbers of mean 0 are added.

    Args:
        stddev: Their standard deviation, from 0 to 1.
        seed: Makes the draws repeatable.

    Raises:
        ValueError: `stddev` is no such number.
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_noise(stddev, "stddev", seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.stddev == 0:
            return inputs
        return ops.add(
            inputs, random.normal(ops.shape(inputs), 0.0, self.stddev, self.compute_dtype, self.seed_generator)
        )

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "stddev", "seed")


class AlphaDropout(_Noisy):
    """Dropout for selu: dropped elements become its floor, and all are scaled so that mean 0 and variance 1 stay.

    Args:
        rate: From 0 to 1.
        noise_shape: The shape of the mask, as for `Dropout`.
        seed: Makes the draws repeatable.

    Raises:
        ValueError: `rate` is no number from 0 to 1, or `noise_shape` no sequence.
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_noise(rate, "rate", seed)
        self.noise_shape = _noise_shape(self, noise_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        rate = self.rate
        if rate == 1:
            return ops.zeros_like(inputs)
        shape = ops.shape(inputs)
        if self.noise_shape is not None:
            shape = tuple(own if d is None else d for own, d in zip(shape, self.noise_shape, strict=True))
        kept = ops.greater_equal(random.uniform(shape, seed=self.seed_generator), rate)
        # The variance of the dropped mixture is (1 - rate) * (1 + rate * floor**2).
        scale = ((1 - rate) * (1 + rate * _SELU_FLOOR**2)) ** -0.5
        shift = -scale * rate * _SELU_FLOOR
        return ops.add(ops.multiply(scale, ops.where(kept, inputs, _SELU_FLOOR)), shift)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "rate", "seed", "noise_shape")


class ActivityRegularization(Layer):
    """Gives back its inputs, and adds a penalty of them to the losses.

    Args:
        l1: Times the sum of |x|.
        l2: Times the sum of x**2.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        from kcore.regularizers import L1L2

        super().__init__(activity_regularizer=L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = l1, l2
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict:
        found = super().get_config()
        found.pop("activity_regularizer")
        return found | config_of(self, "l1", "l2")
