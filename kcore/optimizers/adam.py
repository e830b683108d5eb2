"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

from kcore import ops
from kcore.optimizers.optimizer import Optimizer, shared
from kcore.state import Variable


class Adam(Optimizer):
    """Steps by the first moment of the gradient over the root of the second (Kingma and Ba 2014, arXiv:1412.6980).

    m += (1 - beta_1) * (g - m); v += (1 - beta_2) * (g * g - v);
    x -= rate * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon),
    the form just before section 2.1 of the paper.

    Args:
        learning_rate: See `Optimizer`, as for the rest.
        beta_1, beta_2: The decay rates of the two moments.
        epsilon: Keeps the quotient finite.
        amsgrad: Whether the largest second moment so far is used.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-07,
        amsgrad: bool = False,
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
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []
        self._velocity_hats: list[Variable] = []

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        self._momentums, self._velocities = self.add_optimizer_variables(var_list, ["momentum", "velocity"])
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(var_list, "velocity_hat")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        dtype = variable._dtype
        at = self.position(variable)
        m, v = self._momentums[at], self._velocities[at]
        t = ops.cast(ops.add(self.iterations, 1), dtype)
        # 1 - beta**t = -expm1(t log(beta)), without the cancellation
        left_1, left_2 = (ops.negative(ops.expm1(ops.multiply(t, _log(beta)))) for beta in (self.beta_1, self.beta_2))
        corrected = ops.divide(ops.sqrt(left_2), left_1)
        alpha = ops.multiply(ops.cast(learning_rate, dtype), corrected)
        m.assign_add(ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))
        v.assign_add(ops.multiply(ops.subtract(ops.square(gradient), v), 1 - self.beta_2))
        second = v
        if self.amsgrad:
            second = self._velocity_hats[at]
            second.assign(ops.maximum(second, v))
        variable.assign_sub(ops.divide(ops.multiply(m, alpha), ops.add(ops.sqrt(second), self.epsilon)))

    def _fused_kind(self) -> str | None:
        # A subclass with a rule of its own must not get this one.
        return "adam" if not self.amsgrad and type(self).update_step is Adam.update_step else None

    def _fused_slots(self, variables: list[Variable]) -> list[list[Variable]]:
        return [[self._momentums[i], self._velocities[i]] for i in map(self.position, variables)]

    def _fused_numbers(self, rate: float, iterations: int) -> dict[str, Any]:
        t = iterations + 1
        step = rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return {"step_size": step, "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}

    def get_config(self) -> dict:
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


def _log(beta: float) -> float:
    return math.log(beta) if beta else -math.inf


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    Raises:
        ValueError: weight_decay is None.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-07,
        amsgrad: bool = False,
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
        if weight_decay is None:
            raise ValueError("AdamW: weight_decay should be a float; use Adam to train without.")
        own: dict[str, Any] = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "amsgrad": amsgrad}
        super().__init__(**shared(locals()), **own, **kwargs)
