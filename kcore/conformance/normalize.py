"""Records of the normalizations."""

from __future__ import annotations

import functools

import numpy as np
from numpy import nan

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import FLOATS, PRECISE, arrays, draw

EPSILON = 1e-7  # config.epsilon()
TOL = {"float64": 4e-15, "float32": 2e-6, "float16": 4e-3, "bfloat16": 4e-2}
normalized = functools.partial(Case, tol=TOL, dtypes=FLOATS)


def spanned(part, x, axis):
    """`part` along `axis`, with size 1 elsewhere."""
    axes = tuple(range(x.ndim)) if axis is None else np.atleast_1d(axis) % x.ndim
    return np.reshape(part, [d if i in axes else 1 for i, d in enumerate(x.shape)])


def batch(x, mean, variance, axis, offset=None, scale=None, epsilon=1e-3):
    mean, variance, offset, scale = (
        None if p is None else spanned(p, x, axis) for p in (mean, variance, offset, scale)
    )
    y = (x - mean) / np.sqrt(variance + epsilon)
    return y * (1 if scale is None else scale) + (0 if offset is None else offset)


def layer(x, gamma=None, beta=None, axis=-1, epsilon=None):
    axis = tuple(axis) if isinstance(axis, list) else axis
    variance = np.var(x, axis, keepdims=True)
    y = (x - np.mean(x, axis, keepdims=True)) / np.sqrt(variance + (EPSILON if epsilon is None else epsilon))
    y = y if gamma is None else y * spanned(gamma, x, axis)
    return y if beta is None else y + spanned(beta, x, axis)


def rms(x, scale=None, axis=-1, epsilon=None):
    y = x / np.sqrt(np.mean(x * x, axis, keepdims=True) + (EPSILON if epsilon is None else epsilon))
    return y if scale is None else y * spanned(scale, x, axis)


def some(*shape):
    """Positive numbers."""
    return draw(*shape, low=0.5, seed=3)


normalized(
    ops.batch_normalization,
    batch,
    samples=[
        Sample(draw(3, 4), draw(4, seed=1), some(4), -1),
        Sample(draw(3, 4), draw(4, seed=1), some(4), -1, draw(4, seed=2), some(4)),
        Sample(draw(3, 4), draw(4, seed=1), some(4), -1, scale=some(4)),
        Sample(draw(3, 4), draw(4, seed=1), some(4), -1, offset=some(4), epsilon=0.1),
        Sample(draw(2, 4, 3), draw(4, seed=1), some(4), 1, draw(4, seed=2), some(4)),
        Sample(draw(2, 4, 3), draw(4, 3, seed=1), some(4, 3), (1, 2)),
        Sample(draw(0, 4), draw(4, seed=1), some(4), -1, why="an empty batch"),
        arrays([[1e4], [1e4 + 8]], [1e4], [1.0], -1, dtypes=PRECISE, why="x - mean"),
        Sample(draw(2, 3), np.zeros(3), np.zeros(3), -1, why="no variance"),
        arrays([[nan, 1.0]], np.zeros(2), np.ones(2), -1, grad=False, why="nan stays in its place"),
    ],
    errors=[
        Bad(np.ones((2, 3)), np.ones(3), np.ones(3), 2, match=r"axis=2 is out of range"),
        Bad(np.ones((2, 3)), np.ones(2), np.ones(3), -1, match=r"mean of shape \(2,\) does not fit"),
        Bad(np.ones((2, 3)), np.ones(3), np.ones(2), -1, match=r"variance of shape \(2,\) does not fit"),
        Bad(np.ones((2, 3)), np.ones(3), np.ones(3), -1, np.ones(2), match=r"offset of shape \(2,\) does not fit"),
        Bad(np.ones((2, 3)), np.ones(3), np.ones(3), -1, None, np.ones(2), match=r"scale of shape \(2,\) does not fit"),
    ],
)
normalized(
    ops.layer_normalization,
    layer,
    samples=[
        Sample(draw(5)),
        Sample(draw(3, 5)),
        Sample(draw(3, 5), draw(5, seed=1), draw(5, seed=2)),
        Sample(draw(3, 5), draw(5, seed=1)),
        Sample(draw(3, 5), None, draw(5, seed=2), epsilon=0.1),
        Sample(draw(2, 4, 3), draw(4, seed=1), draw(4, seed=2), axis=1),
        Sample(draw(2, 4, 3), draw(4, 3, seed=1), draw(4, 3, seed=2), axis=(1, 2)),
        Sample(draw(2, 4, 3), draw(2, 3, seed=1), draw(2, 3, seed=2), axis=(0, -1)),
        Sample(draw(2, 3), axis=None),
        Sample(np.full((2, 3), 7.0), expect=np.zeros((2, 3)), grad=False, why="a constant has no variance"),
        arrays([1e4, 1e4 + 8, 1e4 - 8], dtypes=PRECISE, why="E[x**2] - E[x]**2 would cancel"),
        Sample(draw(0, 4), why="an empty batch"),
        arrays([[1.0, np.nan], [2.0, 2.0]], expect=[[np.nan] * 2, [0.0] * 2], grad=False, why="row by row"),
    ],
    errors=[
        Bad(np.ones((2, 3)), axis=2, match=r"axis=2 is out of range"),
        Bad(np.ones((2, 3)), np.ones(2), match=r"gamma of shape \(2,\) does not fit .* \(3,\)"),
        Bad(np.ones((2, 3)), None, np.ones(2), match=r"beta of shape \(2,\) does not fit"),
    ],
)
normalized(
    ops.rms_normalization,
    rms,
    samples=[
        Sample(draw(5)),
        Sample(draw(3, 5)),
        Sample(draw(3, 5), draw(5, seed=1)),
        Sample(draw(3, 5), draw(5, seed=1), epsilon=0.1),
        Sample(draw(2, 4, 3), draw(4, seed=1), axis=1),
        Sample(draw(2, 4, 3), draw(4, 3, seed=1), axis=(1, 2)),
        Sample(draw(2, 3), axis=None),
        Sample(
            np.zeros((2, 3)),
            expect=np.zeros((2, 3)),
            gradient=np.full((2, 3), EPSILON**-0.5),
            dtypes=("float64",),
            why="zeros",
        ),
        Sample(draw(0, 4), why="an empty batch"),
        arrays([[1.0, nan], [0.0, 0.0]], expect=[[nan, nan], [0.0, 0.0]], grad=False, why="row by row"),
    ],
    errors=[
        Bad(np.ones((2, 3)), axis=2, match=r"axis=2 is out of range"),
        Bad(np.ones((2, 3)), np.ones(2), match=r"scale of shape \(2,\) does not fit"),
    ],
)


