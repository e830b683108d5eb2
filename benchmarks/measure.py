"""Timing in one process: subjects in turns, and whether their results agree."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .rows import Subject

ROUNDS = 5
SHORTEST = 2e-4  # seconds of one sample: a call that is shorter is made several times
BURST = 3  # samples of one subject in a row: the first finds caches full of another's arrays
LONG = 0.1  # seconds of a sample to which that matters no more
HOPELESS = 8  # times slower than the fastest, and slow: timed once


@dataclass
class Timing:
    """What one peer took: the least of each round of turns, by both clocks, in seconds."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, samples: Sequence[tuple[float, float]]) -> None:
        """One more round: (wall, cpu) of each sample."""
        self.wall.append(min(w for w, _ in samples))
        self.cpu.append(min(c for _, c in samples))


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def sample(run: Callable[[], Any], count: int = 1) -> tuple[float, float]:
    """Seconds of one call by the wall's clock and by the CPU's, over `count` calls."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - wall) / count, (cpu_seconds() - cpu) / count


def in_turns(subjects: Mapping[str, Subject], seconds: float) -> dict[str, Timing]:
    """Times the subjects in turns, so that a busy moment of the machine meets them all.

    Args:
        subjects: By peer; each has run at least once.
        seconds: To spend; each subject gets its turns even so.
    """
    took = {peer: min(sample(s.run)[0] for _ in range(2)) for peer, s in subjects.items()}
    counts = {peer: max(1, math.ceil(SHORTEST / t)) for peer, t in took.items()}
    fastest = min(took.values())
    timings = {peer: Timing() for peer in subjects}
    for i in range(ROUNDS):
        active = [p for p, t in took.items() if i == 0 or t < max(HOPELESS * fastest, 10 * SHORTEST)]
        end = time.perf_counter() + seconds / ROUNDS
        samples: dict[str, list[tuple[float, float]]] = {peer: [] for peer in active}
        while True:
            for peer in active:
                burst = BURST if took[peer] < LONG else 1
                samples[peer] += [sample(subjects[peer].run, counts[peer]) for _ in range(burst)]
            if time.perf_counter() >= end:
                break
        for peer in active:
            timings[peer].add(samples[peer])
    return timings


def difference(own: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """How far results part, in units of the largest number of each array of `own`.

    An array whose numbers are a thousandth of another's at most, as the gradient by a bias that changes nothing,
    holds rounding errors alone: it is measured by a thousandth of the other's. Infinite where shapes differ, or
    where a nan or infinity meets a number.
    """
    if [a.shape for a in own] != [b.shape for b in other]:
        return math.inf
    own, other = ([a.astype("float64") for a in arrays] for arrays in (own, other))
    finite = [np.isfinite(a) for a in own]
    if not all(np.array_equal(f, np.isfinite(b)) for f, b in zip(finite, other)):
        return math.inf
    sizes = [np.abs(a[f]).max(initial=0.0) for a, f in zip(own, finite)]
    least = max(max(sizes, default=0.0) / 1000, float(np.finfo("float32").tiny))
    gaps = [np.abs(a[f] - b[f]).max(initial=0.0) for a, b, f in zip(own, other, finite)]
    return max((float(gap / max(size, least)) for gap, size in zip(gaps, sizes)), default=0.0)
