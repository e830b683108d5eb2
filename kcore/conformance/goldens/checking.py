"""Holds a backend to a golden."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kcore import backends, dtypes
from kcore.conformance import devices, runner
from kcore.conformance.comparison import Distance, distance
from kcore.conformance.goldens import files
from kcore.conformance.goldens.calls import Recorded, widened
from kcore.conformance.goldens.files import SHIPPED, Golden, GoldenError
from kcore.conformance.results import DIFFERS, FAIL, UNSUPPORTED, Failure, Result

# How many ops are compiled at once, where a backend compiles: one by one they take twice as long.
TOGETHER = 32


def check(
    golden: Golden | str | os.PathLike,
    backend: str | Sequence[str],
    ops: Sequence[str] | None = None,
    device: str | None = None,
    samples: int | None = None,
    progress: runner.Progress | None = None,
    done: Mapping[tuple[str, str], Result] | None = None,
) -> list[Result]:
    """Checks one backend or several against a golden.

    Args:
        golden: What `read` or `record` gives, or the folder.
        backend: A name, or several.
        ops: Names or shell patterns of ops to check; None is every entry.
        device: Where they run, as "cpu" or "cuda:0"; None is each one's default.
        samples: Only so many calls of each op; None is all.
        progress: Called as progress(result, done, total) after each op.
        done: (op, backend) -> what an earlier run has found; taken as it is.

    Returns:
        A Result for each op and backend, in the golden's order; a model's is called "model.keras".

    Raises:
        UnknownName: The backend or device is unknown, or the golden has no such op; a ValueError.
        GoldenError: A file is damaged or of another format version; a ValueError.
        ImportError: The backend's framework is not installed.
        Interrupted: Ctrl-C; it holds the results by then.
    """
    given = golden if isinstance(golden, Golden) else files.read(golden)
    try:
        loaded = [backends.load(name) for name in ([backend] if isinstance(backend, str) else backend)]
        for each in loaded:
            devices.on(each, device)
    except ValueError as error:
        raise runner.UnknownName(str(error)) from None
    groups = {name: entries[:samples] for name, entries in _chosen(given, ops).items()}
    total, results = len(groups) * len(loaded), []

    def note(result: Result) -> None:
        results.append(result)
        if progress is not None:
            progress(result, len(results), total)

    try:
        for each in loaded:
            with devices.on(each, device), backends.use(each), runner._quiet(), np.errstate(all="ignore"):
                earlier = {n: r for (n, b), r in (done or {}).items() if b == each.name}
                _on_backend(each, groups, given, devices.factors(each, device), earlier, note)
    except KeyboardInterrupt:
        raise runner.Interrupted(results) from None
    order = {name: i for i, name in enumerate(groups)}
    return sorted(results, key=lambda r: order[r.op])


def _on_backend(
    backend: Any,
    groups: Mapping[str, list[dict[str, Any]]],
    golden: Golden,
    factors: Mapping[str, float],
    earlier: Mapping[str, Result],
    note: Callable[[Result], None],
) -> None:
    for batch in _batches(groups, TOGETHER if backend.compiles_shapes else 1):
        checks = {n: _Check(n, groups[n], golden, backend, factors) for n in batch if n not in earlier}
        ready = _together(list(checks.values()), backend)
        for name in batch:
            result = earlier[name] if name in earlier else checks[name].run(ready.get(name))
            if result.failed and name in ready:  # a hasty compilation rounds otherwise here and there: as users run it
                result = _Check(name, groups[name], golden, backend, factors).run(None)
            note(result)
        if backend.compiles_shapes:
            backend.forget_compiled()


def _chosen(golden: Golden, patterns: Sequence[str] | None) -> dict[str, list[dict[str, Any]]]:
    """The entries by the name of their op or model, those that match."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in golden.entries:
        groups.setdefault(entry.get("op") or entry["model"], []).append(entry)
    if patterns is None:
        return groups
    for pattern in patterns:
        if not fnmatch.filter(groups, pattern):
            raise runner.UnknownName(f"The golden has no op {pattern!r}.")
    return {n: e for n, e in groups.items() if any(fnmatch.fnmatchcase(n, p) for p in patterns)}


