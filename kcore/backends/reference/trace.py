"""A step captured: what is called when it runs on tracers, in order.

Inside a `Capture` variables read as tracers, ops note what they would call, and assignments are noted where they stand.
The tape works on tracers as on tensors, so what gradient rules call is noted too. What depends on no tracer is computed
at once, and is a constant of the step from then on.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from kcore import dtypes, state, tree
from kcore.backends.reference import tape, tracer
from kcore.backends.reference.tensor import Storage
from kcore.backends.reference.tracer import CannotCapture, Disturbed, Tracer

# A step of more calls is not captured: the function would take long to compile.
MOST_CALLS = 20_000

_lock = threading.Lock()


class Ref(NamedTuple):
    """Stands for a value of the step among the arguments of a call."""

    slot: int


class Call(NamedTuple):
    """One call of a step.

    Attributes:
        function: A definition on plain arrays, or what assigns.
        args: Its arguments, with a Ref for each value of the step, in lists and tuples too.
        results: The slots of its results, flat.
        many: Whether it returns a tuple or list.
        specs: (shape, dtype) of each result.
    """

    function: Callable
    args: tuple
    results: tuple[int, ...] = ()
    many: bool = False
    specs: tuple[tuple[tuple, np.dtype], ...] = ()


class Capture(state.StatelessScope):
    """The calls of a step. Variables read in it give tracers, and assignments are calls.

    Attributes:
        calls: What the step does.
        constants: Slot -> array, of the variables' memory.
        specs: Slot -> (shape, dtype).
        assigned: The variables that the step assigns.
        refused: Why the step can't be captured; None as long as it can.
    """

    captures = True

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.constants: dict[int, np.ndarray] = {}
        self.specs: dict[int, tuple[tuple, np.dtype]] = {}
        self.refused: str | None = None
        self._assigned: dict[int, Any] = {}
        self._read_before: dict[int, tuple[Any, Tracer]] = {}

    @property
    def assigned(self) -> list[Any]:
        return list(self._assigned.values())

    def refusal(self, why: str) -> CannotCapture:
        """What to raise where the step can't be captured. Somebody may catch it, so it is noted too."""
        self.refused = self.refused or why
        return CannotCapture(why)

    # -- values -------------------------------------------------------------------------

    def tracer(self, shape: tuple, dtype: Any) -> Tracer:
        """One more value of the step."""
        if None in shape:
            raise self.refusal("a shape depends on values")
        slot = len(self.specs)
        self.specs[slot] = tuple(shape), np.dtype(dtype)
        return Tracer(self, slot, *self.specs[slot])

    def _stored(self, variable: Any) -> Any:
        found = self._read_before.get(id(variable))
        if found is None:
            storage = variable._storage
            if storage.__class__ is not Storage:
                raise self.refusal(f"{variable.path} belongs to another backend")
            t = self.tracer(storage.array.shape, storage.array.dtype)
            self.constants[t.slot] = storage.value.view(np.ndarray)
            found = self._read_before[id(variable)] = (variable, t)
        return found[1]

    # -- calls --------------------------------------------------------------------------

    def call(self, function: Callable, args: Any, outputs: Any) -> Any:
        """Tracers of the results of a call, in the structure of `outputs`, which has a Spec for each."""
        results = tree.map_structure(lambda spec: self.tracer(spec.shape, dtypes.to_numpy(spec.dtype)), outputs)
        flat = tree.flatten(results)
        self._note(
            Call(
                function,
                self._refs(args),
                tuple([t.slot for t in flat]),
                isinstance(outputs, (tuple, list)),
                tuple([(t.shape, t.dtype) for t in flat]),
            )
        )
        return results

    def effect(self, function: Callable, args: Any, assigned: list[Any]) -> None:
        """Notes a call that changes variables."""
        self._assigned |= {id(v): v for v in assigned}
        self._note(Call(function, self._refs(args)))

    def add_update(self, update: tuple[Any, Any]) -> None:
        variable, value = update
        self._stored(variable)
        self.effect(_store, (variable._storage, value), [variable])

    def note_unrepeatable(self, what: str) -> None:
        raise self.refusal(what)

    def _note(self, call: Call) -> None:
        if len(self.calls) >= MOST_CALLS:
            raise self.refusal(f"it has more than {MOST_CALLS} calls")
        self.calls.append(call)

    def _refs(self, args: Any) -> tuple:
        return tuple([self.ref(a) for a in args])

    def ref(self, a: Any) -> Any:
        """An argument as calls keep it: Refs for tracers, plain arrays for tensors."""
        if a.__class__ is Tracer:
            if a.capture is not self:
                raise self.refusal("a tensor of an earlier step is used")
            return Ref(a.slot)
        if isinstance(a, np.ndarray):
            return a.view(np.ndarray)
        if a.__class__ in (list, tuple):
            return a.__class__([self.ref(e) for e in a])
        if isinstance(a, slice) and tracer.found_in((a.start, a.stop, a.step)) is not None:
            raise self.refusal("a slice depends on values")
        return a

    def run(self, op: Any, roles: list[str], outputs: Any, definition: Callable, values: list[Any]) -> Any:
        """What an op on the reference backend does with converted arguments, some of which are tracers."""
        parents = tape.parents_of(roles, values) if tape.active and _differentiable(outputs) else None
        if parents is not None:
            if isinstance(op.vjp, tape.Detour):
                return op.vjp.function(*values)
            if op.vjp is None and op.body is not None:
                return op.body(*values)
            if op.vjp is not None and op.vjp.rather is not None:
                found = op.vjp.rather(*values)
                if found is not None:
                    return found
        y = self.call(definition, values, outputs)
        if parents is not None and op.vjp is not None:
            keeps = op.vjp.keeps
            kept = [a if keep or role == "plain" else None for a, keep, role in zip(values, keeps, roles)]
            tape.Node(op.vjp.function, kept, parents, y, op.vjp.keeps_y)
        return y


