"""The runner bites on sparse operands, too: bugs planted in the definitions are reported, and the right ones pass."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from kcore import backends, ops
from kcore.backends.coo import Coo
from kcore.conformance.record import Sample
from kcore.conformance.samples import draw
from kcore.ops import sparsity, stored
from kcore.ops.mechanism import forget_plans
from tests.conformance.planting import judge, record

MATRIX = draw(3, 4)
SUM = record(ops.sum, Sample(MATRIX, axis=0), reference=np.sum)
TRANSPOSE = record(ops.transpose, Sample(draw(2, 3, 4), axes=(2, 0, 1)), reference=np.transpose)
ADD = record(ops.add, Sample(MATRIX, draw(3, 4)), reference=np.add)
SINH = record(ops.sinh, Sample(MATRIX), reference=np.sinh)
MATMUL = record(ops.matmul, Sample(MATRIX, draw(4, 2)), reference=np.matmul)
COS = record(ops.cos, Sample(MATRIX), reference=np.cos)


@contextlib.contextmanager
def planted(op, run):
    """`run(right, *arguments)` in place of the op's definition for sparse tensors."""
    right = op.op.sparse
    result = right.result if right is not None else lambda *_: sparsity.SPARSE
    op.op.sparse = sparsity.Entry(result, lambda *args: run(right and right.run, *args), "planted")
    forget_plans()
    try:
        yield
    finally:
        op.op.sparse = right
        forget_plans()


def duplicates_are_not_summed(right, x, axis, keepdims):
    c = stored.coo(x)
    y = right(x, axis, keepdims)
    last = {int(j): v for (_, j), v in zip(np.asarray(c.indices), np.asarray(ops.convert_to_numpy(c.values)))}
    c = stored.coo(y)
    kept = [last[int(j)] for (j,) in np.asarray(c.indices)]
    return backends.active().from_coo(c.with_values(backends.active().convert(np.array(kept, "float32"))))


def keeps_the_pattern(right, x, axes):
    y, c = right(x, axes), stored.coo(x)
    return backends.active().from_coo(
        Coo(c.indices % np.array(y.shape), c.values, y.shape, unique=False, ordered=False)
    )


def answers_densely(right, x1, x2):
    return ops.add(stored.dense(x1), stored.dense(x2))


def drops_the_gradient(right, x):
    return right(ops.stop_gradient(x))


def forgets_the_last_element(right, x1, x2):
    c = stored.coo(x1) if sparsity.is_sparse(x1) else None
    if c is None:
        return right(x1, x2)
    fewer = Coo(c.indices[:-1], c.values[:-1], c.shape)
    return right(backends.active().from_coo(fewer), x2)


def takes_nothing_for_zero(right, x):
    """cos(0) is 1, so the pattern does not stay."""
    return stored.mapped("cos")(x)


BUGS = [
    (SUM, "reference", duplicates_are_not_summed, "sparse", "off by more"),
    (TRANSPOSE, "reference", keeps_the_pattern, "sparse", "off by more"),
    (TRANSPOSE, "torch", keeps_the_pattern, "sparse", "off by more"),
    (ADD, "reference", answers_densely, "sparse", "a dense result where the table says sparse"),
    (SINH, "reference", drops_the_gradient, "sparse gradient", "off by more"),
    (MATMUL, "reference", forgets_the_last_element, "sparse", "off by more"),
    (COS, "reference", takes_nothing_for_zero, "sparse", "off by more"),
]


@pytest.mark.parametrize(("case", "backend", "bug", "check", "says"), BUGS)
def test_a_planted_bug_is_reported(case, backend, bug, check, says):
    if backend not in backends.installed():
        pytest.skip(f"{backend} is not installed")
    with planted(case.op, bug):
        failures = judge(case, backend).failures
    assert any(f.check == check and says in f.problem for f in failures), failures
    assert not [f for f in failures if f.check not in ("sparse", "sparse gradient", "sparse, compiled")]


@pytest.mark.parametrize("case", [SUM, TRANSPOSE, ADD, SINH, MATMUL, COS], ids=lambda c: c.name)
def test_right_definitions_pass(case):
    assert not judge(case, "reference").failures
