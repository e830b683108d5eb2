"""Records of the chains of ops that run as one."""

from __future__ import annotations

import numpy as np
from numpy import inf, nan

from kcore import ops
from kcore.conformance.activate import gelu_formula
from kcore.conformance.conv import SUMS, conv
from kcore.conformance.linalg import PRODUCTS, complex_draw
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import AS_COMPLEX, FLOATS, arrays, draw, whole

BY_RESULT = {
    "linear": lambda y: y,
    "relu": lambda y: np.where(y > 0, y, np.where(np.isnan(y), y, 0)),
    "sigmoid": lambda y: 1 / (1 + np.exp(-y)),
    "tanh": np.tanh,
}
ACTIVATIONS = BY_RESULT | {
    "silu": lambda y: y / (1 + np.exp(-y)),
    "gelu": lambda y: gelu_formula(y, approximate=False),
    "gelu_tanh": gelu_formula,
}


def dense_formula(x, kernel, bias=None, activation="linear"):
    y = np.matmul(x, kernel)
    return ACTIVATIONS[activation](y if bias is None else y + bias)


Case(
    ops.dense,
    dense_formula,
    samples=[
        Sample(draw(3, 4), draw(4, 5, seed=1), draw(5, seed=2)),
        *(Sample(draw(3, 4), draw(4, 5, seed=1), draw(5, seed=2), name) for name in BY_RESULT),
        Sample(draw(3, 4), draw(4, 5, seed=1), why="no bias"),
        Sample(draw(3, 4), draw(4, 5, seed=1), None, "relu", why="an activation without a bias"),
        Sample(draw(4), draw(4, 5, seed=1), draw(5, seed=2), "tanh", why="a vector"),
        Sample(draw(2, 3, 4), draw(4, 5, seed=1), draw(5, seed=2), "relu", why="further axes"),
        Sample(draw(2, 1, 3, 4), draw(4, 1, seed=1), draw(1, seed=2), "sigmoid", why="one unit"),
        Sample(draw(70, 8), draw(8, 90, seed=1), draw(90, seed=2), "relu", why="large enough for a kernel"),
        Sample(draw(70, 8), draw(8, 90, seed=1), draw(90, seed=2), why="large enough for a kernel, linear"),
        Sample(draw(0, 4), draw(4, 5, seed=1), draw(5, seed=2), why="no rows"),
        Sample(np.zeros((3, 0)), np.zeros((0, 2)), draw(2), why="nothing adds up to the bias"),
        arrays(
            [[1.0, nan], [inf, 1.0]],
            np.eye(2),
            np.zeros(2),
            "relu",
            grad=False,
            differs={"tensorflow": "in a graph it is one kernel, whose relu makes 0 of nan"},
            why="nan stays through relu",
        ),
        Sample(complex_draw(3, 4), complex_draw(4, 2, seed=3), **AS_COMPLEX),
        Sample(whole(3, 4), draw(4, 2), draw(2, seed=1), grad=["kernel", "bias"], why="int32 with floats"),
        *(Sample(draw(3, 4), draw(4, 5, seed=1), draw(5, seed=2), name) for name in ("silu", "gelu", "gelu_tanh")),
        Sample(draw(2, 3, 4), draw(4, 5, seed=1), None, "gelu", why="further axes, and no bias"),
        Sample(draw(70, 8), draw(8, 90, seed=1), draw(90, seed=2), "silu", why="large enough for a kernel"),
    ],
    errors=[
        Bad(np.ones((3, 4)), np.ones((3, 4)), match="the inner sizes are 4 and 3"),
        Bad(np.ones((3, 4)), np.ones(4), match=r"kernel \(k, m\)"),
        Bad(np.ones((3, 4)), np.ones((4, 2)), np.ones(3), match=r"bias should have shape \(2,\)"),
        Bad(np.ones((3, 4)), np.ones((4, 2)), activation="softmax", match="activation='softmax' should be one of"),
        Bad(np.ones((3, 4), "int32"), np.ones((4, 2), "int32"), match="should be floats"),
    ],
    tol=PRODUCTS,
    dtypes=FLOATS,
)


def conv_formula(x, kernel, bias=None, *args, activation="linear", **arguments):
    y = conv(x, kernel, *args, **arguments)
    if bias is not None:
        first = arguments.get("data_format") == "channels_first"
        y = y + (bias.reshape(-1, *(1,) * (y.ndim - 2)) if first else bias)
    return BY_RESULT[activation](y)


Case(
    ops.activated_conv,
    conv_formula,
    samples=[
        *(Sample(draw(2, 5, 6, 3), draw(3, 2, 3, 4, seed=1), draw(4, seed=2), activation=name) for name in BY_RESULT),
        Sample(draw(2, 5, 6, 3), draw(3, 2, 3, 4, seed=1), why="no bias"),
        Sample(draw(2, 5, 6, 3), draw(3, 2, 3, 4, seed=1), None, activation="relu", why="an activation without a bias"),
        Sample(draw(2, 9, 3), draw(3, 3, 5, seed=1), draw(5, seed=2), 2, ((2, 0),), activation="relu", why="causal"),
        Sample(
            draw(2, 4, 5, 6),
            draw(3, 3, 2, 4, seed=1),
            draw(4, seed=2),
            padding="same",
            data_format="channels_first",
            activation="tanh",
            why="two groups, and channels in front",
        ),
        Sample(
            draw(1, 6, 5, 4),
            draw(3, 3, 1, 8, seed=1),
            draw(8, seed=2),
            (2, 1),
            "same",
            activation="relu",
            why="each channel for itself",
        ),
        Sample(draw(1, 3, 4, 5, 2), draw(2, 2, 3, 2, 3, seed=1), draw(3, seed=2), padding="same", activation="relu"),
        Sample(draw(2, 9, 8, 16), draw(3, 3, 16, 20, seed=1) / 8, draw(20, seed=2), padding="same", activation="relu"),
        Sample(draw(0, 4, 4, 2), draw(2, 2, 2, 3, seed=1), draw(3, seed=2), why="no images"),
        Sample(
            np.array([1.0, nan, inf, -1.0]).reshape(1, 4, 1),
            np.ones((1, 1, 1)),
            np.zeros(1),
            activation="relu",
            grad=False,
            why="nan stays through relu",
        ),
    ],
    errors=[
        Bad(np.ones((1, 3, 3, 2)), np.ones((1, 1, 2, 4)), np.ones(3), match=r"bias should have shape \(4,\)"),
        Bad(np.ones((1, 3, 3, 2)), np.ones((1, 1, 2, 4)), activation="softmax", match="activation='softmax' should be"),
        Bad(np.ones((1, 3, 3, 2), "int32"), np.ones((1, 1, 2, 4), "int32"), match="should be floats"),
        Bad(np.ones((1, 3, 3, 2)), np.ones((1, 1, 3, 4)), match="have 2 channels"),
    ],
    tol=SUMS,
    dtypes=FLOATS,
)
