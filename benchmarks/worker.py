"""A process that builds rows' subjects and times them as it is told, a line of JSON at a time.

Threads are set in its environment before anything is loaded, which is why rows run in workers at
all; and Keras, one backend for each process, could not be timed otherwise. A request is an object with
"do"; the answer holds what was found, or "error".
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import measure, peers
from .rows import OWN, Row, Subject, by_key

# Loads this package by whatever name it has, and waits for requests.
START = "import sys; from kcore.cli import bench; bench.package('worker').serve()"


def environment(threads: int, backend: str = "", home: str = "") -> dict[str, str]:
    """The variables that set the number of threads, everywhere, and Keras's backend."""
    count = str(threads)
    names = ("OMP", "OPENBLAS", "MKL", "KCORE")
    return {
        **{f"{name}_NUM_THREADS": count for name in names},
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": count,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'false' if threads == 1 else 'true'}",
        "KERAS_BACKEND": backend,
        "KCORE_BACKEND": "",
        **({"KERAS_HOME": home} if home else {}),  # Keras writes its settings file; the user's is left alone
    }


class WorkerError(RuntimeError):
    """A worker could not do what it was asked, or has ended."""


class Worker:
    """The other end: starts a process and asks it.

    Args:
        peer: The only one it will build, or None for all of those that share a process.
        threads: For BLAS, OpenMP and the frameworks alike.
    """

    def __init__(self, peer: str | None, threads: int) -> None:
        library, _, backend = (peer or "").partition(" ")[0].partition("-")
        self.folder = tempfile.TemporaryDirectory(prefix="kcore-bench-")
        root = str(Path(peers.kcore_package.__file__).resolve().parents[1])  # the kcore that runs here
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        extra = environment(threads, backend if library == "keras" else "", self.folder.name)
        self._errors = open(Path(self.folder.name) / "stderr", "w+")  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            [sys.executable, "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | extra | {"PYTHONPATH": path, "KCORE_BENCH_THREADS": str(threads)},
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """What the worker answers.

        Raises:
            WorkerError: It failed or has ended; with its traceback.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            raise WorkerError(f"The process ended with status {status}: {self._errors.read()[-2000:].strip()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def build(self, key: str, peer: str) -> list[np.ndarray]:
        """Builds one peer's subject, and gives its result."""
        with np.load(self.ask(do="build", row=key, peer=peer, folder=self.folder.name)["file"]) as file:
            return [file[name] for name in file.files]

    def sample(self) -> Any:
        """What was built, once more, or a few times if it is short: the least (wall, cpu) seconds, or the number that it returns."""
        return self.ask(do="sample")["sample"]

    def close(self) -> None:
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._errors.close()
        self.folder.cleanup()


def serve() -> None:
    """Answers requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    threads = int(os.environ["KCORE_BENCH_THREADS"])
    with held_to(threads):
        peers.set_threads(threads)
        peers.kcore_package.config.set_backend("reference")
        desk = _Desk()
        for line in sys.stdin:
            request = json.loads(line)
            try:
                answer = getattr(desk, request.pop("do"))(**request)
            except Exception:  # whatever it is, the one who asked should see it
                answer = {"error": traceback.format_exc()}
            print(json.dumps(answer), file=answers, flush=True)


def _prepared(key: str) -> Row:
    """The row, with kcore set up for it."""
    row = by_key(key)
    if peers.kcore_package.config.numerics() != row.numerics:
        peers.kcore_package.config.set_numerics(row.numerics)
    return row


class _Desk:
    """What can be asked for."""

    subject: Subject | None = None
    unit = "s"

    def together(self, row: str, names: Sequence[str], seconds: float) -> dict[str, Any]:
        """Times those peers of a row in turns, in this process, after their results were compared."""
        one = _prepared(row)
        subjects = {name: one.peers[name]() for name in names}
        results = {name: subject.result() for name, subject in subjects.items()}
        gaps = {name: measure.difference(results[OWN], found) for name, found in results.items() if name != OWN}
        del results
        if any(gap > one.tolerance for gap in gaps.values()):
            return {"gaps": gaps, "timings": {}}
        timings = measure.in_turns(subjects, seconds)
        return {"gaps": gaps, "timings": {name: vars(timing) for name, timing in timings.items()}}

    def build(self, row: str, peer: str, folder: str) -> dict[str, Any]:
        """Builds a subject, and writes its result to a file."""
        self.subject = None  # what was built before may go first
        one = _prepared(row)
        self.subject, self.unit = one.peers[peer](), one.unit
        file = Path(folder) / "result.npz"
        np.savez(file, *self.subject.result())
        return {"file": str(file)}

    def sample(self) -> dict[str, Any]:
        """Times a run, or some in a row if it is short, or gives the number that it returns."""
        assert self.subject is not None
        if self.unit != "s":
            return {"sample": float(self.subject.run())}
        samples = [measure.sample(self.subject.run)]
        if samples[0][0] < measure.LONG:
            samples += [measure.sample(self.subject.run) for _ in range(measure.BURST - 1)]
        return {"sample": [min(clock) for clock in zip(*samples)]}


@contextlib.contextmanager
def held_to(processors: int) -> Iterator[None]:
    """Keeps this process, and threads that libraries start meanwhile, to so many processors.

    No setting keeps JAX to one thread: it computes beside the thread that calls it, and matrix products in two.
    On one processor, the CPU's clock has all of that, and exactly.
    """
    if not hasattr(os, "sched_setaffinity"):  # only Linux has it
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[-processors:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
