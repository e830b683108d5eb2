"""LossScaleOptimizer: float16 training without underflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kcore import backends, ops
from kcore.optimizers.optimizer import Optimizer
from kcore.state import StatelessScope, Variable


class LossScaleOptimizer(Optimizer):
    """An optimizer whose loss is multiplied by a scale, so that float16 gradients don't vanish.

    The scale doubles after `dynamic_growth_steps` steps without an infinite or nan gradient; a
    step with one is skipped, and halves it (Micikevicius et al. 2018, arXiv:1710.03740).

    Args:
        inner_optimizer: What does the updates.
        initial_scale: Where the scale starts.
        dynamic_growth_steps: After how many good steps it doubles.
        name: Unique by default.

    Raises:
        ValueError: The inner optimizer has a loss scale of its own, or clips across steps.
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 32768.0,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(inner_optimizer, Optimizer):
            raise ValueError(f"LossScaleOptimizer: inner_optimizer={inner_optimizer!r} is no Optimizer.")
        if inner_optimizer.loss_scale_factor is not None:
            raise ValueError("LossScaleOptimizer: the inner optimizer has a loss_scale_factor; give one of the two.")
        super().__init__(learning_rate=0.0, name=name, **kwargs)
        self.inner_optimizer, self.initial_scale = inner_optimizer, initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        self._variables = [v for v in self._variables if v is not self._learning_rate]
        self.step_counter = self._new_variable("step_counter", (), "zeros", "int32")
        self.dynamic_scale = self._new_variable(
            "dynamic_scale", (), lambda shape, dtype: float(initial_scale), "float32"
        )

    def build(self, var_list: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(var_list)
        self.inner_optimizer.build(var_list)

    @property
    def variables(self) -> list[Variable]:
        return [*self._variables, *self.inner_optimizer.variables]

    @property
    def learning_rate(self) -> Any:
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    def scale_loss(self, loss: Any) -> Any:
        return ops.multiply(loss, ops.cast(self.dynamic_scale, loss.dtype))

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        with backends.use(self._backend):
            if not self.built:
                self.build(variables)
            scale = self.dynamic_scale.value
            given = [None if g is None else self._backend.convert(g, "float32") for g in grads]
            finite = ops.all(ops.stack([ops.all(ops.isfinite(g)) for g in given if g is not None]))
            held = [*variables, *self.inner_optimizer.variables]
            with StatelessScope() as scope:
                self.inner_optimizer.apply([None if g is None else ops.divide(g, scale) for g in given], variables)
            for variable in held:
                after = scope.get_current_value(variable)
                if after is not None:
                    variable.assign(ops.where(finite, after, variable.value))
            count = ops.add(self.step_counter, 1)
            grown = ops.equal(count, self.dynamic_growth_steps)
            better = ops.where(grown, ops.multiply(scale, 2.0), scale)
            self.dynamic_scale.assign(ops.where(finite, better, ops.divide(scale, 2.0)))
            self.step_counter.assign(ops.where(ops.logical_and(finite, ops.logical_not(grown)), count, 0))
            self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict:
        from kcore import saving

        return {
            "name": self.name,
            "inner_optimizer": saving.serialize_keras_object(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        from kcore.optimizers import deserialize

        inner = deserialize(config["inner_optimizer"], custom_objects)
        return cls(**{**config, "inner_optimizer": inner})
