"""Arguments of calls as JSON and arrays, and back.

Numbers, strings, true, false and null stand for themselves, and a JSON list for a list. Everything else is an
object with one key, which says what it is; docs/goldens.md has the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kcore import dtypes
from kcore.conformance.goldens import functions
from kcore.conformance.goldens.functions import Formula, Noted, Scope

# dtypes that NumPy alone does not have are stored by their bits.
BITS = {"bfloat16": "uint16", "float8_e4m3fn": "uint8", "float8_e5m2": "uint8"}


class Writer:
    """Gathers arrays under names, and what the JSON file says of each."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.names: dict[int, str] = {}  # id of an array that was given -> its name

    def array(self, value: np.ndarray, name: str) -> dict[str, Any]:
        """What stands for an array in the JSON file."""
        if name in self.arrays:
            raise ValueError(f"there are two arrays called {name}.")
        self.names[id(value)] = name
        dtype = dtypes.name_of(value.dtype)
        value = np.array(value, order="C")  # not ascontiguousarray, which gives a scalar an axis
        self.arrays[name] = value.view(BITS[dtype]) if dtype in BITS else value
        return {"array": name, "dtype": dtype, "shape": list(value.shape)}

    def value(self, value: Any, name: str) -> Any:
        """What stands for an argument.

        Raises:
            TypeError: The format has nothing for it.
        """
        if isinstance(value, np.ndarray):
            return self.array(value, name)
        if isinstance(value, np.generic):
            return self.array(np.asarray(value), name)
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, complex):
            return {"complex": [self.value(value.real, name), self.value(value.imag, name)]}
        if isinstance(value, list):
            return [self.value(v, f"{name}.{i}") for i, v in enumerate(value)]
        if isinstance(value, tuple):
            return {"tuple": [self.value(v, f"{name}.{i}") for i, v in enumerate(value)]}
        if isinstance(value, dict) and all(isinstance(k, str) for k in value):
            return {"dict": {k: self.value(v, f"{name}.{k}") for k, v in value.items()}}
        if isinstance(value, slice):
            return {"slice": [value.start, value.stop, value.step]}
        if value is Ellipsis:
            return {"ellipsis": True}
        if isinstance(value, Noted):
            return {k: self.value(v, f"{name}.{k}") for k, v in value.said.items()}
        if isinstance(value, Formula):
            return self._function(value.said, name)
        if callable(value) and not isinstance(value, type):
            return self._function(functions.noted(value), name)
        raise TypeError(f"a {type(value).__name__} can't be recorded.")

    def _function(self, said: dict[str, Any], name: str) -> dict[str, Any]:
        return {"function": {"parameters": said["parameters"], "result": self.value(said["result"], f"{name}.result")}}


class Reader:
    """Makes arguments of what the JSON file says.

    Args:
        arrays: Arrays by name.
        tensor: Makes of an array, given after its name, what the call gets.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], tensor: Callable[[str, np.ndarray], Any]) -> None:
        self.arrays, self.tensor = arrays, tensor

    def array(self, said: Mapping[str, Any]) -> np.ndarray:
        """The array that an `{"array": name, ...}` stands for.

        Raises:
            ValueError: It is not there, or of another dtype or shape than the file says.
        """
        name, dtype = said["array"], said["dtype"]
        if name not in self.arrays:
            raise ValueError(f"the array {name!r} is missing.")
        value = self.arrays[name]
        if dtype in BITS:
            value = value.view(dtypes.to_numpy(dtype))
        if dtypes.name_of(value.dtype) != dtype or list(value.shape) != said["shape"]:
            raise ValueError(
                f"the array {name!r} is {value.dtype}{value.shape}, but should be {dtype}{tuple(said['shape'])}."
            )
        return value

    def value(self, said: Any, scope: Scope | None = None) -> Any:
        """The argument. `scope` has the parameters of the formula that it is in, if it is in one."""
        if isinstance(said, list):
            return [self.value(v, scope) for v in said]
        if not isinstance(said, dict):
            return said
        if "array" in said:
            return self.tensor(said["array"], self.array(said))
        if "apply" in said:
            return functions.apply(said["apply"], [self.value(v, scope) for v in said["to"]])
        kind, inner = _only_item(said)
        if kind == "float":
            return float(inner)
        if kind == "complex":
            return complex(*(self.value(v) for v in inner))
        if kind == "tuple":
            return tuple(self.value(v, scope) for v in inner)
        if kind == "dict":
            return {k: self.value(v, scope) for k, v in inner.items()}
        if kind == "slice":
            return slice(*inner)
        if kind == "ellipsis":
            return Ellipsis
        if kind == "parameter" and scope is not None:
            return scope.parameter(inner)
        if kind == "function":
            result = inner["result"]
            return functions.function_of(inner["parameters"], lambda inside: self.value(result, inside), scope)
        raise ValueError(f"{said} stands for no value.")


def _only_item(said: dict[str, Any]) -> tuple[str, Any]:
    if len(said) != 1:
        raise ValueError(f"{said} stands for no value.")
    return next(iter(said.items()))
