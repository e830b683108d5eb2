"""Peers that need a process of their own: Keras fixes its backend at import.

A worker is a process that has built one subject and times one more run of it on each request; so
subjects can take turns, and a slow minute of the machine hits all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

SUBJECTS = [f"{library}-{backend}" for library in ("kcore", "keras") for backend in ("jax", "tensorflow", "torch")]
SUBJECTS.insert(0, "kcore-reference")

PRELUDE = """
import json, os, sys, time
import numpy as np
library, backend = sys.argv[1].split("-")
if library == "kcore":
    import kcore as keras
    keras.config.set_backend(backend)
else:
    import keras
try:
    import torch
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
except ImportError:
    pass
"""

LOOP = """
for line in sys.stdin:
    start = time.perf_counter()
    run()
    print(json.dumps(time.perf_counter() - start), flush=True)
"""


class Worker:
    """One subject in its own process.

    Args:
        subject: "kcore-jax", "keras-torch"...
        program: Python that defines `run`; it finds `keras` and `np` imported.
        threads: For BLAS, OpenMP and the frameworks alike.
    """

    def __init__(self, subject: str, program: str, threads: int = 1) -> None:
        library, backend = subject.split("-")
        count = str(threads)
        env = os.environ | {
            "OMP_NUM_THREADS": count,
            "OPENBLAS_NUM_THREADS": count,
            "MKL_NUM_THREADS": count,
            "KCORE_NUM_THREADS": count,
            "TF_NUM_INTRAOP_THREADS": count,
            "TF_NUM_INTEROP_THREADS": count,
            "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=" + ("false" if threads == 1 else "true"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": backend if library == "keras" else "",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + program + LOOP, subject],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )

    def run(self) -> float:
        """Seconds of one more run."""
        print("run", file=self._process.stdin, flush=True)
        while line := self._process.stdout.readline():
            try:
                return float(json.loads(line))
            except ValueError:
                continue
        raise RuntimeError(f"The worker ended with status {self._process.wait()}.")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def take_turns(program: str, subjects: list[str], rounds: int, threads: int = 1) -> dict[str, float]:
    """Subject -> the least seconds of a run, the subjects taking turns."""
    workers = {s: Worker(s, program, threads) for s in subjects}
    for worker in workers.values():
        worker.run()
    best = dict.fromkeys(subjects, float("inf"))
    for _ in range(rounds):
        for subject, worker in workers.items():
            best[subject] = min(best[subject], worker.run())
    for worker in workers.values():
        worker.close()
    return best
