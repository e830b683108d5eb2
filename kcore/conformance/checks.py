"""All checks of one op on one backend."""

from __future__ import annotations

import contextlib
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kcore import _native, backends, dtypes, tree
from kcore.backends.contract import Backend
from kcore.conformance import ahead, sparse_calls
from kcore.conformance.calls import Call, opened
from kcore.conformance.comparison import Distance, distance
from kcore.conformance.gradients import Gradients
from kcore.conformance.record import UNSET, Bad, Sample
from kcore.conformance.results import DIFFERS, FAIL, UNSUPPORTED, Failure, Result
from kcore.conformance.trials import Trial, Trials, tolerance
from kcore.ops.symbolic import KerasTensor

# How many samples get the checks that cost most, unless all do.
VARIED, COMPILED, TWICE_DIFFERENTIATED = 2, 2, 2
# On a backend that compiles an op anew for each shape and dtype, or whose calls are slow, fewer do, and fewer are
# differentiated.
THIN_VARIED, THIN_COMPILED, THIN_DIFFERENTIATED = 1, 1, 3


class Unsupported(Exception):
    """The op needs a primitive that the backend lists as unsupported."""


class Check:
    """Runs the checks of a record on a backend, and gathers what they find in `result`."""

    def __init__(self, trials: Trials, backend: Any, factors: Mapping[str, float] | None = None) -> None:
        self.factors = factors or {}  # dtype -> by how much its tolerance is wider on this device
        self.trials, self.case, self.backend, self.full = trials, trials.case, backend, trials.full
        self.op = getattr(self.case.op, "op", None)
        self.result = Result(self.case.name, backend.name)
        self.batched = backend.compiles_shapes
        self.thin = (self.batched or backend.slow_calls) and not self.full
        # Whether the backend has a function for it; else it is other ops, with records of their own.
        self.own = self.op is None or self.op.body is None or self.op.name in backend.ops
        self.ready: dict[tuple[str, Trial], Any] = {}  # (check, trial) -> what it gives, computed ahead
        self.seen: dict[tuple[int, str], list] = {}  # (sample, dtype) -> shapes and dtypes of its results
        self.compared: set[str] = set()  # reasons whose samples were compared
        self.needed: set[str] = set()  # and those of them without which there would be a failure

    def run(self) -> Result:
        begun = time.perf_counter()
        result = self.result
        if self.op is not None and self.op.body is None and self.case.name in self.backend.unsupported:
            result.verdict, result.reason = UNSUPPORTED, self.backend.unsupported[self.case.name]
            return result
        try:
            with backends.use(self.backend), np.errstate(all="ignore"):
                parts = (self.values, self.symbols, self.errors, self.variants, self.compiled, self.gradients)
                for part in (self.ahead, *parts, self.sparse) if self.batched else (*parts, self.sparse):
                    self._guarded(part)
        except Unsupported as error:
            result.verdict, result.reason = UNSUPPORTED, str(error)
            result.failures.clear()
        else:
            self._stale_reasons()
            if result.failures:
                result.verdict = FAIL
            elif self.needed:
                result.verdict, result.reason = DIFFERS, "; ".join(sorted(self.needed))
        result.seconds = time.perf_counter() - begun
        return result

    def _guarded(self, part: Callable[[], None]) -> None:
        """Runs one part; what goes wrong outside the op's own calls is a failure of the op, not of the run."""
        try:
            part()
        except Unsupported:
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
            self.fail(part.__name__, None, f"the check broke off: {_told(error)} ({at})")

    # -- what a thin backend leaves out --------------------------------------------------

    def eager(self) -> Trial | None:
        """The trial of an op's own function that is run eagerly all the same."""
        return next(self._chosen(THIN_VARIED), next(iter(self.trials), None)) if self.own else None

    def spared(self, trial: Trial) -> bool:
        """Whether a thin backend need not run it: a plain sample in 64 bits, after 32; gradients do that for some."""
        own, sample = trial.sample.dtypes or self.case.dtypes, trial.sample
        picked = sample.why or sample.expect is not UNSET or sample is self.trials.probe or self._reasoned(sample)
        return trial.dtype == "float64" and "float32" in own and not picked

    def _reasoned(self, sample: Sample) -> bool:
        """Whether there is a reason to differ here: whether it still holds, all that it covers must tell."""
        return self.backend.name in sample.differs or self.backend.name in self.case.differs

    # -- values -------------------------------------------------------------------------

    def values(self) -> None:
        """The op must give what the formula gives, of the dtype and shape that the rule says."""
        for trial in self.trials:
            if trial.problem or trial.refused:
                if trial.required:
                    self.fail("record", trial, trial.problem or f"refused: {_told(trial.refused)}")
                continue
            if self.thin and self.spared(trial):
                continue
            # Of copies, because some backends share memory with arrays, and then they would change together.
            native = trial.call if ("value", trial) in self.ready else _copied(trial.call).native(self.backend)
            got = self.attempt("value", trial, native.run)
            if got is None:
                continue
            self.seen[trial.number, trial.dtype] = self._kinds(got)
            arrays = self.hold("value", trial, got)
            if trial.required and trial.sample.expect is not UNSET:
                self.compare("expect", trial, arrays, _expected(trial.sample.expect, trial.want), signs=True)
            self.unchanged("value", trial, native)
            self.body(trial)
            self.definition(trial)

    def body(self, trial: Trial) -> None:
        """The portable body must give what the backend's own function gives."""
        if self.by_body(trial):
            got = self.attempt("body", trial, lambda: self.run_body(trial, trial.call))
            if got is not None:
                self.hold("body", trial, got)

    def by_body(self, trial: Trial) -> bool:
        """Whether there is a body beside the backend's own function, and it is to be run at this trial."""
        if self.op is None or self.op.body is None or self.op.name not in self.backend.ops:
            return False
        probe = trial.sample is self.trials.probe and trial.dtype == "float32"
        return not self.thin or probe or self._reasoned(trial.sample)

    def run_body(self, trial: Trial, call: Call) -> Any:
        return run_body(self.backend, self.op, call.native(self.backend, lists=True).bound(), trial.plan)

    def definition(self, trial: Trial) -> None:
        """Without the compiled kernels, the NumPy definition must give the same."""
        if self.backend.name != "reference" or not _native.available:
            return
        with without_kernels():
            got = self.attempt("definition", trial, trial.call.native(self.backend).run)
        if got is not None:
            self.hold("definition", trial, got)

    def hold(self, check: str, trial: Trial, got: Any) -> list[np.ndarray]:
        """Compares a result with the rule's shapes and dtypes, and with the formula's values."""
        self.structure(check, trial, got)
        arrays = [np.asarray(self.backend.numpy(y)) for y in tree.flatten(got)]
        self.compare(check, trial, arrays, trial.want)
        return arrays

    def structure(self, check: str, trial: Trial, got: Any) -> None:
        """The result must be tensors of this backend, in the structure, dtypes and shapes that the rule says."""
        if trial.plan is None:
            return
        specs = trial.plan.outputs
        leaves, wanted = tree.flatten(got), tree.flatten(specs)
        if any(isinstance(specs, kind) != isinstance(got, kind) for kind in (tuple, list, dict)):
            self.fail(check, trial, f"the result is a {type(got).__name__}, not a {type(specs).__name__}")
        elif len(leaves) != len(wanted):
            self.fail(check, trial, f"{len(leaves)} results instead of {len(wanted)}")
        else:
            for i, (y, spec) in enumerate(zip(leaves, wanted, strict=True)):
                problem = self._unlike(y, spec)
                if problem:
                    self.fail(check, trial, (f"result {i}: " if len(wanted) > 1 else "") + problem)

    def _unlike(self, y: Any, spec: Any) -> str | None:
        if not self.backend.is_tensor(y):
            return f"a {type(y).__name__}, no tensor of this backend"
        shape, dtype = self.backend.shape(y), self.backend.dtype(y)
        if dtype != spec.dtype:
            return f"dtype {dtype} instead of {spec.dtype}"
        return None if _fits(shape, spec.shape) else f"shape {shape} instead of {spec.shape}"

    def compare(
        self, check: str, trial: Trial, got: list[np.ndarray], want: list[np.ndarray], signs: bool = False
    ) -> None:
        """Compares flat results within the record's tolerance, or as loosely as the record allows."""
        if len(got) != len(want):
            self.fail(check, trial, f"{len(got)} results, but the formula gives {len(want)}")
            return
        self.result.cases += 1
        for i, (y, w) in enumerate(zip(got, want, strict=True)):
            name, tol = dtypes.name_of(y.dtype), self.tolerance_of(y)
            found = self.distance_of(y, w, tol, signs)
            allowed = self._allowed(trial, trial.dtype, found, tol)
            if allowed is None:
                continue
            self.result.note(found.error, allowed, name, found.ulp)
            if found.problem or not found.error <= allowed:
                which = f"result {i} of {len(got)}: " if len(got) > 1 else ""
                more: dict[str, Any] = {"error": found.error, "tolerance": allowed}
                if found.where is not None:
                    more |= {"where": found.where, "got": y[found.where].item(), "want": w[found.where].item()}
                self.fail(check, trial, which + (found.problem or "off by more than the tolerance"), **more)

    def tolerance_of(self, y: np.ndarray) -> float:
        name = dtypes.name_of(y.dtype)
        return tolerance(self.case, name) * self.factors.get(name, 1.0)

    def distance_of(self, y: np.ndarray, w: np.ndarray, tol: float, signs: bool) -> Distance:
        if self.case.compare is None:
            # Signs of zeros count where the record wrote at least one -0.0.
            signs = signs and w.dtype.kind == "f" and bool((np.signbit(w) & (w == 0)).any())
            return distance(y, w, signs)
        try:
            self.case.compare(y, w, tol)
        except AssertionError as error:
            return Distance(np.inf, problem=" ".join(str(error).split()) or "the record's compare refuses it")
        return Distance()

    def _allowed(self, trial: Trial, key: str, found: Distance, tol: float) -> float | None:
        """The tolerance after the record's reasons for differing; None where it allows any value."""
        name = self.backend.name
        reason, loose = trial.sample.differs.get(name), None
        if reason is None:
            reason = self.case.differs.get(name)
            by_dtype = self.case.differs_tol.get(name)
            if reason is None or (by_dtype and key not in by_dtype) or (not by_dtype and key == "grad"):
                return tol
            loose = by_dtype[key] if by_dtype else None
        self.compared.add(reason)
        if found.problem or not found.error <= tol:
            self.needed.add(reason)
        shapeless = found.problem is not None and found.problem.startswith(("shape", "dtype"))
        return tol if shapeless else loose

    def _stale_reasons(self) -> None:
        """A reason for which nothing differs is wrong; a run in chosen dtypes can't tell."""
        if self.trials.wanted is None:
            for reason in sorted(self.compared - self.needed):
                self.fail("record", None, f"agrees within the tolerance, so this reason no longer holds: {reason}")

    # -- symbols ------------------------------------------------------------------------

    def symbols(self) -> None:
        """The symbolic result must have the dtype and shape of the real one, sizes that are unknown included."""
        if not self.case.symbolic:
            return
        for trial in self._chosen():
            real = self.seen.get((trial.number, trial.dtype))
            if real is None:
                continue
            self._symbol(trial, real, None, "symbolically")
            if not trial.sample.unsized:
                continue
            shapes = [a.shape for a in trial.call.arrays()]
            if all(shapes):
                self._symbol(trial, real, lambda _, shape: (None, *shape[1:]), "with leading sizes unknown")
            for number, shape in enumerate(shapes):
                for axis in range(len(shape)):
                    what = f"with size {axis} of tensor {number} unknown"
                    self._symbol(trial, real, _forgetting(number, axis), what)

    def _symbol(self, trial: Trial, real: list, unknown: Callable | None, what: str) -> None:
        self.result.cases += 1
        try:
            made = tree.flatten(trial.call.symbolic(unknown).run())
        except Exception as error:
            # Some ops need a size; they may say so, but not fall over it.
            if unknown is None or not _proper(error, self.case.name):
                self.fail("symbolic", trial, f"{what} it raised {_told(error)}")
            return
        if len(made) != len(real):
            self.fail("symbolic", trial, f"{what} {len(made)} results; {len(real)} eagerly")
            return
        for t, (shape, dtype) in zip(made, real, strict=True):
            if not isinstance(t, KerasTensor):
                self.fail("symbolic", trial, f"{what} a {type(t).__name__} instead of a KerasTensor")
            elif t.dtype != dtype:
                self.fail("symbolic", trial, f"{what} dtype {t.dtype}; {dtype} eagerly")
            elif not _fits(shape, t.shape):
                self.fail("symbolic", trial, f"{what} shape {t.shape}; {shape} eagerly")

    def _kinds(self, got: Any) -> list:
        """(shape, dtype) of each result."""
        is_tensor = self.backend.is_tensor
        return [(self.backend.shape(y), self.backend.dtype(y)) for y in tree.flatten(got) if is_tensor(y)]

    # -- errors -------------------------------------------------------------------------

    def errors(self) -> None:
        """Every bad call must be refused with its error, eagerly and symbolically."""
        for bad in self.case.errors:
            call = Call(self.case, bad.args, bad.arguments)
            calls = {"eagerly": call if self.batched else call.native(self.backend)}
            if self.op is not None and call.arrays():
                calls["symbolically"] = call.symbolic()
            for how, made in calls.items():
                self.result.cases += 1
                problem: str | None = "was not refused"
                try:
                    made.run()
                except Exception as error:
                    problem = _unlike_refusal(error, bad, self.case.name)
                if problem:
                    self.result.failures.append(
                        Failure("error", repr(bad), None, f"{how} {problem}", rerun=self._rerun(None))
                    )

    # -- the same values in other clothes -----------------------------------------------

    def variants(self) -> None:
        """Lists, strided, reversed and read-only arrays must give the same as plain ones, and stay as they are."""
        if not self.own and (self.thin or self.batched):
            return
        for trial in self._chosen(THIN_VARIED if self.thin else VARIED):
            for name, leaf in variants(self.backend).items():
                given = trial.call.map(_on_arrays(leaf))
                if name == "list" and not any(isinstance(v, list) for _, v in given.operands()):
                    continue
                got = self.attempt(name, trial, given.run)
                if got is not None:
                    self.hold(name, trial, got)
                    self.unchanged(name, trial, given)

    def unchanged(self, check: str, trial: Trial, given: Call) -> None:
        """The op must not have written into its arguments."""
        for (_, before), (_, after) in zip(trial.call.operands(), given.operands(), strict=True):
            if isinstance(before, np.ndarray) and not isinstance(after, (list, tuple)):
                now = self.backend.numpy(after)
                if now.shape != before.shape or now.tobytes() != before.tobytes():
                    self.fail(check, trial, "an argument was changed by the call")

    # -- compiled -----------------------------------------------------------------------

    def compiled(self) -> None:
        """Inside the framework's compiler the op must give the same; those that `ahead` compiled have shown it."""
        if type(self.backend).jit is Backend.jit or (self.batched and self.own):
            return
        reasoned = (t for t in self._chosen() if self.backend.name in t.sample.differs)
        for trial in dict.fromkeys([*self._chosen(THIN_COMPILED if self.thin else COMPILED), *reasoned]):
            if trial.call.arrays() and self.compilable(trial):
                function, arrays = opened(Call.run, trial.call)
                values = [self.backend.as_step_input(x) for x in arrays]
                got = self.attempt("compiled", trial, lambda: self.backend.jit(function)(*values))  # noqa: B023
                if got is not None:
                    self.hold("compiled", trial, got)

    def compilable(self, trial: Trial) -> bool:
        """Whether the shapes of the result are known before it runs, and it is an op at all."""
        if self.op is None or not self.case.symbolic or trial.problem or trial.refused:
            return False
        return trial.plan is None or all(None not in s.shape for s in tree.flatten(trial.plan.outputs))

    # -- gradients ----------------------------------------------------------------------

    def gradients(self) -> None:
        """First and second gradients must be those of the formula."""
        for probe in self.probes():
            parts = self.attempt("gradient", probe.trial, lambda: probe.first(*probe.tensors()))  # noqa: B023
            if parts is None:
                continue
            y, gs, *rest = probe.arrays(parts)
            if len(y) == len(probe.trial.want) and all(w.dtype.kind == "f" for w in probe.trial.want):
                self.compare("value with gradient", probe.trial, y, probe.trial.want)
            fine = self._judge(probe.trial, probe.judge_first, gs)
            if not (probe.twice and fine):
                continue
            if not rest:
                parts = self.attempt("second gradient", probe.trial, lambda: probe.both(*probe.tensors()))  # noqa: B023
                rest = [] if parts is None else [probe.arrays(parts)[2]]
            if rest:
                self._judge(probe.trial, probe.judge_second, rest[0])

    def probes(self) -> Iterator[Gradients]:
        """The samples to differentiate at."""
        wanted = self.trials.wanted
        if not self.case.grad or (wanted is not None and "float64" not in wanted):
            return
        numbers = [n for n, s in enumerate(self.trials.samples) if self._differentiable(s)]
        twice = set(self.trials.unlike(TWICE_DIFFERENTIATED, numbers))
        once = set(self.trials.unlike(THIN_DIFFERENTIATED, numbers)) if self.thin else set(numbers)
        for number in numbers:
            trial, sample = self.trials.get(number, "float64"), self.trials.samples[number]
            promised, reasoned = sample.gradient is not None, self._reasoned(sample)
            if trial is None or trial.problem or trial.refused or not (number in once or promised or reasoned):
                continue
            second = not promised and (self.full or reasoned or number in twice)
            probe = Gradients(self.case, trial, self.backend, second)
            if probe.which and probe.weights:
                yield probe

    def _differentiable(self, sample: Sample) -> bool:
        """Whether a gradient of it is looked at: in 64 bits, and not where all arrays are whole numbers or bools."""
        wide = {"float64", "complex128"}
        arrays = Call(self.case, sample.args, sample.arguments).arrays()
        return bool(
            (sample.grad or sample.gradient is not None)
            and wide & set(sample.dtypes or wide)
            and not (arrays and all(a.dtype.kind in "biu" for a in arrays))
        )

    def _judge(self, trial: Trial, judge: Callable, found: list[np.ndarray]) -> bool:
        """Notes what is found of a gradient; whether it is right."""
        order, error, tol, problem = judge(found)
        tol *= self.factors.get("float64", 1.0)
        self._gradient(trial, order, error, tol, problem)
        return error <= tol

    def _gradient(self, trial: Trial, order: str, error: float, tol: float, problem: str | None) -> None:
        self.result.cases += 1
        allowed = self._allowed(trial, "grad", Distance(error, problem=problem), tol)
        if allowed is None:
            return
        self.result.note(error, allowed, "float64", gradient=True)
        if not error <= allowed:
            self.fail(order, trial, problem or "off by more than the tolerance", error=error, tolerance=allowed)

    def ahead(self) -> None:
        """On a backend that compiles each shape, many calls are compiled as one."""
        ahead.compute(self)

    def sparse(self) -> None:
        """Sparse operands must give what dense ones do."""
        sparse_calls.check(self)

    # -- pieces -------------------------------------------------------------------------

    def _chosen(self, count: int | None = None) -> Iterator[Trial]:
        """The samples with arrays, each in its first dtype.

        With `count`, unless the run is a full one, only so many of those that hold more than one number.
        """
        numbers: Sequence[int] = range(len(self.trials.samples))
        if count is not None and not self.full:
            numbers = self.trials.unlike(count)
        for number in numbers:
            trial = self.trials.first(number)
            if trial is not None and not trial.problem and not trial.refused and trial.call.arrays():
                yield trial

    def attempt(self, check: str, trial: Trial, run: Callable[[], Any]) -> Any:
        """What `run` gives, or gave ahead; None, and a failure, if it raises."""
        try:
            return self.ready.pop((check, trial)) if (check, trial) in self.ready else run()
        except Exception as error:
            found = re.match(r"(\w+): not available on the (\w+) backend", str(error))
            if isinstance(error, NotImplementedError) and found and found[1] in self.backend.unsupported:
                raise Unsupported(self.backend.unsupported[found[1]]) from None
            problem = f"raised {_told(error)}"
            if self._allowed(trial, trial.dtype, Distance(np.inf, problem=problem), 0.0) is not None:
                self.fail(check, trial, problem)
            return None

    def fail(self, check: str, trial: Trial | None, problem: str, **more: Any) -> None:
        sample, dtype = ("", None) if trial is None else (repr(trial.sample), trial.dtype)
        self.result.failures.append(Failure(check, sample, dtype, problem, rerun=self._rerun(dtype), **more))

    def _rerun(self, dtype: str | None) -> str:
        chosen = f" --dtype {dtype}" if dtype else ""
        return (
            f"kcore conform --backend {self.backend.name} --op {self.case.name}{chosen}{' --full' if self.full else ''}"
        )


