"""What the kernel benchmarks share: one thread, peers taking turns, ratios of minimums.

Import it before NumPy and the frameworks: they read the environment when they start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "KCORE_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

Calls = dict[str, Callable]


def minimums(calls: Calls, seconds: float = 1.0) -> dict[str, float]:
    """The least time of each call, in turns, so that a busy moment of the machine meets them all.

    Wall-clock time: a process's CPU time lags behind for threads that still run, as JAX's do."""
    best = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(best.values()) == float("inf"):
        for name, call in calls.items():
            for _ in range(3):
                start = time.perf_counter()
                call()
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def table(rows: Iterator[tuple[str, Calls]], words: list[str], seconds: float = 2.0) -> None:
    """Prints, for each row, kcore's time and how many times that the others take; only rows with one of `words`."""
    for name, calls in rows:
        if words and not any(w in name for w in words):
            continue
        best = minimums(calls, seconds)
        own = best.pop("kcore")
        fastest = min(best.values()) / own
        peers = "  ".join(f"{peer} {spent / own:.2f}" for peer, spent in best.items())
        print(f"{name:44} kcore {own * 1e3:8.3f} ms  ratio {fastest:5.2f}  ({peers})", flush=True)


def pick(calls: Calls, peer: str) -> Callable:
    """One peer's call, for pytest-benchmark; skips where there is none."""
    import pytest

    if peer not in calls:
        pytest.skip(f"no {peer} for this")
    return calls[peer]
