"""Another backend, in step with what the oracle did."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import backends, tree
from kcore.conformance.lockstep import judge
from kcore.conformance.lockstep.findings import Finding
from kcore.conformance.lockstep.judge import Gap
from kcore.conformance.lockstep.observe import Observer, array_of, converted, listening, results_of, stored
from kcore.conformance.lockstep.trace import Differentiated, LayerCall, OpEvent, Recorder, Scope, is_inexact

# Between two ops, a framework's own operators may have run: they round.
BETWEEN = {"float64": 1e-12, "float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2, "complex64": 1e-5, "complex128": 1e-12}
# Gradients of a whole network, by their largest root mean square.
WHOLE = {"float64": 1e-9, "float32": 2e-3, "float16": 5e-2, "bfloat16": 2e-1, "complex64": 2e-3, "complex128": 1e-9}
NEAR = 1e-2
FORWARD = ("value", "argument", "layer", "changed", "error")
AHEAD = 40  # how many ops further on a call is looked for
LEAST = 1e-3


class Follower(Observer):
    """Runs the program on another backend, and matches what runs with what the oracle ran.

    With `forced`, every op gets the oracle's arguments, and what follows it the oracle's result: what parts is the op's
    own doing. Without, it only notes how far each result is from the oracle's.

    Args:
        backend, oracle: The backends.
        program: What the oracle did.
        forced: See above.
        step: The training step, for the findings.
    """

    def __init__(self, backend: Any, oracle: Any, program: Scope, forced: bool = True, step: int | None = None) -> None:
        super().__init__(backend)
        self.oracle, self.program, self.forced, self.step = oracle, program, forced, step
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.checked = 0
        self.gaps: dict[int, float] = {}  # number of an op -> how far its result is, where not forced
        self.layer_gaps: dict[int, tuple[str, float]] = {}  # id of a layer's call -> (path, the same)
        self.nonfinite: Finding | None = None
        self._scopes: list[_Place] = [_Place(program)]

    # -- ops ----------------------------------------------------------------------------

    def op(self, op: Any, args: tuple, run: Callable[..., Any]) -> Any:
        place = self._scopes[-1]
        try:
            held = stored(self.backend, op, args)
        except Exception:  # inside a framework's own trace: there are no values
            return run(*args)
        if place.lost:
            return run(*args)
        event = self._matched(place, op, held)
        if event is None:
            self._note(place, op.name)
            return run(*args)
        if not self.forced:
            y = run(*args)
            self._note_gap(event, results_of(self.backend, y), held)
            return y
        self._arguments(event, held)
        self.check(event)
        return self.given(event.results, event.like)

    def given(self, results: list[Any], like: Any) -> Any:
        """The oracle's results as this backend's tensors."""
        tensors = [self.backend.convert(r) if isinstance(r, np.ndarray) else r for r in results]
        return tree.pack_sequence_as(like, tensors)

    def check(self, event: OpEvent) -> None:
        """Runs an op of the oracle's here, on the oracle's arguments, and compares."""
        self.checked += 1
        given = converted(self.backend, event.op, event.args)
        try:
            with backends.use(self.backend), listening(None):
                y = event.op.dispatch(given)
        except Exception as error:
            self._add(event, "error", Gap(problem=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"))
            return
        results = results_of(self.backend, y)
        if len(results) != len(event.results):
            self._add(event, "value", Gap(problem=f"{len(results)} results instead of {len(event.results)}"))
            return
        found = value_gap(event, results, self.backend, self.oracle)
        if found is not None:
            index, what = found
            self._add(event, "value", what, f"result {index}" if len(results) > 1 else "")
        for (name, x), kept in zip(event.arrays(), _arrays(given), strict=False):
            if array_of(self.backend, kept).tobytes() != x.tobytes():
                self._add(event, "changed", judge.gap(array_of(self.backend, kept), x), name)

    def _arguments(self, event: OpEvent, held: tuple) -> None:
        """What the program hands to the op must be what it handed to it on the oracle."""
        for name, mine, own in zip(event.op.roles, held, event.args, strict=True):
            what = unlike(mine, own)
            if what is not None:
                self._add(event, "argument", what, name)
                return

    def _matched(self, place: _Place, op: Any, held: tuple) -> OpEvent | None:
        """The oracle's call that this one is; None where there is none.

        Calls that a framework's own operator did here are passed. So are others, if one that is alike comes after them.
        """
        candidates: list[tuple[int, OpEvent]] = []
        at_once = True  # nothing but operators in between
        for at in range(place.at, min(place.at + AHEAD, len(place.scope.children))):
            child = place.scope.children[at]
            if not isinstance(child, OpEvent):
                break
            if child.op is op:
                if alike(held, child.args):
                    return self._taken(place, at, child, at_once)
                if at_once and _same_kinds(held, child.args):
                    candidates.append((at, child))
            at_once = at_once and child.by_operator
        return self._taken(place, *candidates[0], True) if candidates else None

    def _taken(self, place: _Place, at: int, event: OpEvent, at_once: bool) -> OpEvent:
        if not at_once:
            self._note(place, event.op.name)
        self._pass(place, at)
        place.at = at + 1
        return event

    def _pass(self, place: _Place, until: int) -> None:
        """Checks the ops that ran here as the framework's own operators."""
        for child in place.scope.children[place.at : until]:
            if isinstance(child, OpEvent) and self.forced:
                self.check(child)
        place.at = until

    def _lose(self, place: _Place, what: str) -> None:
        place.lost = True
        self._note(place, what)

    def _note(self, place: _Place, what: str) -> None:
        """Notes that something else runs here than on the oracle."""
        at, children = place.at, place.scope.children
        expected = "nothing more" if at >= len(children) else _told(children[at])
        path = "/".join((*place.scope.path, place.scope.name)) if place.scope is not self.program else "the program"
        place.note = f"{path} runs {what} on {self.backend.name} where {self.oracle.name} runs {expected}"
        if place.note not in self.notes:
            self.notes.append(place.note)

    # -- layers -------------------------------------------------------------------------

    def layer(self, layer: Any, args: tuple, kwargs: dict, run: Callable[[], Any]) -> Any:
        place = self._scopes[-1]
        call = None if place.lost else self._next(place, LayerCall, layer.name)
        if call is None:
            if not place.lost:
                self._lose(place, f"the layer {layer.name}")
            return run()
        before = len(self.findings)
        inner = self._within(call)
        try:
            y = run()
        finally:
            self._scopes.pop()
        if not inner.lost:
            self._finish(inner)
        return self._left(call, inner, y, len(self.findings) == before)

    def _left(self, call: Any, inner: _Place, y: Any, clean: bool) -> Any:
        try:
            results = results_of(self.backend, y)
        except Exception:
            return y
        if len(results) != len(call.results):
            return y
        gaps = [judge.gap(a, b) for a, b in zip(results, call.results, strict=True)]
        path = "/".join((*call.path, call.name))
        if not self.forced:
            worst = max((g.relative for g in gaps), default=0.0)
            self.layer_gaps[id(call)] = (path, worst)
            return y
        for i, (g, want) in enumerate(zip(gaps, call.results, strict=True)):
            g.tolerance, g.basis = BETWEEN.get(judge.dtype_of(want), 0.0) * 10, "rounding between ops"
            if g.problem or g.relative > g.tolerance:
                if clean:
                    self.findings.append(
                        Finding(
                            self.backend.name, "layer", call.name, "/".join(call.path), gap=g, step=self.step,
                            result=f"result {i}" if len(gaps) > 1 else "", note=inner.note,
                            number=next((e.number for e in call.ops()), None),
                        )
                    )  # fmt: skip
                return self.given(call.results, _skeleton(y))
        return y

    def _next(self, place: _Place, kind: type, name: str) -> Any:
        """The next layer's call, or function differentiated; the operators' ops before it are passed."""
        for at in range(place.at, len(place.scope.children)):
            child = place.scope.children[at]
            if isinstance(child, kind) and isinstance(child, Scope) and child.name == name:
                self._pass(place, at)
                place.at = at + 1
                return child
            if not (isinstance(child, OpEvent) and child.by_operator):
                return None
        return None

    def _within(self, scope: Scope) -> _Place:
        place = _Place(scope)
        self._scopes.append(place)
        return place

    def _finish(self, place: _Place) -> None:
        """At the end of a scope, only a framework's own operators may be left."""
        rest = place.scope.children[place.at :]
        if all(isinstance(c, OpEvent) and c.by_operator for c in rest):
            self._pass(place, len(place.scope.children))
        else:
            self._note(place, "nothing more")
            self._pass(place, len(place.scope.children))

    def finish(self) -> None:
        """To be called when the program has ended."""
        if not self._scopes[0].lost:
            self._finish(self._scopes[0])

    # -- gradients ----------------------------------------------------------------------

    def vjp(self, fn: Callable, leaves: list[Any], run: Callable[..., Any]) -> Any:
        from kcore.state import StatelessScope

        place = self._scopes[-1]
        call = None if place.lost else self._next(place, Differentiated, "gradient")
        if call is None or len(call.leaves) != len(leaves):
            if not place.lost:
                self._lose(place, "a gradient")
            return run(fn, leaves)
        given = [self.backend.convert(x) for x in call.leaves] if self.forced else leaves
        inner = self._within(call)
        try:
            with StatelessScope() as scope, listening(self):
                outputs, aux = fn(*given)
        finally:
            self._scopes.pop()
        if not inner.lost:
            self._finish(inner)
        # The pass that is differentiated is the framework's own affair; the ops were compared in one that is not.
        with StatelessScope():
            _, _, pull = run(fn, given)
        for variable, value in scope.updates.values():
            variable.assign(value)
        done: list[bool] = []

        def pullback(gs: list[Any]) -> list[Any]:
            if not self.forced or len(done) >= len(call.pulls):
                return pull(gs)
            want_in, want_out = call.pulls[len(done)]
            done.append(True)
            found = pull([self.backend.convert(g) for g in want_in])
            self._gradients(call, [array_of(self.backend, g) for g in found], want_out, len(done) == 1)
            return [self.backend.convert(g) for g in want_out]

        return outputs, aux, pullback

    def _gradients(self, call: Differentiated, found: list[Any], wanted: list[Any], first: bool) -> None:
        before = len(self.findings)
        if first:
            for event in reversed(list(call.ops(nested=False))):
                self.check_gradient(event)
        # Where the forward pass parts, the gradients of the whole do too: that is no news.
        if len(self.findings) > before or any(f.kind in FORWARD for f in self.findings):
            return
        sizes = [float(np.sqrt(np.mean(np.square(np.abs(w.astype("complex128")))))) if w.size else 0.0 for w in wanted]
        rough = WHOLE[roughest(call)]
        most = max((s for s in sizes if math.isfinite(s)), default=0.0)
        for label, g, w, size in zip(call.labels, found, wanted, sizes, strict=True):
            # A gradient that is 0 but for rounding is compared with the others.
            what = judge.gap(g, w, floor=float("inf"), least=max(size, LEAST * most))
            what.tolerance, what.basis = (
                max(WHOLE.get(judge.dtype_of(w), 0.0), rough),
                "rounding of a whole backward pass",
            )
            if g.dtype != w.dtype:
                what.problem = f"dtype {g.dtype} instead of {w.dtype}"
            if what.problem or what.relative > what.tolerance:
                self.findings.append(
                    Finding(self.backend.name, "whole gradient", label, "/".join(call.path), gap=what, step=self.step)
                )

    def check_gradient(self, event: OpEvent) -> None:
        """Pulls the gradient that reached the op on the oracle through it, here and there, and compares."""
        cotangents = None if event.gradients is None else judge.unit([g for g in event.gradients if g is not None])
        if cotangents is None or event.gradients is None:
            return
        left = iter(cotangents)
        full = [None if g is None else next(left) for g in event.gradients]
        try:
            want = judge.op_gradients(event.op, event.args, full, self.oracle)
        except Exception:
            return
        if not want:
            return
        try:
            got = judge.op_gradients(event.op, event.args, full, self.backend)
        except Exception as error:
            text = str(error).strip().splitlines() or [""]
            self._add(event, "error", Gap(problem=f"the gradient raised {type(error).__name__}: {text[0][:200]}"))
            return
        found = gradient_gap(event, full, got, want, self.backend, self.oracle)
        if found is not None:
            index, what = found
            names = [name for name, x in event.arrays() if is_inexact(x)]
            self._add(event, "gradient", what, f"by {names[index]}")

    # -- what is found ------------------------------------------------------------------

    def _add(self, event: OpEvent, kind: str, what: Gap, which: str = "") -> None:
        finding = Finding(
            self.backend.name,
            kind,
            event.op.name,
            "/".join(event.path),
            event.source,
            what,
            self.step,
            which,
            event.number,
            event=event,
        )
        if kind == "value":
            finding.inner = inside(event, self.backend, self.oracle)
        self.findings.append(finding)

    def _note_gap(self, event: OpEvent, results: list[Any], held: tuple) -> None:
        floats = [y for y in results if is_inexact(y)]
        if len(results) == len(event.results):
            gaps = [judge.gap(a, b) for a, b in zip(results, event.results, strict=True)]
            self.gaps[event.number] = max((g.relative for g in gaps), default=0.0)
        if self.nonfinite is None and not _finite(floats) and _finite(tree.flatten(held)):
            self.nonfinite = nonfinite(self.backend.name, event, results, held)


