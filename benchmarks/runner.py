"""Runs rows: starts the workers, has peers take turns, collects results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import measure, peers
from .rows import OWN, Row
from .worker import Worker, WorkerError

MOST_ROUNDS = 10  # of rows whose peers have processes of their own
SPUN_OUT = 0.3  # seconds after which idle threads of a peer, which wait for work in a loop, have gone to sleep


@dataclass
class Result:
    """What was found for a row.

    Attributes:
        clock: "cpu" or "wall": the one by which `rounds` are counted.
        rounds: Peer -> its least time (or its number) in each round of turns.
        other: Peer -> its least time by the other clock, where there is one.
        problem: Why it was not measured: whose result differs, or what failed. Empty otherwise.
        absent: Peers whose library is not installed.
    """

    key: str
    unit: str
    threads: int
    goal: float | None
    clock: str
    rounds: dict[str, list[float]] = field(default_factory=dict)
    other: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    absent: list[str] = field(default_factory=list)

    @property
    def best(self) -> dict[str, float]:
        return {peer: min(times) for peer, times in self.rounds.items()}

    @property
    def fastest(self) -> str | None:
        """The best peer that is not kcore."""
        rivals = {p: b for p, b in self.best.items() if p.partition("-")[0].partition(" ")[0] != OWN}
        rivals = rivals or {p: b for p, b in self.best.items() if p != OWN}  # kcore against kcore, as threads are
        return min(rivals, key=lambda p: rivals[p]) if rivals else None

    @property
    def ratio(self) -> float | None:
        """The fastest peer's time / kcore's."""
        if self.fastest is None or not self.best.get(OWN):
            return None
        return self.best[self.fastest] / self.best[OWN]

    def spread(self, peer: str) -> float:
        """How much longer the middle round took than the best: what a repetition may differ by."""
        times = sorted(self.rounds[peer])
        return times[len(times) // 2] / times[0] - 1 if times[0] > 0 else 0.0


class Interrupted(Exception):
    """Ctrl-C, with the results by then."""

    def __init__(self, results: list[Result]) -> None:
        super().__init__("interrupted")
        self.results = results


def run(
    rows: Sequence[Row],
    only: Callable[[str], bool] = lambda peer: True,
    clock: str | None = None,
    effort: float = 1.0,
    told: Callable[[Result, int, int], None] = lambda result, done, total: None,
) -> list[Result]:
    """Measures rows.

    Args:
        rows: What to measure.
        only: Whether a peer takes part; kcore always does.
        clock: "cpu" or "wall"; for None, cpu for one thread and wall for several.
        effort: Times the seconds that each row asks for.
        told: Called after each row with its result, how many are done, and of how many.

    Raises:
        Interrupted: Ctrl-C.
    """
    results: list[Result] = []
    with _Staff() as staff:
        try:
            for row in rows:
                results.append(_measured(row, staff, only, clock, effort))
                told(results[-1], len(results), len(rows))
        except KeyboardInterrupt:
            raise Interrupted(results) from None
    return results


class _Staff:
    """Workers, kept for the rows to come."""

    def __init__(self) -> None:
        self.workers: dict[tuple[str | None, int], Worker] = {}

    def __enter__(self) -> _Staff:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss(list(self.workers))

    def worker(self, peer: str | None, threads: int) -> Worker:
        key = (peer, threads)
        if key not in self.workers:
            self.workers[key] = Worker(peer, threads)
        return self.workers[key]

    def dismiss(self, keys: Iterable[tuple[str | None, int]]) -> None:
        for key in keys:
            if key in self.workers:
                self.workers.pop(key).close()


def _measured(row: Row, staff: _Staff, only: Callable[[str], bool], clock: str | None, effort: float) -> Result:
    asked = [peer for peer in row.peers if peer == OWN or only(peer)]
    absent = [peer for peer in asked if peers.missing(peer)]
    here = [peer for peer in asked if peer not in absent]
    used = clock or ("cpu" if row.threads == 1 else "wall")
    result = Result(row.key, row.unit, row.threads, row.goal, used if row.unit == "s" else "none", absent=absent)
    own = [(peer, row.threads_of(peer)) for peer in here] if row.apart else [(None, row.threads)]
    try:
        if not row.apart:
            _together(row, here, staff.worker(*own[0]), result, effort)
        else:
            _apart(row, here, staff, result, effort)
    except WorkerError as error:
        result.problem = str(error).strip()
        result.rounds.clear()
        staff.dismiss(own)
    if row.unit != "s":
        staff.dismiss(own)  # memory is measured in a fresh process
    return result


def _together(row: Row, here: list[str], worker: Worker, result: Result, effort: float) -> None:
    said = worker.ask(do="together", row=row.key, names=here, seconds=row.seconds * effort)
    result.problem = _apart_from(row, said["gaps"])
    for peer, timing in said["timings"].items():
        _note(result, peer, timing["wall"], timing["cpu"])


def _apart(row: Row, here: list[str], staff: _Staff, result: Result, effort: float) -> None:
    workers = {peer: staff.worker(peer, row.threads_of(peer)) for peer in here}
    found = {peer: worker.build(row.key, peer) for peer, worker in workers.items()}
    result.problem = _apart_from(row, {p: measure.difference(found[OWN], f) for p, f in found.items() if p != OWN})
    if result.problem:
        return
    if row.unit != "s":
        result.rounds = {peer: [float(worker.sample())] for peer, worker in workers.items()}
        return
    first = {peer: worker.sample()[0] for peer, worker in workers.items()}  # compiles, too
    timings = {peer: measure.Timing() for peer in workers}
    end = time.perf_counter() + row.seconds * effort
    for i in range(MOST_ROUNDS):
        for peer, worker in workers.items():
            if i < 2 or first[peer] < measure.HOPELESS * min(first.values()):
                if row.threads > 1:
                    time.sleep(SPUN_OUT)
                timings[peer].add([worker.sample()])
        if i > 1 and time.perf_counter() > end:
            break
    for peer, timing in timings.items():
        _note(result, peer, timing.wall, timing.cpu)


def _apart_from(row: Row, gaps: dict[str, float]) -> str:
    """Whose results are too far from kcore's."""
    far = [f"{peer} by {gap:.1e}" for peer, gap in gaps.items() if not gap <= row.tolerance]
    return f"Not timed, for results differ from kcore's: {', '.join(far)}; {row.tolerance:.0e} would do." if far else ""


def _note(result: Result, peer: str, wall: list[float], cpu: list[float]) -> None:
    used, other = (cpu, wall) if result.clock == "cpu" else (wall, cpu)
    result.rounds[peer], result.other[peer] = used, min(other)


def environment() -> dict[str, Any]:
    """The machine and the versions that results were found with."""
    import importlib.metadata

    from kcore.cli import info

    versions = {}
    for name in peers.DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    known = info.collect()
    cpu = known["cpu"]
    return {
        "kcore": known["kcore"],
        "simd": (known["extension"] or {}).get("simd"),
        "python": known["python"],
        "platform": known["platform"],
        "cpu": f"{cpu['model']}, {cpu['usable']} of {cpu['count']} processors usable",
        "versions": versions,
    }