def run_body(backend: Any, op: Any, args: Sequence[Any], plan: Any) -> Any:
    """The portable body's result, as if the backend had no function of its own for the op."""
    if plan is None:
        return op.body(*args)
    own = backend.ops.pop(op.name)
    try:
        run = op._bind(backend, args)
    finally:
        backend.ops[op.name] = own
    return run(*args)


@contextlib.contextmanager
def without_kernels() -> Iterator[None]:
    """The reference backend runs its NumPy definitions inside."""
    _native.available = False
    try:
        yield
    finally:
        _native.available = True


def variants(backend: Any) -> dict[str, Callable[[np.ndarray], Any]]:
    """Ways to hand over the same values, by name."""
    from kcore import ops

    def listed(x: np.ndarray) -> Any:
        # A list has no dtype: its floats become float32 and its integers int32.
        return x.tolist() if x.size and x.ndim and x.dtype in (np.float32, np.int32, np.bool_) else x

    def strided(x: np.ndarray) -> np.ndarray:
        every_other: Any = (..., *[slice(None, None, 2)] * x.ndim)
        view = np.zeros([2 * d for d in x.shape], x.dtype)[every_other]
        view[...] = x
        return view

    def backwards(x: np.ndarray) -> np.ndarray:
        flip: Any = (..., *[slice(None, None, -1)] * x.ndim)
        return x[flip].copy()[flip]

    def read_only(x: np.ndarray) -> np.ndarray:
        x = x.copy()
        x.flags.writeable = False
        return x

    def transposed(x: np.ndarray) -> Any:
        if x.ndim < 2:
            return backend.convert(x)
        return ops.swapaxes(backend.convert(np.swapaxes(x, 0, -1).copy()), 0, -1)

    return {
        "list": listed,
        "strided": strided,
        "negative strides": backwards,
        "read-only": read_only,
        "transposed": transposed,
    }