class _Place:
    """How far the program has come in a scope; `lost` where what runs can't be matched any more, and why in `note`."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self.at, self.lost, self.note = scope, 0, False, ""


def value_gap(event: OpEvent, results: list[Any], backend: Any, oracle: Any) -> tuple[int, Gap] | None:
    """(which result of the op is wrong, how far); None if all are right. Both ran on the oracle's arguments."""
    exact = judge.exact_call(event, oracle)
    epsilon = judge.narrowest([*tree.flatten(event.args), *event.results])
    case = judge.CASES.get(event.op.name)
    for i, (got, want) in enumerate(zip(results, event.results, strict=True)):
        if np.asarray(got).dtype != np.asarray(want).dtype:
            return i, Gap(problem=f"dtype {np.asarray(got).dtype} instead of {np.asarray(want).dtype}")
        tol, basis, reason = judge.allowed(event.op.name, judge.dtype_of(want), backend.name)
        if math.isinf(tol):
            continue
        what = judge.judged(got, want, tol, basis, exact, i, epsilon)
        if what is None:
            continue
        if case is not None and case.compare is not None and _satisfied(case.compare, results, event.results, tol):
            return None
        what.basis += f"; there it differs: {reason}" if reason else ""
        return i, what
    return None


def _satisfied(compare: Callable, results: list[Any], wanted: list[Any], tol: float) -> bool:
    """Whether the record's own comparison holds: eigenvectors up to sign, say."""
    try:
        with np.errstate(all="ignore"):
            compare(results, wanted, 10 * tol)
    except Exception:
        return False
    return True


