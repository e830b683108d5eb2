"""A recorded call on a backend: its results, and its gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kcore import dtypes, gradients, tree
from kcore.conformance.goldens.values import Reader
from kcore.ops.mechanism import REGISTRY


class Recorded:
    """One entry of a golden as a function of its arrays.

    Args:
        entry: As the JSON file has it.
        arrays: The golden's arrays.
        function: What is called; None looks the op up by its name.

    Raises:
        LookupError: There is no such op.
        ValueError: The entry names an array that is not there, or says what stands for no value.
    """

    def __init__(
        self, entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray], function: Callable | None = None
    ) -> None:
        self.entry = entry
        self.function = function or function_named(entry["op"])
        self.inputs: dict[str, np.ndarray] = {}  # the arrays among the arguments, by name
        self.reader = Reader(arrays, self._noted)
        self.reader.value({"dict": entry["arguments"]})
        self.reader.tensor = lambda name, array: array
        self.wanted = [self.reader.array(o) for o in entry["outputs"]]
        self.cotangents = [None if c is None else self.reader.array(c) for c in entry.get("cotangents", ())]
        self.by = [g["argument"] for g in entry.get("gradients", ()) if "argument" in g]

    def _noted(self, name: str, array: np.ndarray) -> Any:
        self.inputs[name] = array
        return array

    def call(self, tensors: Mapping[str, Any]) -> list[Any]:
        """The results, flat, where the arrays among the arguments are `tensors`."""
        reader = Reader(self.reader.arrays, lambda name, _: tensors[name])
        said = reader.value({"dict": self.entry["arguments"]})
        return tree.flatten(called(self.function, said))

    def results(self, backend: Any, inputs: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        """(results, gradients of the sum of results times cotangents), by the arrays in `by`."""
        if not self.by:
            return self.call(inputs), []
        weighted = [i for i, c in enumerate(self.cotangents) if c is not None]

        def run(*leaves: Any) -> tuple[list[Any], list[Any]]:
            ys = self.call({**inputs, **dict(zip(self.by, leaves, strict=True))})
            return [ys[i] for i in weighted], ys

        _, pull, ys = gradients.vjp(run, *(inputs[name] for name in self.by), has_aux=True)
        found = pull([backend.convert(self.cotangents[i], backend.dtype(ys[i])) for i in weighted])
        return ys, list(found)

    def tensors(self, backend: Any) -> dict[str, Any]:
        """The arrays among the arguments as the backend's tensors."""
        return {name: backend.convert(x) for name, x in self.inputs.items()}


def widened(x: np.ndarray) -> np.ndarray:
    """Floats in float64 and complex numbers in complex128; others as they are."""
    name = dtypes.name_of(x.dtype)
    if dtypes.is_complex(name):
        return x.astype("complex128")
    return x.astype("float64") if dtypes.is_float(name) or name in dtypes.FLOAT8 else x


def drawn_weights(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Numbers of either sign, none of them near 0, that every float dtype holds exactly."""
    return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.integers(4, 13, shape) / 8)


def function_named(name: str) -> Callable:
    """The op of that name, internal ones included.

    Raises:
        LookupError: There is none.
    """
    from kcore import ops, random

    _ = ops, random  # they declare the ops
    if name in REGISTRY:
        return REGISTRY[name].call
    from kcore.conformance import runner
    from kcore.conformance.record import CASES

    runner.load_records()  # a few public functions are no ops, but have records
    if name in CASES:
        return CASES[name].op
    raise LookupError(f"this kcore has no op {name}.")


def called(function: Callable, arguments: Mapping[str, Any]) -> Any:
    """`function` of arguments by the names of its parameters."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    parameters = inspect.signature(function).parameters
    unknown = sorted(set(arguments) - set(parameters))
    if unknown:
        raise TypeError(f"it has no argument {unknown[0]!r} any more.")
    for name, parameter in parameters.items():
        if name not in arguments:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += arguments[name]
        elif parameter.kind is parameter.VAR_KEYWORD:
            named |= arguments[name]
        elif parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = arguments[name]
        else:
            positional.append(arguments[name])
    return function(*positional, **named)


def bound(function: Callable, args: Sequence[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, defaults filled in."""
    filled = inspect.signature(function).bind(*args, **arguments)
    filled.apply_defaults()
    return dict(filled.arguments)
