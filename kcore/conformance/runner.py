"""Runs the records over backends."""

from __future__ import annotations

import contextlib
import fnmatch
import importlib
import pkgutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import kcore.backends
import kcore.dtypes
import kcore.ops
from kcore.conformance import devices
from kcore.conformance.checks import Check
from kcore.conformance.record import CASES, Case
from kcore.conformance.results import FAIL, NO_RECORD, Failure, Result
from kcore.conformance.trials import Trials
from kcore.ops.mechanism import REGISTRY

# How many ops are checked before a backend forgets what it has compiled.
FORGET_AFTER, FORGET_AFTER_IN_FULL = 64, 16
checked: Counter[str] = Counter()  # backend -> ops checked in this process

Progress = Callable[[Result, int, int], None]


class UnknownName(ValueError):
    """A backend, op or dtype that is asked for is not there."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came during a run; `results` holds what was done by then."""

    def __init__(self, results: list[Result]) -> None:
        super().__init__()
        self.results = results


def load_records() -> dict[str, Exception]:
    """Imports every module of this package, so that `CASES` is filled; what could not be imported, and why."""
    import kcore.conformance as package

    broken: dict[str, Exception] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        try:
            importlib.import_module(module.name)
        except Exception as error:
            broken[module.name] = error
    return broken


def run(
    backends: Sequence[str] | None = None,
    ops: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    full: bool = False,
    progress: Progress | None = None,
    device: str | None = None,
    done: Mapping[tuple[str, str], Result] | None = None,
) -> list[Result]:
    """Checks ops on backends against their records.

    Args:
        backends: Names; None is every installed one.
        ops: Names or shell patterns; None is every op, and then one without a record fails.
        dtypes: The dtypes to check values in; None is those of each record. Gradients are
            checked in float64, so where it is left out, they are not.
        full: Every sample in every dtype that its op takes, all variants and second gradients.
        progress: Called as progress(result, done, total) after each op and backend.
        device: Where the backends run, as "cpu" or "cuda:0"; None is each one's default.
        done: (op, backend) -> what an earlier run has found; taken as it is.

    Returns:
        A Result for each op and backend, ops in the order of their records.

    Raises:
        UnknownName: A backend, its device or a dtype is unknown, or no op matches; a ValueError.
        ImportError: A backend's framework is not installed.
        Interrupted: Ctrl-C; it holds the results by then.
    """
    broken = load_records()
    try:
        dtypes = None if dtypes is None else [kcore.dtypes.name_of(d) for d in dtypes]
        names = kcore.backends.installed() if backends is None else backends
        loaded = [kcore.backends.load(name) for name in names]
        for backend in loaded:
            devices.on(backend, device)
        jobs = chosen(ops)
    except ValueError as error:
        raise UnknownName(str(error)) from None
    results = [] if ops is not None else [_unreadable(module, error) for module, error in broken.items()]
    earlier, total, count = done or {}, len(jobs) * len(loaded), 0
    try:
        with _quiet():
            for name, case in jobs:
                trials = None if case is None else Trials(case, dtypes, full)
                for backend in loaded:
                    result = earlier.get((name, backend.name))
                    if result is None:
                        result = _checked(name, trials, backend, device)
                        _free(backend, FORGET_AFTER_IN_FULL if full else FORGET_AFTER)
                    results.append(result)
                    count += 1
                    if progress is not None:
                        progress(result, count, total)
    except KeyboardInterrupt:
        raise Interrupted(results) from None
    return results


def _checked(name: str, trials: Trials | None, backend: Any, device: str | None) -> Result:
    if trials is None:
        return Result(name, backend.name, NO_RECORD)
    with devices.on(backend, device):
        return Check(trials, backend, devices.factors(backend, device)).run()


def _free(backend: Any, after: int) -> None:
    """Has a backend forget what it has compiled, after every so many ops: it is gigabytes for all of them."""
    checked[backend.name] += 1
    if checked[backend.name] % after == 0:
        backend.forget_compiled()


def known() -> dict[str, Case | None]:
    """Every op with its record, those that have one first. Call `load_records` before."""
    _ = kcore.ops  # declares the ops that have no record either
    return {**CASES, **{name: None for name in REGISTRY if name not in CASES}}


def chosen(patterns: Sequence[str] | None) -> list[tuple[str, Case | None]]:
    """(name, record) of the ops to check."""
    found = known()
    if patterns is None:
        return list(found.items())
    for pattern in patterns:
        if not fnmatch.filter(found, pattern):
            raise ValueError(f"No op matches {pattern!r}.")
    return [(name, case) for name, case in found.items() if any(fnmatch.fnmatchcase(name, p) for p in patterns)]


def _unreadable(module: str, error: Exception) -> Result:
    problem = f"the records can't be imported: {type(error).__name__}: {error}"
    return Result(module, "-", FAIL, failures=[Failure("record", "", None, problem, rerun=f"python -m {module}")])


@contextlib.contextmanager
def _quiet() -> Iterator[Any]:
    """Warnings of overflow, invalid values and the like are no news here: samples are there to provoke them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