def own_batch(x, offset=None, scale=None, axis=-1, epsilon=1e-3):
    folded = tuple(i for i in range(x.ndim) if i not in np.atleast_1d(axis) % x.ndim)
    mean, variance = np.mean(x, folded), np.var(x, folded)
    return batch(x, mean, variance, axis, offset, scale, epsilon), mean, variance


normalized(
    ops.normalize_batch,
    own_batch,
    samples=[
        Sample(draw(5, 4)),
        Sample(draw(5, 4), draw(4, seed=2), some(4)),
        Sample(draw(5, 4), scale=some(4), epsilon=0.1),
        Sample(draw(5, 4), offset=draw(4, seed=2)),
        Sample(draw(2, 5, 3), draw(3, seed=2), some(3), why="channels last"),
        Sample(draw(2, 4, 3), draw(4, seed=2), some(4), 1, why="channels in the middle"),
        Sample(draw(5, 4, 3), axis=(1, 2)),
        Sample(
            np.full((5, 3), 7.0), epsilon=0.5, expect=(np.zeros((5, 3)), np.full(3, 7.0), np.zeros(3)), why="constant"
        ),
    ],
    errors=[
        Bad(np.ones((2, 3)), axis=2, match=r"axis=2 is out of range"),
        Bad(np.ones((2, 3)), np.ones(2), match=r"offset of shape \(2,\) does not fit"),
    ],
)


def by_group(x, gamma=None, beta=None, groups=32, axis=-1, epsilon=1e-3):
    last = np.moveaxis(x, axis, -1)
    sizes = last.shape[0], int(np.prod(last.shape[1:-1])), groups, last.shape[-1] // groups
    grouped = last.reshape(sizes)
    y = (grouped - np.mean(grouped, (1, 3), keepdims=True)) / np.sqrt(np.var(grouped, (1, 3), keepdims=True) + epsilon)
    y = np.moveaxis(y.reshape(last.shape), -1, axis)
    y = y if gamma is None else y * spanned(gamma, x, axis)
    return y if beta is None else y + spanned(beta, x, axis)


Case(
    ops.group_normalization,
    by_group,
    samples=[
        Sample(draw(2, 4, 5, 6), groups=3),
        Sample(draw(2, 4, 5, 6), draw(6, seed=1), draw(6, seed=2), groups=2),
        Sample(draw(2, 5, 6), draw(6, seed=1), groups=1, why="one group: each sample's own mean"),
        Sample(draw(2, 5, 6), None, draw(6, seed=2), groups=6, epsilon=0.1, why="a group for each channel"),
        Sample(draw(2, 6, 3, 4), draw(6, seed=1), draw(6, seed=2), 3, 1, why="channels in front"),
        Sample(draw(2, 3, 6, 4), draw(6, seed=1), draw(6, seed=2), 2, -2, why="channels in the middle"),
        Sample(draw(3, 8), groups=2, why="no positions"),
        Sample(draw(2, 70, 40), draw(40, seed=1), draw(40, seed=2), groups=5, why="more rows than a block has"),
        Sample(draw(0, 4, 6), groups=3, why="an empty batch"),
        Sample(
            np.array([1e4, 1e4 + 8, 1e4 - 8, 1e4]).reshape(1, 2, 2),
            groups=1,
            dtypes=PRECISE,
            why="E[x**2] - E[x]**2 would cancel",
        ),
        Sample(np.full((1, 3, 4), 7.0), None, draw(4), 2, grad=False, why="a constant has no variance"),
        arrays(
            [[[nan, 2.0, 3.0, 5.0]]],
            groups=2,
            epsilon=0.0,
            expect=[[[nan, nan, -1.0, 1.0]]],
            grad=False,
            why="group by group",
        ),
    ],
    errors=[
        Bad(np.ones((2, 3, 6)), groups=4, match=r"groups=4 can't share the 6 channels"),
        Bad(np.ones((2, 3, 6)), groups=0, match=r"groups=0 can't share"),
        Bad(np.ones((2, 3, 6)), groups=2, axis=3, match=r"axis=3 is out of range"),
        Bad(np.ones((2, 3, 6)), groups=2, axis=0, match=r"axis=0 is that of the samples"),
        Bad(np.ones((2, 3, 6)), groups=2, axis=(1, 2), match=r"axis=\(1, 2\) should be one axis"),
        Bad(np.ones((2, 3, 6)), np.ones(3), groups=2, match=r"gamma of shape \(3,\) does not fit"),
    ],
    tol=TOL,
    dtypes=FLOATS,
)
