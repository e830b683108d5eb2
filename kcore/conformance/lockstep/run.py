"""`compare`: a model or function on several backends, op by op."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from kcore import backends, dtypes, gradients, tree
from kcore.conformance.calls import Call
from kcore.conformance.lockstep import judge
from kcore.conformance.lockstep.findings import Finding
from kcore.conformance.lockstep.follow import LEAST, Follower, nonfinite, roughest
from kcore.conformance.lockstep.judge import Gap, gradient_origin
from kcore.conformance.lockstep.observe import array_of, observing, results_of
from kcore.conformance.lockstep.report import Comparison, Drift
from kcore.conformance.lockstep.scripts import script_of
from kcore.conformance.lockstep.trace import Differentiated, OpEvent, Recorder, Scope, is_inexact
from kcore.conformance.lockstep.transfer import transferred, variables_of
from kcore.layers.layer import Layer
from kcore.state import StatelessScope

ORACLE = "reference"
# What is left of a step's or a pass's error where no op parts: times the rounding between ops.
NATIVE = {"float64": 1e-8, "float32": 2e-3, "float16": 5e-2, "bfloat16": 2e-1}
# A variable whose gradient is this much smaller than the largest has noise for a gradient.
NOISE = 1e-5
MOST_SCRIPTS = 8


def compare(
    model: Any,
    inputs: Any,
    backends: Sequence[str] | None = None,
    *,
    targets: Any = None,
    sample_weight: Any = None,
    gradients: bool = True,
    training_steps: int = 0,
    training: bool = False,
    native: bool = True,
) -> Comparison:
    """Runs a model or function on the oracle and on other backends, and says which op is the first to part.

    Every backend gets the same weights, seeds and inputs. Each op is run on each backend with the oracle's arguments, and
    what follows gets the oracle's result: so an error shows at the op that makes it, and not at those that inherit it.
    Gradients are compared in the same way: the gradient that reaches an op on the oracle is pulled through it everywhere.

    Args:
        model: A layer or model (functional, sequential, subclassed), on any backend; it is copied and stays as it is. Or a
            function of tensors, written in `kcore.ops`.
        inputs: What it is called with: an array, or a structure of arrays as the model takes it. For a function a tuple
            is several arguments.
        backends: Names; every installed one unless given. The reference backend is the oracle, whether named or not.
        targets, sample_weight: For training steps.
        gradients: Whether gradients are compared as well.
        training_steps: How many training steps to compare, from the state the model is in; it must be compiled.
        training: Whether the model is called as in training, outside of training steps.
        native: Whether the whole is run as the backend runs it by itself, too: with its own control flow, compiled
            steps and fused optimizer. That finds what no single op shows, and takes the time of compiling.

    Returns:
        A Comparison. `bool()` of it says whether all agree; `str()` is for people, `.json()` for programs.

    Raises:
        ValueError: A backend is unknown, or training steps are asked of a model that is not compiled.
        ImportError: A backend's framework is not installed.
        TypeError: The model holds something that can't be copied.
    """
    from kcore.conformance.runner import load_records

    load_records()  # the tolerances
    oracle, others = _loaded(backends)
    is_model = isinstance(model, Layer)
    if training_steps and not (is_model and getattr(model, "compiled", False)):
        raise ValueError("compare: training_steps needs a model that is compiled.")
    name = model.name if is_model else getattr(model, "__name__", "function")
    result = Comparison(name, oracle.name, [b.name for b in others])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if is_model:
            _Models(model, inputs, targets, sample_weight, oracle, others, result).run(
                gradients, training_steps, training, native
            )
        else:
            _Functions(model, inputs, oracle, others, result).run(gradients, native)
    _explain(result, oracle)
    return result


def _loaded(names: Sequence[str] | None) -> tuple[Any, list[Any]]:
    names = backends.installed() if names is None else [backends.resolve(n) for n in names]
    return backends.load(ORACLE), [backends.load(n) for n in dict.fromkeys(names) if n != ORACLE]


class _Runs:
    """One program on the oracle and on each other backend."""

    def __init__(self, oracle: Any, others: list[Any], result: Comparison) -> None:
        self.oracle, self.others, self.result = oracle, others, result

    def phase(
        self,
        program: Callable[[Any], Any],
        reset: Callable[[Any], None],
        names: Callable[[], dict[int, str]],
        wants_gradients: bool,
        step: int | None = None,
        alone: Callable[[Any], Any] | None = None,
    ) -> tuple[Recorder, Any]:
        """Compares one program.

        Args:
            program: Runs it on a backend; answers tensors.
            reset: Puts a backend's state to what it is before the program.
            names: What to call tensors of the oracle, by id.
            wants_gradients: Whether ops' gradients are compared.
            step: The training step.
            alone: Runs it as the backend does by itself; None: not wanted.

        Returns:
            (what the oracle did, its results).
        """
        reset(self.oracle)
        recorder = Recorder(self.oracle, names(), wants_gradients)
        with backends.use(self.oracle), _seeded(), observing(recorder):
            wanted = results_of(self.oracle, program(self.oracle))
        self.result.ops += recorder.count
        for event in recorder.program.ops():
            self.result.events.append((step, event))
        for backend in self.others:
            reset(backend)
            self._follow(backend, recorder.program, program, reset, step, wanted, alone)
        self._origins(recorder.program)
        return recorder, wanted

    def _follow(
        self, backend: Any, trace: Scope, program: Callable, reset: Callable, step: int | None, wanted: list, alone: Any
    ) -> None:
        result = self.result
        follower = Follower(backend, self.oracle, trace, step=step)
        try:
            with backends.use(backend), _seeded(), observing(follower):
                program(backend)
            follower.finish()
        except Exception as error:
            follower.findings.append(_raised(backend, error, step))
        reset(backend)
        free = Follower(backend, self.oracle, trace, forced=False, step=step)
        with contextlib.suppress(Exception), backends.use(backend), _seeded(), observing(free):
            program(backend)
        result.findings += follower.findings
        if follower.findings:  # else they make no difference
            result.notes += [n for n in follower.notes if n not in result.notes]
        result.checked[backend.name] = result.checked.get(backend.name, 0) + follower.checked
        if step in (None, 0):
            result.spread[backend.name] = list(free.layer_gaps.values())
            result.op_gaps[backend.name] = dict(free.gaps)
        if free.nonfinite is not None:
            result.nonfinite.setdefault(backend.name, free.nonfinite)
        if alone is None or follower.findings:
            return
        reset(backend)
        try:
            with backends.use(backend), _seeded():
                got = results_of(backend, alone(backend))
        except Exception as error:
            result.findings.append(_raised(backend, error, step))
            return
        inherited = max(free.gaps.values(), default=0.0)
        sizes = [_size(b) for b in wanted if is_inexact(b)]
        least = LEAST * max((s for s in sizes if np.isfinite(s)), default=0.0)
        for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
            what = judge.gap(a, b, least=least)
            what.tolerance = max(10 * inherited, NATIVE.get(judge.dtype_of(b), 0.0), NATIVE.get(roughest(trace), 0.0))
            what.basis = "what the ops' rounding adds up to"
            if what.problem or what.relative > what.tolerance:
                which = f"output {i}" if len(wanted) > 1 else "the output"
                result.findings.append(Finding(backend.name, "native", which, gap=what, step=step))
                return

    def _origins(self, trace: Scope) -> None:
        """Where a nan or an infinity comes from on the oracle, in values and in gradients."""
        known = self.result.nonfinite
        if self.oracle.name not in known:
            for event in trace.ops():
                if _bad(event.results) and not _bad(tree.flatten(event.args)):
                    known[self.oracle.name] = nonfinite(self.oracle.name, event, event.results, event.args)
                    break
        label = f"{self.oracle.name}, gradient"
        for call in _differentiated(trace):
            if label in known or not any(_bad(found) for _, found in call.pulls):
                continue
            found = _gradient_origin(call, self.oracle)
            if found is not None:
                known[label] = found


class _Models(_Runs):
    """A layer or model."""

    def __init__(
        self, model: Any, inputs: Any, targets: Any, weights: Any, oracle: Any, others: list[Any], result: Comparison
    ) -> None:
        super().__init__(oracle, others, result)
        home = model._backend
        self.inputs, self.data = inputs, (inputs, targets, weights)
        with backends.use(home):
            if not model.built:
                model(_tensors(home, inputs))
            if getattr(model, "compiled", False) and targets is not None:
                model._prepare(_tensors(home, self.data), "train")
        self.models = {b.name: transferred(model, b) for b in (oracle, *others)}
        # The values of all variables before the next program, and before the first.
        self.state = self.start = self._snapshot()
        self.named: dict[int, str] = {}  # id of a tensor of the oracle -> what it is
        self.noisy: set[str] = set()
        self.rough = 0.0
        for backend in others:
            self._same_variables(backend)

    def run(self, wants_gradients: bool, steps: int, training: bool, native: bool) -> None:
        def forward(backend: Any) -> Any:
            return self.models[backend.name](_tensors(backend, self.inputs), training=training)

        def differentiated(backend: Any) -> Any:
            return self._pulled(backend, training)

        with_gradients = wants_gradients and not steps
        program = differentiated if with_gradients else forward
        # The rest of the outputs' errors is seen in the forward pass alone, so that is what runs natively.
        self.phase(program, self._reset, self._names, with_gradients, None, program if native else None)
        for step in range(steps):
            self._step(step, wants_gradients, native)
        if steps and native:
            self._drift(steps)

    def _pulled(self, backend: Any, training: bool) -> Any:
        """The outputs, and gradients by the trainable variables and the float inputs."""
        model = self.models[backend.name]
        given = _tensors(backend, self.inputs)
        leaves = tree.flatten(given)
        floats = [i for i, x in enumerate(leaves) if _is_float(backend, x)]
        trainable = model.trainable_variables
        count = len(trainable)

        def f(*xs: Any) -> tuple[list[Any], list[Any]]:
            full = list(leaves)
            for i, x in zip(floats, xs[count:], strict=True):
                full[i] = x
            with StatelessScope(zip(trainable, xs[:count], strict=True)):
                y = model(tree.pack_sequence_as(given, full), training=training)
            ys = tree.flatten(y)
            return [y for y in ys if _is_float(backend, y)], [y for y in ys if not _is_float(backend, y)]

        primals = [v.value for v in trainable] + [leaves[i] for i in floats]
        for i in floats:
            self.named[id(leaves[i])] = f"the input {i}" if len(floats) > 1 else "the input"
        return _differentiate(backend, f, primals)

    def _names(self) -> dict[int, str]:
        self.named.clear()  # the inputs are named as the program makes tensors of them
        self.named.update({id(v.value): v.path for v in self.models[self.oracle.name].trainable_variables})
        return self.named

    def _snapshot(self) -> list[np.ndarray]:
        return [array_of(v.backend, v.backend.read(v._storage)) for v in variables_of(self.models[self.oracle.name])]

    def _reset(self, backend: Any) -> None:
        for variable, value in zip(variables_of(self.models[backend.name]), self.state, strict=True):
            variable.assign(backend.convert(value))

    def _same_variables(self, backend: Any) -> None:
        own = variables_of(self.models[self.oracle.name])
        for a, b, value in zip(own, variables_of(self.models[backend.name]), self.state, strict=True):
            what = judge.gap(array_of(backend, b.value), value)
            if what.problem or what.max_abs:
                self.result.findings.append(Finding(backend.name, "variable", a.path, gap=what))

    # -- training -----------------------------------------------------------------------

    def _step(self, step: int, wants_gradients: bool, native: bool) -> None:
        """One training step from the oracle's state on every backend; then the oracle's state is the next."""
        after: dict[str, list[np.ndarray]] = {}

        def program(backend: Any) -> Any:
            model = self.models[backend.name]
            logs = model.train_step(_tensors(backend, self.data))
            after[backend.name] = [array_of(backend, v.value) for v in variables_of(model)]
            return tree.flatten(logs)

        before = self.state
        recorder, _ = self.phase(program, self._reset, self._names, wants_gradients, step)
        self.noisy |= _noisy(recorder)
        self.rough = NATIVE.get(roughest(recorder.program), 0.0)
        reached = after[self.oracle.name]
        own = variables_of(self.models[self.oracle.name])
        parted = {f.backend for f in self.result.findings if f.step == step}
        for backend in self.others:
            if backend.name in parted:
                continue
            # The free run was the last to note its state here: op by op, nothing forced.
            self._updates(backend.name, "update", own, before, after[backend.name], reached, step)
            if native:
                self._reset(backend)
                self._native_step(backend, own, before, reached, step)
        self.state = reached

    def _native_step(self, backend: Any, own: list, before: list, reached: list, step: int) -> None:
        model = self.models[backend.name]
        try:
            with backends.use(backend), _seeded():
                model.make_train_function()(_tensors(backend, self.data))
        except Exception as error:
            self.result.findings.append(_raised(backend, error, step))
            return
        got = [array_of(backend, v.value) for v in variables_of(model)]
        self._updates(backend.name, "native", own, before, got, reached, step)

    def _updates(self, backend: str, kind: str, own: list, before: list, got: list, want: list, step: int) -> None:
        """Compares what the step did to each variable."""
        for variable, old, a, b in zip(own, before, got, want, strict=True):
            # An optimizer's variable is named after the variable that it is for.
            if any(n == variable.path or n.replace("/", "_") in variable.path for n in self.noisy):
                continue
            what = judge.gap(a, b)
            if not what.problem and is_inexact(b):
                moved, size = _size(b.astype("float64") - old.astype("float64")), _size(b)
                rounding = 8 * judge.narrowest([b]) * size
                what.tolerance = 10 * max(NATIVE.get(judge.dtype_of(b), 0.0), self.rough)
                what.relative = max(0.0, what.max_abs - rounding) / (moved or size or 1.0)
                what.basis = "of the step's own change"
            if what.problem or what.relative > what.tolerance:
                self.result.findings.append(Finding(backend, kind, variable.path, gap=what, step=step))
                return

    def _drift(self, steps: int) -> None:
        """How far the variables go apart when every backend trains by itself."""
        histories: dict[str, list[list[np.ndarray]]] = {}
        for backend in (self.oracle, *self.others):
            self._restart(backend)
            model = self.models[backend.name]
            history = []
            with backends.use(backend), _seeded(), contextlib.suppress(Exception):
                train = model.make_train_function()
                for _ in range(steps):
                    train(_tensors(backend, self.data))
                    history.append([array_of(backend, v.value) for v in model.trainable_variables])
            histories[backend.name] = history
        paths = [v.path for v in self.models[self.oracle.name].trainable_variables]
        for backend in self.others:
            rows = []
            for a, b in zip(histories[backend.name], histories[self.oracle.name], strict=False):
                gaps = [
                    0.0 if path in self.noisy else judge.gap(x, y).relative
                    for path, x, y in zip(paths, a, b, strict=True)
                ]
                worst = int(np.argmax(gaps)) if gaps else 0
                rows.append(Drift(paths[worst] if paths else "", gaps[worst] if gaps else 0.0))
            self.result.drift[backend.name] = rows

    def _restart(self, backend: Any) -> None:
        for variable, value in zip(variables_of(self.models[backend.name]), self.start, strict=True):
            variable.assign(backend.convert(value))


class _Functions(_Runs):
    """A function of tensors."""

    def __init__(self, function: Callable, inputs: Any, oracle: Any, others: list[Any], result: Comparison) -> None:
        super().__init__(oracle, others, result)
        self.function = function
        self.args = inputs if isinstance(inputs, tuple) else (inputs,)

    def run(self, wants_gradients: bool, native: bool) -> None:
        labels: dict[int, str] = {}

        def plain(backend: Any) -> Any:
            return self.function(*_tensors(backend, self.args))

        def pulled(backend: Any) -> Any:
            given = _tensors(backend, self.args)
            leaves = tree.flatten(given)
            floats = [i for i, x in enumerate(leaves) if _is_float(backend, x)]
            labels.update({id(leaves[i]): f"argument {i}" for i in floats})

            def f(*xs: Any) -> tuple[list[Any], list[Any]]:
                full = list(leaves)
                for i, x in zip(floats, xs, strict=True):
                    full[i] = x
                with StatelessScope():  # what it assigns (seeds) is no part of what is differentiated
                    ys = tree.flatten(self.function(*tree.pack_sequence_as(given, full)))
                return [y for y in ys if _is_float(backend, y)], [y for y in ys if not _is_float(backend, y)]

            return _differentiate(backend, f, [leaves[i] for i in floats])

        floats = any(is_inexact(np.asarray(x)) for x in tree.flatten(self.args))
        program = pulled if wants_gradients and floats else plain
        self.phase(program, lambda _: None, lambda: labels, program is pulled, None, program if native else None)


def _differentiate(backend: Any, f: Callable, primals: list[Any]) -> list[Any]:
    """f's results, and the gradients of their sum weighted with fixed random numbers."""
    if not primals:
        ys, rest = f()
        return [*ys, *rest]
    ys, pull, rest = gradients.vjp(f, *primals, has_aux=True)
    weights = [backend.convert(_weights(i, backend.shape(y)), backend.dtype(y)) for i, y in enumerate(ys)]
    return [*ys, *rest, *(pull(weights) if ys else [])]


