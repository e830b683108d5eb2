"""Records of the ops that gather elements into groups."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import arrays, draw, whole

nan, inf = np.nan, np.inf

# -- segments ---------------------------------------------------------------------------


def segments(fold, empty, *further, finite=True):
    """Formula, samples (and `further` ones) and errors of an op that folds the rows of each segment.

    `empty` gives what a segment without rows is, of a dtype; whether that is finite.
    """

    def reference(data, segment_ids, num_segments=None, sorted=False):
        count = int(max(segment_ids, default=-1)) + 1 if num_segments is None else num_segments
        start = empty(data.dtype)
        return np.array(
            [
                fold.reduce(data[np.equal(segment_ids, i)], axis=0, initial=start, dtype=data.dtype)
                for i in range(count)
            ],
            data.dtype,
        ).reshape(count, *data.shape[1:])

    ids = np.array([0, 2, 0, 3, 2])
    return {
        "reference": reference,
        "samples": [
            arrays(draw(5, 3), [0, 2, 0, 1, 2], num_segments=3),
            Sample(draw(5, 3), ids, num_segments=5, grad=finite),
            Sample(draw(5), ids, grad=finite, unsized=False),
            Sample(draw(5, 2, 2), ids, num_segments=3, grad=finite, why="an id that is too large is left out"),
            arrays(draw(5), [0, -1, 1, -1, 0], num_segments=2, why="and so are those below 0"),
            arrays(draw(5, 2), [0, 0, 1, 1, 1], num_segments=2, sorted=True),
            arrays(draw(4), [1, 1, 1, 1], num_segments=1, grad=finite, why="none is left"),
            Sample(np.zeros((0, 2)), np.zeros(0, "int32"), num_segments=2, grad=False, why="every segment is empty"),
            arrays([1.0, nan, 2.0], [0, 0, 1], num_segments=2, grad=False),
            Sample(whole(5, 2), ids, num_segments=4),
            *further,
        ],
        "errors": [
            Bad(np.ones((2, 3)), np.array([0, 1, 2]), num_segments=3, match="one for each row of data"),
            Bad(np.ones((2, 3)), np.array([[0, 1]]), num_segments=3, match="segment_ids should have 1 dimensions"),
            Bad(np.ones((2, 3)), np.array([0.0, 1.0]), num_segments=3, match="segment_ids should be integers"),
            Bad(np.ones((2, 3)), np.array([0, 1]), num_segments=-1, match="num_segments=-1 is negative"),
            Bad(np.ones(()), np.array([0]), num_segments=1, match="at least 1 dimensions"),
        ],
    }


def ends(which):
    """The dtype's greatest or least value, infinity included."""

    def end(dtype):
        if dtype.kind == "b":
            return which == "max"
        return getattr(np.iinfo(dtype), which) if dtype.kind in "iu" else (inf if which == "max" else -inf)

    return end


Case(ops.segment_sum, **segments(np.add, lambda _: 0))
ZEROS = np.array([0.0, 5.0, 0.0, 0.0])
ALONE = arrays(ZEROS, [0, 0, 1, 1], num_segments=2, gradient=[5.0, 0.0, 0.0, 0.0], why="zeros in products")
TIE = arrays([2.0, 2.0, 1.0], [0, 0, 1], num_segments=2, gradient=[0.5, 0.5, 1.0], why="a tie")
Case(ops.segment_prod, **segments(np.multiply, lambda _: 1, ALONE))
Case(ops.segment_max, **segments(np.maximum, ends("min"), TIE, finite=False))
Case(ops.segment_min, **segments(np.minimum, ends("max"), TIE, finite=False))

# -- counts -----------------------------------------------------------------------------


def _bincount(x, weights=None, minlength=0, sparse=False):
    if x.ndim == 2:
        size = max(minlength, int(x.max(initial=-1)) + 1)
        rows = [
            _bincount(r, None if weights is None else w, size)
            for r, w in zip(x, x if weights is None else weights, strict=True)
        ]
        return np.array(rows).reshape(len(x), size)
    kept = x >= 0
    y = np.bincount(x[kept], None if weights is None else weights[kept], minlength)
    return y if weights is not None and weights.dtype.kind == "f" else y.astype("int32")


Case(
    ops.bincount,
    reference=_bincount,
    samples=[
        arrays([1, 1, 3, 0], unsized=False),
        arrays([1, 1, 3], draw(3), unsized=False),
        arrays([1, 1, 3], whole(3), 6, unsized=False),
        arrays([[1, 1], [3, 0]], unsized=False),
        arrays([[1, 1], [3, 0]], draw(2, 2), 5, unsized=False),
        arrays([1, -1, 3], draw(3), unsized=False, why="-1 is left out"),
        Sample(np.zeros(0, "int32"), expect=np.zeros(0), unsized=False),
        Sample(np.zeros(0, "int32"), minlength=2, unsized=False),
    ],
    errors=[
        Bad(np.array([0.5]), match="x should be integers"),
        Bad(np.ones((1, 2, 3), "int32"), match="1 to 2 dimensions"),
        Bad(np.array([0, 1]), np.ones(3), match="weights of shape|don't broadcast"),
    ],
    grad=["weights"],
)

Case(
    ops.histogram,
    reference=lambda x, bins=10, range=None: (
        np.histogram(x, bins, range) if np.isfinite(x).all() else _finite(x, bins, range)
    ),
    samples=[
        Sample(draw(20)),
        arrays([1.0, 2.0, 2.0, 3.0, 5.0], bins=2, expect=[[3, 2], [1, 3, 5]], why="the last edge is in"),
        Sample(draw(20), bins=3, range=(-1.0, 0.5)),
        arrays([2.0, 2.0], bins=2, expect=[[0, 2], [1.5, 2, 2.5]], why="a half to either side"),
        Sample(np.zeros(0), bins=2, expect=[[0, 0], [0, 0.5, 1]]),
        arrays([1.0, nan, inf], bins=2, range=(0, 2), expect=[[0, 1], [0, 1, 2]], why="nan is nowhere"),
        Sample(whole(9), bins=4),
    ],
    errors=[
        Bad(np.ones((2, 3)), match="1 dimensions"),
        Bad(np.ones(3), bins=0, match="at least 1"),
        Bad(np.ones(3), bins=[1.0, 2.0], match="should be an integer"),
        Bad(np.ones(3), range=(1, 1), match="greater than the first"),
    ],
    tol={"float64": 2e-15, "float32": 5e-7},
    grad=False,
)


def _finite(x, bins, range):
    return np.histogram(x[np.isfinite(x)], bins, range)