def gradient_gap(
    event: OpEvent, cotangents: list[Any], got: list[Any], want: list[Any], backend: Any, oracle: Any
) -> tuple[int, Gap] | None:
    """As `value_gap`, of the gradients by the op's float arguments."""
    exact = judge.exact_gradient(event, cotangents, oracle)
    epsilon = judge.narrowest([*tree.flatten(event.args), *event.results])
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        tol, basis, _ = judge.allowed(event.op.name, judge.dtype_of(b), backend.name)
        case = judge.CASES.get(event.op.name)
        if case is not None and "grad" in case.differs_tol.get(backend.name, {}):
            tol = max(tol, case.differs_tol[backend.name]["grad"])
        if math.isinf(tol):
            continue
        times = judge.HALF_GRADIENT if epsilon > judge.HALF else judge.GRADIENT
        what = judge.judged(a, b, times * tol, f"{times} times {basis}", exact, i, epsilon, float("inf"))
        if what is not None:
            return i, what
    return None


def inside(event: OpEvent, backend: Any, oracle: Any) -> Finding | None:
    """For an op that runs by its portable body there: the first op in the body that parts, if one does."""
    op = event.op
    if op.body is None or op.name in backend.ops:
        return None
    from kcore.conformance.lockstep.observe import observing

    recorder = Recorder(oracle, gradients=False)
    try:
        given = converted(oracle, op, event.args)
        plan = op.plan(given)
        arguments = _normalized(op, plan, given, oracle)
        with backends.use(oracle), observing(recorder):
            op.body(*arguments)
        follower = Follower(backend, oracle, recorder.program)
        arguments = _normalized(op, plan, converted(backend, op, event.args), backend)
        with backends.use(backend), observing(follower):
            op.body(*arguments)
        follower.finish()
    except Exception:
        return None
    return follower.findings[0] if follower.findings else None


