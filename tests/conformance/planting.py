"""Bugs put into a backend on purpose, and small records to find them with."""

from __future__ import annotations

import contextlib

import numpy as np

from kcore import backends, ops
from kcore.backends.reference.tape import Rule
from kcore.conformance.checks import Check
from kcore.conformance.record import CASES, Bad, Case, Sample
from kcore.conformance.results import Result
from kcore.conformance.samples import draw, folds, pairs, whole
from kcore.conformance.trials import Trials
from kcore.ops.mechanism import forget_plans


def record(op, *samples: Sample, **more) -> Case:
    """A record for these tests alone; the shipped one of the same op, if any, stays as it is."""
    shipped = CASES.pop(op.op.name, None)
    try:
        return Case(op, samples=samples, **more)
    finally:
        CASES.pop(op.op.name, None)
        if shipped is not None:
            CASES[op.op.name] = shipped


def judge(case: Case, backend: str, **how) -> Result:
    return Check(Trials(case, **how), backends.load(backend)).run()


@contextlib.contextmanager
def planted(case: Case, backend: str, part: str, bug):
    """`bug(right, *arguments)` in place of the op's function, gradient rule ("vjp"), rule or body; `right` is what it was."""
    op, table = case.op.op, backends.load(backend).ops
    kept = {"function": table.get(op.name), "vjp": op.vjp, "rule": op.rule, "body": op.body}
    right = kept[part]

    def wrong(*arguments):
        return bug(right, *arguments)

    if part == "function":
        table[op.name] = wrong
    elif part == "vjp":
        op.vjp = Rule(lambda g, y, *arguments: bug(right.function, g, y, *arguments), True, [True] * len(op.roles))
    else:
        setattr(op, part, wrong)
    forget_plans()
    try:
        yield
    finally:
        op.vjp, op.rule, op.body = kept["vjp"], kept["rule"], kept["body"]
        if kept["function"] is not None:
            table[op.name] = kept["function"]
        else:
            table.pop(op.name, None)
        forget_plans()


def _descending(x, k):
    order = np.argsort(-x.astype("float64"), -1, kind="stable")[..., :k]
    return np.take_along_axis(x, order, -1), order


nan, inf = np.nan, np.inf

ADD = record(ops.add, *pairs(), reference=lambda x1, x2: x1 + x2)
SQUARE = record(ops.square, Sample(draw(3, 5)), Sample(draw()), reference=lambda x: x * x)
NEGATIVE = record(
    ops.negative,
    Sample(draw(5)),
    Sample(np.array([0.0, 1.0]), expect=[-0.0, -1.0], why="the sign of zero"),
    reference=lambda x: -x,
)
SUM = record(
    ops.sum,
    *folds((5,), (2, 3, 4)),
    Sample(np.zeros((3, 0)), axis=1, why="nothing adds up to 0"),
    reference=lambda x, **kw: np.sum(x, **kw),
    errors=[Bad(np.ones((2, 3)), axis=2, match=r"axis=2 is out of range for x of shape \(2, 3\)")],
)
MEAN = record(ops.mean, *folds((2, 3, 4)), reference=lambda x, **kw: np.mean(x, **kw))
MAX = record(
    ops.max,
    *folds((2, 3, 4)),
    Sample(np.array([1.0, nan, 2.0]), expect=nan, grad=False, why="nan wins"),
    Sample(np.array([1.0, 3.0, 3.0]), gradient=[0.0, 0.5, 0.5], why="a tie shares the gradient"),
    reference=lambda x, **kw: np.max(x, **kw),
)
RELU = record(
    ops.relu,
    Sample(draw(3, 4)),
    Sample(np.array([-1.0, 0.0, 2.0]), gradient=[0.0, 0.0, 1.0], why="the gradient at 0 is 0"),
    Sample(np.array([nan, -inf, inf]), expect=[nan, 0.0, inf], grad=False, why="nan passes"),
    reference=lambda x: np.where(np.isnan(x), x, np.maximum(x, 0)),
)
MATMUL = record(ops.matmul, Sample(draw(2, 3), draw(3, 5)), Sample(draw(4), draw(4, seed=1)), reference=np.matmul)
EXP = record(
    ops.exp,
    Sample(draw(3, 4)),
    Sample(np.array([-inf, inf, 1e3]), grad=False, dtypes=["float32", "float64"], why="the ends of the range"),
    reference=np.exp,
)
TOP = record(
    ops.top_k,
    Sample(draw(2, 5), k=2),
    reference=_descending,
)
BITS = record(
    ops.bitwise_and, Sample(whole(4), whole(4, seed=1)), reference=np.bitwise_and, dtypes=["int32", "uint8"], grad=False
)
ALL = (ADD, SQUARE, NEGATIVE, SUM, MEAN, MAX, RELU, MATMUL, EXP, TOP, BITS)
