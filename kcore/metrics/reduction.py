"""Sums and means over batches, and metrics that are the mean of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcore import dtypes, ops
from kcore.layers import masks
from kcore.losses.loss import aligned
from kcore.metrics.metric import Metric


def samplewise(values: Any, sample_weight: Any, fold: Callable, dtype: str) -> tuple[Any, Any]:
    """One weighted value for each sample, and its weight (None without weights or a mask).

    Axes that a sample has of its own are folded by `fold` (ops.sum or ops.mean), in the
    values and in the weights.
    """
    mask = mask_of(values)
    values = ops.convert_to_tensor(values, dtype)
    weight = None if sample_weight is None else ops.convert_to_tensor(sample_weight, dtype)
    if mask is not None:
        mask = _trimmed(ops.cast(mask, dtype), values)
        weight = mask if weight is None else aligned(weight, mask) * mask
    if weight is not None:
        weight = _trimmed(weight, values)
        own, given = len(values.shape), len(weight.shape)
        if given < own:
            values = fold(values, tuple(range(given, own)))
        values = values * weight
        if given > 1:
            weight = fold(weight, tuple(range(1, given)))
    if len(values.shape) > 1:
        values = fold(values, tuple(range(1, len(values.shape))))
    return values, weight


def mask_of(x: Any) -> Any:
    """The mask that a tensor carries, None if none."""
    return masks.get_mask(x)


def _count(values: Any) -> Any:
    """How many samples: an integer, or a tensor where only the run will tell."""
    size = ops.shape(values)[0] if len(values.shape) else 1
    if size is None:  # a layer that keeps a metric is traced
        return ops.sum(ops.ones_like(values))
    return size if isinstance(size, int) else ops.cast(size, dtypes.name_of(values.dtype))


def _trimmed(weight: Any, values: Any) -> Any:
    """Weights without last axes of size 1 that the values don't have."""
    while len(weight.shape) > len(values.shape) and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, -1)
    return weight


class Sum(Metric):
    """The weighted sum of all values."""

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, _ = samplewise(values, sample_weight, ops.sum, self.dtype)
        self.total.assign_add(ops.sum(values))

    def reset_state(self) -> None:
        self.total.assign(0)

    def result(self) -> Any:
        return self.total.value


class Mean(Metric):
    """The weighted mean of all values; 0 before any.

    Every sample counts once, or as its weight says: values of one sample are averaged first.
    """

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        if sample_weight.__class__ is int and values.shape == ():  # a mean of so many, as a step's loss is
            self.total.assign_add(ops.multiply(values, sample_weight))
            self.count.assign_add(sample_weight)
            return
        values, weight = samplewise(values, sample_weight, ops.mean, self.dtype)
        self.total.assign_add(ops.sum(values))
        self.count.assign_add(_count(values) if weight is None else ops.sum(weight))

    def reset_state(self) -> None:
        self.total.assign(0)
        self.count.assign(0)

    def result(self) -> Any:
        return ops.divide_no_nan(self.total.value, self.count.value)


class MeanMetricWrapper(Mean):
    """The weighted mean of `fn(y_true, y_pred, **kwargs)`.

    Args:
        fn: Returns a value for each sample, or each position of one.
        name: Made from the class's unless given.
        dtype: As for `Metric`.
        kwargs: Passed to `fn`, and kept in the config.
    """

    def __init__(self, fn: Callable, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name, dtype)  # type: ignore[arg-type]
        self._fn, self._fn_kwargs = fn, kwargs

    def __getattr__(self, name: str) -> Any:
        options = self.__dict__.get("_fn_kwargs", {})
        if name in options:
            return options[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def update_state(  # of targets and predictions, not of values
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        given = mask_of(y_pred)
        with masks.mask_scope():
            values = self._fn(y_true, y_pred, **self._fn_kwargs)
            if given is not None:
                own = mask_of(values)
                mask = given if own is None else ops.logical_and(given, own)
                values = ops.convert_to_tensor(values)
                masks.set_mask(values, mask)
            super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), **self._fn_kwargs}
        if type(self) is MeanMetricWrapper:
            from kcore import saving

            config["fn"] = saving.serialize_keras_object(self._fn)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        if isinstance(config.get("fn"), (dict, str)):
            from kcore import saving

            config = {**config, "fn": saving.deserialize_keras_object(config["fn"])}
        return cls(**config)


def float_of(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both as tensors of y_pred's float dtype."""
    y_pred = ops.convert_to_tensor(y_pred)
    dtype = dtypes.float_of(dtypes.name_of(y_pred.dtype))
    return ops.cast(ops.convert_to_tensor(y_true), dtype), ops.cast(y_pred, dtype)
