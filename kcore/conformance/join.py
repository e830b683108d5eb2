"""Records of the ops that join tensors, take them apart, repeat and pad them."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import arrays, draw, whole
from kcore.conformance.shape import FEW_BITS, exact

# -- joined -----------------------------------------------------------------------------

exact(
    ops.concatenate,
    reference=lambda xs, axis=0: np.concatenate(xs, axis),
    samples=[
        Sample([draw(2, 3), draw(4, 3)]),
        Sample([draw(2, 3, 4), draw(2, 1, 4), draw(2, 2, 4)], axis=1),
        Sample([draw(2, 3), draw(2, 2)], axis=-1),
        Sample([draw(2, 3)]),
        Sample([draw(2, 3), np.zeros((0, 3))], why="an empty piece adds nothing"),
        Sample([draw(2), whole(3)], why="integers become what they meet"),
        Sample((draw(2), draw(3)), why="a tuple is as good as a list"),
    ],
    errors=[
        Bad([], match="xs is empty"),
        Bad([np.ones((2, 3)), np.ones(3)], match="different numbers of dimensions"),
        Bad([np.ones((2, 3)), np.ones((2, 4))], match="differ in another axis than axis=0"),
        Bad([np.ones((2, 3))], axis=2, match="out of range"),
        Bad([np.ones(())], match="out of range"),
    ],
)

exact(
    ops.stack,
    reference=lambda x, axis=0: np.stack(x, axis),
    samples=[
        Sample([draw(2, 3), draw(2, 3, seed=1)]),
        *(Sample([draw(2, 3), draw(2, 3, seed=1), draw(2, 3)], axis=axis) for axis in (1, 2, -1, -3)),
        Sample([draw(), draw(seed=1)]),
        Sample([draw(2), whole(2)], why="integers become what they meet"),
        Sample([np.zeros((0, 2)), np.zeros((0, 2))], axis=1),
    ],
    errors=[
        Bad([], match="x is empty"),
        Bad([np.ones((2, 3)), np.ones((3, 2))], match="one shape"),
        Bad([np.ones(3), np.ones((3, 3))], match="one shape"),
        Bad([np.ones(3), np.ones(3)], axis=2, match="out of range"),
    ],
)

exact(
    ops.append,
    reference=lambda x1, x2, axis=None: np.append(x1, x2, axis),
    samples=[
        Sample(draw(2, 3), draw(4)),
        Sample(draw(2, 3), draw(4, 3), axis=0),
        Sample(draw(2, 3), draw(2, 1), axis=-1),
        Sample(draw(), draw()),
        Sample(draw(2), np.zeros(0)),
    ],
    errors=[Bad(np.ones((2, 3)), np.ones((2, 4)), axis=0, match="differ in another axis")],
)

exact(
    ops.hstack,
    reference=lambda xs: np.hstack(xs),
    samples=[
        Sample([draw(2), draw(3)]),
        Sample([draw(2, 3), draw(2, 1)]),
        Sample([draw(2, 3, 4), draw(2, 1, 4)]),
        Sample([draw(), draw(seed=1)]),
    ],
    errors=[Bad([], match="xs is empty"), Bad([np.ones((2, 3)), np.ones((3, 3))], match="differ in another axis")],
)

exact(
    ops.vstack,
    reference=lambda xs: np.vstack(xs),
    samples=[
        Sample([draw(3), draw(3, seed=1)]),
        Sample([draw(2, 3), draw(3)], why="a vector is a row"),
        Sample([draw(2, 3, 4), draw(1, 3, 4)]),
        Sample([draw(), draw(seed=1)]),
    ],
    errors=[Bad([np.ones(3), np.ones(2)], match="differ in another axis")],
)

exact(
    ops.dstack,
    reference=lambda xs: np.dstack(xs),
    samples=[
        Sample([draw(3), draw(3, seed=1)]),
        Sample([draw(2, 3), draw(2, 3, seed=1)]),
        Sample([draw(2, 3, 4), draw(2, 3)], why="a matrix is a slice"),
        Sample([draw(), draw(seed=1)]),
    ],
    errors=[Bad([np.ones(3), np.ones(2)], match="differ in another axis")],
)

# -- taken apart ------------------------------------------------------------------------

exact(
    ops.split,
    reference=lambda x, indices_or_sections, axis=0: np.split(x, indices_or_sections, axis),
    samples=[
        Sample(draw(4, 3), indices_or_sections=2),
        Sample(draw(2, 6), indices_or_sections=3, axis=-1),
        Sample(draw(5, 2), indices_or_sections=[1, 3]),
        Sample(draw(5, 2), indices_or_sections=(1, 1, 4), why="a position twice leaves an empty piece"),
        Sample(draw(5), indices_or_sections=[-2], why="from the end"),
        Sample(draw(5), indices_or_sections=[2, 5], why="at the end there is nothing left"),
        Sample(draw(5), indices_or_sections=np.array([2, 3])),
        Sample(draw(3), indices_or_sections=[], why="no cut, one piece"),
        Sample(np.zeros((0, 2)), indices_or_sections=2),
    ],
    errors=[
        Bad(np.ones((5, 2)), indices_or_sections=2, match=r"axis=0 of x of shape \(5, 2\) is not divisible by 2"),
        Bad(np.ones((5, 2)), indices_or_sections=0, match="at least 1"),
        Bad(np.ones((5, 2)), indices_or_sections=[3, 1], match="increasing"),
        Bad(np.ones((5, 2)), indices_or_sections=[3, 6], match="out of range for axis=0 of size 5"),
        Bad(np.ones((5, 2)), indices_or_sections=1.5, match="should be integers"),
        Bad(np.ones((5, 2)), indices_or_sections=1, axis=2, match="out of range"),
    ],
)

exact(
    ops.array_split,
    reference=lambda x, indices_or_sections, axis=0: np.array_split(x, indices_or_sections, axis),
    samples=[
        Sample(draw(7, 2), indices_or_sections=3, why="3, 2 and 2 rows"),
        Sample(draw(2, 2), indices_or_sections=3, why="more pieces than rows"),
        Sample(draw(2, 6), indices_or_sections=3, axis=1),
        Sample(draw(5), indices_or_sections=[1, 3]),
    ],
    errors=[Bad(np.ones(5), indices_or_sections=0, match="at least 1")],
)

exact(
    ops.hsplit,
    reference=lambda x, indices_or_sections: np.hsplit(x, indices_or_sections),
    samples=[Sample(draw(2, 4), indices_or_sections=2), Sample(draw(4), indices_or_sections=[1])],
    errors=[Bad(np.ones(()), indices_or_sections=1, match="at least 1 dimensions")],
)

exact(
    ops.vsplit,
    reference=lambda x, indices_or_sections: np.vsplit(x, indices_or_sections),
    samples=[Sample(draw(4, 2), indices_or_sections=2), Sample(draw(4, 2, 3), indices_or_sections=[1])],
    errors=[Bad(np.ones(4), indices_or_sections=2, match="at least 2 dimensions")],
)

exact(
    ops.dsplit,
    reference=lambda x, indices_or_sections: np.dsplit(x, indices_or_sections),
    samples=[Sample(draw(2, 3, 4), indices_or_sections=2), Sample(draw(2, 3, 4), indices_or_sections=[1])],
    errors=[Bad(np.ones((4, 2)), indices_or_sections=2, match="at least 3 dimensions")],
)

exact(
    ops.unstack,
    reference=lambda x, num=None, axis=0: list(np.moveaxis(x, axis, 0)),
    samples=[
        Sample(draw(3, 2)),
        Sample(draw(2, 3, 4), axis=1),
        Sample(draw(2, 3, 4), num=4, axis=-1),
        Sample(draw(3)),
    ],
    errors=[
        Bad(np.ones((2, 3)), num=3, match="num=3, but axis=0"),
        Bad(np.ones(()), match="out of range"),
    ],
)

# -- repeated ---------------------------------------------------------------------------

exact(
    ops.tile,
    reference=lambda x, repeats: np.tile(x, repeats),
    samples=[
        Sample(draw(2, 3), repeats=(2, 3)),
        Sample(draw(2, 3), repeats=2, why="one number is for the last axis"),
        Sample(draw(3), repeats=(2, 1, 2), why="more numbers than axes"),
        Sample(draw(2, 3), repeats=()),
        Sample(draw(2, 3), repeats=(0, 2)),
        Sample(np.arange(6.0).reshape(2, 3), repeats=2, **FEW_BITS),
        Sample(draw(), repeats=3),
    ],
    errors=[Bad(np.ones(3), repeats=-1, match="negative number")],
)

exact(
    ops.repeat,
    reference=lambda x, repeats, axis=None: np.repeat(x, repeats, axis),
    samples=[
        Sample(draw(2, 3), repeats=2),
        Sample(draw(2, 3), repeats=2, axis=0),
        Sample(draw(2, 3, 4), repeats=3, axis=-2),
        Sample(draw(2, 3), repeats=[2, 0, 1], axis=1, why="each its own number"),
        Sample(draw(2, 3), repeats=[3], axis=1, why="a list of one is for all"),
        Sample(draw(3), repeats=np.array([1, 2, 0])),
        Sample(draw(2, 3), repeats=0, axis=1),
        Sample(draw(), repeats=2),
    ],
    errors=[
        Bad(np.ones((2, 3)), repeats=-1, match="negative number"),
        Bad(np.ones((2, 3)), repeats=[1, 2], axis=1, match="one number, or 3 of them"),
        Bad(np.ones((2, 3)), repeats=1, axis=2, match="out of range"),
    ],
)

exact(
    ops.meshgrid,
    reference=lambda *x, indexing="xy": [np.array(e) for e in np.meshgrid(*x, indexing=indexing)],
    samples=[
        Sample(draw(2), draw(3)),
        Sample(draw(2), draw(3), indexing="ij"),
        Sample(draw(2), draw(3), draw(4)),
        Sample(draw(2), draw(), why="a scalar is one point"),
        Sample(draw(2)),
        Sample(draw(2), whole(3), why="dtypes stay apart"),
        Sample(draw(2), np.zeros(0)),
    ],
    errors=[
        Bad(np.ones((2, 3)), match="0 to 1 dimensions"),
        Bad(np.ones(2), indexing="yx", match="indexing='yx'"),
    ],
)

# -- padded -----------------------------------------------------------------------------


def _padded(x, pad_width, mode="constant", constant_values=None):
    if not x.ndim:  # NumPy has no pairs for no axes
        return x
    if mode == "empty":
        mode = "constant"
    if mode != "constant":
        return np.pad(x, pad_width, mode)
    return np.pad(x, pad_width, constant_values=np.asarray(constant_values or 0).astype(x.dtype))


UNEVEN = ((0, 1), (2, 5), (1, 0))

Case(
    ops.pad,
    reference=_padded,
    samples=[
        Sample(draw(2, 3, 4), pad_width=UNEVEN),
        Sample(draw(2, 3), pad_width=2, constant_values=1.5),
        Sample(draw(2, 3), pad_width=(1, 2), why="a pair for every axis"),
        Sample(draw(2, 3), pad_width=((1, 2),)),
        Sample(draw(2, 3), pad_width=0),
        Sample(np.arange(6.0).reshape(2, 3), pad_width=1, **FEW_BITS),
        Sample(draw(), pad_width=()),
        Sample(np.zeros((0, 2)), pad_width=1),
        *(Sample(draw(2, 3, 4), pad_width=UNEVEN, mode=m) for m in ("edge", "reflect", "symmetric", "wrap", "empty")),
        *(
            Sample(draw(2, 3), pad_width=((1, 2), (3, 0)), mode=m)
            for m in ("linear_ramp", "mean", "maximum", "minimum")
        ),
        Sample(draw(2, 5), pad_width=1, mode="median"),
        Sample(draw(3), pad_width=9, mode="reflect", why="wider than the axis: it goes to and fro"),
        Sample(draw(3), pad_width=9, mode="symmetric"),
        Sample(draw(1, 3), pad_width=2, mode="reflect", why="a single element mirrors itself"),
        Sample(whole(2, 3), pad_width=1, constant_values=1.7, expect=np.pad(whole(2, 3), 1, constant_values=1)),
        Sample(np.ones(1, "uint8"), pad_width=1, constant_values=-1, dtypes=["uint8"], expect=[255, 1, 255]),
        Sample(np.ones(1, "int8"), pad_width=1, constant_values=300, dtypes=["int8"], expect=[44, 1, 44]),
        Sample(whole(4), pad_width=3, mode="linear_ramp", why="integers are rounded down"),
        arrays([3, -5], pad_width=4, mode="linear_ramp", why="negative ones too"),
    ],
    errors=[
        Bad(np.ones((2, 3)), pad_width=-1, match="at least 0"),
        Bad(np.ones((2, 3)), pad_width=((1, 1), (1, 1), (1, 1)), match="a pair for each of 2 axes"),
        Bad(whole(2), pad_width=1, constant_values=np.inf, match="constant_values=inf is no int32"),
        Bad(np.ones((2, 3)), pad_width=1, mode="circular", match="mode='circular' should be one of"),
        Bad(np.ones((2, 3)), pad_width=1, mode="reflect", constant_values=1, match="is for mode='constant'"),
        Bad(np.ones((2, 0)), pad_width=1, mode="edge", match="can't extend"),
    ],
    tol={"float64": 2e-15, "float32": 5e-7},
)

exact(
    ops.constant_pad,
    reference=lambda x, pad_width, value=0: _padded(x, pad_width, constant_values=value),
    samples=[
        Sample(draw(2, 3, 4), pad_width=UNEVEN),
        Sample(draw(2, 3), pad_width=((1, 1), (0, 0)), value=-np.inf, gradient=1),
        Sample(draw(2, 0), pad_width=((0, 0), (1, 2)), value=2.5),
        Sample(draw(), pad_width=()),
    ],
    errors=[Bad(np.ones((2, 3)), pad_width=((1, -1), (0, 0)), match="at least 0")],
)