def _weights(number: int, shape: Any) -> np.ndarray:
    rng = np.random.default_rng(number)
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def _tensors(backend: Any, structure: Any) -> Any:
    def one(x: Any) -> Any:
        if x is None or isinstance(x, (str, bool, int, float, complex)):
            return x
        if not hasattr(x, "shape"):
            x = np.asarray(x)
        if isinstance(x, np.ndarray) and x.dtype.kind in "OSUMm":
            return x
        return backend.convert(np.array(x) if isinstance(x, np.ndarray) else x)

    return tree.map_structure(one, structure)


def _is_float(backend: Any, x: Any) -> bool:
    return backend.is_tensor(x) and dtypes.is_float(backend.dtype(x))


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """The global generator of each backend starts the same inside, and is as before afterwards."""
    from kcore.random import seed_generator

    kept = dict(seed_generator._global)
    with seed_generator._lock:
        seed_generator._global.clear()
        seed_generator._global[backends.active().name] = seed_generator.SeedGenerator(
            1234, name="global_seed_generator"
        )
    try:
        yield
    finally:
        with seed_generator._lock:
            seed_generator._global.clear()
            seed_generator._global.update(kept)


def _raised(backend: Any, error: Exception, step: int | None) -> Finding:
    text = (str(error).strip().splitlines() or [""])[0][:300]
    return Finding(backend.name, "error", "the program", gap=Gap(problem=f"{type(error).__name__}: {text}"), step=step)


