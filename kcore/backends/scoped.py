"""Variables that are assigned inside a function which a framework traces on its own: a branch, a loop's body.

What is assigned there is a value of that trace, and must leave it as a result. So the assigned
variables go in and out of the function beside its own values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcore import state


class Scope:
    """Inside, reads and writes of variables go to values of the trace.

    Args:
        found: Grows by the variables that are assigned inside.
        held: Variables whose values the trace has as inputs.
        values: These values.
    """

    def __init__(self, found: list[Any], held: list[Any], values: Any) -> None:
        self.found, self.held = found, held
        self.scope = state.StatelessScope(zip(held, values, strict=True))

    def __enter__(self) -> Scope:
        self.scope.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.scope.__exit__(*error)
        for variable, _ in self.scope.updates.values():
            if not any(v is variable for v in self.found):
                self.found.append(variable)

    def values(self) -> list[Any]:
        """What the held variables have become."""
        return [self.scope.get_current_value(v) for v in self.held]


def threaded(attempt: Callable[[list[Any], list[Any], list[Any]], tuple[list[Any], Any]]) -> Any:
    """The result of a traced function; variables assigned in it get their values afterwards.

    Args:
        attempt: `attempt(found, held, values)` traces once, in a `Scope` made of these, and returns the values that
            the held variables have become and the result. It is called again as long as `found` shows more variables.
    """
    held: list[Any] = []
    while True:
        found: list[Any] = []
        with state.AutocastScope(None):
            values = [v.value for v in held]
        after, result = attempt(found, held, values)
        new = [v for v in found if not any(v is h for h in held)]
        if not new:
            for variable, value in zip(held, after, strict=True):
                variable.assign(value)
            return result
        held = [*held, *new]


class Replay:
    """A function that may be run again to get its values back: variables are assigned by the first run alone.

    Later runs see the variables that it assigned as they were before.
    """

    def __init__(self, function: Callable) -> None:
        self.function = function
        self.before: list[tuple[Any, Any]] | None = None

    def __call__(self, *args: Any) -> Any:
        from kcore import ops

        if self.before is not None:
            with state.StatelessScope(self.before):
                return self.function(*args)
        with state.StatelessScope() as scope:
            y = self.function(*args)
        with state.AutocastScope(None):
            self.before = [(v, ops.copy(v.value)) for v, _ in scope.updates.values()]
        for variable, value in scope.updates.values():
            variable.assign(value)
        return y
