"""keras.losses: losses as functions and as classes, and their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from kcore.losses import classes, functions
from kcore.losses.classes import (
    CTC,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    Circle,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
)
from kcore.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    categorical_hinge,
    circle,
    cosine_similarity,
    ctc,
    dice,
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
    tversky,
)
from kcore.losses.loss import Loss

CLASSES: dict[str, type] = {
    name: c for name, c in vars(classes).items() if inspect.isclass(c) and c.__module__ == classes.__name__
}
FUNCTIONS: dict[str, Callable] = {
    name: f for name, f in vars(functions).items() if inspect.isfunction(f) and hasattr(f, "__wrapped__")
}
ALIASES = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}
ALIASES |= {short.upper(): name for short, name in ALIASES.items()}


def serialize(loss: Any) -> Any:
    """The serialized form of a loss, class or function."""
    from kcore import saving

    return saving.serialize_keras_object(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The loss of a serialized form or name: a function for a function's, a new instance for a class's.

    Raises:
        ValueError: There is no such loss.
    """
    from kcore import saving

    if isinstance(name, str):
        known = ALIASES.get(name, name)
        found = (
            (custom_objects or {}).get(name)
            or FUNCTIONS.get(known)
            or CLASSES.get(known)
            or saving.get_registered_object(name)
        )
        if found is None:
            raise ValueError(
                f"There is no loss {name!r}; expected one of {', '.join(sorted({*FUNCTIONS, *CLASSES, *ALIASES}))}."
            )
        return found() if inspect.isclass(found) else found
    return saving.deserialize_keras_object(name, module_objects={**FUNCTIONS, **CLASSES}, custom_objects=custom_objects)


def get(identifier: Any) -> Any:
    """The loss for a name, a function, a Loss, a serialized form, or None (None).

    Raises:
        ValueError: It stands for none.
    """
    if identifier is None:
        return None
    if isinstance(identifier, (str, dict)):
        return deserialize(identifier)
    if callable(identifier):
        return identifier() if inspect.isclass(identifier) else identifier
    raise ValueError(f"{identifier!r} is no loss; expected a name, a function, a Loss, a config or None.")
