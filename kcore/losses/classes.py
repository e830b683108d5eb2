"""The losses as classes: a function each, with its options, a reduction and a config."""

from __future__ import annotations

from typing import Any

from kcore.losses import functions as f
from kcore.losses.loss import FunctionLoss

MEAN = "sum_over_batch_size"

# -- regression -------------------------------------------------------------------------


class MeanSquaredError(FunctionLoss):
    """mean((y_true - y_pred)**2)."""

    def __init__(self, reduction: str | None = MEAN, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(f.mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(FunctionLoss):
    """mean(|y_true - y_pred|)."""

    def __init__(self, reduction: str | None = MEAN, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(f.mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(FunctionLoss):
    """100 * mean(|y_true - y_pred| / |y_true|)."""

    def __init__(
        self, reduction: str | None = MEAN, name: str = "mean_absolute_percentage_error", dtype: Any = None
    ) -> None:
        super().__init__(f.mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(FunctionLoss):
    """mean((log(1 + y_true) - log(1 + y_pred))**2)."""

    def __init__(
        self, reduction: str | None = MEAN, name: str = "mean_squared_logarithmic_error", dtype: Any = None
    ) -> None:
        super().__init__(f.mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(FunctionLoss):
    """Squared errors up to `delta`, linear beyond; see `kcore.losses.huber`."""

    def __init__(
        self, delta: float = 1.0, reduction: str | None = MEAN, name: str = "huber_loss", dtype: Any = None
    ) -> None:
        super().__init__(f.huber, reduction, name, dtype, delta=delta)


class LogCosh(FunctionLoss):
    """mean(log(cosh(y_pred - y_true)))."""

    def __init__(self, reduction: str | None = MEAN, name: str = "log_cosh", dtype: Any = None) -> None:
        super().__init__(f.log_cosh, reduction, name, dtype)


class CosineSimilarity(FunctionLoss):
    """The negative cosine of the angle between targets and predictions along `axis`."""

    def __init__(
        self, axis: int = -1, reduction: str | None = MEAN, name: str = "cosine_similarity", dtype: Any = None
    ) -> None:
        super().__init__(f.cosine_similarity, reduction, name, dtype, axis=axis)


# -- hinges -----------------------------------------------------------------------------


class Hinge(FunctionLoss):
    """mean(max(1 - y_true * y_pred, 0)), with labels -1 and 1; all 0 and 1 count as these."""

    def __init__(self, reduction: str | None = MEAN, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(f.hinge, reduction, name, dtype)


class SquaredHinge(FunctionLoss):
    """mean(max(1 - y_true * y_pred, 0)**2), with labels -1 and 1; all 0 and 1 count as these."""

    def __init__(self, reduction: str | None = MEAN, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(f.squared_hinge, reduction, name, dtype)


class CategoricalHinge(FunctionLoss):
    """max(neg - pos + 1, 0); see `kcore.losses.categorical_hinge`."""

    def __init__(self, reduction: str | None = MEAN, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(f.categorical_hinge, reduction, name, dtype)


# -- probabilities ----------------------------------------------------------------------


class KLDivergence(FunctionLoss):
    """sum(y_true * log(y_true / y_pred))."""

    def __init__(self, reduction: str | None = MEAN, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(f.kl_divergence, reduction, name, dtype)


class Poisson(FunctionLoss):
    """mean(y_pred - y_true * log(y_pred))."""

    def __init__(self, reduction: str | None = MEAN, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(f.poisson, reduction, name, dtype)


class BinaryCrossentropy(FunctionLoss):
    """Crossentropy of two classes; see `kcore.losses.binary_crossentropy` for the options."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            f.binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class BinaryFocalCrossentropy(FunctionLoss):
    """Crossentropy of two classes, less where it is easy; see `kcore.losses.binary_focal_crossentropy`."""

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            f.binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalCrossentropy(FunctionLoss):
    """Crossentropy with one-hot targets; see `kcore.losses.categorical_crossentropy` for the options."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            f.categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalFocalCrossentropy(FunctionLoss):
    """Crossentropy with one-hot targets, less where it is easy; see `kcore.losses.categorical_focal_crossentropy`."""

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            f.categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(FunctionLoss):
    """Crossentropy with class numbers; see `kcore.losses.sparse_categorical_crossentropy` for the options."""

    integer_targets = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = MEAN,
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            f.sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )


class CategoricalGeneralizedCrossEntropy(FunctionLoss):
    """Between crossentropy and absolute error; see `kcore.losses.categorical_generalized_cross_entropy`.

    Raises:
        ValueError: `q` is not between 0 and 1.
    """

    integer_targets = True

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = MEAN,
        name: str = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ValueError(f"CategoricalGeneralizedCrossEntropy: q={q!r} should be between 0 and 1.")
        super().__init__(f.categorical_generalized_cross_entropy, reduction, name, dtype, q=q)


# -- overlaps ---------------------------------------------------------------------------


class Dice(FunctionLoss):
    """How little two sets overlap; see `kcore.losses.dice`."""

    def __init__(self, reduction: str | None = MEAN, name: str = "dice", axis: Any = None, dtype: Any = None) -> None:
        super().__init__(f.dice, reduction, name, dtype, axis=axis)


class Tversky(FunctionLoss):
    """How little two sets overlap, with a weight for each kind of error; see `kcore.losses.tversky`."""

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = MEAN,
        name: str = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(f.tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)


# -- sequences and pairs ----------------------------------------------------------------


class CTC(FunctionLoss):
    """Connectionist temporal classification; see `kcore.losses.ctc`."""

    integer_targets = True

    def __init__(self, reduction: str | None = MEAN, name: str = "ctc", dtype: Any = None) -> None:
        super().__init__(f.ctc, reduction, name, dtype)


class Circle(FunctionLoss):
    """Embeddings of one class together, others apart; see `kcore.losses.circle`."""

    integer_targets = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = MEAN,
        name: str = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(f.circle, reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)