def _store(storage: Storage, value: np.ndarray) -> None:
    np.copyto(storage.changing(), value)


def _differentiable(outputs: Any) -> bool:
    """Whether any of the results is of a float or complex dtype."""
    return any(dtypes.is_float(s.dtype) or dtypes.is_complex(s.dtype) for s in tree.flatten(outputs))


def refs(a: Any) -> set[int]:
    """The slots that a structure refers to."""
    if a.__class__ is Ref:
        return {a.slot}
    if a.__class__ is dict:
        return set().union(*map(refs, a.values()))
    return set().union(*map(refs, a)) if a.__class__ in (list, tuple) else set()


def captured(step: Callable, data: Any, leaves: list[np.ndarray]) -> tuple[Capture, list[int], Any]:
    """(the capture of `step(data)`, the slots of the data's leaves, the result with Refs for tensors).

    Raises:
        CannotCapture: The step can't be captured.
        Exception: What the step raised, perhaps because it is run on tracers.
    """
    capture = Capture()
    given = [capture.tracer(x.shape, x.dtype) for x in leaves]
    left = iter(given)
    data = tree.map_structure(lambda x: next(left) if isinstance(x, np.ndarray) else x, data)
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - users' layers may draw from it
    try:
        with _capturing(), capture:
            result = step(data)
    finally:
        drawn = random.getstate() != before[0] or not _same(np.random.get_state(), before[1])  # noqa: NPY002
        if drawn:  # the step will draw the same again
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
    if capture.refused is not None:
        raise CannotCapture(capture.refused)
    if drawn:  # by the step, or by another thread meanwhile
        raise Disturbed("the step draws from Python's or NumPy's generators")
    return capture, [t.slot for t in given], _kept(capture, result)


def _kept(capture: Capture, result: Any) -> Any:
    if result.__class__ is dict:
        return {key: _kept(capture, value) for key, value in result.items()}
    if result.__class__ in (list, tuple):
        return result.__class__([_kept(capture, value) for value in result])
    if tree.is_nested(result):
        raise CannotCapture(f"it returns a {type(result).__name__}")
    if hasattr(result, "__kcore_value__"):
        result = capture._stored(result)
    return capture.ref(result)


def _same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@contextlib.contextmanager
def _capturing() -> Iterator[None]:
    with _lock:
        tracer.active += 1
    try:
        yield
    finally:
        with _lock:
            tracer.active -= 1
