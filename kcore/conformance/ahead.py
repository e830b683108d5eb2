"""What a check computes ahead on a backend that compiles each shape: many calls from few compilations, two of most records."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kcore import dtypes, tree
from kcore.conformance.calls import Call, opened
from kcore.conformance.trials import Trial

if TYPE_CHECKING:
    from kcore.conformance.checks import Check

# How many calls are compiled as one, at most: the time grows faster than their number.
TOGETHER = 64

Job = tuple[Any, tuple[Callable, list[np.ndarray]]]  # (key, (function, arrays))


def compute(check: Check) -> None:
    """Fills `check.ready` with what it can; the rest is run one by one later.

    In full runs too. It leaves one trial of an op's own function to be run eagerly.
    """
    eager = check.eager()
    groups: dict[bool, dict[tuple[str, Trial], tuple[Callable, list]]] = {False: {}, True: {}}
    for trial in check.trials:
        if not check.compilable(trial) or (check.thin and check.spared(trial)):
            continue
        group = groups[any(dtypes.is_wide(dtypes.name_of(a.dtype)) for a in trial.call.arrays())]
        if trial is not eager:
            group["value", trial] = opened(Call.run, trial.call)
        if check.by_body(trial):
            group["body", trial] = opened(functools.partial(check.run_body, trial), trial.call)
    for probe in check.probes():
        if check.compilable(probe.trial):
            groups[True]["gradient", probe.trial] = (probe.both if probe.twice else probe.first, probe.inputs)
    for group in groups.values():
        for (name, trial), got in _in_batches(check.backend, list(group.items())):
            # What is off is run again by itself, as users run it: some functions need the compiler's fused
            # multiply-add to round once, and a hasty compilation has none.
            if name == "gradient" or _agrees(check, trial, got):
                check.ready[name, trial] = got


def _agrees(check: Check, trial: Trial, got: Any) -> bool:
    arrays = [np.asarray(check.backend.numpy(y)) for y in tree.flatten(got)]
    if len(arrays) != len(trial.want):
        return False
    for y, w in zip(arrays, trial.want, strict=True):
        tol = check.tolerance_of(y)
        found = check.distance_of(y, w, tol, signs=False)
        if found.problem or not found.error <= tol:
            return False
    return True


def _in_batches(backend: Any, jobs: list[Job]) -> Iterator[tuple[Any, Any]]:
    for start in range(0, len(jobs), TOGETHER):
        yield from together(backend, jobs[start : start + TOGETHER])


def together(backend: Any, jobs: Sequence[Job]) -> list[tuple[Any, Any]]:
    """(key, function(*arrays)) for each job, from one compilation, without those that fail."""
    functions = [function for _, (function, _) in jobs]
    arrays = [backend.as_step_input(x) for _, (_, some) in jobs for x in some]
    ends = np.cumsum([0, *(len(some) for _, (_, some) in jobs)])

    def run(*flat: Any) -> list[Any]:
        return [f(*flat[i:j]) for f, i, j in zip(functions, ends, ends[1:])]

    try:
        found = backend.jit(run, hastily=True)(*arrays) if jobs else []
        return [(key, y) for (key, _), y in zip(jobs, found, strict=True)]
    except Exception:
        half = len(jobs) // 2  # one that fails alone will be run again, and tell why
        return together(backend, jobs[:half]) + together(backend, jobs[half:]) if half else []
