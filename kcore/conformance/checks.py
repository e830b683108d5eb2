"""All checks of one op on one backend."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from kcore import backends, dtypes, tree
from kcore.conformance import gradients
from kcore.conformance.calls import Call, typed
from kcore.conformance.comparison import Distance, distance
from kcore.conformance.record import EXACT_TO_ROUNDING, UNSET, Case, Sample
from kcore.conformance.results import DIFFERS, FAIL, UNSUPPORTED, Failure, Result
from kcore.ops.symbolic import KerasTensor, Spec

# Dtypes that every op is tried in, besides those of its record, where its rule takes them.
FURTHER = ("float16", "bfloat16", "bool", "int32", "uint8", "uint16", "uint32", "uint64")
ALL_FURTHER = ("float16", "bfloat16", *dtypes.BOOL, *dtypes.INTEGERS)
# How many samples get the checks that cost most, unless all do.
VARIED, TWICE_DIFFERENTIATED = 2, 2


class Unsupported(Exception):
    """The op needs a primitive that the backend lists as unsupported."""


class Trial:
    """One sample in one dtype: the call, the rule's answer and the formula's."""

    def __init__(self, sample: Sample, call: Call, dtype: str, required: bool) -> None:
        self.sample, self.call, self.dtype, self.required = sample, call, dtype, required
        self.plan: Any = None
        self.want: list[np.ndarray] = []
        self.refused: Exception | None = None
        try:
            self.plan = call.plan()
        except (ValueError, TypeError, IndexError, NotImplementedError) as error:
            self.refused = error
            return
        try:
            self.want = call.formula(self.plan, dtype)
        except Exception as error:
            if required:
                raise FormulaError(f"{type(error).__name__}: {error}") from error
            self.refused = error  # a formula need not know every dtype


class FormulaError(Exception):
    """The record's formula failed."""


