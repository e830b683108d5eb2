"""What layers do with their arguments: look them up, check them, and put them into configs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import FunctionType
from typing import Any

from kcore.ops import rules

# The last word of an argument's name -> the module that looks such arguments up and serializes them.
_KINDS = {
    "activation": "kcore.activations",
    "constraint": "kcore.constraints",
    "initializer": "kcore.initializers",
    "regularizer": "kcore.regularizers",
}


def keep(layer: Any, **arguments: Any) -> None:
    """Makes the arguments attributes of the layer; names of activations, initializers... become these."""
    for name, value in arguments.items():
        kind = _KINDS.get(name.rpartition("_")[2])
        setattr(layer, name, value if kind is None else importlib.import_module(kind).get(value))


def taken(given: dict[str, Any], *names: str) -> dict[str, Any]:
    """The arguments of those names, of a function's `locals()`: what its signature says in full is kept, or handed on."""
    return {name: given[name] for name in names if name in given}


def config_of(layer: Any, *names: str) -> dict[str, Any]:
    """The attributes of those names, activations, initializers... serialized."""
    config = {}
    for name in names:
        value = getattr(layer, name)
        kind = _KINDS.get(name.rpartition("_")[2])
        config[name] = value if kind is None or value is None else importlib.import_module(kind).serialize(value)
    return config


def sizes(layer: Any, value: Any, count: int, name: str, least: int = 1) -> tuple[int, ...]:
    """`count` integers from one of them or from a sequence.

    Raises:
        ValueError: The number of them, or one of them, is off.
    """
    try:
        return rules.integers(value, count, name, least)
    except ValueError as error:
        raise ValueError(f"{layer.name}: {error}") from None


def positive(layer: Any, value: Any, name: str) -> int:
    """`value` as an integer of at least 1.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 1:
        raise ValueError(f"{layer.name}: {name}={value!r} should be an integer of at least 1.")
    return int(value)


def known(layer: Any, shape: Any, axis: int) -> int:
    """The size of an input along `axis`, which its weights need.

    Raises:
        ValueError: The size is not known, or there is no such axis.
    """
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"{layer.name}: axis={axis} is out of range for inputs of shape {tuple(shape)}.")
    if shape[axis] is None:
        raise ValueError(
            f"{layer.name}: the size of the inputs along axis {axis} should be known to make the weights; "
            f"the inputs have shape {tuple(shape)}."
        )
    return int(shape[axis])


def with_defaults(function: Any, **defaults: Any) -> Callable[..., Any]:
    """The same function with other default values: what the __init__s of Conv1D and Conv2D differ by."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    given = dict(zip(names[::-1], function.__defaults__[::-1], strict=False)) | defaults
    values = tuple(given[name] for name in names if name in given)
    made = FunctionType(code, function.__globals__, function.__name__, values, function.__closure__)
    made.__annotations__, made.__doc__ = function.__annotations__, function.__doc__
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return made
