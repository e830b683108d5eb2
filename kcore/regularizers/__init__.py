"""keras.regularizers: scalar penalties of a weight or an output, added to the loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kcore import ops
from kcore.lookup import lookup


class Regularizer:
    """A function of a tensor whose scalar value is added to the losses. A subclass defines `__call__` and `get_config`."""

    def __call__(self, x: Any) -> Any:
        """The penalty of `x`: none."""
        return 0.0

    def get_config(self) -> dict:
        """What it can be made from again."""
        raise NotImplementedError(f"{type(self).__name__} has no get_config, so it can't be saved.")

    @classmethod
    def from_config(cls, config: dict) -> Any:
        """One made from a config."""
        return cls(**config)


class L1(Regularizer):
    """l1 * sum(|x|). The gradient at 0 is 0.

    Args:
        l1: The factor, not negative.

    Raises:
        ValueError: It is no such number.
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor(l1, "l1", 0.01)

    def __call__(self, x: Any) -> Any:
        return ops.multiply(self.l1, ops.sum(ops.absolute(x)))

    def get_config(self) -> dict:
        return {"l1": self.l1}


class L2(Regularizer):
    """l2 * sum(x**2).

    Args:
        l2: The factor, not negative.

    Raises:
        ValueError: It is no such number.
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor(l2, "l2", 0.01)

    def __call__(self, x: Any) -> Any:
        return ops.multiply(self.l2, ops.sum(ops.square(x)))

    def get_config(self) -> dict:
        return {"l2": self.l2}


class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x**2).

    Args:
        l1, l2: The factors, not negative.

    Raises:
        ValueError: One is no such number.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = _factor(l1, "l1", 0.0), _factor(l2, "l2", 0.0)

    def __call__(self, x: Any) -> Any:
        parts = []
        if self.l1:
            parts.append(ops.multiply(self.l1, ops.sum(ops.absolute(x))))
        if self.l2:
            parts.append(ops.multiply(self.l2, ops.sum(ops.square(x))))
        if not parts:
            return ops.zeros((), x.dtype)
        return parts[0] if len(parts) == 1 else ops.add(*parts)

    def get_config(self) -> dict:
        return {"l1": self.l1, "l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """factor times the mean |cosine| between different rows, or columns, of a matrix.

    Args:
        factor: What the mean is multiplied by.
        mode: "rows" or "columns".

    Raises:
        ValueError: An argument is off, or the tensor is no matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor(factor, "factor", 0.01)
        if mode not in ("rows", "columns"):
            raise ValueError(f"OrthogonalRegularizer: mode={mode!r} should be 'rows' or 'columns'.")
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise ValueError(f"OrthogonalRegularizer: x should be a matrix, not of shape {tuple(x.shape)}.")
        if self.mode == "columns":
            x = ops.transpose(x)
        unit = ops.normalize(x, axis=1)
        count = x.shape[0]
        cosines = ops.absolute(ops.matmul(unit, ops.transpose(unit)))
        different = ops.multiply(cosines, ops.subtract(1, ops.eye(count, dtype=cosines.dtype)))
        pairs = max(count * (count - 1) / 2, 1)
        return ops.multiply(self.factor * 0.5 / pairs, ops.sum(different))

    def get_config(self) -> dict:
        return {"factor": self.factor, "mode": self.mode}


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

NAMES: dict[str, Callable] = {
    **{cls.__name__: cls for cls in (L1, L2, L1L2, OrthogonalRegularizer)},
    "l1": L1,
    "l2": L2,
    "l1l2": L1L2,
    "l1_l2": L1L2,
    "orthogonal_regularizer": OrthogonalRegularizer,
}


def serialize(regularizer: Any) -> Any:
    """The regularizer's serialized form, as `.keras` files have it."""
    from kcore import saving

    return saving.serialize_keras_object(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The regularizer that `serialize` gave `config` for.

    Raises:
        ValueError: There is no such regularizer.
    """
    from kcore import saving

    return saving.deserialize_keras_object(config, module_objects=NAMES, custom_objects=custom_objects)


def get(identifier: Any) -> Any:
    """The regularizer for a name, a function, a serialized form, or None.

    Raises:
        ValueError: It stands for none.
    """
    return lookup(identifier, "regularizer", NAMES)


def _factor(value: Any, name: str, default: float) -> float:
    """`value` as a float that is finite and not negative; `default` for None."""
    if value is None:
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, str) or not math.isfinite(number) or number < 0:
        raise ValueError(f"{name}={value!r} should be a number that is not negative.")
    return number