def _copied(call: Call) -> Call:
    return call.map(_on_arrays(np.copy))


def _on_arrays(change: Callable[[np.ndarray], Any]) -> Callable[[Any, str], Any]:
    return lambda v, _: change(v) if isinstance(v, np.ndarray) else v


def _forgetting(number: int, axis: int) -> Callable[[int, tuple], tuple]:
    """Makes one size of one tensor unknown."""
    return lambda i, shape: tuple(None if (i, a) == (number, axis) else d for a, d in enumerate(shape))


def _expected(expected: Any, like: list[np.ndarray]) -> list[np.ndarray]:
    """`expect` as a flat list of arrays, as the formula's results are; a number stands for an array full of it."""
    parts = [np.asarray(e) for e in ([expected] if len(like) == 1 else expected)]
    return [np.full(w.shape, p) if p.ndim == 0 else p for p, w in zip(parts, like, strict=True)]


def _fits(shape: tuple, allowed: tuple) -> bool:
    return len(shape) == len(allowed) and all(a is None or a == d for d, a in zip(shape, allowed, strict=True))


def _told(error: Exception | None) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


def _proper(error: Exception, name: str) -> bool:
    """Whether it is an error for the user, and no accident of arithmetic on None."""
    text = str(error)
    return (
        isinstance(error, (ValueError, TypeError, IndexError))
        and text.startswith(f"{name}: ")
        and "NoneType" not in text
    )


def _unlike_refusal(error: Exception, bad: Bad, name: str) -> str | None:
    """What is wrong with the error of a bad call; None if nothing."""
    if not isinstance(error, bad.error):
        kinds = bad.error if isinstance(bad.error, tuple) else (bad.error,)
        return f"raised {_told(error)}; expected {' or '.join(k.__name__ for k in kinds)}"
    if not str(error).startswith(f"{name}: "):
        return f"raised {_told(error)}; the message should start with {name!r}"
    if not re.search(bad.match, str(error)):
        return f"raised {_told(error)}; the message should match {bad.match!r}"
    return None
