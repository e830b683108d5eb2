"""pytest-benchmark's view of the rows: one benchmark for each row and peer.

The number of threads is set here, before anything that reads it is loaded.
"""

import importlib.util
import os

for _name in ("OMP", "OPENBLAS", "MKL", "KCORE"):
    os.environ.setdefault(f"{_name}_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import pytest  # noqa: E402

from kcore import config  # noqa: E402

from . import measure, peers, rows  # noqa: E402
from .worker import Worker, held_to  # noqa: E402


def pytest_configure(config):
    if importlib.util.find_spec("pytest_benchmark") is None:
        raise pytest.UsageError("benchmarks run under pytest-benchmark; pip install 'kcore[bench]'.")


def pytest_generate_tests(metafunc):
    """Of every function that takes `row` and `peer`."""
    if {"row", "peer"} <= set(metafunc.fixturenames):
        family = metafunc.module.__name__.rpartition("bench_")[2]
        cases = [(row, peer) for row in rows.family(family) for peer in row.peers]
        metafunc.parametrize(("row", "peer"), cases, ids=[f"{row.name}-{peer}" for row, peer in cases])


@pytest.fixture(scope="session", autouse=True)
def _one_backend():
    config.set_backend("reference")
    peers.set_threads(1)


@pytest.fixture
def timed(benchmark, row, peer):
    """Times one peer of a row, after its result was compared with kcore's."""
    if gone := peers.missing(peer):
        pytest.skip(f"{', '.join(gone)} is not installed")
    if row.unit != "s":
        pytest.skip(f"{row.unit} are no times; kcore bench {row.family} measures them")
    benchmark.group = row.key

    def time():
        if row.apart or row.threads > 1:
            _apart(benchmark, row, peer)
        else:
            with held_to(1):
                subject = row.peers[peer]()
                if peer != rows.OWN:
                    gap = measure.difference(row.peers[rows.OWN]().result(), subject.result())
                    assert gap <= row.tolerance
                benchmark(subject.run)

    return time


def _apart(benchmark, row, peer):
    """In a process of its own: wall-clock time, with what a line through a pipe takes."""
    worker = Worker(peer, row.threads_of(peer))
    try:
        worker.build(row.key, peer)
        worker.sample()
        benchmark.pedantic(worker.sample, rounds=5)
    finally:
        worker.close()
