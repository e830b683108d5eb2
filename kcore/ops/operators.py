"""`+`, `[]`, `@`... on kcore's own tensors: KerasTensor, Variable and the reference Tensor.

JAX, TensorFlow and torch tensors keep their frameworks' operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcore import backends, ops
from kcore.ops.symbolic import KerasTensor

_BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "mod",
    "pow": "power",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "left_shift",
    "rshift": "right_shift",
}
_COMPARISONS = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
_UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "bitwise_not"}


def attach(cls: type, backend: Callable[[Any], Any] | None = None) -> None:
    """Gives `cls` every operator. With `backend`, they run on `backend(self)` whatever is active."""

    def method(name: str, function: Callable) -> None:
        if backend is not None:
            function = _on(backend, function)
        function.__name__ = name
        setattr(cls, name, function)

    for name, op_name in _BINARY.items():
        call = getattr(ops, op_name)
        if name in ("and", "or", "xor"):
            call = _bool_aware(call, getattr(ops, f"logical_{name}"))
        elif name == "truediv" and cls is KerasTensor:
            call = ops.true_divide  # Keras's name for it in a graph
        method(f"__{name}__", lambda self, other, call=call: _binary(call, self, other))
        method(f"__r{name}__", lambda self, other, call=call: _binary(call, other, self))
        # `x += y` makes a new tensor: what others hold must not change under them.
        method(f"__i{name}__", lambda self, other, call=call: _binary(call, self, other))
    for name, op_name in _COMPARISONS.items():
        call = getattr(ops, op_name)
        method(f"__{name}__", lambda self, other, call=call: _binary(call, self, other))
    for name, op_name in _UNARY.items():
        call = getattr(ops, op_name)
        if name == "invert":
            call = _bool_aware(call, ops.logical_not)
        method(f"__{name}__", lambda self, call=call: call(self))
    method("__getitem__", lambda self, index: ops.get_item(self, index))
    method("__round__", lambda self, ndigits=None: ops.round(self, ndigits or 0))
    cls.__hash__ = object.__hash__  # type: ignore[method-assign, assignment]
    cls.__array_priority__ = 100  # type: ignore[attr-defined] # NumPy arrays on the left give way


def _binary(call: Callable, x1: Any, x2: Any) -> Any:
    if isinstance(x1, (str, type(None))) or isinstance(x2, (str, type(None))):
        return NotImplemented
    return call(x1, x2)


def _bool_aware(bitwise: Callable, logical: Callable) -> Callable:
    """`&` on bools is logical_and, on integers bitwise_and."""

    def call(*args: Any) -> Any:
        bools = all(getattr(x, "dtype", type(x)) in ("bool", bool) for x in args)
        return (logical if bools else bitwise)(*args)

    return call


def _on(home: Callable[[Any], Any], function: Callable) -> Callable:
    """The same method, run on the backend where its object is at home."""

    def run(self: Any, *args: Any) -> Any:
        target = home(self)
        if (backends.chosen.get() or backends.default()) is target:
            return function(self, *args)
        with backends.use(target):
            return function(self, *args)

    return run


attach(KerasTensor)