class Check:
    """Runs the checks of a record on a backend, and gathers what they find in `result`."""

    def __init__(self, case: Case, backend: Any, dtypes: Sequence[str] | None = None, full: bool = False) -> None:
        self.case, self.backend, self.dtypes, self.full = case, backend, dtypes, full
        self.op = getattr(case.op, "op", None)
        self.result = Result(case.name, backend.name)
        self.samples = samples_of(case)
        self.reason = case.differs.get(backend.name, "")
        self.excused: set[str] = set()  # reasons that were needed
        self.checked: set[str] = set()  # reasons whose samples were compared
        self.loosened: set[str] = set()

    def run(self) -> Result:
        begun = time.perf_counter()
        result, name = self.result, self.backend.name
        if self.op is not None and self.op.body is None and self.case.name in self.backend.unsupported:
            result.verdict, result.reason = UNSUPPORTED, self.backend.unsupported[self.case.name]
            return result
        try:
            with backends.use(self.backend), np.errstate(all="ignore"):
                for part in (self.values, self.symbols, self.errors, self.variants, self.compiled, self.gradients):
                    self._guarded(part)
        except Unsupported as error:
            result.verdict, result.reason = UNSUPPORTED, str(error)
            result.failures.clear()
        else:
            self._stale_reasons()
            if result.failures:
                result.verdict = FAIL
            elif self.excused:
                result.verdict, result.reason = DIFFERS, "; ".join(sorted(self.excused))
        for failure in result.failures:
            failure.rerun = self._rerun(failure, name)
        result.seconds = time.perf_counter() - begun
        return result

    def _guarded(self, part: Callable[[], None]) -> None:
        """Runs one part; what goes wrong outside the op's own calls is a failure of the op, not of the run."""
        try:
            part()
        except Unsupported:
            raise
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{where.filename.rpartition('/')[2]}:{where.lineno}"
            self.result.failures.append(
                Failure(part.__name__, "", None, f"the check broke off: {_told(error)} ({at})")
            )

    # -- values -------------------------------------------------------------------------

    def trials(self) -> Iterator[Trial]:
        """Each sample in each of its dtypes, without repeating those that a dtype does not change."""
        probe = self._probe()
        for sample in self.samples:
            own = list(sample.dtypes or self.case.dtypes)
            further: Sequence[str] = ()
            if self.dtypes is not None:
                wanted = list(self.dtypes)
                further = [d for d in wanted if d not in own] if sample.dtypes is None else ()
                own = [d for d in own if d in wanted]
            elif sample.dtypes is None and (self.full or sample is probe):
                further = [d for d in (ALL_FURTHER if self.full else FURTHER) if d not in own]
            if not self.full and self.dtypes is None and sample is not probe and sample.dtypes is None:
                own = own[:2]
            seen = set()
            for dtype in (*own, *further):
                call = typed(Call(self.case, sample.args, sample.arguments), dtype)
                if call is None:
                    continue
                kinds = tuple(str(a.dtype) for a in call.arrays())
                if kinds in seen:
                    continue
                seen.add(kinds)
                trial = self._trial(sample, call, dtype, dtype in own)
                if trial is not None:
                    yield trial

    def _trial(self, sample: Sample, call: Call, dtype: str, required: bool) -> Trial | None:
        try:
            trial = Trial(sample, call, dtype, required)
        except FormulaError as error:
            self.fail("record", sample, dtype, f"the formula raised {error}")
            return None
        if trial.refused is not None:
            if required:
                self.fail("value", sample, dtype, f"refused: {_told(trial.refused)}")
            return None
        return trial

    def _probe(self) -> Sample | None:
        """The sample that stands for all in further dtypes: the first that holds more than a number."""
        plain = [s for s in self.samples if s.dtypes is None]
        large = (s for s in plain if any(a.size > 1 for a in Call(self.case, s.args, s.arguments).arrays()))
        return next(large, plain[0] if plain else None)

    def values(self) -> None:
        for trial in self.trials():
            native = trial.call.native(self.backend)
            got = self.attempt("value", trial, native.run)
            if got is None:
                continue
            self.structure("value", trial, got)
            arrays = self.numpy(got)
            self.compare("value", trial, arrays, trial.want)
            expected = trial.sample.expect
            if expected is not UNSET and trial.required and dtypes.is_float(trial.dtype) | (trial.dtype not in FURTHER):
                self.compare("expect", trial, arrays, _expected(expected, trial.want), signs=True)
            self.unchanged("value", trial, native)
            if self.op is not None and self.op.body is not None and self.case.name in self.backend.ops:
                self.body(trial, native)

    def body(self, trial: Trial, native: Call) -> None:
        """The portable body must give what the backend's own function gives."""

        def run() -> Any:
            args = native.bound()
            if trial.plan is None:
                return self.op.body(*args)
            return bound_to_body(self.backend, self.op, args)(*args)

        got = self.attempt("body", trial, run)
        if got is not None:
            self.structure("body", trial, got)
            self.compare("body", trial, self.numpy(got), trial.want)

    def structure(self, check: str, trial: Trial, got: Any) -> None:
        """The result must be what the rule says: tensors of this backend, in that structure, of that dtype and shape."""
        if trial.plan is None:
            return
        specs = trial.plan.outputs
        for kind in (tuple, list, dict):
            if isinstance(specs, kind) != isinstance(got, kind):
                self.fail(check, trial.sample, trial.dtype, f"the result is a {type(got).__name__}, not a {type(specs).__name__}")
                return
        leaves, wanted = tree.flatten(got), tree.flatten(specs)
        if len(leaves) != len(wanted):
            self.fail(check, trial.sample, trial.dtype, f"{len(leaves)} results instead of {len(wanted)}")
            return
        for i, (y, spec) in enumerate(zip(leaves, wanted, strict=True)):
            which = f"result {i}: " if len(wanted) > 1 else ""
            if not self.backend.is_tensor(y):
                self.fail(check, trial.sample, trial.dtype, f"{which}a {type(y).__name__}, no tensor of this backend")
            elif self.backend.dtype(y) != spec.dtype:
                self.fail(
                    check, trial.sample, trial.dtype, f"{which}dtype {self.backend.dtype(y)} instead of {spec.dtype}"
                )
            elif not _fits(self.backend.shape(y), spec.shape):
                self.fail(check, trial.sample, trial.dtype, f"{which}shape {self.backend.shape(y)} instead of {spec.shape}")

    def compare(
        self, check: str, trial: Trial, got: list[np.ndarray], want: list[np.ndarray], signs: bool = False
    ) -> None:
        """Compares flat results within the record's tolerance, or notes that the record lets them differ."""
        if len(got) != len(want):
            self.fail(check, trial.sample, trial.dtype, f"{len(got)} results, but the formula gives {len(want)}")
            return
        self.result.cases += 1
        own = trial.sample.differs.get(self.backend.name)
        for i, (y, w) in enumerate(zip(got, want, strict=True)):
            name = dtypes.name_of(y.dtype)
            tol = tolerance(self.case, name)
            if self.case.compare is not None:
                try:
                    self.case.compare(y, w, tol)
                    found = Distance()
                except AssertionError as error:
                    found = Distance(np.inf, problem=" ".join(str(error).split()) or "compare refuses it")
            else:
                found = distance(y, w, signs and bool((np.signbit(w) & (w == 0)).any()) if w.dtype.kind == "f" else False)
            loose = self.case.differs_tol.get(self.backend.name, {}).get(trial.dtype)
            if own:
                self._note(own, found, tol)
            elif loose is not None:
                self._note(self.reason, found, tol)
                tol = loose
            elif self.reason and not self.case.differs_tol.get(self.backend.name):
                self._note(self.reason, found, tol)
                own = self.reason
            if own and (found.problem is None or not found.problem.startswith(("shape", "dtype"))):
                continue
            self._worst(found, tol, name)
            if found.problem or not found.error <= tol:
                which = f"result {i} of {len(got)}: " if len(got) > 1 else ""
                at = found.where if found.where is not None and y.shape == w.shape else None
                self.fail(
                    check, trial.sample, trial.dtype, which + (found.problem or "off by more than the tolerance"),
                    where=at, got=y[at].item() if at is not None else None, want=w[at].item() if at is not None else None,
                    error=found.error, tolerance=tol,
                )  # fmt: skip

    def _note(self, reason: str, found: Distance, tol: float) -> None:
        self.checked.add(reason)
        if found.problem or not found.error <= tol:
            self.excused.add(reason)

    def _worst(self, found: Distance, tol: float, dtype: str) -> None:
        r = self.result
        r.ulp = max(r.ulp or 0.0, found.ulp)
        if r.error is None or found.error / (tol or 1e-300) > r.error / (r.tolerance or 1e-300):
            r.error, r.tolerance, r.dtype = found.error, tol, dtype

    def _stale_reasons(self) -> None:
        """A reason for which nothing differs any more is wrong."""
        if self.dtypes is not None:
            return  # what differs may be in another dtype
        for reason in sorted(self.checked - self.excused):
            self.result.failures.append(
                Failure("record", "", None, f"agrees within the tolerance, so this reason no longer holds: {reason}")
            )

    # -- symbols ------------------------------------------------------------------------

    def symbols(self) -> None:
        """The symbolic result must have the shape and dtype of the real one, sizes that are unknown included."""
        if not self.case.symbolic:
            return
        for sample in self._some(self.samples, 6):
            dtype = (sample.dtypes or self.case.dtypes)[0]
            call = typed(Call(self.case, sample.args, sample.arguments), dtype)
            if call is None or not call.arrays():
                continue
            trial = self._trial(sample, call, dtype, False)
            if trial is None:
                continue
            got = self.attempt("value", trial, call.native(self.backend).run)
            if got is None:
                continue
            real = [(self.backend.shape(y), self.backend.dtype(y)) for y in tree.flatten(got)]
            self._symbol(trial, real, None, "")
            shapes = [a.shape for a in call.arrays()]
            if all(shapes):
                self._symbol(trial, real, lambda i, shape: (None, *shape[1:]), "with leading sizes unknown")
            for number, shape in enumerate(shapes):
                for axis in range(len(shape)):
                    def unknown(i: int, own: tuple, number: int = number, axis: int = axis) -> tuple:
                        return tuple(None if (i, a) == (number, axis) else d for a, d in enumerate(own))

                    self._symbol(trial, real, unknown, f"with size {axis} of tensor {number} unknown")

    def _symbol(self, trial: Trial, real: list, unknown: Callable | None, what: str) -> None:
        call = trial.call.symbolic(unknown)
        try:
            made = tree.flatten(call.run())
        except Exception as error:
            told = _told(error)
            if unknown is None or not _proper(error, self.case.name):
                self.fail("symbolic", trial.sample, trial.dtype, f"{what} it raised {told}".strip())
            return
        for t, (shape, dtype) in zip(made, real, strict=False):
            if not isinstance(t, KerasTensor):
                self.fail("symbolic", trial.sample, trial.dtype, f"{what} it answers a {type(t).__name__}".strip())
            elif t.dtype != dtype:
                self.fail("symbolic", trial.sample, trial.dtype, f"{what} dtype {t.dtype}; eagerly {dtype}".strip())
            elif not _fits(shape, t.shape):
                self.fail("symbolic", trial.sample, trial.dtype, f"{what} shape {t.shape}; eagerly {shape}".strip())
        if len(made) != len(real):
            self.fail("symbolic", trial.sample, trial.dtype, f"{what} {len(made)} results; eagerly {len(real)}".strip())
        self.result.cases += 1

    # -- errors -------------------------------------------------------------------------

    def errors(self) -> None:
        """Every bad call must be refused with its error, eagerly and symbolically."""
        for bad in self.case.errors:
            call = Call(self.case, bad.args, bad.arguments)
            kinds = [("eagerly", call.native)]
            if self.op is not None and any(isinstance(v, np.ndarray) for v in call.arrays()):
                kinds.append(("symbolically", lambda _: call.symbolic()))  # noqa: B023 - used in this pass only
            for how, made in kinds:
                self.result.cases += 1
                try:
                    made(self.backend).run()
                except Exception as error:
                    problem = _refusal(error, bad, self.case.name)
                else:
                    problem = "was not refused"
                if problem:
                    self.result.failures.append(Failure("error", repr(bad), None, f"{how} {problem}"))

    # -- the same values in other clothes -----------------------------------------------

    def variants(self) -> None:
        """Lists, strided, reversed and read-only arrays must give the same as plain ones, and stay as they are."""
        worth = [s for s in self.samples if any(a.size > 1 for a in Call(self.case, s.args, s.arguments).arrays())]
        for sample in self._some(worth, VARIED):
            dtype = next((d for d in (sample.dtypes or self.case.dtypes) if self.dtypes is None or d in self.dtypes), None)
            call = None if dtype is None else typed(Call(self.case, sample.args, sample.arguments), dtype)
            if call is None or not any(a.size for a in call.arrays()):
                continue
            trial = self._trial(sample, call, dtype, False)
            if trial is None:
                continue
            for name, leaf in variants(self.backend, dtype).items():
                given = call.map(lambda v, _, leaf=leaf: leaf(v) if isinstance(v, np.ndarray) else v)
                if name == "list" and not any(isinstance(v, list) for _, v in given.operands()):
                    continue
                got = self.attempt(name, trial, given.run)
                if got is None:
                    continue
                if name != "list":
                    self.structure(name, trial, got)
                self.compare(name, trial, self.numpy(got), trial.want)
                self.unchanged(name, trial, given)

    def unchanged(self, check: str, trial: Trial, given: Call) -> None:
        """The op must not have written into its arguments."""
        for (_, before), (_, after) in zip(trial.call.operands(), given.operands(), strict=True):
            if isinstance(before, np.ndarray) and not isinstance(after, (list, tuple)):
                now = self.backend.numpy(after)
                if now.shape != before.shape or now.tobytes() != before.tobytes():
                    self.fail(check, trial.sample, trial.dtype, "an argument was changed by the call")

    # -- compiled -----------------------------------------------------------------------

    def compiled(self) -> None:
        """Inside the framework's compiler an op must give the same."""

    # -- gradients ----------------------------------------------------------------------

    def gradients(self) -> None:
        if not self.case.grad or (self.dtypes is not None and "float64" not in self.dtypes):
            return
        second = 0
        for number, sample in enumerate(self.samples):
            if not (sample.grad or sample.gradient is not None) or "float64" not in (sample.dtypes or ("float64",)):
                continue
            call = typed(Call(self.case, sample.args, sample.arguments), "float64")
            if call is None or not gradients.differentiable(self.case, sample, call):
                continue
            trial = self._trial(sample, call, "float64", False)
            if trial is None:
                continue
            twice = bool(sample.grad) and (self.full or second < TWICE_DIFFERENTIATED)
            found = self.attempt("gradient", trial, lambda: gradients.check(self.case, trial, number, twice, self.backend))
            if found is None:
                continue
            second += twice
            for order, error, tol, problem in found:
                self._gradient(trial, order, error, tol, problem)

    def _gradient(self, trial: Trial, order: str, error: float, tol: float, problem: str | None) -> None:
        r = self.result
        r.cases += 1
        loose = self.case.differs_tol.get(self.backend.name, {}).get("grad")
        if loose is not None:
            self._note(self.reason, Distance(error, problem=problem), tol)
            tol = loose
        if r.gradient_error is None or error / tol > r.gradient_error / (r.gradient_tolerance or 1e-300):
            r.gradient_error, r.gradient_tolerance = error, tol
        own = trial.sample.differs.get(self.backend.name)
        if problem or not error <= tol:
            if own:
                self.excused.add(own)
            else:
                problem = problem or "off by more than the tolerance"
                self.fail(order, trial.sample, trial.dtype, problem, error=error, tolerance=tol)

    # -- pieces -------------------------------------------------------------------------

    def _some(self, samples: Sequence[Sample], count: int) -> Sequence[Sample]:
        return samples if self.full else samples[:count]

    def attempt(self, check: str, trial: Trial, run: Callable) -> Any:
        """What `run` gives; None, and a failure, if it raises."""
        try:
            return run()
        except Exception as error:
            found = re.match(r"(\w+): not available on the (\w+) backend", str(error))
            if isinstance(error, NotImplementedError) and found and found[1] in self.backend.unsupported:
                raise Unsupported(self.backend.unsupported[found[1]]) from None
            own = trial.sample.differs.get(self.backend.name)
            if own:
                self.checked.add(own)
                self.excused.add(own)
            else:
                self.fail(check, trial.sample, trial.dtype, f"raised {_told(error)}")
            return None

    def numpy(self, got: Any) -> list[np.ndarray]:
        return [np.asarray(self.backend.numpy(y)) for y in tree.flatten(got)]

    def fail(self, check: str, sample: Sample, dtype: str | None, problem: str, **more: Any) -> None:
        self.result.failures.append(Failure(check, repr(sample), dtype, problem, **more))

    def _rerun(self, failure: Failure, backend: str) -> str:
        dtype = f" --dtype {failure.dtype}" if failure.dtype else ""
        return f"kcore conform --backend {backend} --op {self.case.name}{dtype}{' --full' if self.full else ''}"


