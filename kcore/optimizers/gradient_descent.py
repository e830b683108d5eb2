"""SGD."""

from __future__ import annotations

from typing import Any

from kcore import ops
from kcore.optimizers.optimizer import Optimizer, shared
from kcore.state import Variable


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for.

    v = momentum * v - rate * g; x += v, or x += momentum * v - rate * g with `nesterov`
    (Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning").

    Args:
        learning_rate: See `Optimizer`, as for the rest.
        momentum: From 0 to 1; 0 keeps no velocity.
        nesterov: Whether the step looks ahead.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f"SGD: momentum={momentum} should be from 0 to 1.")
        super().__init__(**shared(locals()), **kwargs)
        self.momentum, self.nesterov = momentum, nesterov
        self.momentums: list[Variable] = []

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable._dtype)
        down = ops.multiply(gradient, rate)
        if not self.momentum:
            variable.assign_sub(down)
            return
        velocity = self.momentums[self.position(variable)]
        velocity.assign(ops.subtract(ops.multiply(velocity, self.momentum), down))
        step = ops.subtract(ops.multiply(velocity, self.momentum), down) if self.nesterov else velocity.value
        variable.assign_add(step)

    def _fused_kind(self) -> str | None:
        return "sgd"

    def _fused_slots(self, variables: list[Variable]) -> list[list[Variable]]:
        return [[self.momentums[self.position(v)]] if self.momentum else [] for v in variables]

    def _fused_numbers(self, rate: float, iterations: int) -> dict[str, Any]:
        return {"learning_rate": rate, "momentum": self.momentum, "nesterov": self.nesterov}

    def get_config(self) -> dict:
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