def _normalized(op: Any, plan: Any, args: tuple, backend: Any) -> list[Any]:
    """The arguments as a portable body gets them: cast, and normalized by the rule."""
    out = []
    for (name, role), a in zip(op.roles.items(), args, strict=True):
        cast = plan.cast_of(name)
        if role == "plain":
            out.append(plan.arguments.get(name, a))
        elif role == "tensors":
            out.append([backend.convert(x, cast) for x in a])
        else:
            out.append(a if a is None else backend.convert(a, cast))
    return out


def nonfinite(backend: str, event: OpEvent, results: list[Any], held: tuple) -> Finding:
    """The op that made a nan or an infinity of finite arguments."""
    bad = next(_wide(y) for y in results if is_inexact(y) and not np.isfinite(_wide(y)).all())
    where = tuple(int(i) for i in np.unravel_index(int(np.argmax(~np.isfinite(bad))), bad.shape))
    sizes = [float(np.max(np.abs(_wide(x)), initial=0)) for x in tree.flatten(held) if is_inexact(x)]
    note = f"its arguments are finite, the largest {max(sizes, default=0.0):.4g}"
    what = Gap(where=where, got=_value(bad[where]), problem="the first nan or infinity")
    return Finding(
        backend, "value", event.op.name, "/".join(event.path), event.source, what, number=event.number, note=note
    )


