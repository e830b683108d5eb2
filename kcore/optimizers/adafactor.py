"""Adafactor."""

from __future__ import annotations

from typing import Any

from kcore import ops
from kcore.optimizers.optimizer import Optimizer, shared
from kcore.state import Variable


class Adafactor(Optimizer):
    """Adam without momentum, the second moment of a matrix kept as a row and a column (Shazeer and Stern 2018, arXiv:1804.04235).

    Args:
        learning_rate: See `Optimizer`, as for the rest.
        beta_2_decay: The second moment's decay rate at step t is 1 - t**beta_2_decay.
        epsilon_1: Keeps the quotient finite.
        epsilon_2: The least root mean square that a variable counts with.
        clip_threshold: The largest root mean square of a step.
        relative_step: Whether the rate is at most 1 / sqrt(t).
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 0.001,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
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
        self.beta_2_decay, self.epsilon_1, self.epsilon_2, self.clip_threshold, self.relative_step = (
            beta_2_decay,
            epsilon_1,
            epsilon_2,
            clip_threshold,
            relative_step,
        )
        self._rows: list[Variable] = []
        self._columns: list[Variable] = []
        self._velocities: list[Variable] = []

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        for variable in var_list:
            shape, name = variable.shape, variable.path.replace("/", "_")
            rows, columns = ((*shape[:-1],), (*shape[:-2], shape[-1])) if len(shape) > 1 else ((), ())
            self._rows.append(self._new_variable(f"{name}_rows", rows, "zeros", variable._dtype))
            self._columns.append(self._new_variable(f"{name}_columns", columns, "zeros", variable._dtype))
            self._velocities.append(self.add_variable_from_reference(variable, "velocity"))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        dtype = variable._dtype
        at = self.position(variable)
        t = ops.cast(ops.add(self.iterations, 1), dtype)
        rate = ops.cast(learning_rate, dtype)
        if self.relative_step:
            rate = ops.minimum(rate, ops.rsqrt(t))
        size = ops.multiply(ops.maximum(self.epsilon_2, _root_mean_square(variable)), rate)
        beta = ops.subtract(1.0, ops.power(t, self.beta_2_decay))
        square = ops.add(ops.square(gradient), self.epsilon_1)
        if len(variable.shape) > 1:
            rows, columns = self._rows[at], self._columns[at]
            rows.assign(_blend(beta, rows, ops.mean(square, axis=-1)))
            columns.assign(_blend(beta, columns, ops.mean(square, axis=-2)))
            share = ops.divide(rows, ops.mean(rows, axis=-1, keepdims=True))
            second = ops.multiply(ops.expand_dims(share, -1), ops.expand_dims(columns, -2))
        else:
            velocity = self._velocities[at]
            velocity.assign(_blend(beta, velocity, square))
            second = velocity.value
        step = ops.divide(gradient, ops.sqrt(second))
        step = ops.divide(step, ops.maximum(1.0, ops.divide(_root_mean_square(step), self.clip_threshold)))
        variable.assign_sub(ops.multiply(size, step))

    def get_config(self) -> dict:
        return super().get_config() | {
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "relative_step": self.relative_step,
        }


def _root_mean_square(x: Any) -> Any:
    return ops.sqrt(ops.mean(ops.square(x)))


def _blend(beta: Any, old: Variable, new: Any) -> Any:
    return ops.add(ops.multiply(beta, old), ops.multiply(ops.subtract(1.0, beta), new))
