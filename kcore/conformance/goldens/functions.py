"""Functions as data: an op that takes functions (`scan`, `cond`) is recorded with formulas, never with code.

A function of operators and items alone is called once with stand-ins for its arguments, which note what is done
with them. What they noted is written as JSON, and read back as a function that does the same to NumPy's
arrays and to any backend's tensors.
"""

from __future__ import annotations

import inspect
import itertools
import operator
from collections.abc import Callable, Mapping
from typing import Any

# The operators that a formula may use, by the names they have in files.
OPERATORS: dict[str, Callable] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "matmul": operator.matmul,
    "negative": operator.neg,
    "absolute": operator.abs,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "item": operator.getitem,
}


class NotAFormula(TypeError):
    """The function does something that a formula can't say."""


class Noted:
    """A stand-in for an argument, or for what operators made of some.

    Args:
        said: What it is, as `{"parameter": name}` or `{"apply": operator, "to": [...]}`.
    """

    __array_ufunc__ = None  # NumPy's scalars leave the operator to us

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said

    def __bool__(self) -> bool:
        raise NotAFormula("it asks whether a value is true.")

    def __iter__(self) -> Any:
        raise NotAFormula("it walks through a value of unknown length.")


def _forward(name: str) -> Callable:
    return lambda *given: Noted({"apply": name, "to": list(given)})


def _reflected(name: str) -> Callable:
    return lambda self, other: Noted({"apply": name, "to": [other, self]})


for _name, _method in {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "truediv",
    "power": "pow",
    "matmul": "matmul",
}.items():
    setattr(Noted, f"__{_method}__", _forward(_name))
    setattr(Noted, f"__r{_method}__", _reflected(_name))
for _name, _method in {
    "negative": "neg",
    "absolute": "abs",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
    "item": "getitem",
}.items():
    setattr(Noted, f"__{_method}__", _forward(_name))


def noted(function: Callable, numbers: itertools.count | None = None) -> dict[str, Any]:
    """`{"parameters": [...], "result": ...}`, its result a structure with `Noted` leaves, and functions noted too.

    Raises:
        NotAFormula: It does more than operators and items say.
    """
    numbers = itertools.count() if numbers is None else numbers
    try:
        names = [f"{name}{next(numbers)}" for name in inspect.signature(function).parameters]
        result = function(*(Noted({"parameter": name}) for name in names))
    except NotAFormula:
        raise
    except Exception as error:
        raise NotAFormula(f"{type(error).__name__}: {error}") from None
    return {"parameters": names, "result": _with_functions_noted(result, numbers)}


def _with_functions_noted(value: Any, numbers: itertools.count) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_with_functions_noted(v, numbers) for v in value)
    if isinstance(value, dict):
        return {k: _with_functions_noted(v, numbers) for k, v in value.items()}
    if callable(value) and not isinstance(value, Noted):
        return Formula(noted(value, numbers))
    return value


class Formula:
    """A function that was noted inside another's result."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said


class Scope:
    """The values of the parameters while a formula is evaluated; an inner one sees the outer ones'."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)

    def parameter(self, name: str) -> Any:
        if name not in self.values:
            raise ValueError(f"a formula uses the parameter {name!r}, which it does not have.")
        return self.values[name]


def apply(name: str, values: list[Any]) -> Any:
    """The operator's result."""
    if name not in OPERATORS:
        raise ValueError(f"a formula applies {name!r}; expected one of {', '.join(OPERATORS)}.")
    return OPERATORS[name](*values)


def function_of(parameters: list[str], evaluate: Callable[[Scope], Any], outer: Scope | None = None) -> Callable:
    """A function of these parameters whose result `evaluate` computes."""

    def run(*values: Any) -> Any:
        if len(values) != len(parameters):
            raise TypeError(f"a formula of {len(parameters)} parameters was called with {len(values)} values.")
        return evaluate(Scope({**(outer.values if outer else {}), **dict(zip(parameters, values))}))

    return run