def _size(x: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(np.square(np.abs(x.astype("complex128")))))) if x.size else 0.0


def _bad(arrays: Any) -> bool:
    kinds = {"c": "complex128"}
    return any(is_inexact(x) and not np.isfinite(x.astype(kinds.get(x.dtype.kind, "float64"))).all() for x in arrays)


def _differentiated(scope: Scope) -> Iterator[Differentiated]:
    for child in scope.children:
        if isinstance(child, Scope):
            if isinstance(child, Differentiated):
                yield child
            yield from _differentiated(child)


def _gradient_origin(call: Differentiated, oracle: Any) -> Finding | None:
    """The last op whose gradient is not finite though the one that reached it is."""
    found = gradient_origin(call, oracle)
    if found is None:
        return None
    made = nonfinite(oracle.name, found[0], found[1], found[0].args)
    made.kind = "gradient"
    return made


def _noisy(recorder: Recorder) -> set[str]:
    """The variables whose gradient is 0 but for rounding."""
    sizes: dict[str, float] = {}
    for call in _differentiated(recorder.program):
        for _, found in call.pulls:
            for label, g in zip(call.labels, found, strict=True):
                sizes[label] = _size(g)
    most = max(sizes.values(), default=0.0)
    return {label for label, size in sizes.items() if 0 < size < NOISE * most}


