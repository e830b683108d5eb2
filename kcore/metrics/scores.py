"""F-scores, and the coefficient of determination."""

from __future__ import annotations

from typing import Any

from kcore import ops
from kcore.losses.loss import aligned
from kcore.metrics.metric import Metric
from kcore.metrics.reduction import float_of, mask_of
from kcore.state import Variable


def _two_axes(metric: Metric, y_true: Any, y_pred: Any) -> None:
    if len(y_true.shape) != 2 or len(y_pred.shape) != 2:
        raise ValueError(
            f"{type(metric).__name__}: y_true and y_pred should have shape (batch, outputs), "
            f"not {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
        )


def _weights(y_pred: Any, sample_weight: Any, mask: Any, dtype: str) -> Any:
    """The weight of each element of `y_pred`."""
    weight = ops.ones((1,) * len(y_pred.shape), dtype=dtype)
    for given in (sample_weight, mask):
        if given is not None:
            weight = weight * aligned(ops.cast(ops.convert_to_tensor(given), dtype), y_pred)
    return ops.broadcast_to(weight, ops.shape(y_pred))


class FBetaScore(Metric):
    """(1 + beta**2) precision recall / (beta**2 precision + recall), for each class or averaged.

    Args:
        average: None for a score of each class, "micro" for one of all samples together, "macro" for the
            mean over classes, "weighted" for their mean by how many samples are theirs.
        beta: How much more recall counts than precision.
        threshold: Predictions above it are positive; None where the greatest one is.
        name, dtype: As for `Metric`.

    A class without true positives has score 0.

    Raises:
        ValueError: An option is not one of the allowed.
    """

    true_positives: Variable  # these are made by the first batch, which tells the number of classes
    false_positives: Variable
    false_negatives: Variable
    intermediate_weights: Variable

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"{kind}: average={average!r} should be one of None, 'micro', 'macro', 'weighted'.")
        if not isinstance(beta, (int, float)) or beta <= 0:
            raise ValueError(f"{kind}: beta={beta!r} should be a number above 0.")
        if threshold is not None and not (isinstance(threshold, float) and 0 < threshold <= 1):
            raise ValueError(f"{kind}: threshold={threshold!r} should be a float above 0, and at most 1.")
        super().__init__(dtype, name)
        self.average, self.beta, self.threshold = average, beta, threshold
        self.built = False

    def _build(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        for name in ("true_positives", "false_positives", "false_negatives", "intermediate_weights"):
            setattr(self, name, self.add_variable(shape, "zeros", name=name))
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = mask_of(y_pred)
        y_true, y_pred = float_of(y_true, y_pred)
        _two_axes(self, y_true, y_pred)
        if not self.built:
            self._build(int(y_pred.shape[-1]))
        if self.threshold is None:
            # The greatest of a row, and ties with it; but a row of zeros says nothing.
            positive = (y_pred >= ops.max(y_pred, -1, keepdims=True)) & (ops.absolute(y_pred) > 1e-9)
        else:
            positive = y_pred > self.threshold
        weight = _weights(y_pred, sample_weight, mask, self.dtype)
        chosen, truth = ops.cast(positive, self.dtype), ops.cast(y_true, self.dtype)
        axis = None if self.average == "micro" else 0
        for name, part in (
            ("true_positives", chosen * truth),
            ("false_positives", chosen * (1 - truth)),
            ("false_negatives", (1 - chosen) * truth),
            ("intermediate_weights", truth),
        ):
            getattr(self, name).assign_add(ops.sum(part * weight, axis))

    def result(self) -> Any:
        if not self.built:
            return ops.zeros((), dtype=self.dtype)
        tp = self.true_positives.value
        precision = ops.divide_no_nan(tp, tp + self.false_positives.value)
        recall = ops.divide_no_nan(tp, tp + self.false_negatives.value)
        square = self.beta**2
        score = ops.divide_no_nan((1 + square) * precision * recall, square * precision + recall)
        if self.average == "weighted":
            weight = self.intermediate_weights.value
            return ops.sum(score * ops.divide_no_nan(weight, ops.sum(weight)))
        return score if self.average is None else ops.mean(score)

    def reset_state(self) -> None:
        for v in self.variables:
            v.assign(ops.zeros(v.shape, dtype=v.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "average": self.average, "beta": self.beta, "threshold": self.threshold}


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall): `FBetaScore` with beta 1."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config


class R2Score(Metric):
    """1 - sum((y_true - y_pred)**2) / sum((y_true - mean(y_true))**2), for each output or averaged.

    Args:
        class_aggregation: "uniform_average", "variance_weighted_average" (by the outputs' variances), or
            None for a score of each output.
        num_regressors: How many variables the predictions were made from; above 0, the score is
            adjusted for them.
        name, dtype: As for `Metric`.

    A constant y_true gives nan where it is met, 0 where it is missed.

    Raises:
        ValueError: An option is not one of the allowed.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        allowed = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in allowed:
            raise ValueError(
                f"R2Score: class_aggregation={class_aggregation!r} should be one of {', '.join(map(repr, allowed))}."
            )
        if num_regressors < 0:
            raise ValueError(f"R2Score: num_regressors={num_regressors!r} should be at least 0.")
        super().__init__(dtype, name)
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self.built = False

    def _build(self, outputs: int) -> None:
        self.squared_sum = self.add_variable((outputs,), "zeros", name="squared_sum")
        self.sum = self.add_variable((outputs,), "zeros", name="sum")
        self.total_mse = self.add_variable((outputs,), "zeros", name="residual")
        self.count = self.add_variable((outputs,), "zeros", name="count")
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = mask_of(y_pred)
        y_true, y_pred = float_of(y_true, y_pred)
        _two_axes(self, y_true, y_pred)
        if not self.built:
            self._build(int(y_pred.shape[-1]))
        weight = _weights(y_pred, sample_weight, mask, self.dtype)
        weighted = y_true * weight
        self.sum.assign_add(ops.sum(weighted, 0))
        self.squared_sum.assign_add(ops.sum(y_true * weighted, 0))
        self.total_mse.assign_add(ops.sum(ops.square(y_true - y_pred) * weight, 0))
        self.count.assign_add(ops.sum(weight, 0))
        self.num_samples.assign_add(ops.cast(ops.size(y_true), self.dtype))

    def result(self) -> Any:
        if not self.built:
            return ops.zeros((), dtype=self.dtype)
        mean = self.sum.value / self.count.value
        total = self.squared_sum.value - self.sum.value * mean
        score = 1 - self.total_mse.value / total
        score = ops.where(ops.isinf(score), 0, score)
        if self.class_aggregation == "uniform_average":
            score = ops.mean(score)
        elif self.class_aggregation is not None:
            score = ops.sum(score * total) / ops.sum(total)
        if self.num_regressors:
            n, k = self.num_samples.value, self.num_regressors
            # Adjusted for the regressors; as it is where there are too few samples for that.
            adjusted = 1 - (1 - score) * (n - 1) / ops.where(n > k + 1, n - k - 1, 1)
            score = ops.where(n > k + 1, adjusted, score)
        return score

    def reset_state(self) -> None:
        for v in self.variables:
            v.assign(ops.zeros(v.shape, dtype=v.dtype))

    def get_config(self) -> dict[str, Any]:
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}
