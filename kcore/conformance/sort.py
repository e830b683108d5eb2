"""Records of the ops that order elements, or look them up among ordered ones."""

from __future__ import annotations

import functools

import numpy as np

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import arrays, draw, ints, whole
from kcore.conformance.shape import EXACT

unsmooth = functools.partial(Case, grad=False)

nan, inf = np.nan, np.inf
ODD = np.array([3.0, nan, -inf, 1.0, inf, -nan, -0.0, 0.0, 1.0, -0.0])  # ties, both zeros, nan of both signs


def orders(**arguments):
    """Samples of sort and argsort."""
    return [
        Sample(draw(2, 5), **arguments),
        Sample(draw(4, 3, 2), axis=0, **arguments),
        Sample(draw(2, 3, 4), axis=1, **arguments),
        Sample(draw(2, 3), axis=None, **arguments),
        Sample(whole(3, 6, high=3), **arguments),
        arrays([True, False, True], **arguments),
        ints([2**63 + 1, 3, 2**63], **arguments, dtype="uint64"),
        Sample(ODD, grad=False, why="nan is last, and zeros stay in order", **arguments),
        Sample(np.zeros((2, 0)), **arguments),
        Sample(draw(), axis=None, **arguments),
    ]


UNORDERED = [
    Bad(np.ones((2, 3)), axis=2, match="out of range"),
    Bad(np.ones(()), match="out of range"),
    Bad(np.ones(3, "complex64"), match="no order"),
]

Case(
    ops.sort,
    reference=lambda x, axis=-1: np.sort(x, axis, kind="stable"),
    samples=[*orders(), arrays([1.0, 0.0, 1.0], gradient=[1.0, 1.0, 1.0], why="a tie")],
    errors=UNORDERED,
    tol=EXACT,
)

unsmooth(
    ops.argsort,
    reference=lambda x, axis=-1: np.argsort(x, axis, kind="stable").astype("int32"),
    samples=orders(),
    errors=UNORDERED,
)


unsmooth(
    ops.argpartition,
    reference=lambda x, kth, axis=-1: np.argsort(x, axis, kind="stable").astype("int32"),
    samples=[
        Sample(draw(2, 5), kth=2),
        Sample(draw(4, 3), kth=-1, axis=0),
        Sample(draw(2, 3), kth=4, axis=None),
        Sample(ODD, kth=3, why="infinities, nan, zeros"),
    ],
    errors=[
        Bad(np.ones((2, 3)), kth=3, match="kth=3 is out of range"),
        Bad(np.ones((2, 3)), kth=0, axis=2, match="out of range"),
        Bad(np.ones(3, "complex64"), kth=0, match="no order"),
    ],
)


def _top_k(x, k, sorted=True):
    order = np.argsort(x[..., ::-1], -1, kind="stable")[..., ::-1]
    indices = (x.shape[-1] - 1 - order[..., :k]).astype("int32")
    return np.take_along_axis(x, indices, -1), indices


Case(
    ops.top_k,
    reference=_top_k,
    samples=[
        Sample(draw(2, 5), k=3),
        Sample(draw(2, 3, 4), k=1),
        Sample(draw(4), k=4),
        Sample(draw(2, 4), k=0),
        arrays(
            [1.0, 3.0, 3.0, 2.0, 3.0],
            k=4,
            expect=[[3, 3, 3, 2], [1, 2, 4, 3]],
            gradient=[0.0, 1.0, 1.0, 1.0, 1.0],
            why="the first of equals first",
        ),
        Sample(ODD, k=10, grad=False, why="nan is greater than infinity"),
        Sample(whole(3, 6, high=3), k=4),
        ints([2**63 + 1, 3, 2**63], k=2, dtype="uint64"),
        Sample(draw(2, 4), k=2, sorted=False),
    ],
    errors=[
        Bad(np.ones((2, 3)), k=4, match="k=4 is out of range"),
        Bad(np.ones((2, 3)), k=-1, match="k=-1 is out of range"),
        Bad(np.ones(()), k=1, match="at least 1 dimensions"),
        Bad(np.ones(3, "complex64"), k=1, match="no order"),
    ],
    tol=EXACT,
)

# -- looked up --------------------------------------------------------------------------

STEPS = np.array([-2.0, -0.0, 1.0, 1.0, 2.5, inf, nan, nan])
ASKED = np.array([-inf, -2.0, 0.0, -0.0, 1.0, 2.0, 9.0, inf, nan])

unsmooth(
    ops.searchsorted,
    reference=lambda sorted_sequence, values, side="left": np.searchsorted(sorted_sequence, values, side).astype(
        "int32"
    ),
    samples=[
        Sample(np.sort(draw(6)), draw(2, 3)),
        Sample(np.sort(draw(6)), draw(2, 3), side="right"),
        *(Sample(STEPS, ASKED, side=side, why="ties, zeros, nan on both sides") for side in ("left", "right")),
        arrays([1, 2, 2, 5], [2, 9, 0]),
        arrays([1, 2, 2, 5], 2.5, why="an integer sequence and a float"),
        ints([1, 2**63, 2**63 + 1], [2**63], dtypes=["uint64"], dtype="uint64"),
        Sample(np.zeros(0), draw(3)),
        Sample(np.sort(draw(3)), np.zeros((0, 2))),
    ],
    errors=[
        Bad(np.ones((2, 3)), np.ones(2), match="sorted_sequence should have 1 dimensions"),
        Bad(np.ones(3), np.ones(2), side="middle", match="side='middle' should be one of"),
        Bad(np.ones(3), np.ones(2, "complex64"), match="no order"),
    ],
)

