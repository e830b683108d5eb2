"""Optimizers that scale each step by the gradients so far: Adagrad, Adadelta, Adamax, Nadam."""

from __future__ import annotations

import math
from typing import Any

from kcore import config, dtypes, ops
from kcore.optimizers.optimizer import Optimizer, shared
from kcore.state import Variable


class Adagrad(Optimizer):
    """Divides the gradient by the root of the sum of its squares (Duchi et al. 2011, JMLR 12).

    s += g * g; x -= rate * g / sqrt(s + epsilon).

    Args:
        learning_rate: See `Optimizer`, as for the rest.
        initial_accumulator_value: Where the sum starts.
        epsilon: Keeps the quotient finite.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
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
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon
        self._accumulators_of_squares: list[Variable] = []

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        self._accumulators_of_squares = self.add_optimizer_variables(var_list, "accumulator", self._start)

    def _start(self, shape: Any, dtype: Any) -> Any:
        return ops.full(shape, self.initial_accumulator_value, dtype)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable._dtype)
        total = self._accumulators_of_squares[self.position(variable)]
        total.assign_add(ops.square(gradient))
        variable.assign_sub(ops.divide(ops.multiply(rate, gradient), ops.sqrt(ops.add(total, self.epsilon))))

    def get_config(self) -> dict:
        return super().get_config() | {
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }


class Adadelta(Optimizer):
    """Steps of the size of the steps so far, by the gradients so far (Zeiler 2012, arXiv:1212.5701).

    s = rho * s + (1 - rho) * g * g; d = -sqrt(c + epsilon) / sqrt(s + epsilon) * g;
    c = rho * c + (1 - rho) * d * d; x += rate * d.

    Args:
        learning_rate: See `Optimizer`, as for the rest; the paper has 1.
        rho: The decay rate of both running means.
        epsilon: Starts the steps, and keeps the quotient finite.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
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
        self.rho, self.epsilon = rho, epsilon
        self._squares: list[Variable] = []
        self._changes: list[Variable] = []

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        self._squares, self._changes = self.add_optimizer_variables(
            var_list, ["accumulated_grad", "accumulated_delta_var"]
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable._dtype)
        at = self.position(variable)
        squares, changes = self._squares[at], self._changes[at]
        squares.assign(self._blend(squares, ops.square(gradient)))
        scale = ops.divide(ops.sqrt(ops.add(changes, self.epsilon)), ops.sqrt(ops.add(squares, self.epsilon)))
        change = ops.negative(ops.multiply(scale, gradient))
        changes.assign(self._blend(changes, ops.square(change)))
        variable.assign_add(ops.multiply(rate, change))

    def _blend(self, old: Variable, new: Any) -> Any:
        return ops.add(ops.multiply(self.rho, old), ops.multiply(1 - self.rho, new))

    def get_config(self) -> dict:
        return super().get_config() | {
            "rho": self.rho,
            "epsilon": self.epsilon,
        }


class Adamax(Optimizer):
    """Adam with the largest gradient so far in place of the second moment (Kingma and Ba 2014, arXiv:1412.6980, section 7.1).

    m += (1 - beta_1) * (g - m); u = max(beta_2 * u, |g|); x -= rate / (1 - beta_1**t) * m / (u + epsilon).

    Args:
        learning_rate: See `Optimizer`, as for the rest.
        beta_1, beta_2: The decay rates of the moment and the norm.
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
        self._norms: list[Variable] = []

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        self._momentums, self._norms = self.add_optimizer_variables(var_list, ["momentum", "norm"])

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        dtype = variable._dtype
        at = self.position(variable)
        m, norm = self._momentums[at], self._norms[at]
        left = _left(self.beta_1, ops.cast(ops.add(self.iterations, 1), dtype))
        m.assign_add(ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))
        norm.assign(ops.maximum(ops.multiply(self.beta_2, norm), ops.abs(gradient)))
        rate = ops.divide(ops.cast(learning_rate, dtype), left)
        variable.assign_sub(ops.divide(ops.multiply(rate, m), ops.add(norm, self.epsilon)))

    def get_config(self) -> dict:
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016, "Incorporating Nesterov momentum into Adam").

    The momentum's rate rises over the steps: u(t) = beta_1 * (1 - 0.96**t / 2), and u_1 * ... * u_t
    corrects the moments for their start at 0.

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
        # After the slots, as in Keras's files.
        self._u_product = self._new_variable("u_product", (), "ones", dtypes.name_of(config.floatx()))

    def _step(self, grads: list[Any], variables: list[Variable]) -> None:
        self._u_product.assign(ops.multiply(self._u_product, self._u(self._t(self._u_product._dtype))))
        super()._step(grads, variables)

    def _t(self, dtype: str) -> Any:
        return ops.cast(ops.add(self.iterations, 1), dtype)

    def _u(self, t: Any) -> Any:
        return ops.multiply(self.beta_1, ops.subtract(1.0, ops.multiply(0.5, ops.power(0.96, t))))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        dtype = variable._dtype
        at = self.position(variable)
        m, v = self._momentums[at], self._velocities[at]
        t = self._t(dtype)
        now, then = self._u(t), self._u(ops.add(t, 1))
        product = ops.cast(self._u_product, dtype)
        m.assign_add(ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))
        v.assign_add(ops.multiply(ops.subtract(ops.square(gradient), v), 1 - self.beta_2))
        ahead = ops.divide(ops.multiply(then, m), ops.subtract(1.0, ops.multiply(product, then)))
        here = ops.divide(ops.multiply(ops.subtract(1.0, now), gradient), ops.subtract(1.0, product))
        root = ops.sqrt(ops.divide(v, _left(self.beta_2, t)))
        step = ops.divide(ops.add(ahead, here), ops.add(root, self.epsilon))
        variable.assign_sub(ops.multiply(ops.cast(learning_rate, dtype), step))

    def get_config(self) -> dict:
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


def _left(beta: float, t: Any) -> Any:
    """1 - beta**t, without the cancellation."""
    return ops.negative(ops.expm1(ops.multiply(t, math.log(beta)))) if beta else ops.ones_like(t)
