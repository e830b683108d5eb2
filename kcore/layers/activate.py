"""Activations as layers."""

from __future__ import annotations

import math
from typing import Any

from kcore import activations, ops
from kcore.layers.arguments import config_of, keep, known
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer


class _Activating(Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def _slope(self, value: Any, name: str) -> float:
        """A number that is not negative.

        Raises:
            ValueError: It is another.
        """
        if value is None or value < 0:
            raise ValueError(f"{self.name}: {name}={value!r} should be a number that is not negative.")
        return value


class Activation(_Activating):
    """An activation function as a layer.

    Args:
        activation: The function, or its name.
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        keep(self, activation=activation)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "activation")


class ReLU(_Activating):
    """x above the threshold, else negative_slope * (x - threshold), and no more than max_value.

    Args:
        max_value: The largest result; None is no bound.
        negative_slope: The slope below the threshold.
        threshold: Where it starts to rise.

    Raises:
        ValueError: One of them is negative.
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else self._slope(max_value, "max_value")
        self.negative_slope = self._slope(negative_slope, "negative_slope")
        self.threshold = self._slope(threshold, "threshold")

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "max_value", "negative_slope", "threshold")


class LeakyReLU(_Activating):
    """x above 0, else negative_slope * x.

    Args:
        negative_slope: The slope below 0.

    Raises:
        ValueError: It is negative.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)  # its name in older code
        super().__init__(**kwargs)
        self.negative_slope = self._slope(negative_slope, "negative_slope")

    def call(self, inputs: Any) -> Any:
        return ops.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "negative_slope")


class PReLU(Layer):
    """x above 0, else alpha * x, with an alpha that is learned.

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: Of alpha.
        shared_axes: Axes along which alpha is the same: (1, 2) for one alpha for each channel of images.
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        keep(
            self,
            alpha_initializer=alpha_initializer,
            alpha_regularizer=alpha_regularizer,
            alpha_constraint=alpha_constraint,
        )
        axes = shared_axes if shared_axes is None or isinstance(shared_axes, (list, tuple)) else [shared_axes]
        self.shared_axes = None if axes is None else list(axes)

    def build(self, input_shape: Any) -> None:
        shared = [] if self.shared_axes is None else [a % len(input_shape) for a in self.shared_axes]
        own = [axis for axis in range(1, len(input_shape)) if axis not in shared]
        found = {axis: known(self, input_shape, axis) for axis in own}
        self.alpha = self.add_weight(
            name="alpha",
            shape=tuple(found.get(axis, 1) for axis in range(1, len(input_shape))),
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes=found)

    def call(self, inputs: Any) -> Any:
        return ops.where(ops.greater(inputs, 0), inputs, ops.multiply(self.alpha, inputs))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        names = ("alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes")
        return super().get_config() | config_of(self, *names)


class ELU(_Activating):
    """x above 0, else alpha * (exp(x) - 1).

    Args:
        alpha: What it tends to far below 0, negated.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Any) -> Any:
        return ops.elu(inputs, self.alpha)

    def get_config(self) -> dict:
        base = super().get_config()
        return {"name": base.pop("name"), "alpha": self.alpha, **base}


class Softmax(_Activating):
    """exp(x) / sum(exp(x)) over an axis, or several, of what a mask leaves.

    Args:
        axis: An int or several.

    A masked element is 0; the mask may lack axes at the end.
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any, mask: Any = None) -> Any:
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        if mask is None:
            return ops.softmax(inputs, axis)
        there = ops.cast(mask, "bool")
        for _ in range(len(inputs.shape) - len(there.shape)):
            there = ops.expand_dims(there, -1)
        # A row with nothing left is nan, until the outer `where` makes it 0; so are its gradients.
        return ops.where(there, ops.softmax(ops.where(there, inputs, -math.inf), axis), 0)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, "axis")
