"""Records of the reductions."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import draw, folds

Case(
    ops.sum,
    reference=lambda x, **kw: np.sum(x, **kw),
    samples=[
        *folds((), (5,), (2, 3, 4)),
        Sample(np.zeros((3, 0)), axis=1, expect=[0.0] * 3, why="nothing adds up to 0"),
        Sample(draw(2, 3), axis=(), why="no axis is folded"),
    ],
    errors=[
        Bad(np.ones((2, 3)), axis=2, match=r"axis=2 is out of range .* \(2, 3\)"),
        Bad(np.ones((2, 3)), axis=(0, -2), match=r"names an axis twice"),
    ],
)