def _batches(names: Iterable[str], size: int) -> Iterator[list[str]]:
    left = list(names)
    while left:
        yield left[:size]
        left = left[size:]


def _together(checks: list[_Check], backend: Any) -> dict[str, list[Any]]:
    """name -> results of its calls, of ops that can be compiled, from one compilation; nothing if one of them fails."""
    if not backend.compiles_shapes:
        return {}
    fit = [c for c in checks if c.calls and all(call.entry.get("static") for call in c.calls)]

    def run(*flat: Any) -> list[Any]:
        left = iter(flat)
        return [[call.results(backend, {n: next(left) for n in call.inputs}) for call in c.calls] for c in fit]

    begun = time.perf_counter()
    try:
        arrays = [x for c in fit for call in c.calls for x in call.inputs.values()]
        found = backend.jit(run, hastily=True)(*map(backend.as_step_input, arrays))
    except Exception:
        if len(fit) < 2:
            return {}  # the call by itself will tell
        halves = fit[: len(fit) // 2], fit[len(fit) // 2 :]
        return _together(halves[0], backend) | _together(halves[1], backend)
    for c in fit:
        c.result.seconds = (time.perf_counter() - begun) / len(fit)
    return dict(zip([c.result.op for c in fit], found, strict=True))


class _Check:
    """The entries of one op on one backend; what is found goes into `result`."""

    def __init__(
        self,
        name: str,
        entries: list[dict[str, Any]],
        golden: Golden,
        backend: Any,
        factors: Mapping[str, float],
    ) -> None:
        self.result, self.golden, self.backend, self.factors = Result(name, backend.name), golden, backend, factors
        self.needed: list[str] = []  # reasons for which values differ
        self.calls: list[Recorded] = []
        for entry in entries:
            try:
                self.calls.append(self._recorded(entry))
            except GoldenError:
                raise
            except (ValueError, KeyError, TypeError) as error:
                raise GoldenError(f"{self._folder() / files.MANIFEST} is wrong at {entry['id']}: {error}") from None
            except LookupError as error:
                self._fail("golden", entry, str(error))

    def run(self, ready: list[Any] | None) -> Result:
        """Compares the results, which are computed here unless they are `ready`."""
        begun, result = time.perf_counter(), self.result
        for i, call in enumerate(self.calls):
            try:
                found = ready[i] if ready else call.results(self.backend, call.tensors(self.backend))
            except Exception as error:
                if self._unsupported(error):
                    return Result(result.op, result.backend, UNSUPPORTED, str(error))
                self._raised(call, error)
            else:
                self._compare(call, *found)
        if result.failures:
            result.verdict = FAIL
        elif self.needed:
            result.verdict, result.reason = DIFFERS, "; ".join(dict.fromkeys(self.needed))
        result.seconds += time.perf_counter() - begun
        return result

    def _recorded(self, entry: dict[str, Any]) -> Recorded:
        if "model" not in entry:
            return Recorded(entry, self.golden.arrays)
        from kcore.conformance.goldens.models import RecordedModel

        return RecordedModel(entry, self.golden.arrays, self._folder())

    def _folder(self) -> Any:
        return self.golden.folder or files.Path()

    def _unsupported(self, error: Exception) -> bool:
        return isinstance(error, NotImplementedError) and any(
            f"{name}: not available on the {self.backend.name} backend" in str(error)
            for name in self.backend.unsupported
        )

    def _raised(self, call: Recorded, error: Exception) -> None:
        lines = str(error).strip().splitlines() or [""]
        problem = f"raised {type(error).__name__}: {lines[0][:300]}"
        self.result.cases += 1
        if self._allowed(call.entry, Distance(np.inf, problem=problem), 0.0) is not None:
            self._fail("golden", call.entry, problem)

    def _compare(self, call: Recorded, results: Sequence[Any], gradients: Sequence[Any]) -> None:
        entry = call.entry
        if len(results) != len(call.wanted):
            self._fail("golden", entry, f"{len(results)} results instead of {len(call.wanted)}")
            return
        many = len(results) > 1
        for i, (y, want, output) in enumerate(zip(results, call.wanted, entry["outputs"], strict=True)):
            which = f"result {i}: " if many else ""
            if not self.backend.is_tensor(y):
                self._fail("golden", entry, f"{which}a {type(y).__name__}, no tensor of this backend")
                continue
            if self.backend.dtype(y) != output["given"]:
                self._fail("golden", entry, f"{which}dtype {self.backend.dtype(y)} instead of {output['given']}")
                continue
            got = np.asarray(self.backend.numpy(y))
            tol = output["tolerance"] * self.factors.get(output["given"], 1.0)
            measure = _unordered if output.get("compare") == "unordered" else distance
            self._hold("golden", call, which, got, want, tol, measure)
        for g, said in zip(gradients, entry.get("gradients", ()), strict=True):
            name = said.get("argument") or said["variable"]
            got = widened(np.asarray(self.backend.numpy(g)))
            tol = said["tolerance"] * self.factors.get(entry["dtype"], 1.0)
            self._hold("golden gradient", call, f"by {name}: ", got, call.reader.array(said), tol, distance)

    def _hold(
        self, what: str, call: Recorded, which: str, got: np.ndarray, want: np.ndarray, tol: float, measure: Callable
    ) -> None:
        result = self.result
        result.cases += 1
        found = measure(got, want)
        allowed = self._allowed(call.entry, found, tol)
        if allowed is None:
            return
        result.note(found.error, allowed, dtypes.name_of(got.dtype), found.ulp, gradient=what == "golden gradient")
        if found.problem or not found.error <= allowed:
            more: dict[str, Any] = {"error": found.error, "tolerance": allowed}
            if found.where is not None:
                more |= {"where": found.where, "got": got[found.where].item(), "want": want[found.where].item()}
            self._fail(what, call.entry, which + (found.problem or "off by more than the tolerance"), **more)

    def _allowed(self, entry: Mapping[str, Any], found: Distance, tol: float) -> float | None:
        """The tolerance after what the golden says of this backend; None where any value may be."""
        said = entry.get("differs", {}).get(self.backend.name)
        if said is None:
            return tol
        if found.problem or not found.error <= tol:
            self.needed.append(said["reason"])
        if found.problem is not None and found.problem.startswith("shape"):
            return tol
        return None if said["tolerance"] is None else max(tol, said["tolerance"])

    def _fail(self, what: str, entry: Mapping[str, Any], problem: str, **more: Any) -> None:
        folder = "" if self.golden.folder in (None, SHIPPED) else f" {self.golden.folder}"
        chosen = f" --op {entry['op']}" if "op" in entry else ""
        rerun = f"kcore golden check{folder} --backend {self.backend.name}{chosen}"
        self.result.failures.append(
            Failure(what, f"{entry['id']}: {entry.get('call', '')}", entry.get("dtype"), problem, rerun=rerun, **more)
        )


def _unordered(got: np.ndarray, want: np.ndarray) -> Distance:
    """Compares numbers along the last axis, or columns of square matrices, that may come in any order."""
    if got.shape != want.shape:
        return Distance(problem=f"shape {got.shape} instead of {want.shape}")
    columns = want.ndim > 1 and want.shape[-1] == want.shape[-2]
    worst = Distance()
    for index in np.ndindex(want.shape[: -2 if columns else -1]):
        g, w = (a[index].T if columns else a[index][:, None] for a in (got, want))
        gaps = np.abs(g[:, None] - w[None]).max(-1)
        nearest = gaps.argmin(1)
        if len(set(nearest.tolist())) < len(nearest):
            return Distance(np.inf, problem="two results are nearest to one that is wanted")
        error = float((gaps.min(1) / np.maximum(1, np.abs(w[nearest]).max(-1))).max(initial=0.0))
        worst = max(worst, Distance(error), key=lambda d: d.error)
    return worst