# -- who is wrong, and how to see it ----------------------------------------------------


def _explain(result: Comparison, oracle: Any) -> None:
    result.findings.sort(key=lambda f: _order(f))
    for finding in result.findings:
        if finding.kind == "value" and finding.event is not None and _formula_sides_with(finding, oracle):
            finding.suspect = oracle.name
    shown: set[tuple[str, str, str]] = set()
    for finding in result.findings:
        case = (finding.backend, finding.kind, finding.op)
        if case in shown or len(shown) >= MOST_SCRIPTS:
            continue
        shown.add(case)
        finding.script = script_of(finding, backends.load(finding.backend), oracle)


def _order(finding: Finding) -> tuple:
    kinds = (
        "variable",
        "argument",
        "value",
        "changed",
        "error",
        "layer",
        "gradient",
        "whole gradient",
        "update",
        "native",
    )
    step = -1 if finding.step is None else finding.step
    backward = finding.kind in ("gradient",)
    stage = 0 if finding.kind == "variable" else 1 if not backward and finding.number is not None else 2
    number = finding.number if finding.number is not None else 10**9
    return step, stage, -number if backward else number, kinds.index(finding.kind)


def _formula_sides_with(finding: Finding, oracle: Any) -> bool:
    """Whether the record's formula, which knows of neither, gives what the backend gives and not what the oracle gives."""
    event: OpEvent = finding.event
    case = judge.CASES.get(event.op.name)
    if case is None or case.compare is not None:
        return False
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for (name, p), value in zip(event.op.signature.parameters.items(), event.args, strict=True):
        if p.kind is p.VAR_POSITIONAL:
            positional += value
        elif event.op.roles[name] == "plain" or named:
            if p.default is p.empty or not _same(value, p.default):
                named[name] = value
        elif value is not None:
            positional.append(value)
    try:
        call = Call(case, tuple(positional), named)
        wanted = call.formula(call.plan(), judge.dtype_of(event.results[0]))
        got = results_of(backends.load(finding.backend), event.on(backends.load(finding.backend)))
        mine = max(judge.gap(a, b).relative for a, b in zip(got, wanted, strict=True))
        own = max(judge.gap(a, b).relative for a, b in zip(event.results, wanted, strict=True))
    except Exception:
        return False
    return own > 10 * mine


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and not isinstance(a, np.ndarray) and a == b)
