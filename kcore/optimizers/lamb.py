"""Lion and LAMB: the sign of the step, and steps as large as the weights."""

from __future__ import annotations

from typing import Any

from kcore import ops
from kcore.optimizers.adaptive import _left
from kcore.optimizers.optimizer import Optimizer, shared
from kcore.state import Variable


class Lion(Optimizer):
    """Steps of one size by the sign of the momentum (Chen et al. 2023, arXiv:2302.06675).

    x -= rate * sign(beta_1 * m + (1 - beta_1) * g); m = beta_2 * m + (1 - beta_2) * g.

    Args:
        learning_rate: See `Optimizer`, as for the rest.
        beta_1: How much of the momentum is in the step, in (0, 1].
        beta_2: The decay rate of the momentum.

    Raises:
        ValueError: beta_1 is out of its range.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
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
        if not 0 < beta_1 <= 1:
            raise ValueError(f"Lion: beta_1={beta_1} should be above 0 and at most 1.")
        super().__init__(**shared(locals()), **kwargs)
        self.beta_1, self.beta_2 = beta_1, beta_2
        self._momentums: list[Variable] = []

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        self._momentums = self.add_optimizer_variables(var_list, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable._dtype)
        m = self._momentums[self.position(variable)]
        variable.assign_sub(ops.multiply(rate, ops.sign(_blend(self.beta_1, m, gradient))))
        m.assign(_blend(self.beta_2, m, gradient))

    def get_config(self) -> dict:
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
        }


class Lamb(Optimizer):
    """Adam's steps, made as large as the weights, variable by variable (You et al. 2019, arXiv:1904.00962).

    r = m' / (sqrt(v') + epsilon), with the moments corrected for their start; x -= rate * |x| / |r| * r,
    where the quotient of the norms is 1 if either is 0.

    Args:
        learning_rate: See `Optimizer`, as for the rest.
        beta_1, beta_2: The decay rates of the two moments.
        epsilon: Keeps the quotient finite.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-07,
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
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        self._momentums, self._velocities = self.add_optimizer_variables(var_list, ["momentum", "velocity"])

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        dtype = variable._dtype
        at = self.position(variable)
        m, v = self._momentums[at], self._velocities[at]
        t = ops.cast(ops.add(self.iterations, 1), dtype)
        m.assign_add(ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))
        v.assign_add(ops.multiply(ops.subtract(ops.square(gradient), v), 1 - self.beta_2))
        mean, square = ops.divide(m, _left(self.beta_1, t)), ops.divide(v, _left(self.beta_2, t))
        step = ops.divide(mean, ops.add(ops.sqrt(square), self.epsilon))
        size, length = ops.norm(variable), ops.norm(step)
        known = ops.logical_and(ops.greater(size, 0), ops.greater(length, 0))
        ratio = ops.where(known, ops.divide(size, ops.where(known, length, 1.0)), 1.0)
        rate = ops.multiply(ratio, ops.cast(learning_rate, dtype))
        variable.assign_sub(ops.multiply(ops.cast(rate, dtype), step))

    def get_config(self) -> dict:
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


def _blend(rate: float, old: Any, new: Any) -> Any:
    return ops.add(ops.multiply(old, rate), ops.multiply(new, 1 - rate))
