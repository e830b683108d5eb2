"""Records of control flow. Ops on functions have tests of their own."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.conformance.record import Case, Sample
from kcore.conformance.samples import draw

Case(
    ops.stop_gradient,
    lambda variable: variable,
    samples=[
        *(Sample(draw(*shape), grad=False, gradient=np.zeros(shape)) for shape in ((), (5,), (3, 7), (0, 3))),
        Sample(np.array([np.nan, np.inf, -0.0]), grad=False, why="values stay"),
    ],
)
