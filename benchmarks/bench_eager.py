"""What one eager call costs on the reference backend, beside NumPy's own, and what importing kcore costs.

python benchmarks/bench_eager.py            # the table of ratios
pytest benchmarks/bench_eager.py            # with pytest-benchmark's statistics
"""

from __future__ import annotations

import subprocess
import sys
import timeit

import numpy as np
import pytest

import kcore
from kcore import ops

kcore.config.set_backend("reference")
a, b = np.ones(4, "float32"), np.ones(4, "float32")
x, w = np.ones((2, 4), "float32"), np.ones((4, 4), "float32")
dense = kcore.layers.Dense(4)
dense(x)

CALLS = {
    "np.add": lambda: np.add(a, b),
    "ops.add": lambda: ops.add(a, b),
    "np.matmul": lambda: np.matmul(x, w),
    "Dense(4)": lambda: dense(x),
}


@pytest.mark.parametrize("name", CALLS)
def test_eager_call(benchmark, name):
    benchmark.group = "eager calls on 4 to 16 elements"
    benchmark(CALLS[name])


def seconds_to_import(module: str) -> float:
    """Of a fresh process, less what starting Python takes."""

    def spent(code: str) -> float:
        return min(timeit.repeat(lambda: subprocess.run([sys.executable, "-c", code], check=True), number=1, repeat=7))

    return spent(f"import {module}") - spent("pass")


def main() -> None:
    def least(call) -> float:
        return min(timeit.repeat(call, number=20000, repeat=15)) / 20000 * 1e6

    best = {name: float("inf") for name in CALLS}
    for _ in range(3):  # taking turns
        for name, call in CALLS.items():
            best[name] = min(best[name], least(call))
    for name, microseconds in best.items():
        print(f"{name:12} {microseconds:8.2f} us")
    print(f"ops.add : np.add        {best['ops.add'] / best['np.add']:.1f}  (goal: at most 4)")
    print(f"Dense(4) : np.matmul    {best['Dense(4)'] / best['np.matmul']:.1f}  (goal: at most 20)")
    numpy, own = seconds_to_import("numpy"), seconds_to_import("kcore")
    print(
        f"import kcore : numpy    {own / numpy:.2f}  (goal: at most 1.5; {own * 1e3:.0f} ms and {numpy * 1e3:.0f} ms)"
    )


if __name__ == "__main__":
    main()
