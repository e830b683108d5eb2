"""Muon."""

from __future__ import annotations

import re
from typing import Any

from kcore import ops
from kcore.optimizers.adaptive import _left
from kcore.optimizers.optimizer import Optimizer, shared
from kcore.state import Variable


class Muon(Optimizer):
    """Momentum made orthogonal, for matrices; Adam for all else (Jordan et al. 2024, "Muon: an optimizer for hidden layers").

    m = momentum * m + g; u = g + momentum * m with `nesterov`, else m; x -= rate * size * orthogonal(u), where
    `orthogonal` moves all singular values towards 1 by a few Newton-Schulz steps, and size is
    rms_rate * sqrt(the larger of the matrix's sizes).

    Args:
        learning_rate: See `Optimizer`, as for the rest.
        adam_beta_1, adam_beta_2: The decay rates of Adam's moments.
        adam_weight_decay: Weight decay where Adam is used.
        epsilon: Keeps Adam's quotient finite.
        exclude_layers: Patterns; variables with such a path are left to Adam.
        exclude_embeddings: Whether variables with "embedding" in their path are left to Adam.
        muon_a, muon_b, muon_c: The polynomial of a Newton-Schulz step: a * x + b * x**3 + c * x**5.
        adam_lr_ratio: What the rate is multiplied by for Adam.
        momentum: How much of the old momentum stays.
        ns_steps: How many Newton-Schulz steps there are.
        nesterov: Whether the step looks ahead.
        rms_rate: See above; None leaves the steps as they are.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-07,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: Any = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**shared(locals()), **kwargs)
        self.adam_beta_1, self.adam_beta_2, self.adam_weight_decay = adam_beta_1, adam_beta_2, adam_weight_decay
        self.epsilon, self.exclude_layers = epsilon, list(exclude_layers or ())
        self.exclude_embeddings, self.adam_lr_ratio = exclude_embeddings, adam_lr_ratio
        self.muon_a, self.muon_b, self.muon_c, self.ns_steps = muon_a, muon_b, muon_c, ns_steps
        self.momentum, self.nesterov, self.rms_rate = momentum, nesterov, rms_rate
        self._momentums: list[Variable] = []
        self._velocities: list[Variable | None] = []

    def _by_adam(self, variable: Variable) -> bool:
        if len(variable.shape) != 2:
            return True
        if self.exclude_embeddings and "embedding" in variable.path.lower():
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        for variable in var_list:
            self._momentums.append(self.add_variable_from_reference(variable, "momentum"))
            slot = self.add_variable_from_reference(variable, "velocity") if self._by_adam(variable) else None
            self._velocities.append(slot)

    def _decay(self, variables: list[Variable], rate: Any) -> None:
        for variable in variables:
            strength = self.adam_weight_decay if self._by_adam(variable) else self.weight_decay
            if strength is not None and self._decays(variable):
                factor = ops.multiply(ops.cast(rate, variable._dtype), strength)
                variable.assign_sub(ops.multiply(variable, factor))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable._dtype)
        at = self.position(variable)
        m, v = self._momentums[at], self._velocities[at]
        if v is not None:
            self._adam_step(gradient, variable, m, v, ops.multiply(rate, self.adam_lr_ratio))
            return
        m.assign(ops.add(ops.multiply(self.momentum, m), gradient))
        ahead = ops.add(gradient, ops.multiply(self.momentum, m)) if self.nesterov else m.value
        step = self.lr_adjust(self.zeropower_via_newtonschulz5(ahead, self.ns_steps))
        variable.assign_sub(ops.multiply(rate, step))

    def _adam_step(self, gradient: Any, variable: Variable, m: Variable, v: Variable, rate: Any) -> None:
        t = ops.cast(ops.add(self.iterations, 1), variable._dtype)
        corrected = ops.divide(ops.sqrt(_left(self.adam_beta_2, t)), _left(self.adam_beta_1, t))
        m.assign_add(ops.multiply(ops.subtract(gradient, m), 1 - self.adam_beta_1))
        v.assign_add(ops.multiply(ops.subtract(ops.square(gradient), v), 1 - self.adam_beta_2))
        step = ops.divide(ops.multiply(m, ops.multiply(rate, corrected)), ops.add(ops.sqrt(v), self.epsilon))
        variable.assign_sub(step)

    def transpose_last_axis(self, X: Any) -> Any:
        """The matrices, transposed."""
        return ops.swapaxes(X, -1, -2)

    def lr_adjust(self, x: Any) -> Any:
        """The step, made as large as Adam's steps are."""
        if self.rms_rate is None:
            return x
        return ops.multiply(x, self.rms_rate * max(x.shape[-2:]) ** 0.5)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """The matrix nearly orthogonal: its singular values moved towards 1."""
        tall = x.shape[-2] > x.shape[-1]
        x = self.transpose_last_axis(x) if tall else x
        x = ops.divide(x, ops.add(ops.norm(x, axis=(-2, -1), keepdims=True), 1e-7))
        for _ in range(steps):
            square = ops.matmul(x, self.transpose_last_axis(x))
            both = ops.add(ops.multiply(self.muon_b, square), ops.multiply(self.muon_c, ops.matmul(square, square)))
            x = ops.add(ops.multiply(self.muon_a, x), ops.matmul(both, x))
        return self.transpose_last_axis(x) if tall else x

    def get_config(self) -> dict:
        names = (
            *("adam_beta_1", "adam_beta_2", "epsilon", "exclude_layers", "muon_a", "muon_b", "muon_c"),
            *(
                "adam_lr_ratio",
                "momentum",
                "ns_steps",
                "nesterov",
                "exclude_embeddings",
                "adam_weight_decay",
                "rms_rate",
            ),
        )
        return super().get_config() | {name: getattr(self, name) for name in names}
