"""The area under a curve of rates over thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kcore import config, ops
from kcore.metrics.confusion import Counts, checked_thresholds, count
from kcore.metrics.metric import Metric
from kcore.state import Variable

CURVES = ("ROC", "PR", "PRGAIN")
METHODS = ("interpolation", "majoring", "minoring")


class AUC(Metric):
    """The area under the ROC or precision-recall curve, by a Riemann sum over thresholds.

    Args:
        num_thresholds: How many thresholds there are, evenly from a little below 0 to a little above 1.
        curve: "ROC" (true over false positive rate), "PR" (precision over recall) or "PRGAIN" (both
            as gains over always saying yes, Flach & Kull 2015).
        summation_method: "interpolation" takes the mid height of each interval (for PR it
            interpolates true positives instead, as Davis & Goadrich 2006), "minoring" the lesser,
            "majoring" the greater.
        name, dtype: As for `Metric`.
        thresholds: Inner thresholds, instead of even ones.
        multi_label: Whether there is one AUC for each label on the last axis, averaged.
        num_labels: With `multi_label`, how many labels there are; else told by the first batch.
        label_weights: With `multi_label`, the weights of the average; else weights of the labels'
            samples.
        from_logits: Whether predictions are logits.

    The result is 0 before any sample.

    Raises:
        ValueError: An option is not one of the allowed, or num_thresholds is below 2.
    """

    true_positives: Variable
    false_positives: Variable
    true_negatives: Variable
    false_negatives: Variable

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        if curve.upper() not in CURVES:
            raise ValueError(f"AUC: curve={curve!r} should be one of {', '.join(map(repr, CURVES))}.")
        if summation_method.lower() not in METHODS:
            raise ValueError(
                f"AUC: summation_method={summation_method!r} should be one of {', '.join(map(repr, METHODS))}."
            )
        if thresholds is None and num_thresholds < 2:
            raise ValueError(f"AUC: num_thresholds={num_thresholds!r} should be at least 2.")
        if num_labels is not None and not multi_label:
            raise ValueError("AUC: num_labels is only for multi_label=True.")
        super().__init__(dtype, name)
        self._inner = thresholds
        if thresholds is None:
            inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        else:
            inner = sorted(checked_thresholds(list(thresholds)))
        epsilon = config.epsilon()
        self._thresholds = [-epsilon, *inner, 1 + epsilon]
        self.num_thresholds = len(self._thresholds)
        self.curve, self.summation_method = curve.upper(), summation_method.lower()
        self.multi_label, self.num_labels = multi_label, num_labels
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]
        self._from_logits = from_logits
        self.built = False
        if not multi_label or num_labels is not None:
            self._build(num_labels)

    @property
    def thresholds(self) -> list[float]:
        return list(self._thresholds)

    def _build(self, num_labels: int | None) -> None:
        if self.label_weights is not None and num_labels is not None and len(self.label_weights) != num_labels:
            raise ValueError(f"AUC: there are {len(self.label_weights)} label_weights, but {num_labels} labels.")
        shape = (self.num_thresholds,) if num_labels is None else (self.num_thresholds, num_labels)
        for kind in Counts._fields:
            setattr(self, kind, self.add_variable(shape, "zeros", name=kind))
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = ops.convert_to_tensor(y_pred)
        if not self.built:
            if len(y_pred.shape) != 2:
                raise ValueError(
                    f"AUC: multi_label wants predictions (batch, labels), not shape {tuple(y_pred.shape)}."
                )
            self._build(int(y_pred.shape[-1]))
        if self._from_logits:
            y_pred = _like(ops.sigmoid(y_pred), y_pred)
        if self.label_weights is not None and not self.multi_label:
            own = ops.convert_to_tensor(self.label_weights, dtype=self.dtype)
            if sample_weight is not None:
                given = ops.cast(ops.convert_to_tensor(sample_weight), self.dtype)
                own = own * (ops.expand_dims(given, -1) if len(given.shape) < len(y_pred.shape) else given)
            sample_weight = ops.broadcast_to(own, ops.shape(y_pred))
        counts = count(y_true, y_pred, self._thresholds, sample_weight, dtype=self.dtype, labels=self.multi_label)
        for kind in Counts._fields:
            getattr(self, kind).assign_add(getattr(counts, kind))

    def interpolate_pr_auc(self) -> Any:
        """The area under the precision-recall curve, with true positives linear in positives between thresholds.

        Precision is then (slope * p + intercept) / p, whose integral has a logarithm: for each
        interval, slope * (dTP + intercept * log(p0 / p1)) / (TP + FN).
        """
        tp, fp, fn = self.true_positives.value, self.false_positives.value, self.false_negatives.value
        p = tp + fp
        d_tp, d_p = tp[:-1] - tp[1:], p[:-1] - p[1:]
        slope = ops.divide_no_nan(d_tp, ops.maximum(d_p, 0))
        intercept = tp[1:] - slope * p[1:]
        both = ops.logical_and(p[:-1] > 0, p[1:] > 0)
        ratio = ops.where(both, ops.divide_no_nan(p[:-1], ops.maximum(p[1:], 0)), 1)
        parts = slope * (d_tp + intercept * ops.log(ratio))
        areas = ops.sum(ops.divide_no_nan(parts, ops.maximum(tp[1:] + fn[1:], 0)), 0)
        return self._averaged(areas)

    def result(self) -> Any:
        if not self.built:
            return ops.zeros((), dtype=self.dtype)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self.interpolate_pr_auc()
        x, y = self._curve()
        if self.summation_method == "interpolation":
            heights = 0.5 * (y[:-1] + y[1:])
        elif self.summation_method == "minoring":
            heights = ops.minimum(y[:-1], y[1:])
        else:
            heights = ops.maximum(y[:-1], y[1:])
        return self._averaged(ops.sum((x[:-1] - x[1:]) * heights, 0))

    def _curve(self) -> tuple[Any, Any]:
        """The points of the curve, x falling."""
        tp, fp, tn, fn = (getattr(self, kind).value for kind in Counts._fields)
        recall = ops.divide_no_nan(tp, tp + fn)
        if self.curve == "ROC":
            return ops.divide_no_nan(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, ops.divide_no_nan(tp, tp + fp)
        # The gain of a rate is (rate - share) / ((1 - share) rate), with the share of positives; below 0 for
        # recall it is off the curve.
        share = ops.divide_no_nan(tp + fn, tp + fp + tn + fn)
        precision = ops.divide_no_nan(tp, tp + fp)
        recall_gain = ops.divide_no_nan(recall - share, (1 - share) * recall)
        return ops.maximum(recall_gain, 0), ops.divide_no_nan(precision - share, (1 - share) * precision)

    def _averaged(self, areas: Any) -> Any:
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return ops.mean(areas)
        weights = ops.convert_to_tensor(self.label_weights, dtype=self.dtype)
        return ops.divide_no_nan(ops.sum(areas * weights), ops.sum(weights))

    def reset_state(self) -> None:
        for v in self.variables:
            v.assign(ops.zeros(v.shape, dtype=v.dtype))

    def get_config(self) -> dict[str, Any]:
        own = {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self._from_logits,
        }
        if self._inner is not None:
            own["thresholds"] = list(self._thresholds[1:-1])
        return {**super().get_config(), **own}


def _like(y: Any, x: Any) -> Any:
    """y with the mask of x."""
    from kcore.layers import masks

    mask = masks.get_mask(x)
    if mask is not None:
        masks.set_mask(y, mask)
    return y
