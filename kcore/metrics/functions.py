"""Metric functions that are not losses: accuracies and correlations, for each sample."""

from __future__ import annotations

from typing import Any

from kcore import config, dtypes, ops
from kcore.losses.functions import cosine_similarity as _negative_cosine
from kcore.losses.functions import in_full_width, same_rank

Tensor = Any


def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1.0 where they are equal, else 0.0."""
    y_true, y_pred = same_rank(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))
    return ops.cast(y_true == y_pred, config.floatx())


def binary_accuracy(y_true: Tensor, y_pred: Tensor, threshold: float = 0.5) -> Tensor:
    """1.0 where y_true is what y_pred says: 1 above `threshold`, else 0."""
    y_true, y_pred = same_rank(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))
    chosen = ops.cast(y_pred > threshold, dtypes.name_of(y_true.dtype))
    return ops.cast(y_true == chosen, config.floatx())


def categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1.0 where the greatest element of y_pred is that of the one-hot y_true; of equal ones the first counts."""
    return _alike(ops.argmax(y_true, -1), ops.argmax(y_pred, -1))


def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1.0 where the greatest element of y_pred is the class that y_true names; of equal ones the first counts.

    Args:
        y_true: Class numbers, of the shape of `y_pred` without its last axis, or with size 1 there.
        y_pred: A score for each class on the last axis.
    """
    return _alike(_classes(y_true, y_pred), ops.argmax(y_pred, -1))


def _alike(a: Tensor, b: Tensor) -> Tensor:
    return ops.cast(ops.cast(a, "int32") == ops.cast(b, "int32"), config.floatx())


def _classes(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Class numbers without a last axis of size 1."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    return y_true


def top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """1.0 where the true class of the one-hot y_true is among the k greatest elements of y_pred.

    A tie with the k-th counts as among them.
    """
    return sparse_top_k_categorical_accuracy(ops.argmax(y_true, -1), y_pred, k)


def sparse_top_k_categorical_accuracy(
    y_true: Tensor, y_pred: Tensor, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1.0 where the class that y_true names is among the k greatest elements of y_pred.

    Args:
        y_true: Class numbers, of the shape of `y_pred` without its last axis, or with size 1 there.
        y_pred: A score for each class on the last axis, or class numbers from best to worst.
        k: How many count. A tie with the k-th counts too.
        from_sorted_ids: Whether `y_pred` holds class numbers.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.expand_dims(ops.cast(_classes(y_true, y_pred), "int32"), -1)
    if from_sorted_ids:
        return ops.cast(ops.any(ops.cast(y_pred[..., :k], "int32") == y_true, -1), config.floatx())
    classes = y_pred.shape[-1]
    valid = ops.logical_and(y_true >= 0, y_true < classes)
    own = ops.take_along_axis(y_pred, ops.where(valid, y_true, 0), -1)
    above = ops.sum(ops.cast(y_pred > own, "int32"), -1)
    found = ops.logical_and(above < k, ops.squeeze(ops.logical_and(valid, ops.logical_not(ops.isnan(own))), -1))
    return ops.cast(found, config.floatx())


@in_full_width
def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """The cosine of the angle between them along `axis`; 0 where one is 0."""
    return -_negative_cosine(y_true, y_pred, axis)


@in_full_width
def pearson_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """The correlation coefficient along `axis`, from -1 to 1; nan where one is constant."""
    a, b = _centred(y_true, y_pred, axis)[:2]
    spread = ops.sqrt(ops.sum(a * a, axis) * ops.sum(b * b, axis))
    return ops.sum(a * b, axis) / spread


@in_full_width
def concordance_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """2 cov / (var + var + (mean - mean)**2) along `axis`: correlation that also asks for equal scale (Lin 1989).

    0 where both are constant.
    """
    a, b, mean_a, mean_b = _centred(y_true, y_pred, axis)
    spread = ops.mean(a * a, axis) + ops.mean(b * b, axis) + ops.square(ops.squeeze(mean_a - mean_b, axis))
    return 2 * ops.mean(a * b, axis) / (spread + config.epsilon())


def _centred(y_true: Tensor, y_pred: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    y_pred = ops.convert_to_tensor(y_pred)
    dtype = dtypes.float_of(dtypes.name_of(y_pred.dtype))
    y_true, y_pred = same_rank(ops.cast(ops.convert_to_tensor(y_true), dtype), ops.cast(y_pred, dtype))
    means = [ops.mean(y, axis, keepdims=True) for y in (y_true, y_pred)]
    return y_true - means[0], y_pred - means[1], means[0], means[1]