unsmooth(
    ops.digitize,
    reference=lambda x, bins: np.digitize(x, bins).astype("int32"),
    samples=[
        arrays(draw(2, 3), [-1.0, 0.0, 1.5]),
        arrays(draw(2, 3), [1.5, 0.0, -1.0], why="descending edges"),
        arrays([0.0, 1.0, nan, inf, -inf], [0.0, 1.0, 2.0]),
        arrays([0.0, 1.0, 2.0], [2.0, 1.0, 0.0], why="on the edges"),
        arrays([1, 5], [2, 4]),
        arrays(draw(3), [0.5]),
        Sample(draw(3), np.zeros(0), expect=[0, 0, 0]),
    ],
    errors=[Bad(np.ones(3), np.ones((2, 3)), match="bins should have 1 dimensions")],
)

unsmooth(
    ops.isin,
    reference=lambda x1, x2, assume_unique=False, invert=False: np.isin(x1, x2, invert=invert),
    samples=[
        arrays([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], [1.0, 5.0, 7.0]),
        arrays([0.0, 1.0], [[1.0], [3.0]], invert=True),
        arrays([1, 2], [2.0, 2.5]),
        arrays([nan, -0.0], [nan, 0.0], expect=[False, True], why="nan is nothing's equal"),
        Sample(draw(2, 3), np.zeros(0)),
        Sample(np.zeros(0), draw(3)),
        Sample(np.array(3), [1, 3]),
    ],
    errors=[Bad(np.ones(3), np.ones(2, "complex64"), match="no order")],
)


def _in_top_k(targets, predictions, k):
    result = np.zeros(targets.shape, bool)
    for at in np.ndindex(*targets.shape):
        row, t = predictions[at], targets[at]
        result[at] = 0 <= t < len(row) and not np.isnan(row[t]) and np.sum(row > row[t]) < k
    return result


unsmooth(
    ops.in_top_k,
    reference=_in_top_k,
    samples=[
        *(arrays([1, 0, 3], draw(3, 4), k=k) for k in (0, 1, 2, 9)),
        arrays([0, 1, 2, 3], np.ones((4, 4)), k=1, expect=[True] * 4, why="ties at the edge are all in"),
        arrays([4, -1], draw(2, 4), k=4, expect=[False] * 2, why="no such class"),
        arrays([0, 1], [[nan, 1.0], [nan, 1.0]], k=1, expect=[False, True], why="nan is never in"),
        arrays([[1, 0]], draw(1, 2, 3), k=2),
        Sample(np.array(1), draw(3), k=2),
    ],
    errors=[
        Bad(np.array([0.0]), np.ones((1, 3)), k=1, match="targets should be integers"),
        Bad(np.array([0, 1]), np.ones((3, 3)), k=1, match="one for each row of predictions"),
    ],
)

# -- unique -----------------------------------------------------------------------------


def _unique(x, axis=None, size=None, fill_value=None, return_index=False, return_inverse=False, return_counts=False):
    values, index, inverse, counts = np.unique(x, True, True, True, axis, equal_nan=False)
    inverse = inverse.reshape(x.shape if axis is None else x.shape[axis])
    if size is not None:
        values = np.moveaxis(values, axis or 0, 0)
        lack = max(0, size - len(values))
        fill = values[:1] if fill_value is None else np.full((1, *values.shape[1:]), fill_value, values.dtype)
        values = np.moveaxis(np.concatenate([values[:size], *[fill] * lack]), 0, axis or 0)
        index = np.concatenate([index[:size], *[index[:1]] * lack])
        counts = np.concatenate([counts[:size], np.zeros(lack)])
    wanted = (True, return_index, return_inverse, return_counts)
    results = [r for r, w in zip((values, index, inverse, counts), wanted, strict=True) if w]
    return [results[0], *(r.astype("int32") for r in results[1:])]


EVERYTHING = {"return_index": True, "return_inverse": True, "return_counts": True}
SOME = np.array([3.0, 1.0, 2.0, 1.0, 3.0])
ROWS = np.array([[2.0, 1.0, 2.0], [0.0, 5.0, 0.0], [2.0, 1.0, 2.0], [0.0, 4.0, 0.0]])

Case(
    ops.unique,
    reference=_unique,
    samples=[
        Sample(SOME, gradient=[1.0, 1.0, 1.0, 0.0, 0.0], why="the first of each gets the gradient"),
        Sample(SOME, grad=False, **EVERYTHING),
        Sample(ROWS, grad=False, **EVERYTHING),
        Sample(ROWS, axis=0, grad=False, **EVERYTHING),
        Sample(ROWS, axis=1, grad=False, **EVERYTHING),
        Sample(SOME, size=5, grad=False, **EVERYTHING),
        Sample(SOME, size=5, fill_value=-1.0, grad=False),
        Sample(SOME, size=2, grad=False, **EVERYTHING, why="the rest is left out"),
        Sample(ROWS, axis=0, size=4, fill_value=9.0, grad=False),
        arrays([nan, 1.0, nan, -0.0, 0.0], grad=False, return_counts=True, why="no nan equals another"),
        arrays([2, 0, 2], return_index=True),
        arrays([True, False, True]),
        ints([2**63, 3, 2**63], dtype="uint64"),
        Sample(np.zeros(0), expect=np.zeros(0)),
        Sample(np.zeros((3, 0)), axis=0, expect=np.zeros((1, 0)), grad=False, why="empty rows are all equal"),
    ],
    errors=[
        Bad(np.ones((2, 3)), axis=2, match="out of range"),
        Bad(np.ones(3), size=-1, match="size=-1 is negative"),
        Bad(np.ones(3, "complex64"), match="no order"),
    ],
    tol=EXACT,
)
