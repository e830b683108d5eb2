"""Every op, on every backend, gives what its record says. JAX, which compiles each shape, has a file of its own."""

from __future__ import annotations

import pytest

from kcore import backends, conformance
from kcore.conformance import report, runner

runner.load_records()
OPS = list(runner.known())


def holds(backend: str, op: str) -> None:
    if backend not in backends.installed():
        pytest.skip(f"{backend} is not installed")
    (result,) = conformance.run([backend], [op])
    assert not result.failed, "\n".join([result.verdict, *report.failure_lines(result)])


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("backend", ["reference", "tensorflow", "torch"])
def test_an_op_holds(backend, op):
    holds(backend, op)
