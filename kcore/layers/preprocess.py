"""Layers for data before training: scaling to a range, or to mean 0 and variance 1."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from kcore import backends, config, ops, tree
from kcore.layers.arguments import config_of, known
from kcore.layers.layer import Layer
from kcore.layers.strings import as_array, is_graph_tensor


class DataLayer(Layer):
    """A layer that can also be called inside a tf.data pipeline, whatever backend it is at home on.

    There it runs on the tensorflow backend, and answers with that framework's tensors.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any(is_graph_tensor(t) for t in tree.flatten((args, kwargs))):
            with backends.use("tensorflow"):
                return self._call_at_home(args, kwargs)
        return super().__call__(*args, **kwargs)

    def convert_weight(self, weight: Any) -> Any:
        """A weight as a tensor of the backend that the call runs on."""
        return ops.convert_to_tensor(weight)


class Rescaling(DataLayer):
    """inputs * scale + offset, as floats.

    Args:
        scale: A number, or one for each channel.
        offset: The same.
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        dtype = self.compute_dtype
        scale, offset = (self._spread(part, inputs) for part in (self.scale, self.offset))
        return ops.add(ops.multiply(ops.cast(inputs, dtype), scale), offset)

    def _spread(self, part: Any, inputs: Any) -> Any:
        """The scale or offset as it meets the inputs: along the channels, wherever these are."""
        if isinstance(part, (int, float)):
            return part
        part = ops.cast(part, self.compute_dtype)
        if len(part.shape) == 1 and config.image_data_format() == "channels_first":
            return ops.reshape(part, (-1, 1, 1))
        return part

    def get_config(self) -> dict:
        from kcore import saving

        own = config_of(self, "scale", "offset")
        return super().get_config() | {k: saving.serialize_keras_object(v) for k, v in own.items()}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The layer of a config."""
        from kcore import saving

        parts = {
            k: saving.deserialize_keras_object(config[k], custom_objects) for k in ("scale", "offset") if k in config
        }
        return cls(**{**config, **parts})


class Normalization(DataLayer):
    """(inputs - mean) / sqrt(variance), with statistics that are given or were taken by `adapt`.

    Args:
        axis: The axis, or axes, that have statistics of their own; None for one mean of everything.
        mean, variance: The statistics; `adapt` is for layers without.
        invert: Whether to go back: inputs * sqrt(variance) + mean.

    Until `adapt` is called the mean is 0 and the variance 1. A standard deviation below 1e-7 counts as that.

    Raises:
        ValueError: Only one of mean and variance is given, or an axis is out of range.
    """

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None):
            raise ValueError(f"{self.name}: give both mean and variance or neither, not {mean=} and {variance=}.")
        self.input_mean, self.input_variance = mean, variance
        self.invert = invert
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        ndim = len(input_shape)
        for a in self.axis:
            known(self, input_shape, a)
        self._kept = tuple(sorted(a % ndim for a in self.axis))
        shape = tuple(input_shape[a] for a in self._kept)
        self._broadcast = tuple(input_shape[i] if i in self._kept else 1 for i in range(ndim))
        if self.input_mean is not None:
            return
        self.adapt_mean = self.add_weight(name="mean", shape=shape, initializer="zeros", trainable=False)
        self.adapt_variance = self.add_weight(name="variance", shape=shape, initializer="ones", trainable=False)
        self.count = self.add_weight(name="count", shape=(), initializer="zeros", dtype="int32", trainable=False)

    @property
    def mean(self) -> Any:
        """The mean, with the inputs' number of dimensions."""
        return self._statistic(self.input_mean, "adapt_mean")

    @property
    def variance(self) -> Any:
        """The variance, with the inputs' number of dimensions."""
        return self._statistic(self.input_variance, "adapt_variance")

    def _statistic(self, given: Any, name: str) -> Any:
        if given is None:
            return ops.reshape(ops.cast(getattr(self, name), self.compute_dtype), self._broadcast)
        value = ops.cast(given, self.compute_dtype)
        size = int(np.prod(self._broadcast))
        return ops.reshape(value, self._broadcast) if value.shape and size == np.prod(value.shape) else value

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, self.compute_dtype)
        spread = ops.maximum(ops.sqrt(self.variance), 1e-7)
        if self.invert:
            return ops.add(ops.multiply(x, spread), self.mean)
        return ops.divide(ops.subtract(x, self.mean), spread)

    def adapt(self, data: Any) -> None:
        """Takes the mean and variance of data, forgetting earlier ones.

        Args:
            data: An array or tensor, or a data set of batches: a tf.data.Dataset, a PyDataset, a generator.

        Raises:
            ValueError: The layer was given its mean and variance, or the data is empty.
        """
        if self.input_mean is not None:
            raise ValueError(f"{self.name}: the layer was given its mean and variance; adapt is for layers without.")
        count, mean, apart = 0, np.float64(0), np.float64(0)
        for batch in batches(data):
            if not batch.size:
                continue
            if not self.built:
                self.build((None, *batch.shape[1:]))
            folded = tuple(i for i in range(batch.ndim) if i not in self._kept)
            wide = batch.astype("float64")
            more = batch.size // max(int(np.prod([batch.shape[a] for a in self._kept])), 1)
            # The pairwise update of Chan, Golub & LeVeque: no cancellation, whatever the mean.
            shift = wide.mean(axis=folded) - mean
            total = count + more
            apart = apart + wide.var(axis=folded) * more + shift**2 * count * more / total
            mean = mean + shift * more / total
            count = total
        if not count:
            raise ValueError(f"{self.name}: there is no data to adapt to.")
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(apart / count)

    def finalize_state(self) -> None:
        """Kept for Keras: the statistics are read from the weights at each call."""

    def get_config(self) -> dict:
        own = {"mean": _plain(self.input_mean), "variance": _plain(self.input_variance)}
        return super().get_config() | config_of(self, "axis", "invert") | own


def _plain(value: Any) -> Any:
    """A number or lists of them."""
    return None if value is None else np.asarray(value).tolist()


def batches(data: Any, steps: int | None = None) -> Iterator[np.ndarray]:
    """The batches of a data set as arrays, `steps` of them at most; arrays, tensors and lists are one batch."""
    if hasattr(data, "shape") or isinstance(data, (list, tuple)):
        yield as_array(data)
        return
    many = (data[i] for i in range(len(data))) if hasattr(data, "__getitem__") and hasattr(data, "__len__") else data
    for batch in itertools.islice(many, steps):
        yield as_array(batch[0] if isinstance(batch, (list, tuple)) else batch)
