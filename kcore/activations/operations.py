"""Activations that a symbolic model has as one operation, as Keras's files do, though they are several ops."""

from __future__ import annotations

from typing import Any

from kcore.operation import Operation
from kcore.ops.symbolic import KerasTensor


def is_recorded(x: Any) -> bool:
    """Whether calls on `x` become part of a graph."""
    return isinstance(x, KerasTensor) and x.record_history


class ReLU(Operation):
    """`kcore.activations.relu` with its options."""

    def __init__(
        self,
        negative_slope: float = 0.0,
        max_value: float | None = None,
        threshold: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.negative_slope, self.max_value, self.threshold = negative_slope, max_value, threshold

    def call(self, x: Any) -> Any:
        from kcore.activations import relu

        return relu(x, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        options = {k: getattr(self, k) for k in ("negative_slope", "max_value", "threshold")}
        return {"name": self.name, **options}


class Mish(Operation):
    """`kcore.activations.mish`."""

    def call(self, x: Any) -> Any:
        from kcore.activations import mish

        return mish(x)
