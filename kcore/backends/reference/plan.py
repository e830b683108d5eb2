"""A captured step made one Python function: the definitions called in a row, on plain arrays.

No dispatch, no tensors, no tape is left; a value is freed after its last use. What depends on nothing but variables that
the step leaves alone is prepared: computed again only when one of them has been written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import tree
from kcore.backends.reference.joining import joined, spending
from kcore.backends.reference.tensor import Memory, Tensor, root, wrap
from kcore.backends.reference.trace import Call, Capture, Ref, refs
from kcore.backends.reference.tracer import CannotCapture

# Constants that stand in the code as they are.
_LITERALS = (int, bool, str, type(None))


class StepPlan:
    """What a captured step runs.

    Args:
        capture: The calls.
        inputs: The slots of the data's leaves.
        result: What the step returns, with Refs for tensors.
    """

    def __init__(self, capture: Capture, inputs: list[int], result: Any) -> None:
        self.assigned = capture.assigned
        self._inputs, self._result = inputs, result
        self._constants = capture.constants
        wanted = refs(result)
        calls = joined(_needed(capture.calls, wanted), capture.specs, wanted)
        self._prepared, self._calls = _parted(calls, self._still(), wanted)
        kept = {slot for call in self._prepared for slot in call.results}
        self._dropped = _last_uses(self._calls, {*wanted, *self._constants, *kept})
        self._calls = spending(self._calls, self._dropped)
        self._plain: set[int] = set()  # slots whose definitions do not return NumPy's own arrays

    def _still(self) -> set[int]:
        """The slots of the variables that the step does not assign."""
        assigned = {id(v._storage.memory) for v in self.assigned}
        return {slot for slot, array in self._constants.items() if id(root(array)) not in assigned}

    def memories(self) -> list[Memory]:
        """Of the variables that what is prepared depends on."""
        read = {slot for call in self._prepared for slot in refs(call.args)}
        return [root(array) for slot, array in self._constants.items() if slot in read]  # type: ignore[misc]

    def first(self, leaves: list[np.ndarray]) -> Any:
        """Runs the calls one by one, and checks that each gives what its rule has promised.

        Raises:
            CannotCapture: One did not. The variables are as they were before.
        """
        before = [(v._storage, v._storage.array.copy()) for v in self.assigned]
        try:
            return self._checked(leaves)
        except BaseException:
            for storage, value in before:
                np.copyto(storage.changing(), value)
            raise

    def _checked(self, leaves: list[np.ndarray]) -> Any:
        values = {**self._constants, **dict(zip(self._inputs, leaves, strict=True))}

        def resolved(a: Any) -> Any:
            if a.__class__ is Ref:
                return values[a.slot]
            return a.__class__([resolved(e) for e in a]) if a.__class__ in (list, tuple) else a

        calls = [*self._prepared, *self._calls]
        for call, dropped in zip(calls, [[]] * len(self._prepared) + self._dropped, strict=True):
            y = call.function(*[resolved(a) for a in call.args])
            found = tree.flatten(y) if call.many else [y]
            for slot, value, spec in zip(call.results, found, call.specs, strict=bool(call.results)):
                if value.__class__ is not np.ndarray:
                    self._plain.add(slot)
                    value = np.asarray(value)
                if (value.shape, value.dtype) != spec:
                    raise CannotCapture(f"{call.function} gave {value.dtype}{value.shape} for {spec}")
                values[slot] = value
            for slot in dropped:
                del values[slot]
        return self._packed(values)

    def _packed(self, values: dict[int, np.ndarray]) -> Any:
        def packed(a: Any) -> Any:
            if a.__class__ is dict:
                return {key: packed(value) for key, value in a.items()}
            if a.__class__ in (list, tuple):
                return a.__class__([packed(value) for value in a])
            if a.__class__ is Ref:
                return wrap(values[a.slot])
            return a.copy().view(Tensor) if isinstance(a, np.ndarray) else a

        # Ref is a tuple itself, of another class.
        return packed(self._result)

    def compiled(self) -> Callable[[list[np.ndarray]], Any]:
        """The step as a function of the data's leaves."""
        return _Writer(self).function()


