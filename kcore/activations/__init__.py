"""keras.activations: functions of one tensor, and their names.

Most are ops under their own name; `relu` and `gelu` differ from the ops in their parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from kcore import ops
from kcore.activations import operations
from kcore.ops import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)

hard_swish, swish = hard_silu, silu


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """The rectified linear unit: x above `threshold`, else negative_slope * (x - threshold), and no more than `max_value`.

    Args:
        x: Any shape.
        negative_slope: The slope at and below the threshold.
        max_value: The largest result; None is no bound.
        threshold: Where it starts to rise.

    The gradient at the threshold is `negative_slope`, at `max_value` 0.
    """
    if operations.is_recorded(x):
        return operations.ReLU(negative_slope, max_value, threshold)(x)
    if threshold == 0 and max_value is None:
        return ops.relu(x) if negative_slope == 0 else ops.leaky_relu(x, negative_slope)
    if (negative_slope, max_value, threshold) == (0, 6, 0):
        return ops.relu6(x)
    x = ops.convert_to_tensor(x)
    y = ops.where(x <= threshold, negative_slope * (x - threshold) if negative_slope else 0, x)
    return y if max_value is None else ops.where(y >= max_value, max_value, y)


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function at x; see `kcore.ops.gelu`, whose default is to approximate."""
    return ops.gelu(x, approximate)


def linear(x: Any) -> Any:
    """x itself."""
    return x


def exponential(x: Any) -> Any:
    """e**x."""
    return ops.exp(x)


def mish(x: Any) -> Any:
    """x * tanh(softplus(x)) (Misra 2019)."""
    if operations.is_recorded(x):
        return operations.Mish()(x)
    return x * ops.tanh(ops.softplus(x))


NAMES: dict[str, Callable] = {
    f.__name__: f
    for f in (
        *(celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear),
        *(log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign),
        *(sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink, threshold),
    )
}
ALIASES = {"swish": "silu", "hard_swish": "hard_silu"}


def serialize(activation: Callable) -> Any:
    """What stands for an activation in a config: its name, or the serialized form of a layer or registered function.

    Raises:
        ValueError: It can't be named.
    """
    name = getattr(activation, "__name__", "")
    name = ALIASES.get(name, name)
    if name in NAMES and activation in (NAMES[name], getattr(ops, name, None)):
        return name
    from kcore import saving

    return saving.serialize_keras_object(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The activation that `serialize` gave `config` for.

    Raises:
        ValueError: There is no such activation.
    """
    from kcore import saving

    if isinstance(config, str):
        known = ALIASES.get(config, config)
        found = (custom_objects or {}).get(config) or NAMES.get(known) or saving.get_registered_object(config)
        if found is None:
            raise ValueError(
                f"There is no activation {config!r}; expected one of {', '.join(sorted({*NAMES, *ALIASES}))}."
            )
        return found() if inspect.isclass(found) else found
    return saving.deserialize_keras_object(config, module_objects=NAMES, custom_objects=custom_objects)


def get(identifier: Any) -> Any:
    """The activation for a name, a function or layer, a serialized form, or None (`linear`).

    Raises:
        ValueError: It stands for none.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, (str, dict)):
        return deserialize(identifier)
    if callable(identifier):
        return identifier
    raise ValueError(f"{identifier!r} is no activation; expected a name, a function, a layer, a config or None.")
