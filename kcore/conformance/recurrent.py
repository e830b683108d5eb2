"""Records of recurrent layers along whole sequences."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import draw

MASK = np.array([[True, False, True], [False, True, False]])
HOLES = np.where(MASK[..., None], 0.0, np.nan)
TOLERANCES = {"float64": 1e-14, "float32": 3e-6, "float16": 1e-2, "bfloat16": 1e-1}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def along(step, states, gates, mask, reverse, sequence):
    """(first states of all steps, only with `sequence`, last states) of `states = step(gates, *states)`."""
    hs = np.zeros((*gates.shape[:2], states[0].shape[1]))
    steps = range(gates.shape[1])
    for t in steps[::-1] if reverse else steps:
        there = np.ones((len(gates), 1), bool) if mask is None else mask[:, t : t + 1]
        states = [np.where(there, new, old) for new, old in zip(step(gates[:, t], *states), states, strict=True)]
        hs[:, t] = states[0]
    return (hs, *states) if sequence else tuple(states)


def lstm_formula(x, h, c, kernel, recurrent_kernel, bias=None, mask=None, reverse=False, sequence=True):
    def step(gates, h, c):
        i, f, g, o = np.split(gates + h @ recurrent_kernel, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    gates = x @ kernel + (0 if bias is None else bias)
    return along(step, [h, c], gates, mask, reverse, sequence)


def gru_formula(x, h, kernel, recurrent_kernel, bias=None, mask=None, reverse=False, sequence=True, reset_after=True):
    first, second = (0, 0) if bias is None else bias if reset_after else (bias, 0)
    for_update, for_reset, for_candidate = np.split(recurrent_kernel, 3, -1)

    def step(gates, h):
        x_update, x_reset, x_candidate = np.split(gates, 3, -1)
        b_update, b_reset, b_candidate = np.split(second + np.zeros(gates.shape[-1]), 3)
        update = sigmoid(x_update + h @ for_update + b_update)
        reset = sigmoid(x_reset + h @ for_reset + b_reset)
        if reset_after:
            candidate = np.tanh(x_candidate + reset * (h @ for_candidate + b_candidate))
        else:
            candidate = np.tanh(x_candidate + (reset * h) @ for_candidate)
        return (update * h + (1 - update) * candidate,)

    return along(step, [h], x @ kernel + first, mask, reverse, sequence)


def drawn(gates, batch, steps, features, units, bias=None):
    """(x, the first states, kernel, recurrent_kernel) and, of that shape, a bias."""
    states = [draw(batch, units, seed=s) for s in range(1, 3 if gates == 4 else 2)]
    kernels = draw(features, gates * units, seed=3), draw(units, gates * units, seed=4)
    return draw(batch, steps, features), *states, *kernels, *([] if bias is None else [draw(*bias, seed=5)])


LSTM, GRU = drawn(4, 2, 3, 3, 2, (8,)), drawn(3, 2, 3, 3, 2, (2, 6))
x, h, c, kernel, recurrent_kernel, bias = LSTM

Case(
    ops.lstm,
    lstm_formula,
    samples=[
        Sample(*LSTM),
        Sample(*LSTM[:-1], why="no bias"),
        Sample(*LSTM, sequence=False, why="the last states alone"),
        Sample(*LSTM, reverse=True),
        Sample(*LSTM, mask=MASK, why="masked steps leave the states"),
        Sample(LSTM[0] + HOLES, *LSTM[1:], mask=MASK, why="nan at masked steps, without gradients either"),
        Sample(*LSTM, mask=MASK, reverse=True, sequence=False),
        Sample(*drawn(4, 1, 1, 1, 1, (4,)), why="one of each"),
        Sample(*drawn(4, 9, 2, 4, 20, (80,)), grad=False, why="more rows than a tile, units beside a vector's width"),
        Sample(*drawn(4, 2, 0, 3, 2, (8,)), sequence=False, why="no steps"),
        Sample(*drawn(4, 0, 2, 3, 2, (8,)), why="no samples"),
    ],
    errors=[
        Bad(x[0], h, c, kernel, recurrent_kernel, match="x should have 3 dimensions"),
        Bad(x, h[:1], c, kernel, recurrent_kernel, match=r"h should have shape \(2, 2\), not \(1, 2\)"),
        Bad(x, h, c[:, :1], kernel, recurrent_kernel, match=r"c should have shape \(2, 2\), not \(2, 1\)"),
        Bad(x, h, c, kernel[:2], recurrent_kernel, match=r"kernel should have shape \(3, 8\)"),
        Bad(
            x, h, c, kernel, recurrent_kernel[:, :6], match=r"recurrent_kernel should have shape \(units, 4 \* units\)"
        ),
        Bad(*LSTM[:-1], bias[:4], match=r"bias should have shape \(8,\)"),
        Bad(*LSTM, MASK[:, :2], match=r"mask should have shape \(2, 3\)"),
        Bad(*(a.astype("int32") for a in LSTM), match="should be floats"),
    ],
    tol=TOLERANCES,
)
x, h, kernel, recurrent_kernel, bias = GRU
BEFORE = drawn(3, 2, 3, 3, 2, (6,))

Case(
    ops.gru,
    gru_formula,
    samples=[
        Sample(*GRU),
        Sample(*BEFORE, reset_after=False),
        Sample(*GRU[:-1], why="no bias"),
        Sample(*BEFORE[:-1], reset_after=False, why="no bias"),
        Sample(*GRU, sequence=False, why="the last state alone"),
        Sample(*GRU, reverse=True),
        Sample(*GRU, mask=MASK, why="masked steps leave the state"),
        Sample(GRU[0] + HOLES, *GRU[1:], mask=MASK, why="nan at masked steps, without gradients either"),
        Sample(*BEFORE, mask=MASK, reverse=True, sequence=False, reset_after=False),
        Sample(*drawn(3, 1, 1, 1, 1, (2, 3)), why="one of each"),
        Sample(*drawn(3, 9, 2, 4, 20, (2, 60)), grad=False, why="more rows than a tile, units beside a vector's width"),
        Sample(*drawn(3, 9, 2, 4, 20, (60,)), reset_after=False, grad=False, why="the same"),
        Sample(*drawn(3, 2, 0, 3, 2, (2, 6)), sequence=False, why="no steps"),
    ],
    errors=[
        Bad(x, h, kernel, recurrent_kernel, bias[0], match=r"bias should have shape \(2, 6\)"),
        Bad(x, h, kernel, recurrent_kernel, bias, reset_after=False, match=r"bias should have shape \(6,\)"),
        Bad(x, h[:, :1], kernel, recurrent_kernel, match=r"h should have shape \(2, 2\), not \(2, 1\)"),
        Bad(x, h, kernel[:, :4], recurrent_kernel, match=r"kernel should have shape \(3, 6\)"),
    ],
    tol=TOLERANCES,
)
