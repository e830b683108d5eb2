"""Records of the ops that give elements another arrangement.

They move values and compute nothing, so they are held to exact results in every dtype.
"""

from __future__ import annotations

import functools

import numpy as np

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import draw

EXACT = {"float64": 0.0, "float32": 0.0}
exact = functools.partial(Case, tol=EXACT)  # of ops that move elements

NOTHING = np.zeros((3, 0, 2))
FEW_BITS = {
    "dtypes": ["float8_e4m3fn", "float8_e5m2", "complex64"],
    "why": "dtypes that frameworks have few kernels for",
}

exact(
    ops.reshape,
    reference=lambda x, newshape: np.reshape(x, newshape),
    samples=[
        Sample(draw(2, 3, 4), newshape=(4, 6)),
        Sample(draw(2, 3, 4), newshape=(-1,)),
        Sample(draw(2, 3, 4), newshape=(3, -1, 2)),
        Sample(draw(6), newshape=6, why="one size needs no tuple"),
        Sample(draw(), newshape=(1, 1)),
        Sample(draw(1, 1), newshape=()),
        Sample(NOTHING, newshape=(0, 5), why="no elements fit any shape without any"),
        Sample(NOTHING, newshape=(3, -1), expect=np.zeros((3, 0)), why="the open size is 0"),
    ],
    errors=[
        Bad(np.ones((2, 3)), newshape=(4,), match=r"6 elements, which don't fit newshape=\(4,\)"),
        Bad(np.ones((2, 3)), newshape=(-1, 4), match="don't fit"),
        Bad(np.ones((2, 3)), newshape=(-1, -1), match="more than one size open"),
        Bad(np.ones((2, 3)), newshape=(-2, 3), match="negative size besides -1"),
        Bad(np.ones((2, 3)), newshape=(2.0, 3), match="should be an integer"),
    ],
)

exact(
    ops.ravel,
    reference=lambda x: np.ravel(x),
    samples=[Sample(draw(2, 3, 4)), Sample(draw()), Sample(draw(5)), Sample(NOTHING)],
)

exact(
    ops.broadcast_to,
    reference=lambda x, shape: np.broadcast_to(x, shape),
    samples=[
        Sample(draw(3, 1), shape=(2, 3, 4)),
        Sample(draw(4), shape=(3, 4)),
        Sample(draw(), shape=(2, 3)),
        Sample(draw(2, 3), shape=(2, 3)),
        Sample(draw(3, 1), shape=(3, 0), why="a size of 1 can go to 0"),
    ],
    errors=[
        Bad(np.ones((2, 3)), shape=(3, 2), match=r"don't broadcast together|does not broadcast"),
        Bad(np.ones((2, 3)), shape=(3,), match="does not broadcast"),
        Bad(np.ones((2, 3)), shape=(2, -3), match="negative size"),
    ],
)

exact(
    ops.expand_dims,
    reference=lambda x, axis: np.expand_dims(x, axis),
    samples=[
        *(Sample(draw(2, 3), axis=axis) for axis in (0, 1, 2, -1, -3)),
        Sample(draw(2, 3), axis=(0, -1)),
        Sample(draw(2, 3), axis=(3, 1)),
        Sample(draw(), axis=0),
        Sample(NOTHING, axis=1),
    ],
    errors=[
        Bad(np.ones((2, 3)), axis=3, match=r"axis=3 is out of range; expected -3 <= axis < 3"),
        Bad(np.ones((2, 3)), axis=(0, -4), match="names an axis twice"),
        Bad(np.ones((2, 3)), axis=0.5, match="should be an integer"),
    ],
)

exact(
    ops.squeeze,
    reference=lambda x, axis=None: np.squeeze(x, axis),
    samples=[
        Sample(draw(1, 3, 1, 2), unsized=False),
        Sample(draw(1, 3, 1, 2), axis=0),
        Sample(draw(1, 3, 1, 2), axis=-2),
        Sample(draw(1, 3, 1, 2), axis=(2, 0)),
        Sample(draw(1, 3), axis=(), why="no axis is named, so none goes"),
        Sample(draw(2, 3), why="there is none of size 1"),
        Sample(draw(1, 1), unsized=False),
        Sample(np.zeros((0, 1)), unsized=False),
    ],
    errors=[
        Bad(np.ones((1, 3)), axis=1, match=r"axis=1 of x of shape \(1, 3\) has size 3"),
        Bad(np.ones((1, 3)), axis=2, match="out of range"),
    ],
)

exact(
    ops.transpose,
    reference=lambda x, axes=None: np.transpose(x, axes),
    samples=[
        Sample(draw(2, 3, 4)),
        Sample(draw(2, 3, 4), axes=(2, 0, 1)),
        Sample(draw(2, 3, 4), axes=[-1, 0, 1]),
        Sample(draw(5)),
        Sample(draw()),
        Sample(NOTHING, axes=(1, 2, 0)),
    ],
    errors=[
        Bad(np.ones((2, 3)), axes=(0, 0), match="name each axis"),
        Bad(np.ones((2, 3)), axes=(0,), match="name each axis"),
        Bad(np.ones((2, 3)), axes=(0, 2), match="out of range"),
    ],
)

