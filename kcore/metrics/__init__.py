"""keras.metrics: metrics as functions and as classes, and their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from kcore.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from kcore.metrics.auc import AUC
from kcore.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from kcore.metrics.functions import (
    binary_accuracy,
    categorical_accuracy,
    concordance_correlation,
    pearson_correlation,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from kcore.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from kcore.metrics.metric import Metric
from kcore.metrics.reduction import Mean, MeanMetricWrapper, Sum
from kcore.metrics.scores import F1Score, FBetaScore, R2Score
from kcore.metrics.wrappers import (
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SquaredHinge,
    TopKCategoricalAccuracy,
)
from kcore.naming import to_snake_case

CLASSES: dict[str, type] = {
    name: c for name, c in list(globals().items()) if inspect.isclass(c) and issubclass(c, Metric) and c is not Metric
}
FUNCTIONS: dict[str, Callable] = {
    name: f for name, f in list(globals().items()) if inspect.isfunction(f) and name != "to_snake_case"
}
ALIASES = {to_snake_case(name): name for name in CLASSES} | {
    "bce": "BinaryCrossentropy",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
}
ALIASES |= {short.upper(): ALIASES[short] for short in ("bce", "mae", "mape", "mse", "msle")}


def serialize(metric: Any) -> Any:
    """The serialized form of a metric, class or function."""
    from kcore import saving

    return saving.serialize_keras_object(metric)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The metric of a serialized form or name; a new instance for a class.

    Raises:
        ValueError: There is no such metric.
    """
    from kcore import saving

    if isinstance(config, str):
        found = (
            (custom_objects or {}).get(config)
            or CLASSES.get(ALIASES.get(config, config))
            or saving.get_registered_object(config)
        )
        if found is None:
            raise ValueError(
                f"There is no metric {config!r}; expected one of {', '.join(sorted({*CLASSES, *ALIASES}))}."
            )
        return found() if inspect.isclass(found) else found
    return saving.deserialize_keras_object(
        config, module_objects={**FUNCTIONS, **CLASSES}, custom_objects=custom_objects
    )


def get(identifier: Any) -> Any:
    """The metric for a name, a function, a Metric, a serialized form, or None (None).

    Raises:
        ValueError: It stands for none.
    """
    if identifier is None:
        return None
    if isinstance(identifier, (str, dict)):
        return deserialize(identifier)
    if callable(identifier):
        return identifier() if inspect.isclass(identifier) else identifier
    raise ValueError(f"{identifier!r} is no metric; expected a name, a function, a Metric, a config or None.")
