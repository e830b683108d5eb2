"""Records of pooling."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.conformance.conv import padding_of, per_axis
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import FIRST, draw, whole

inf, nan = np.inf, np.nan


def pooled(fold):
    """A formula that folds, for each window, what it has inside the image."""

    def formula(x, pool_size, strides=None, padding="valid", data_format="channels_last"):
        if data_format == "channels_first":
            return np.moveaxis(formula(np.moveaxis(x, 1, -1), pool_size, strides, padding), -1, 1)
        rank = x.ndim - 2
        size = per_axis(pool_size, rank)
        steps = size if strides is None else per_axis(strides, rank)
        pads = padding_of(x.shape[1:-1], size, steps, (1,) * rank, padding)
        counts = [(n + sum(p) - k) // s + 1 for n, p, k, s in zip(x.shape[1:-1], pads, size, steps, strict=True)]
        y = np.empty((x.shape[0], *counts, x.shape[-1]), fold(np.ones(1, x.dtype), 0).dtype)
        for place in np.ndindex(*counts):
            starts = [p * s - before for p, s, (before, _) in zip(place, steps, pads, strict=True)]
            part = tuple(slice(max(i, 0), i + k) for i, k in zip(starts, size, strict=True))
            y[(slice(None), *place)] = fold(x[(slice(None), *part)], tuple(range(1, rank + 1)))
        return y

    return formula


def signal(*values):
    """One image of one channel along one axis."""
    return np.reshape(values, (1, -1, 1))


def shared_samples():
    return [
        Sample(draw(2, 7, 3), 2),
        Sample(draw(2, 7, 3), 3, 2, padding="same"),
        Sample(draw(2, 8, 3), 3, 2, padding="same", why="the window reaches over the end alone"),
        Sample(draw(2, 3, 7), 3, 1, padding="same", **FIRST),
        Sample(draw(2, 7, 3), 2, 3, why="gaps between the windows"),
        Sample(draw(2, 5, 7, 3), 2),
        Sample(draw(2, 5, 7, 3), (2, 3), padding="same"),
        Sample(draw(2, 5, 6, 3), (3, 2), 1, padding="same"),
        Sample(draw(2, 6, 7, 3), 3, 2),
        Sample(draw(2, 6, 7, 3), 3, 2, padding="same"),
        Sample(draw(1, 6, 7, 2), (4, 3), (1, 2), padding="same", why="one more over the end than over the start"),
        Sample(draw(2, 3, 5, 6), 2, 1, padding="same", **FIRST),
        Sample(draw(2, 3, 5, 6), (3, 2), **FIRST),
        Sample(draw(2, 3, 4, 2), 1, 2, why="windows of one element"),
        Sample(draw(1, 4, 5, 6, 2), 2),
        Sample(draw(1, 4, 5, 6, 2), (2, 3, 2), (1, 2, 2), padding="same"),
        Sample(draw(1, 2, 4, 3, 5), 2, 1, padding="same", **FIRST),
        Sample(draw(0, 5, 6, 3), 2, why="no images"),
        Sample(
            -1 - draw(1, 5, 5, 2, low=0, high=1),
            3,
            2,
            padding="same",
            why="zeros from the padding must not win or count",
        ),
    ]


SHORT = [
    Bad(np.ones((5, 5)), 2, match=r"should have 3 to 5 dimensions, not shape \(5, 5\)"),
    Bad(np.ones((2, 2, 5, 4)), 3, match=r"does not fit spatial sizes \(2, 5\)"),
    Bad(np.ones((2, 5, 5, 4)), (2, 2, 2), match=r"pool_size=\(2, 2, 2\)"),
    Bad(np.ones((2, 5, 5, 4)), 2, 0, match=r"strides=0"),
    Bad(np.ones((2, 5, 5, 4)), 2, padding="full", match=r"padding='full'"),
    Bad(np.ones((2, 5, 5, 4)), 2, data_format="NHWC", match=r"data_format='NHWC'"),
]

Case(
    ops.max_pool,
    reference=pooled(np.max),
    samples=[
        *shared_samples(),
        Sample(
            signal(1.0, nan, 2.0, 3.0, nan, 0.5),
            2,
            expect=signal(nan, 3.0, nan),
            grad=False,
            why="a nan wins, first or last",
        ),
        Sample(
            np.full((1, 4, 3, 1), -inf),
            2,
            1,
            padding="same",
            expect=np.full((1, 4, 3, 1), -inf),
            grad=False,
            why="nothing greater than -inf",
        ),
        Sample(
            np.ones((1, 6, 1)),
            3,
            2,
            padding="same",
            gradient=[signal(1.0, 0, 1, 0, 1, 0)],
            why="the first of equals gets the gradient",
        ),
        Sample(
            np.ones((1, 3, 4, 1)),
            (2, 3),
            1,
            gradient=[np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]).reshape(1, 3, 4, 1)],
            why="the first of equals, row by row",
        ),
        Sample(
            np.ones((1, 2, 2, 2, 1)),
            2,
            gradient=[np.array([1.0, 0, 0, 0, 0, 0, 0, 0]).reshape(1, 2, 2, 2, 1)],
            why="the first of equals, over three axes",
        ),
        Sample(whole(2, 5, 6, 3, low=-9), 2, padding="same", why="integers stay"),
    ],
    errors=SHORT,
)

Case(
    ops.average_pool,
    reference=pooled(np.mean),
    samples=[
        *shared_samples(),
        Sample(
            np.ones((1, 5, 4, 1)),
            3,
            2,
            padding="same",
            expect=np.ones((1, 3, 2, 1)),
            why="only what is inside is counted",
        ),
        Sample(
            signal(1.0, inf, 2.0, 4.0, nan, 1.0),
            2,
            expect=signal(inf, 3.0, nan),
            grad=False,
            why="an infinity or nan stays in its window",
        ),
    ],
    errors=SHORT,
)


def adapted(fold):
    """A formula that folds windows from floor(i * n / m) to ceil((i + 1) * n / m)."""

    def formula(x, output_size, data_format="channels_last"):
        if data_format == "channels_first":
            return np.moveaxis(formula(np.moveaxis(x, 1, -1), output_size), -1, 1)
        size = per_axis(output_size, x.ndim - 2)
        y = np.empty((x.shape[0], *size, x.shape[-1]), fold(np.ones(1, x.dtype), 0).dtype)
        for place in np.ndindex(*size):
            ends = zip(place, x.shape[1:-1], size, strict=True)
            part = tuple(slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in ends)
            y[(slice(None), *place)] = fold(x[(slice(None), *part)], tuple(range(1, x.ndim - 1)))
        return y

    return formula


def adaptive_samples():
    return [
        Sample(draw(2, 7, 3), 3),
        Sample(draw(2, 3, 7), 4, **FIRST),
        Sample(draw(2, 7, 5, 3), (3, 2)),
        Sample(draw(2, 6, 9, 3), (3, 3), why="windows of one size"),
        Sample(draw(2, 7, 5, 3), (9, 5), why="more windows than elements, and as many"),
        Sample(draw(2, 7, 5, 3), 1),
        Sample(draw(2, 3, 7, 5), (2, 4), **FIRST),
        Sample(draw(1, 5, 4, 7, 2), (2, 3, 3)),
        Sample(draw(0, 7, 5, 3), 3, why="no images"),
    ]


ADAPTIVE_ERRORS = [
    Bad(np.ones((2, 5, 5, 3)), 0, match=r"output_size=0"),
    Bad(np.ones((2, 5, 5, 3)), (2, 2, 2), match=r"output_size=\(2, 2, 2\)"),
    Bad(np.ones((5, 5)), 2, match=r"should have 3 to 5 dimensions"),
    Bad(np.ones((2, 0, 5, 3)), 2, match=r"have nothing to pool"),
]

Case(
    ops.adaptive_max_pool,
    reference=adapted(np.max),
    samples=[
        *adaptive_samples(),
        Sample(signal(1.0, nan, 2.0, 3.0, 0.5), 3, expect=signal(nan, nan, 3.0), grad=False, why="a nan wins"),
        Sample(np.ones((1, 5, 1)), 3, gradient=[signal(1.0, 1, 0, 1, 0)], why="the first of equals gets the gradient"),
        Sample(
            np.ones((1, 3, 2, 1)),
            (2, 1),
            gradient=[np.array([[1.0, 0], [1, 0], [0, 0]]).reshape(1, 3, 2, 1)],
            why="the first of equals, row by row",
        ),
        Sample(whole(2, 5, 7, 3, low=-9), 3, why="integers stay"),
    ],
    errors=ADAPTIVE_ERRORS,
)

Case(
    ops.adaptive_average_pool,
    reference=adapted(np.mean),
    samples=[
        *adaptive_samples(),
        Sample(
            signal(1.0, inf, 2.0, 3.0, 4.0),
            2,
            expect=signal(inf, 3.0),
            grad=False,
            why="an infinity stays in its windows",
        ),
    ],
    errors=ADAPTIVE_ERRORS,
)