def _finite(arrays: Any) -> bool:
    return all(np.isfinite(_wide(x)).all() for x in arrays if is_inexact(x))


def roughest(scope: Scope) -> str:
    """The dtype of least precision that a result in it has; float64 if there is none."""
    found = {judge.dtype_of(y) for event in scope.ops() for y in event.results if is_inexact(y)} & WHOLE.keys()
    return max(found, key=lambda d: WHOLE[d], default="float64")


def _value(x: Any) -> Any:
    return complex(x) if np.iscomplexobj(x) else float(x)


def _wide(x: Any) -> np.ndarray:
    return np.asarray(x).astype("complex128" if np.asarray(x).dtype.kind == "c" else "float64")


def _arrays(args: tuple) -> list[Any]:
    return [x for x in tree.flatten(args) if hasattr(x, "shape") and hasattr(x, "dtype")]


def _skeleton(y: Any) -> Any:
    return tree.map_structure(lambda _: None, y)


def _told(child: Any) -> str:
    return child.op.name if isinstance(child, OpEvent) else f"the layer {child.name}"


# -- arguments --------------------------------------------------------------------------


def unlike(mine: Any, own: Any) -> Gap | None:
    """What is wrong with an argument, beside the oracle's; None if nothing."""
    a, b = tree.flatten(mine), tree.flatten(own)
    if len(a) != len(b):
        return Gap(problem=f"{len(a)} values instead of {len(b)}")
    for x, y in zip(a, b, strict=True):
        array = isinstance(x, np.ndarray) or isinstance(y, np.ndarray)
        if (
            array
            and isinstance(x, (np.ndarray, int, float, complex))
            and isinstance(y, (np.ndarray, int, float, complex))
        ):
            dtype = judge.dtype_of(y if isinstance(y, np.ndarray) else x)
            found = judge.gap(np.asarray(x), np.asarray(y))
            found.tolerance, found.basis = BETWEEN.get(dtype, 0.0), "rounding between ops"
            if found.problem or found.relative > found.tolerance:
                return found
        elif not array and not _equal(x, y):
            return Gap(problem=f"{x!r} instead of {y!r}")
    return None


def _equal(x: Any, y: Any) -> bool:
    if isinstance(x, float) and isinstance(y, (int, float)):
        return math.isclose(x, y, rel_tol=1e-9) or (x != x and y != y)
    try:
        return bool(x is y or x == y)
    except Exception:  # no two of them can be compared
        return type(x) is type(y)


def alike(mine: tuple, own: tuple) -> bool:
    """Whether these are near enough for the same call, on arguments that have an error."""
    if not _same_kinds(mine, own):
        return False
    for x, y in zip(tree.flatten(mine), tree.flatten(own), strict=True):
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            if judge.gap(x, y).relative > NEAR:
                return False
        elif not isinstance(x, np.ndarray) and not isinstance(y, np.ndarray) and not _equal(x, y):
            return False
    return True


def _same_kinds(mine: tuple, own: tuple) -> bool:
    """Whether the arrays have the same shapes, and are floats where the others are."""
    a, b = tree.flatten(mine), tree.flatten(own)
    return len(a) == len(b) and all(
        np.shape(x) == np.shape(y) and is_inexact(x) == is_inexact(y)
        for x, y in zip(a, b, strict=True)
        if isinstance(x, np.ndarray) or isinstance(y, np.ndarray)
    )