def samples_of(case: Case) -> list[Sample]:
    """The samples of a record, drawn if they are a function of a generator."""
    if callable(case.samples):
        return list(case.samples(np.random.default_rng(list(case.name.encode()))))
    return list(case.samples)


def tolerance(case: Case, dtype: str) -> float:
    """The record's tolerance for results of that dtype.

    For one it does not name, it is as many units in the last place as for float32, and no
    less than a few.
    """
    if dtype not in EXACT_TO_ROUNDING:
        return 0.0
    if dtype in case.tol:
        return case.tol[dtype]
    parts = dtypes.real_of(dtype)
    if parts in case.tol:
        return 2 * case.tol[parts]
    scale = case.tol.get("float32", 0.0) / EXACT_TO_ROUNDING["float32"]
    return EXACT_TO_ROUNDING[dtype] * max(1.0, scale)


def bound_to_body(backend: Any, op: Any, args: tuple) -> Callable:
    """What would run for these arguments if the backend had no function of its own for the op."""
    own = backend.ops.pop(op.name)
    try:
        return op._bind(backend, args)
    finally:
        backend.ops[op.name] = own


def variants(backend: Any, dtype: str) -> dict[str, Callable[[np.ndarray], Any]]:
    """Ways to hand over the same values, by name."""
    from kcore import ops

    def strided(x: np.ndarray) -> np.ndarray:
        wide = np.zeros([2 * d for d in x.shape], x.dtype)
        view = wide[tuple(slice(None, None, 2) for _ in x.shape)]
        view[...] = x
        return view

    def backwards(x: np.ndarray) -> np.ndarray:
        flip = tuple(slice(None, None, -1) for _ in x.shape)
        return x[flip].copy()[flip]

    def read_only(x: np.ndarray) -> np.ndarray:
        x = x.copy()
        x.flags.writeable = False
        return x

    def listed(x: np.ndarray) -> Any:
        # Lists hold no dtype: floats become float32, integers int32.
        return x.tolist() if x.ndim and x.size and x.dtype in (np.float32, np.int32, np.bool_) else x

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


