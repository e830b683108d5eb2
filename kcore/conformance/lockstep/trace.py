"""What a program does on the oracle: its ops, layers and gradients in order, with their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kcore import backends, dtypes, tree
from kcore.conformance.lockstep.observe import (
    Observer,
    Source,
    array_of,
    caller,
    converted,
    listening,
    results_of,
    stored,
)


@dataclasses.dataclass
class OpEvent:
    """One call of an op.

    Attributes:
        op: The op.
        args: Its arguments by position: arrays, numbers and plain values.
        results: Its results, flat.
        like: The structure of the result.
        path: The names of the layers that it was called in.
        source, by_operator: The line that called it, and whether by an operator such as `+`.
        number: Which op of the program it is.
        gradients: The gradient that reached each result, where something was differentiated.
    """

    op: Any
    args: tuple
    results: list[Any]
    like: Any
    path: tuple[str, ...]
    source: Source
    by_operator: bool
    number: int
    gradients: list[np.ndarray | None] | None = None

    def arrays(self) -> list[tuple[str, Any]]:
        """(parameter, array) of the arguments, in order."""
        return [
            (name, x)
            for name, a in zip(self.op.roles, self.args, strict=True)
            for x in tree.flatten(a)
            if isinstance(x, np.ndarray)
        ]

    def on(self, backend: Any) -> Any:
        """The op's result for these arguments there."""
        with backends.use(backend), listening(None):
            return self.op.dispatch(converted(backend, self.op, self.args))


class Scope:
    """A layer's call, a function that is differentiated, or the whole program; and what runs in it."""

    def __init__(self, name: str, path: tuple[str, ...] = ()) -> None:
        self.name, self.path = name, path
        self.children: list[OpEvent | Scope] = []

    def ops(self, nested: bool = True) -> Iterator[OpEvent]:
        """The ops in it, in order; those of functions differentiated in it only if `nested`."""
        for child in self.children:
            if isinstance(child, OpEvent):
                yield child
            elif nested or not isinstance(child, Differentiated):
                yield from child.ops(nested)


class LayerCall(Scope):
    """A layer's call. `results` are its results, flat."""

    results: list[Any] = []


class Differentiated(Scope):
    """A function that was differentiated.

    Attributes:
        leaves: The values by which, and `labels` what they are called.
        pulls: (gradients of the results, gradients of the leaves) for each time that it was pulled back.
    """

    def __init__(self, path: tuple[str, ...], leaves: list[np.ndarray], labels: list[str]) -> None:
        super().__init__("gradient", path)
        self.leaves, self.labels = leaves, labels
        self.pulls: list[tuple[list[np.ndarray], list[np.ndarray]]] = []


class Recorder(Observer):
    """Notes all that runs, in `program`.

    Args:
        backend: The oracle.
        names: id of a tensor -> what to call it, for the leaves of a gradient.
        gradients: Whether the gradient that reaches each op's result is wanted: the function is then run once more.
    """

    def __init__(self, backend: Any, names: dict[int, str] | None = None, gradients: bool = True) -> None:
        super().__init__(backend)
        self.program = Scope("program")
        self.names, self.gradients = {} if names is None else names, gradients
        self.count = 0
        self._scopes: list[Scope] = [self.program]

    def op(self, op: Any, args: tuple, run: Callable[..., Any]) -> Any:
        held = stored(self.backend, op, args)
        source, by_operator = caller()
        y = run(*args)
        event = OpEvent(
            op, held, results_of(self.backend, y), _skeleton(y), tuple(self.path), source, by_operator, self.count
        )
        self.count += 1
        self._scopes[-1].children.append(event)
        return y

    def layer(self, layer: Any, args: tuple, kwargs: dict, run: Callable[[], Any]) -> Any:
        call = LayerCall(layer.name, tuple(self.path[:-1]))
        y = self._within(call, run)
        call.results = results_of(self.backend, y)
        return y

    def vjp(self, fn: Callable, leaves: list[Any], run: Callable[..., Any]) -> Any:
        labels = [self.names.get(id(x), f"argument {i}") for i, x in enumerate(leaves)]
        call = Differentiated(tuple(self.path), [array_of(self.backend, x) for x in leaves], labels)

        def told() -> Any:
            with listening(self):
                return run(fn, leaves)

        outputs, aux, pull = self._within(call, told)

        def pullback(gs: list[Any]) -> list[Any]:
            found = pull(gs)
            call.pulls.append(([array_of(self.backend, g) for g in gs], [array_of(self.backend, g) for g in found]))
            if self.gradients and len(call.pulls) == 1:
                note_gradients(self.backend, call, fn, leaves, gs, run)
            return found

        return outputs, aux, pullback

    def _within(self, scope: Scope, run: Callable[[], Any]) -> Any:
        self._scopes[-1].children.append(scope)
        self._scopes.append(scope)
        try:
            return run()
        finally:
            self._scopes.pop()


def _skeleton(y: Any) -> Any:
    return tree.map_structure(lambda _: None, y)


class _Prober(Observer):
    """Adds to every float result of an op a tensor of zeros: its gradient is that of the result."""

    def __init__(self, backend: Any, probes: list[list[Any]]) -> None:
        super().__init__(backend)
        self.left = iter(probes)

    def op(self, op: Any, args: tuple, run: Callable[..., Any]) -> Any:
        from kcore import ops

        y = run(*args)
        own = iter(next(self.left))
        return tree.map_structure(
            lambda e, p: e if p is None else ops.add(e, p), y, tree.map_structure(lambda _: next(own), y)
        )

    def vjp(self, fn: Callable, leaves: list[Any], run: Callable[..., Any]) -> Any:
        return run(fn, leaves)


def note_gradients(
    backend: Any, call: Differentiated, fn: Callable, leaves: list[Any], gs: list[Any], run: Any
) -> None:
    """Runs the function again with a probe on every result, and notes the gradients that reach them."""
    from kcore.state import StatelessScope

    events = list(call.ops(nested=False))
    probes = [[backend.convert(np.zeros_like(y)) if is_inexact(y) else None for y in event.results] for event in events]
    flat = [p for many in probes for p in many if p is not None]

    def probed(*xs: Any) -> Any:
        left = iter(xs[len(leaves) :])
        given = [[None if p is None else next(left) for p in many] for many in probes]
        with StatelessScope(), listening(_Prober(backend, given)):
            return fn(*xs[: len(leaves)])

    _, _, pull = run(probed, [*leaves, *flat])
    found = iter(pull(gs)[len(leaves) :])
    for event, many in zip(events, probes, strict=True):
        event.gradients = [None if p is None else array_of(backend, next(found)) for p in many]


def is_inexact(x: Any) -> bool:
    """Whether it is an array of a float or complex dtype."""
    if not isinstance(x, np.ndarray):
        return False
    name = dtypes.name_of(x.dtype)
    return dtypes.is_inexact(name)
