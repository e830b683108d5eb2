"""Records of the ops along a sequence: differences, integrals and windows."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import arrays, draw, ints, whole

Case(
    ops.diff,
    reference=lambda a, n=1, axis=-1: np.diff(a, n, axis),
    samples=[
        Sample(draw(2, 5)),
        Sample(draw(2, 5), n=2),
        Sample(draw(4, 3, 2), axis=0),
        Sample(draw(2, 5), n=0),
        Sample(draw(2, 3), n=4, why="more often than there are elements"),
        Sample(draw(1)),
        ints([3, 1], expect=[254], why="unsigned integers wrap around", dtype="uint8"),
        arrays([True, False, False], expect=[True, False], why="of bools it is whether they differ"),
    ],
    errors=[
        Bad(np.ones(3), n=-1, match="n=-1 is negative"),
        Bad(np.ones(3), axis=1, match="out of range"),
        Bad(np.ones(()), match="out of range"),
    ],
)

Case(
    ops.trapezoid,
    reference=lambda y, x=None, dx=1.0, axis=-1: np.trapezoid(y, x, dx, axis),
    samples=[
        Sample(draw(2, 5)),
        Sample(draw(2, 5), dx=0.5),
        Sample(draw(4, 3, 2), axis=0, dx=2.0),
        arrays(draw(2, 4), [0.0, 1.0, 1.5, 4.0]),
        arrays(draw(3, 4), [0.0, 1.0, 4.0], axis=0),
        Sample(draw(2, 4), draw(2, 4, seed=1)),
        Sample(draw(3, 1), expect=np.zeros(3), why="a single point has no width"),
        Sample(whole(2, 3), why="integers become the default float"),
    ],
    errors=[
        Bad(np.ones((2, 3)), np.ones(2), match=r"x of shape \(2,\) should have size 3"),
        Bad(np.ones((2, 3)), axis=2, match="out of range"),
    ],
    tol={"float64": 2e-15, "float32": 1e-6},
)


def window(reference):
    """A record of a window function of the number of points."""
    return {
        "reference": reference,
        "samples": [*(Sample(n) for n in (0, 1, 2, 5, 8)), Sample(np.array(4), why="an integer in an array")],
        "errors": [
            Bad(-1, match="x=-1 should be a number of points"),
            Bad(2.5, match="x should be integers, not 2.5"),
        ],
        "tol": {"float32": 1e-7},
        "dtypes": ("float32",),
    }


Case(ops.bartlett, **window(np.bartlett))
Case(ops.blackman, **window(np.blackman))
Case(ops.hamming, **window(np.hamming))
Case(ops.hanning, **window(np.hanning))

Case(
    ops.kaiser,
    reference=lambda x, beta: np.kaiser(x, beta),
    samples=[Sample(n, beta) for n, beta in ((0, 14.0), (1, 14.0), (5, 14.0), (8, 0.0), (7, 2.5))],
    errors=[Bad(-1, 2.0, match="x=-1 should be a number of points")],
    tol={"float32": 1e-7},
    dtypes=("float32",),
)