def _expected(expected: Any, like: list[np.ndarray]) -> list[np.ndarray]:
    """`expect` as a flat list of arrays, as the formula's results are."""
    if len(like) == 1:
        return [np.asarray(expected)]
    return [np.asarray(e) for e in expected]


def _fits(shape: tuple, allowed: tuple) -> bool:
    return len(shape) == len(allowed) and all(a is None or a == d for d, a in zip(shape, allowed, strict=True))


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


def _proper(error: Exception, name: str) -> bool:
    """Whether it is an error for the user, and no accident of arithmetic on None."""
    text = str(error)
    return isinstance(error, (ValueError, TypeError, IndexError)) and text.startswith(f"{name}: ") and "NoneType" not in text


def _refusal(error: Exception, bad: Any, name: str) -> str | None:
    """What is wrong with the error of a bad call; None if nothing."""
    if not isinstance(error, bad.error):
        kinds = bad.error if isinstance(bad.error, tuple) else (bad.error,)
        return f"raised {_told(error)}; expected {' or '.join(k.__name__ for k in kinds)}"
    if not str(error).startswith(f"{name}: "):
        return f"raised {_told(error)}; the message should start with {name!r}"
    if not re.search(bad.match, str(error)):
        return f"raised {_told(error)}; the message should match {bad.match!r}"
    return None
