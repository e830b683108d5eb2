"""Ftrl."""

from __future__ import annotations

from typing import Any

from kcore import ops
from kcore.optimizers.optimizer import Optimizer, shared
from kcore.state import Variable


class Ftrl(Optimizer):
    """Follow the regularized leader: many weights become exactly 0 (McMahan et al. 2013, "Ad click prediction").

    Args:
        learning_rate: See `Optimizer`, as for the rest.
        learning_rate_power: How the rate falls with the squares of the gradients so far; 0 or less.
        initial_accumulator_value: Where the sum of squares starts; not negative.
        l1_regularization_strength, l2_regularization_strength: Penalties on the weights; not negative.
        l2_shrinkage_regularization_strength: A penalty on the gradient's side of the formula; not negative.
        beta: Added to the root of the sum of squares.

    Raises:
        ValueError: A number is out of its range.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
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
        if learning_rate_power > 0:
            raise ValueError(f"Ftrl: learning_rate_power={learning_rate_power} should be at most 0.")
        for what, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
        ):
            if value < 0:
                raise ValueError(f"Ftrl: {what}={value} should not be negative.")
        super().__init__(**shared(locals()), **kwargs)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        self._squares: list[Variable] = []
        self._linears: list[Variable] = []

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        self._squares, self._linears = self.add_optimizer_variables(
            var_list, ["accumulator", "linear"], [self._start, "zeros"]
        )

    def _start(self, shape: Any, dtype: Any) -> Any:
        return ops.full(shape, self.initial_accumulator_value, dtype)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable._dtype)
        at = self.position(variable)
        squares, linear = self._squares[at], self._linears[at]
        power = -self.learning_rate_power
        total = ops.add(squares, ops.square(gradient))
        root = ops.power(total, power)
        shrinkage = ops.multiply(2 * self.l2_shrinkage_regularization_strength, variable)
        slowed = ops.divide(ops.subtract(root, ops.power(squares, power)), rate)
        linear.assign_add(ops.subtract(ops.add(gradient, shrinkage), ops.multiply(slowed, variable)))
        strength = ops.add(2 * self.l2_regularization_strength, ops.divide(self.beta, rate))
        bound = self.l1_regularization_strength
        pull = ops.subtract(ops.clip(linear, -bound, bound), linear)
        variable.assign(ops.divide(pull, ops.add(ops.divide(root, rate), strength)))
        squares.assign(total)

    def get_config(self) -> dict:
        return super().get_config() | {
            "learning_rate_power": self.learning_rate_power,
            "initial_accumulator_value": self.initial_accumulator_value,
            "l1_regularization_strength": self.l1_regularization_strength,
            "l2_regularization_strength": self.l2_regularization_strength,
            "l2_shrinkage_regularization_strength": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }
