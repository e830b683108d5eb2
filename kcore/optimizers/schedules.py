"""Learning rates that change as training goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kcore import ops


class LearningRateSchedule:
    """A function of the step number. A subclass defines `__call__(step)` and `get_config`."""

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __call__.")

    def get_config(self) -> dict:
        raise NotImplementedError(f"{type(self).__name__} has no get_config.")

    @classmethod
    def from_config(cls, config: dict) -> Any:
        return cls(**config)


def _positive(what: str, **values: float) -> None:
    for key, value in values.items():
        if value <= 0:
            raise ValueError(f"{what}: {key}={value} should be positive.")


def _step(step: Any) -> Any:
    return ops.cast(step, "float32")


class _Decay(LearningRateSchedule):
    """The common shape of ExponentialDecay and InverseTimeDecay."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        _positive(type(self).__name__, decay_steps=decay_steps)
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name or type(self).__name__

    def _progress(self, step: Any) -> Any:
        progress = ops.divide(_step(step), float(self.decay_steps))
        return ops.floor(progress) if self.staircase else progress

    def get_config(self) -> dict:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class ExponentialDecay(_Decay):
    """initial * decay_rate ** (step / decay_steps); the exponent is floored with `staircase`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: Any) -> Any:
        return ops.multiply(self.initial_learning_rate, ops.power(float(self.decay_rate), self._progress(step)))


class InverseTimeDecay(_Decay):
    """initial / (1 + decay_rate * step / decay_steps); the quotient is floored with `staircase`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: Any) -> Any:
        return ops.divide(self.initial_learning_rate, ops.add(1.0, ops.multiply(self.decay_rate, self._progress(step))))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and including step boundaries[i], the last value after that.

    Raises:
        ValueError: There is not one value more than boundaries.
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"PiecewiseConstantDecay: {len(boundaries)} boundaries need {len(boundaries) + 1} values, not {len(values)}."
            )
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: Any) -> Any:
        step = _step(step)
        rate = ops.multiply(ops.ones_like(step), float(self.values[-1]))
        for boundary, value in reversed(list(zip(self.boundaries, self.values[:-1], strict=True))):
            rate = ops.where(ops.less_equal(step, float(boundary)), float(value), rate)
        return rate

    def get_config(self) -> dict:
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


class PolynomialDecay(LearningRateSchedule):
    """From the initial rate to the end rate in `decay_steps`, as (1 - step / decay_steps) ** power; again and again with `cycle`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _positive(type(self).__name__, decay_steps=decay_steps)
        self.initial_learning_rate, self.decay_steps, self.end_learning_rate = (
            initial_learning_rate,
            decay_steps,
            end_learning_rate,
        )
        self.power, self.cycle, self.name = power, cycle, name

    def __call__(self, step: Any) -> Any:
        step, length = _step(step), float(self.decay_steps)
        if self.cycle:
            length = ops.multiply(length, ops.maximum(ops.ceil(ops.divide(step, length)), 1.0))
        else:
            step = ops.minimum(step, length)
        left = ops.subtract(1.0, ops.divide(step, length))
        span = self.initial_learning_rate - self.end_learning_rate
        return ops.add(ops.multiply(span, ops.power(left, float(self.power))), self.end_learning_rate)

    def get_config(self) -> dict:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate (or `warmup_target`, reached linearly) down to alpha times it."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        _positive(type(self).__name__, decay_steps=decay_steps)
        self.initial_learning_rate, self.decay_steps, self.alpha, self.name = (
            initial_learning_rate,
            decay_steps,
            alpha,
            name,
        )
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step: Any) -> Any:
        step = _step(step)
        if self.warmup_target is None:
            return self._cosine(step, self.initial_learning_rate)
        warm = float(self.warmup_steps)
        span = self.warmup_target - self.initial_learning_rate
        rising = ops.add(ops.multiply(ops.divide(step, warm), span), self.initial_learning_rate)
        return ops.where(ops.less(step, warm), rising, self._cosine(ops.subtract(step, warm), self.warmup_target))

    def _cosine(self, step: Any, peak: float) -> Any:
        done = ops.divide(ops.minimum(step, float(self.decay_steps)), float(self.decay_steps))
        wave = ops.multiply(0.5, ops.add(1.0, ops.cos(ops.multiply(math.pi, done))))
        return ops.multiply(peak, ops.add(ops.multiply(1 - self.alpha, wave), self.alpha))

    def get_config(self) -> dict:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after the other, each t_mul times as long and m_mul times as high as the one before."""

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _positive(type(self).__name__, first_decay_steps=first_decay_steps)
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: Any) -> Any:
        done = ops.divide(_step(step), float(self.first_decay_steps))
        if self.t_mul == 1.0:
            restart = ops.floor(done)
            done = ops.subtract(done, restart)
        else:
            # Restart i begins at (t_mul**i - 1) / (t_mul - 1), in units of the first decay.
            restart = ops.floor(
                ops.divide(ops.log(ops.subtract(1.0, ops.multiply(done, 1.0 - self.t_mul))), math.log(self.t_mul))
            )
            begun = ops.divide(ops.subtract(1.0, ops.power(self.t_mul, restart)), 1.0 - self.t_mul)
            done = ops.divide(ops.subtract(done, begun), ops.power(self.t_mul, restart))
        height = ops.power(float(self.m_mul), restart)
        wave = ops.multiply(ops.multiply(0.5, height), ops.add(1.0, ops.cos(ops.multiply(math.pi, done))))
        return ops.multiply(self.initial_learning_rate, ops.add(ops.multiply(1 - self.alpha, wave), self.alpha))

    def get_config(self) -> dict:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self.t_mul,
            "m_mul": self.m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict:
    """The serialized form of a schedule."""
    from kcore import saving

    return saving.serialize_keras_object(learning_rate_schedule)


def deserialize(config: dict, custom_objects: dict | None = None) -> Any:
    """The schedule of a serialized form."""
    from kcore import saving

    return saving.deserialize_keras_object(config, custom_objects=custom_objects)
