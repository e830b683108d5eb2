"""keras.constraints: what a weight is passed through after each update, to stay in a set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcore import config as settings
from kcore import ops
from kcore.lookup import lookup


class Constraint:
    """A function from a weight to the weight that is kept instead. A subclass defines `__call__` and `get_config`."""

    def __call__(self, w: Any) -> Any:
        """`w` as it is."""
        return w

    def get_config(self) -> dict:
        """What it can be made from again."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> Any:
        """One made from a config."""
        return cls(**config)


class MaxNorm(Constraint):
    """Slices with a Euclidean norm above `max_value` are scaled down to it.

    Args:
        max_value: The largest norm.
        axis: The axes that norms are taken over: 0 for a Dense kernel (one norm for each unit),
            (0, 1, 2) for a Conv2D kernel.
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        return _scaled(w, ops.clip(norms, 0, self.max_value), norms)

    def get_config(self) -> dict:
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """Negative elements become 0; nan stays nan."""

    def __call__(self, w: Any) -> Any:
        return ops.where(ops.less(w, 0), 0, w)


class UnitNorm(Constraint):
    """Every slice gets the Euclidean norm 1; zeros stay zeros.

    Args:
        axis: The axes that norms are taken over, as for `MaxNorm`.
    """

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        return ops.divide(w, ops.add(settings.epsilon(), _norms(w, self.axis)))

    def get_config(self) -> dict:
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Slices with a Euclidean norm outside [min_value, max_value] are scaled towards it.

    Args:
        min_value, max_value: The bounds.
        rate: How far: 1 all the way, 0 not at all.
        axis: The axes that norms are taken over, as for `MaxNorm`.
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        bounded = ops.clip(norms, self.min_value, self.max_value)
        return _scaled(w, ops.add(ops.multiply(self.rate, bounded), ops.multiply(1 - self.rate, norms)), norms)

    def get_config(self) -> dict:
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

NAMES: dict[str, Callable] = {
    **{cls.__name__: cls for cls in (MaxNorm, NonNeg, UnitNorm, MinMaxNorm)},
    "max_norm": MaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
    "min_max_norm": MinMaxNorm,
}


def serialize(constraint: Any) -> Any:
    """The constraint's serialized form, as `.keras` files have it."""
    from kcore import saving

    return saving.serialize_keras_object(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The constraint that `serialize` gave `config` for.

    Raises:
        ValueError: There is no such constraint.
    """
    from kcore import saving

    return saving.deserialize_keras_object(config, module_objects=NAMES, custom_objects=custom_objects)


def get(identifier: Any) -> Any:
    """The constraint for a name, a function, a serialized form, or None.

    Raises:
        ValueError: It stands for none.
    """
    return lookup(identifier, "constraint", NAMES)


def _norms(w: Any, axis: Any) -> Any:
    axis = tuple(axis) if isinstance(axis, list) else axis
    return ops.sqrt(ops.sum(ops.square(w), axis, keepdims=True))


def _scaled(w: Any, wanted: Any, norms: Any) -> Any:
    """`w` with slices of the norms wanted; zeros stay zeros."""
    return ops.multiply(w, ops.divide(wanted, ops.add(settings.epsilon(), norms)))
