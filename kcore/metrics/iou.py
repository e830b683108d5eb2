"""Intersection over union of classes, from a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kcore import dtypes, ops
from kcore.losses.loss import aligned
from kcore.metrics.metric import Metric


class IoU(Metric):
    """The intersection over union of target classes, averaged: tp / (tp + fp + fn) for each.

    Args:
        num_classes: Labels are 0 to num_classes - 1; others are left out.
        target_class_ids: The classes that are averaged. Those without any sample don't count.
        name: As for `Metric`.
        dtype: What the confusion matrix is kept in; int32 unless given. A float is for sample
            weights that are not whole.
        ignore_class: A label in `y_true` that is left out.
        sparse_y_true, sparse_y_pred: Whether these are class numbers; else the greatest element on
            `axis` is the class.
        axis: The axis of the classes where they are not sparse.

    Raises:
        ValueError: A target class is none.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        ids = [int(i) for i in target_class_ids]
        if ids and not (min(ids) >= 0 and max(ids) < num_classes):
            raise ValueError(
                f"{type(self).__name__}: target_class_ids={target_class_ids!r} should be from 0 to {num_classes - 1}."
            )
        super().__init__("int32" if dtype is None else dtype, name)
        self.num_classes, self.target_class_ids, self.ignore_class = num_classes, ids, ignore_class
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis
        self.total_confusion_matrix = self.add_variable(
            (num_classes, num_classes), "zeros", name="total_confusion_matrix"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts pairs of classes.

        Args:
            y_true, y_pred: Classes, of one shape once those that are not sparse have lost their axis.
            sample_weight: Leading axes of the classes', or what broadcasts with them.
        """
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if not self.sparse_y_true:
            y_true = ops.argmax(y_true, self.axis)
        if not self.sparse_y_pred:
            y_pred = ops.argmax(y_pred, self.axis)
        total = self._matrix(ops.cast(y_true, "int32"), ops.cast(y_pred, "int32"), sample_weight)
        self.total_confusion_matrix.assign_add(ops.cast(total, self.dtype))

    def _matrix(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        """The sum of weights for each pair of a true class (rows) and a predicted one (columns)."""
        n = self.num_classes
        own = self.dtype if dtypes.is_float(self.dtype) or sample_weight is None else "float32"
        if sample_weight is None:
            weight = ops.ones_like(y_true, dtype=own)
        else:
            weight = aligned(ops.cast(ops.convert_to_tensor(sample_weight), own), y_true)
            weight = ops.broadcast_to(weight, ops.shape(y_true))
        y_true, y_pred, weight = (ops.reshape(t, (-1,)) for t in (y_true, y_pred, weight))
        valid = (y_true >= 0) & (y_true < n) & (y_pred >= 0) & (y_pred < n)
        if self.ignore_class is not None:
            valid = valid & (y_true != self.ignore_class)
        pairs = ops.where(valid, y_true * n + y_pred, 0)
        sums = ops.segment_sum(ops.where(valid, weight, 0), pairs, num_segments=n * n)
        return ops.reshape(sums, (n, n))

    def result(self) -> Any:
        dtype = self.dtype if dtypes.is_float(self.dtype) else "float32"
        matrix = ops.cast(self.total_confusion_matrix.value, dtype)
        hits = ops.diagonal(matrix)
        union = ops.sum(matrix, 0) + ops.sum(matrix, 1) - hits
        chosen = ops.convert_to_tensor(self.target_class_ids, dtype="int32")
        hits, union = ops.take(hits, chosen, axis=0), ops.take(union, chosen, axis=0)
        there = ops.sum(ops.cast(union != 0, dtype))
        return ops.divide_no_nan(ops.sum(ops.divide_no_nan(hits, union)), there)

    def reset_state(self) -> None:
        self.total_confusion_matrix.assign(ops.zeros_like(self.total_confusion_matrix.value))

    def get_config(self) -> dict[str, Any]:
        own = {
            "num_classes": self.num_classes,
            "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }
        return {**super().get_config(), **own}


class BinaryIoU(IoU):
    """The intersection over union of classes 0 and 1, with predictions from `threshold` on being 1.

    Args:
        target_class_ids: Which of the two are averaged.
        threshold: A prediction is class 1 unless it is below; None where predictions are classes.
        name, dtype: As for `IoU`.
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float | None = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = ops.convert_to_tensor(y_pred)
        if self.threshold is not None:
            y_pred = ops.cast(y_pred >= self.threshold, "int32")
        super().update_state(y_true, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {
            "target_class_ids": self.target_class_ids,
            "threshold": self.threshold,
            "name": self.name,
            "dtype": self.dtype,
        }


class MeanIoU(IoU):
    """`IoU` averaged over all classes that have a sample."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["target_class_ids"]
        return config


class OneHotIoU(IoU):
    """`IoU` for one-hot targets, and predictions that are scores or, with `sparse_y_pred`, classes."""

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse_y_true"]
        return config


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` for one-hot targets, and predictions that are scores or, with `sparse_y_pred`, classes."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse_y_true"]
        return config