exact(
    ops.swapaxes,
    reference=lambda x, axis1, axis2: np.swapaxes(x, axis1, axis2),
    samples=[
        Sample(draw(2, 3, 4), axis1=0, axis2=-1),
        Sample(draw(2, 3, 4), axis1=2, axis2=1),
        Sample(draw(2, 3), axis1=1, axis2=1, why="an axis with itself"),
        Sample(NOTHING, axis1=0, axis2=1),
    ],
    errors=[Bad(np.ones((2, 3)), axis1=0, axis2=2, match=r"axis2=2 is out of range .* \(2, 3\)")],
)

exact(
    ops.moveaxis,
    reference=lambda x, source, destination: np.moveaxis(x, source, destination),
    samples=[
        Sample(draw(2, 3, 4), source=0, destination=-1),
        Sample(draw(2, 3, 4), source=2, destination=0),
        Sample(draw(2, 3, 4, 5), source=(0, 1), destination=(-1, 1)),
        Sample(draw(2, 3, 4, 5), source=(3, 0), destination=(0, 3)),
        Sample(draw(2, 3), source=(), destination=()),
    ],
    errors=[
        Bad(np.ones((2, 3)), source=(0, 1), destination=0, match="as many different axes"),
        Bad(np.ones((2, 3)), source=(0, 0), destination=(0, 1), match="as many different axes"),
        Bad(np.ones((2, 3)), source=2, destination=0, match="source=2 is out of range"),
    ],
)

exact(
    ops.flip,
    reference=lambda x, axis=None: np.flip(x, axis),
    samples=[
        Sample(draw(2, 3, 4)),
        Sample(draw(2, 3, 4), axis=1),
        Sample(draw(2, 3, 4), axis=(0, -1)),
        Sample(draw(2, 3), axis=()),
        Sample(draw()),
        Sample(NOTHING, axis=0),
        Sample(np.arange(6.0).reshape(2, 3), axis=1, **FEW_BITS),
    ],
    errors=[Bad(np.ones((2, 3)), axis=2, match="out of range")],
)

exact(
    ops.fliplr,
    reference=np.fliplr,
    samples=[Sample(draw(2, 3)), Sample(draw(2, 3, 4))],
    errors=[Bad(np.ones(3), match="at least 2 dimensions")],
)

exact(
    ops.flipud,
    reference=np.flipud,
    samples=[Sample(draw(3)), Sample(draw(2, 3, 4))],
    errors=[Bad(np.ones(()), match="at least 1 dimensions")],
)

exact(
    ops.rot90,
    reference=lambda array, k=1, axes=(0, 1): np.rot90(array, k, axes),
    samples=[
        *(Sample(draw(2, 3), k=k) for k in (0, 1, 2, 3, 4, -1)),
        Sample(draw(2, 3, 4), axes=(1, 2)),
        Sample(draw(2, 3, 4), axes=(-1, 0), why="the other way round"),
    ],
    errors=[
        Bad(np.ones((2, 3)), axes=(0, -2), match="two different axes"),
        Bad(np.ones(3), match="at least 2 dimensions"),
    ],
)

exact(
    ops.roll,
    reference=lambda x, shift, axis=None: np.roll(x, shift, axis),
    samples=[
        Sample(draw(2, 3, 4), shift=2),
        Sample(draw(2, 3, 4), shift=-1, axis=1),
        Sample(draw(2, 3, 4), shift=7, axis=-1, why="more than once around"),
        Sample(draw(2, 3, 4), shift=(1, -2), axis=(0, 2)),
        Sample(draw(2, 3, 4), shift=1, axis=(0, 1), why="one shift for several axes"),
        Sample(draw(2, 3, 4), shift=(1, 1), axis=1, why="shifts of one axis add up"),
        Sample(draw(), shift=1),
        Sample(np.arange(6.0).reshape(2, 3), shift=1, **FEW_BITS),
        Sample(NOTHING, shift=1, axis=1),
    ],
    errors=[
        Bad(np.ones((2, 3)), shift=(1, 2, 3), axis=(0, 1), match="should be as many"),
        Bad(np.ones((2, 3)), shift=(1, 2), match="name them"),
        Bad(np.ones((2, 3)), shift=1, axis=2, match="out of range"),
    ],
)


