"""Counts of true and false positives and negatives at thresholds, and the metrics made from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kcore import ops
from kcore.losses.functions import same_rank
from kcore.losses.loss import aligned
from kcore.metrics.metric import Metric
from kcore.metrics.reduction import float_of, mask_of

# With more thresholds than this, predictions are sorted into the gaps between them instead of compared with each.
_FEW_THRESHOLDS = 8


class Counts(NamedTuple):
    """Weights of samples by what they are and what is said of them: (thresholds,), or (thresholds, labels)."""

    true_positives: Any
    false_positives: Any
    true_negatives: Any
    false_negatives: Any


def count(
    y_true: Any,
    y_pred: Any,
    thresholds: Sequence[float],
    sample_weight: Any = None,
    *,
    dtype: str,
    top_k: int | None = None,
    class_id: int | None = None,
    labels: bool = False,
) -> Counts:
    """Counts at each threshold. A prediction is positive above it, a target where it is not 0.

    Args:
        y_true, y_pred: Of one shape.
        thresholds: Any order.
        sample_weight: Leading axes of the predictions', or what broadcasts with them.
        dtype: Of the counts.
        top_k: Only the k greatest predictions on the last axis can be positive.
        class_id: Only this index of the last axis counts.
        labels: Whether the last axis is kept.

    Raises:
        ValueError: The shapes differ.
    """
    mask = mask_of(y_pred)
    y_true, y_pred = same_rank(*float_of(y_true, y_pred))
    if len(y_true.shape) != len(y_pred.shape) or any(
        a != b for a, b in zip(y_true.shape, y_pred.shape, strict=True) if None not in (a, b)
    ):
        raise ValueError(
            f"y_true and y_pred should have the same shape, not {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
        )
    weight = None if sample_weight is None else aligned(ops.cast(ops.convert_to_tensor(sample_weight), dtype), y_pred)
    if mask is not None:
        mask = aligned(ops.cast(mask, dtype), y_pred)
        weight = mask if weight is None else weight * mask
    weight = ops.ones_like(y_pred, dtype=dtype) if weight is None else ops.broadcast_to(weight, ops.shape(y_pred))
    if top_k is not None:
        y_pred = _only_greatest(y_pred, top_k)
    if class_id is not None:
        y_true, y_pred, weight = (t[..., class_id] for t in (y_true, y_pred, weight))
    sizes = (-1, y_pred.shape[-1]) if labels else (-1, 1)
    y_true, y_pred, weight = (ops.reshape(t, sizes) for t in (y_true, y_pred, weight))
    positive = ops.where(y_true != 0, weight, 0)
    negative = weight - positive
    above = _sums_above(y_pred, positive, thresholds), _sums_above(y_pred, negative, thresholds)
    counts = (above[0], above[1], ops.sum(negative, 0) - above[1], ops.sum(positive, 0) - above[0])
    return Counts(*(c if labels else ops.squeeze(c, 1) for c in counts))


def _only_greatest(y_pred: Any, k: int) -> Any:
    """The k greatest elements on the last axis; -inf in place of others."""
    _, indices = ops.top_k(y_pred, k)
    chosen = ops.any(ops.expand_dims(indices, -1) == ops.arange(y_pred.shape[-1]), -2)
    return ops.where(chosen, y_pred, -float("inf"))


def _sums_above(y_pred: Any, weight: Any, thresholds: Sequence[float]) -> Any:
    """For each threshold and column, the sum of the weights of what is above it."""
    if len(thresholds) <= _FEW_THRESHOLDS:
        rows = [ops.sum(ops.where(y_pred > t, weight, 0), 0) for t in thresholds]
        return ops.stack(rows, 0)
    order = sorted(range(len(thresholds)), key=thresholds.__getitem__)
    ascending = ops.convert_to_tensor([thresholds[i] for i in order], dtype=y_pred.dtype)
    columns = y_pred.shape[1]
    # How many thresholds each prediction is above; then a histogram of that, summed up from the top.
    passed = ops.cast(ops.searchsorted(ascending, ops.reshape(y_pred, (-1,)), side="left"), "int32")
    passed = ops.where(ops.isnan(ops.reshape(y_pred, (-1,))), 0, passed)
    bins = len(thresholds) + 1
    if columns > 1:
        column = ops.reshape(ops.broadcast_to(ops.arange(columns), ops.shape(y_pred)), (-1,))
        passed = passed * columns + column
    histogram = ops.segment_sum(ops.reshape(weight, (-1,)), passed, num_segments=bins * columns)
    histogram = ops.reshape(histogram, (bins, columns))
    sums = ops.flip(ops.cumsum(ops.flip(histogram, 0), 0), 0)[1:]
    if order != list(range(len(order))):
        place = [0] * len(order)
        for i, at in enumerate(order):
            place[at] = i
        sums = ops.take(sums, ops.convert_to_tensor(place, dtype="int32"), axis=0)
    return sums


def checked_thresholds(thresholds: Any, default: float = 0.5) -> list[float]:
    """Thresholds as a list of floats; None is `default` alone.

    Raises:
        ValueError: One is not between 0 and 1.
    """
    many = [default] if thresholds is None else thresholds if isinstance(thresholds, (list, tuple)) else [thresholds]
    if thresholds is not None and not all(isinstance(t, (int, float)) and 0 <= t <= 1 for t in many):
        raise ValueError(f"thresholds={thresholds!r} should be numbers from 0 to 1.")
    return [float(t) for t in many]


def even_thresholds(num_thresholds: int) -> list[float]:
    """That many, from 0 to 1; 0.5 for a single one."""
    if num_thresholds == 1:
        return [0.5]
    return [i / (num_thresholds - 1) for i in range(num_thresholds)]


# -- counts -----------------------------------------------------------------------------


class ConfusionCount(Metric):
    """The weight of the samples of one kind at each threshold.

    Args:
        thresholds: One, several (then the result is a vector), or None for 0.5.
    """

    kind: str

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self.thresholds = checked_thresholds(thresholds)
        self.accumulator = self.add_variable((len(self.thresholds),), "zeros", name="accumulator")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        counts = count(y_true, y_pred, self.thresholds, sample_weight, dtype=self.dtype)
        self.accumulator.assign_add(getattr(counts, self.kind))

    def result(self) -> Any:
        return _single(self.accumulator.value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


def _single(values: Any) -> Any:
    return values[0] if values.shape[0] == 1 else values


class TruePositives(ConfusionCount):
    """The weight of positive samples that are predicted positive."""

    kind = "true_positives"


class FalsePositives(ConfusionCount):
    """The weight of negative samples that are predicted positive."""

    kind = "false_positives"


class TrueNegatives(ConfusionCount):
    """The weight of negative samples that are predicted negative."""

    kind = "true_negatives"


class FalseNegatives(ConfusionCount):
    """The weight of positive samples that are predicted negative."""

    kind = "false_negatives"


# -- precision and recall ---------------------------------------------------------------


class _Share(Metric):
    """The share of the true positives in them and `other` ones.

    Args:
        thresholds: One, several (then the result is a vector), or None for 0.5, or with `top_k` for no
            threshold.
        top_k: Only the k greatest predictions of a sample can be positive.
        class_id: Only this class counts.
    """

    other: str

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self.init_thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        self.thresholds = checked_thresholds(thresholds, 0.5 if top_k is None else -float("inf"))
        shape = (len(self.thresholds),)
        self.true_positives = self.add_variable(shape, "zeros", name="true_positives")
        setattr(self, self.other, self.add_variable(shape, "zeros", name=self.other))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        counts = count(
            y_true,
            y_pred,
            self.thresholds,
            sample_weight,
            dtype=self.dtype,
            top_k=self.top_k,
            class_id=self.class_id,
        )
        self.true_positives.assign_add(counts.true_positives)
        getattr(self, self.other).assign_add(getattr(counts, self.other))

    def result(self) -> Any:
        found = self.true_positives.value
        return _single(ops.divide_no_nan(found, found + getattr(self, self.other).value))

    def get_config(self) -> dict[str, Any]:
        own = {"thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **own}


class Precision(_Share):
    """The share of true positives in all predicted positive; 0 without any.

    Args:
        thresholds: One, several (then the result is a vector), or None for 0.5, or with `top_k` for no
            threshold.
        top_k: Only the k greatest predictions of a sample can be positive.
        class_id: Only this class counts.
    """

    other = "false_positives"


class Recall(_Share):
    """The share of true positives in all that are positive; 0 without any.

    Args:
        thresholds: One, several (then the result is a vector), or None for 0.5, or with `top_k` for no
            threshold.
        top_k: Only the k greatest predictions of a sample can be positive.
        class_id: Only this class counts.
    """

    other = "false_negatives"


# -- one rate where another holds -------------------------------------------------------


class RateAtRate(Metric):
    """The greatest `wanted` rate over the thresholds where the rate `bound` is at least a value; 0 where it never is.

    Args:
        value: The least rate, from 0 to 1.
        num_thresholds: How many thresholds are tried, evenly from 0 to 1.
        class_id: Only this class counts.
    """

    bound: str
    wanted: str

    def __init__(
        self,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if not 0 <= value <= 1:
            raise ValueError(f"{type(self).__name__}: {self.bound}={value!r} should be from 0 to 1.")
        if num_thresholds < 1:
            raise ValueError(f"{type(self).__name__}: num_thresholds={num_thresholds!r} should be at least 1.")
        super().__init__(dtype, name)
        self.value, self.class_id, self.num_thresholds = value, class_id, num_thresholds
        setattr(self, self.bound, value)
        self.thresholds = even_thresholds(num_thresholds)
        for kind in Counts._fields:
            setattr(self, kind, self.add_variable((num_thresholds,), "zeros", name=kind))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        counts = count(y_true, y_pred, self.thresholds, sample_weight, dtype=self.dtype, class_id=self.class_id)
        for kind in Counts._fields:
            getattr(self, kind).assign_add(getattr(counts, kind))

    def result(self) -> Any:
        bound, wanted = self._rate(self.bound), self._rate(self.wanted)
        return ops.max(ops.where(bound >= self.value, wanted, 0))

    def _rate(self, name: str) -> Any:
        tp, fp, tn, fn = (getattr(self, kind).value for kind in Counts._fields)
        part, rest = {"specificity": (tn, fp), "precision": (tp, fp)}.get(name, (tp, fn))
        return ops.divide_no_nan(part, part + rest)

    def get_config(self) -> dict[str, Any]:
        own = {"class_id": self.class_id, "num_thresholds": self.num_thresholds, self.bound: self.value}
        return {**super().get_config(), **own}


class SensitivityAtSpecificity(RateAtRate):
    """The greatest sensitivity (recall) over the thresholds where specificity is at least a value; 0 where it never is.

    Args:
        specificity: The least specificity, from 0 to 1.
        num_thresholds: How many thresholds are tried, evenly from 0 to 1.
        class_id: Only this class counts.
    """

    bound, wanted = "specificity", "sensitivity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(RateAtRate):
    """The greatest specificity over the thresholds where sensitivity (recall) is at least a value; 0 where it never is.

    Args:
        sensitivity: The least sensitivity, from 0 to 1.
        num_thresholds: How many thresholds are tried, evenly from 0 to 1.
        class_id: Only this class counts.
    """

    bound, wanted = "sensitivity", "specificity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(RateAtRate):
    """The greatest precision over the thresholds where recall is at least a value; 0 where it never is.

    Args:
        recall: The least recall, from 0 to 1.
        num_thresholds: How many thresholds are tried, evenly from 0 to 1.
        class_id: Only this class counts.
    """

    bound, wanted = "recall", "precision"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(RateAtRate):
    """The greatest recall over the thresholds where precision is at least a value; 0 where it never is.

    Args:
        precision: The least precision, from 0 to 1.
        num_thresholds: How many thresholds are tried, evenly from 0 to 1.
        class_id: Only this class counts.
    """

    bound, wanted = "precision", "recall"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)
