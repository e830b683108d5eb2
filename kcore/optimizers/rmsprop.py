"""RMSprop."""

from __future__ import annotations

from typing import Any

from kcore import ops
from kcore.optimizers.optimizer import Optimizer, shared
from kcore.state import Variable


class RMSprop(Optimizer):
    """Divides the gradient by a running root of its mean square (Tieleman and Hinton 2012, Coursera lecture 6.5).

    v = rho * v + (1 - rho) * g * g; x -= rate * g / sqrt(v + epsilon). With `centered` the square
    of the running mean gradient is taken off v; with `momentum` the step has a velocity.

    Args:
        learning_rate: See `Optimizer`, as for the rest.
        rho: The decay rate of the mean square.
        momentum: 0 keeps no velocity.
        epsilon: Keeps the quotient finite.
        centered: Whether the variance takes the place of the mean square.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-07,
        centered: bool = False,
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
        super().__init__(**shared(locals()), **kwargs)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self._velocities: list[Variable] = []
        self._momentums: list[Variable] = []
        self._means: list[Variable] = []

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        self._velocities = self.add_optimizer_variables(var_list, "velocity")
        if self.momentum > 0:
            self._momentums = self.add_optimizer_variables(var_list, "momentum")
        if self.centered:
            self._means = self.add_optimizer_variables(var_list, "average_gradient")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable._dtype)
        at = self.position(variable)
        velocity = self._velocities[at]
        velocity.assign(self._blend(velocity, ops.square(gradient)))
        square = velocity.value
        if self.centered:
            mean = self._means[at]
            mean.assign(self._blend(mean, gradient))
            square = ops.subtract(square, ops.square(mean))
        step = ops.divide(ops.multiply(rate, gradient), ops.sqrt(ops.add(square, self.epsilon)))
        if self.momentum > 0:
            momentum = self._momentums[at]
            momentum.assign(ops.add(ops.multiply(self.momentum, momentum), step))
            step = momentum.value
        variable.assign_sub(step)

    def _blend(self, old: Variable, new: Any) -> Any:
        return ops.add(ops.multiply(self.rho, old), ops.multiply(1 - self.rho, new))

    def get_config(self) -> dict:
        return super().get_config() | {
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