def _depth_to_space(x, block_size, data_format="channels_last"):
    last = data_format == "channels_last"
    x = x if last else np.moveaxis(x, 1, -1)
    n, height, width, channels = x.shape
    b, depth = block_size, channels // block_size**2
    y = np.zeros((n, height * b, width * b, depth), x.dtype)
    for i in range(b):
        for j in range(b):
            at = i * b + j
            # With channels first, the pixels of a block come from neighbouring channels.
            y[:, i::b, j::b] = x[..., at * depth : (at + 1) * depth] if last else x[..., at :: b * b]
    return y if last else np.moveaxis(y, -1, 1)


exact(
    ops.depth_to_space,
    reference=_depth_to_space,
    samples=[
        Sample(draw(2, 3, 2, 8), block_size=2),
        Sample(draw(1, 2, 3, 9), block_size=3),
        Sample(draw(2, 8, 3, 2), block_size=2, data_format="channels_first"),
        Sample(np.zeros((0, 2, 3, 4)), block_size=2),
    ],
    errors=[
        Bad(np.ones((1, 2, 2, 6)), block_size=2, match="channels .* not divisible by 4"),
        Bad(np.ones((1, 2, 2, 4)), block_size=1, match="at least 2"),
        Bad(np.ones((2, 2, 4)), block_size=2, match="4 dimensions"),
        Bad(np.ones((1, 2, 2, 4)), block_size=2, data_format="last", match="data_format='last'"),
    ],
)


def _space_to_depth(x, block_size, data_format="channels_last"):
    last = data_format == "channels_last"
    x = x if last else np.moveaxis(x, 1, -1)
    b = block_size
    y = np.concatenate([x[:, i::b, j::b] for i in range(b) for j in range(b)], -1)
    if last:
        return y
    # With channels first, the pixels of a block are next to each other, not its channels.
    n, height, width, _ = y.shape
    y = y.reshape(n, height, width, b * b, -1).swapaxes(3, 4).reshape(y.shape)
    return np.moveaxis(y, -1, 1)


exact(
    ops.space_to_depth,
    reference=_space_to_depth,
    samples=[
        Sample(draw(2, 6, 4, 2), block_size=2),
        Sample(draw(1, 3, 6, 1), block_size=3),
        Sample(draw(2, 2, 6, 4), block_size=2, data_format="channels_first"),
    ],
    errors=[
        Bad(np.ones((1, 3, 2, 1)), block_size=2, match="height .* not divisible by 2"),
        Bad(np.ones((1, 2, 3, 1)), block_size=2, match="width .* not divisible by 2"),
    ],
)


def _rearranged(tensor, pattern, **lengths):
    """The patterns below, written out."""
    n, h, w = tensor.shape
    return {
        "a b c -> c a b": lambda: tensor.transpose(2, 0, 1),
        "a b c->(a b) c": lambda: tensor.reshape(n * h, w),
        "a b (c d) -> a (b d) c": lambda: (
            tensor.reshape(n, h, lengths.get("c", 2), -1).transpose(0, 1, 3, 2).reshape(n, -1, lengths.get("c", 2))
        ),
        "a ... -> ... a": lambda: np.moveaxis(tensor, 0, -1),
        "... c -> (...) c": lambda: tensor.reshape(-1, w),
        "a b c -> a 1 b c 1": lambda: tensor[:, None, ..., None],
        "a b c -> () (c b a)": lambda: tensor.transpose(2, 1, 0).reshape(1, -1),
    }[pattern]()


exact(
    ops.rearrange,
    reference=_rearranged,
    samples=[
        Sample(draw(2, 3, 4), "a b c -> c a b"),
        Sample(draw(2, 3, 4), "a b c->(a b) c", why="spaces around the arrow are free"),
        Sample(draw(2, 3, 4), "a b (c d) -> a (b d) c", c=2),
        Sample(draw(2, 3, 4), "a b (c d) -> a (b d) c", d=2, why="the other size is told"),
        Sample(draw(2, 3, 4), "a ... -> ... a"),
        Sample(draw(2, 3, 4), "... c -> (...) c"),
        Sample(draw(2, 3, 4), "a b c -> a 1 b c 1"),
        Sample(draw(2, 3, 4), "a b c -> () (c b a)"),
    ],
    errors=[
        Bad(np.ones((2, 4)), "a b", match="one '->'"),
        Bad(np.ones((2, 4)), "a b -> a", match="each axis once"),
        Bad(np.ones((2, 4)), "a a -> a a", match="each axis once"),
        Bad(np.ones((2, 4)), "a b c -> a b c", match="for 3 axes"),
        Bad(np.ones((2, 4)), "a (b c) -> a b c", match="needs the sizes"),
        Bad(np.ones((2, 4)), "a (b c) -> a b c", b=3, match="axis of size 4 into parts of 3"),
        Bad(np.ones((2, 4)), "a b -> (a b", match="don't match"),
        Bad(np.ones((2, 4)), "a b -> b a", c=3, match="has no axis c"),
        Bad(np.ones((2, 4)), "a b! -> b! a", match="no name of an axis"),
    ],
)
