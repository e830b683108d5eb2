"""`watch`: a numerics debugger. It stops at the op that makes the first nan, infinity or wrong result."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kcore import backends, dtypes, tree
from kcore.conformance.lockstep import follow, judge
from kcore.conformance.lockstep.observe import (
    Source,
    array_of,
    caller,
    converted,
    listening,
    observing,
    results_of,
    stored,
)
from kcore.conformance.lockstep.trace import Differentiated, OpEvent, Recorder, is_inexact, note_gradients
from kcore.training.trainer import Trainer


class NumericsError(FloatingPointError):
    """What `watch` found.

    Attributes:
        kind: "nan"; "infinity"; "overflow", an infinity that a wider dtype would hold as a number; "nan came in", with the
            arguments of the first op that sees it; "reference", a result that is not the oracle's.
        op: The op's name; "cast" for a conversion to the dtype of a layer.
        layer: The path of the layer that it runs in, "" outside of any.
        source: The line that called it.
        where: The index of the first bad element.
        value: What is there; `expected` what should be, where that is known.
        backward: Whether it is the op's gradient that is bad.
        arguments: A line on each tensor argument: shape, dtype, range.
    """

    def __init__(
        self,
        kind: str,
        op: str,
        layer: str,
        source: Source | None,
        where: tuple[int, ...] | None,
        value: Any,
        expected: Any = None,
        backward: bool = False,
        arguments: list[str] | None = None,
        detail: str = "",
    ) -> None:
        self.kind, self.op, self.layer, self.source, self.where = kind, op, layer, source, where
        self.value, self.expected, self.backward = value, expected, backward
        self.arguments = arguments or []
        place = f"{op} in {layer}" if layer else op
        what = f"the gradient of {place}" if backward else place
        at = "" if where is None else f" at {list(where)}: {judge.number(value)}"
        wanted = "" if expected is None else f", where {judge.number(expected)} is right"
        lines = [f"{kind}: {what}{at}{wanted}"]
        if detail:
            lines.append(f"  {detail}")
        if source is not None:
            lines.append(f"  called at {source}")
        super().__init__("\n".join([*lines, *(f"  {line}" for line in self.arguments)]))


@contextlib.contextmanager
def watch(
    backend: Any = None,
    *,
    nan: bool = True,
    infinity: bool = True,
    overflow: bool = True,
    gradients: bool = True,
    reference: bool = False,
    stop: bool = True,
) -> Iterator[Watcher]:
    """Inside, every op's result is looked at; the first that is bad stops the program, and says where.

    Layers, models, training steps and functions are watched alike; steps run op by op, uncompiled. It slows the block
    down. Outside of it, nothing is in place.

    Args:
        backend: The backend to watch, or a layer or model for its own; the active one unless given.
        nan: Whether to stop at a nan.
        infinity: Whether to stop at an infinity that is made of finite arguments. One that is handed in (a mask of
            -inf) is nobody's mistake.
        overflow: Whether to stop at an infinity where a wider dtype has a number, though `infinity` is False.
        gradients: Whether gradients are looked at, too: where one turns bad, the ops of the forward pass are
            searched for the one that does it.
        reference: Whether every result is compared with the reference backend's for the same arguments, by the
            tolerance of the op's conformance record.
        stop: Whether to raise; else what is found is kept in `found`, with a warning.

    Yields:
        The Watcher; its `found` lists what was found.

    Raises:
        NumericsError: Something was found.
    """
    target = backends.active() if backend is None else getattr(backend, "_backend", backend)
    target = backends.load(target) if isinstance(target, str) else target
    watcher = Watcher(target, nan, infinity, overflow, gradients, reference, stop)
    if reference:
        from kcore.conformance.runner import load_records

        load_records()
    with _uncompiled(target), observing(watcher):
        yield watcher


@contextlib.contextmanager
def _uncompiled(backend: Any) -> Iterator[None]:
    """Models at home on the backend run their steps op by op inside; what they have compiled stays for later."""
    own = Trainer._step

    def step(self: Any, kind: str, function: Callable, force: bool) -> Callable:
        return function if self._backend is backend else own(self, kind, function, force)

    Trainer._step = step  # type: ignore[method-assign]
    try:
        yield
    finally:
        Trainer._step = own  # type: ignore[method-assign]


class Watcher(Recorder):
    """Looks at every result. `found` lists what was bad, `ops` counts what was looked at."""

    def __init__(
        self, backend: Any, nan: bool, infinity: bool, overflow: bool, gradients: bool, reference: bool, stop: bool
    ) -> None:
        super().__init__(backend)
        self.nan, self.infinity, self.overflow = nan, infinity, overflow
        self.wants_gradients, self.reference, self.stop = gradients, reference, stop
        self.found: list[NumericsError] = []
        self.ops = 0
        self._differentiating = 0

    def op(self, op: Any, args: tuple, run: Callable[..., Any]) -> Any:
        try:
            held = stored(self.backend, op, args)
        except Exception:  # inside a framework's own trace: there are no values
            return run(*args)
        y = run(*args)
        self.ops += 1
        results = results_of(self.backend, y)
        source, by_operator = caller()
        like = tree.map_structure(lambda _: None, y)
        event = OpEvent(op, held, results, like, tuple(self.path), source, by_operator, self.ops)
        if self._differentiating:
            self._scopes[-1].children.append(event)
        self._judge(event)
        return y

    def layer(self, layer: Any, args: tuple, kwargs: dict, run: Callable[[], Any]) -> Any:
        return run()

    def cast(self, x: Any, dtype: str, y: Any) -> None:
        if not dtypes.is_float(dtype) or not (self.overflow or self.infinity):
            return
        try:
            before, after = array_of(self.backend, x), array_of(self.backend, y)
        except Exception:  # inside a framework's own trace
            return
        bad = np.isinf(_wide(after)) & np.isfinite(_wide(before)) if is_inexact(before) else np.zeros(())
        if bad.any():
            where = _first(bad)
            line = _line("x", before)
            source, _ = caller()
            self._tell("overflow", "cast", source, where, after, before, [line], f"{before.dtype} becomes {dtype}")

    def vjp(self, fn: Callable, leaves: list[Any], run: Callable[..., Any]) -> Any:
        from kcore.state import StatelessScope

        # Looked at in a pass of its own: a framework's own may be a trace without values.
        call = Differentiated(tuple(self.path), [], [])
        self._differentiating += 1
        try:
            with StatelessScope(), listening(self):
                self._within(call, lambda: fn(*leaves))
        finally:
            self._differentiating -= 1
        outputs, aux, pull = run(fn, leaves)

        def pullback(gs: list[Any]) -> list[Any]:
            found = pull(gs)
            if self.wants_gradients and not self._fine(found) and self._fine(gs):
                note_gradients(self.backend, call, fn, leaves, gs, run)
                self._search(call)
            return found

        return outputs, aux, pullback

    def _fine(self, tensors: Any) -> bool:
        try:
            return all(np.isfinite(_wide(array_of(self.backend, x))).all() for x in tensors)
        except Exception:  # in a trace
            return True

    def _search(self, call: Differentiated) -> None:
        origin = judge.gradient_origin(call, self.backend)
        if origin is not None:
            event, results = origin
            bad = next(g for g in results if not np.isfinite(_wide(g)).all())
            where = _first(~np.isfinite(_wide(bad)))
            kind = "nan" if np.isnan(_wide(bad)).any() else "infinity"
            lines = [_line(name, x) for name, x in event.arrays()]
            self._tell(kind, event.op.name, event.source, where, bad, None, lines, "", True, event.path)

    # -- one op -------------------------------------------------------------------------

    def _judge(self, event: OpEvent) -> None:
        arguments = [x for x in tree.flatten(event.args) if is_inexact(x) or isinstance(x, float)]
        if self.nan and any(np.isnan(_wide(x)).any() for x in arguments):
            name, x = next((n, x) for n, x in [*event.arrays(), ("a number", np.nan)] if np.isnan(_wide(x)).any())
            told = f"{name} has it already, from no op that was watched: the data, or a variable"
            self._report("nan came in", event, np.isnan(_wide(x)), np.asarray(x), detail=told)
            return
        for y in event.results:
            if not is_inexact(y):
                continue
            wide = _wide(y)
            if self.nan and np.isnan(wide).any():
                self._report("nan", event, np.isnan(wide), y)
                return
            # Of infinite arguments anything may be infinite; creating ops (full, zeros) have no tensor arguments.
            made = np.isinf(wide).any() and all(np.isfinite(_wide(x)).all() for x in arguments)
            if made and event.arrays() and (self.infinity or self.overflow):
                self._infinite(event, y)
                return
        if self.reference and self.backend.name != _oracle().name:
            self._compare(event)

    def _infinite(self, event: OpEvent, y: np.ndarray) -> None:
        exact = judge.exact_call(event, _oracle()).results() or []
        at = next((i for i, r in enumerate(event.results) if r is y), 0)
        bad = np.isinf(_wide(y))
        if at < len(exact) and exact[at].shape == y.shape and np.isfinite(exact[at][bad]).all():
            self._report("overflow", event, bad, y, exact[at], f"{y.dtype} does not hold it")
        elif self.infinity:
            self._report("infinity", event, bad, y)

    def _compare(self, event: OpEvent) -> None:
        oracle = _oracle()
        try:
            with backends.use(oracle), listening(None):
                wanted = results_of(oracle, event.op.dispatch(converted(oracle, event.op, event.args)))
        except Exception:  # the oracle does not take it: there is nothing to compare with
            return
        shadow = OpEvent(event.op, event.args, wanted, event.like, event.path, event.source, False, event.number)
        found = follow.value_gap(shadow, event.results, self.backend, oracle)
        if found is not None:
            index, what = found
            lines = [_line(name, x) for name, x in event.arrays()]
            wrong, right = event.results[index], wanted[index]
            self._tell("reference", event.op.name, event.source, what.where, wrong, right, lines, str(what))

    def _report(
        self, kind: str, event: OpEvent, bad: np.ndarray, y: np.ndarray, right: Any = None, detail: str = ""
    ) -> None:
        lines = [_line(name, x) for name, x in event.arrays()]
        self._tell(kind, event.op.name, event.source, _first(bad), y, right, lines, detail)

    def _tell(
        self,
        kind: str,
        op: str,
        source: Source,
        where: tuple[int, ...] | None,
        got: np.ndarray,
        want: Any,
        lines: list[str],
        detail: str = "",
        backward: bool = False,
        path: tuple[str, ...] | None = None,
    ) -> None:
        layer = "/".join(self.path if path is None else path)
        value, expected = _at(got, where), None if want is None else _at(np.asarray(want), where)
        error = NumericsError(kind, op, layer, source, where, value, expected, backward, lines, detail)
        self.found.append(error)
        if self.stop:
            raise error
        warnings.warn(str(error), RuntimeWarning, stacklevel=2)


def _oracle() -> Any:
    """The reference backend."""
    return backends.load("reference")


def _wide(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return x.astype("complex128" if x.dtype.kind == "c" else "float64")


def _first(bad: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))


def _at(x: np.ndarray, where: tuple[int, ...] | None) -> Any:
    if where is None or len(where) != x.ndim:
        return None
    value = _wide(x)[where]
    return complex(value) if x.dtype.kind == "c" else float(value)


def _line(name: str, x: Any) -> str:
    """An argument in a line."""
    x = np.asarray(x)
    head = f"{name}: {x.dtype.name} {x.shape}"
    if not x.size or x.dtype.kind == "c":
        return head
    wide = x.astype("float64")
    finite = wide[np.isfinite(wide)]
    if not finite.size:
        return f"{head}, nothing finite"
    zeros = int((wide == 0).sum())
    more = f", {x.size - finite.size} not finite" if finite.size < x.size else ""
    return f"{head} from {finite.min():.4g} to {finite.max():.4g}" + (f", {zeros} zeros" if zeros else "") + more