class _Writer:
    """Writes the function of a plan."""

    def __init__(self, plan: StepPlan) -> None:
        self.plan = plan
        self.scope: dict[str, Any] = {"asarray": np.asarray, "flatten": tree.flatten, "wrap": wrap}
        self.names: dict[int, str] = {}

    def function(self) -> Callable[[list[np.ndarray]], Any]:
        plan = self.plan
        for slot, array in plan._constants.items():
            self.scope[f"s{slot}"] = array
        lines = ["def step(leaves):"]
        if plan._prepared:
            self.scope |= {"memories": plan.memories(), "seen": None}
            lines = self.prepare() + lines + ["    if [m.changes for m in memories] != seen:", "        prepare()"]
        if plan._inputs:
            lines.append(f"    {', '.join(f's{i}' for i in plan._inputs)}, = leaves")
        for call, dropped in zip(plan._calls, plan._dropped, strict=True):
            lines.append("    " + self.line(call))
            if dropped:
                lines.append(f"    del {', '.join(f's{i}' for i in dropped)}")
        lines.append(f"    return {self.packed(plan._result)}")
        exec(compile("\n".join(lines), "<captured step>", "exec"), self.scope)  # as kcore.ops.mechanism does
        return self.scope["step"]

    def prepare(self) -> list[str]:
        """The function that computes what is prepared, into the scope of the step."""
        calls = self.plan._prepared
        slots = ", ".join(f"s{slot}" for call in calls for slot in call.results)
        # Counted before: whatever is written meanwhile will be seen next time.
        lines = ["def prepare():", f"    global seen, {slots}", "    now = [m.changes for m in memories]"]
        return [*lines, *(f"    {self.line(call)}" for call in calls), "    seen = now"]

    def line(self, call: Call) -> str:
        made = f"{self.name(call.function)}({', '.join(map(self.text, call.args))})"
        if not call.results:
            return made
        plain = self.plan._plain
        if not call.many:
            (slot,) = call.results
            return f"s{slot} = " + (f"asarray({made})" if slot in plain else made)
        targets = "".join(f"s{i}, " for i in call.results)
        lines = f"{targets}= flatten({made})"
        return lines + "".join(f"; s{i} = asarray(s{i})" for i in call.results if i in plain)

    def text(self, a: Any) -> str:
        if a.__class__ is Ref:
            return f"s{a.slot}"
        if a.__class__ in _LITERALS:
            return repr(a)
        if a.__class__ is list:
            return f"[{', '.join(map(self.text, a))}]"
        if a.__class__ is tuple and refs(a):
            return f"({''.join(self.text(e) + ', ' for e in a)})"
        return self.name(a)

    def name(self, value: Any) -> str:
        found = self.names.get(id(value))
        if found is None:
            found = self.names[id(value)] = f"k{len(self.names)}"
            self.scope[found] = value
        return found

    def packed(self, a: Any) -> str:
        if a.__class__ is dict:
            return "{" + ", ".join(f"{self.text(key)}: {self.packed(value)}" for key, value in a.items()) + "}"
        if a.__class__ is list:
            return f"[{', '.join(map(self.packed, a))}]"
        if a.__class__ is tuple:
            return f"({''.join(self.packed(e) + ', ' for e in a)})"
        if a.__class__ is Ref:
            return f"wrap(s{a.slot})"
        return f"wrap({self.name(a)}.copy())" if isinstance(a, np.ndarray) else self.text(a)


def _needed(calls: list[Call], wanted: set[int]) -> list[Call]:
    """The calls without those whose results nobody uses."""
    wanted, kept = set(wanted), []
    for call in reversed(calls):
        if not call.results or not wanted.isdisjoint(call.results):
            wanted |= refs(call.args)
            kept.append(call)
    return kept[::-1]


def _parted(calls: list[Call], still: set[int], wanted: set[int]) -> tuple[list[Call], list[Call]]:
    """(the calls that depend on nothing but the slots in `still`, the others).

    What the step returns is computed each time: it is the caller's, who may write into it.
    """
    still, prepared, others = set(still), [], []
    for call in calls:
        if call.results and refs(call.args) <= still and wanted.isdisjoint(call.results):
            still.update(call.results)
            prepared.append(call)
        else:
            others.append(call)
    return prepared, others


def _last_uses(calls: list[Call], kept: set[int]) -> list[list[int]]:
    """For each call the slots that are done with after it."""
    seen, dropped = set(kept), []
    for call in reversed(calls):
        last = sorted(({*call.results} | refs(call.args)) - seen)
        seen.update(last)
        dropped.append(last)
    return dropped[::-1]
