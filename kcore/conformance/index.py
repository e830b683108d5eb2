"""Records of the ops that pick elements by position, and that put elements there."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import arrays, draw, ints, whole
from kcore.conformance.shape import FEW_BITS, exact

nan, inf = np.nan, np.inf
ALL = slice(None)


def missing(dtype: np.dtype) -> float:
    """What reading out of range gives."""
    if dtype.kind == "b":
        return True
    if dtype.kind in "iu":
        return np.iinfo(dtype).min or np.iinfo(dtype).max
    return nan


# -- x[key] -----------------------------------------------------------------------------

exact(
    ops.get_item,
    reference=lambda x, key: x[key],
    samples=[
        Sample(draw(3, 4), key=1),
        Sample(draw(3, 4), key=(-1, -4)),
        Sample(draw(3, 4), key=(ALL, 2)),
        Sample(draw(5, 4), key=slice(1, -1)),
        Sample(draw(5, 4), key=(slice(None, None, -1), slice(1, None, 2))),
        Sample(draw(5, 4), key=(slice(3, 0, -2), 0)),
        Sample(draw(5), key=slice(7, 9), why="slices past the end are empty"),
        Sample(draw(5), key=slice(-9, 2)),
        Sample(draw(2, 3, 4), key=(..., 1)),
        Sample(draw(2, 3, 4), key=(0, ..., None)),
        Sample(draw(3), key=(None, ALL, None)),
        Sample(draw(2, 3), key=...),
        Sample(draw(), key=()),
        Sample(draw(3, 4), key=[0, 2, 0], why="a row twice: its gradients add up"),
        Sample(draw(3, 4), key=(ALL, np.array([[0, -1], [3, 3]]))),
        Sample(draw(3, 4), key=([0, 2, 2], [1, 1, -1]), why="one element for each pair"),
        Sample(draw(3, 4), key=(np.array([[0], [2]]), [1, 3]), why="indices broadcast"),
        Sample(draw(2, 3, 4), key=(0, ALL, [1, 2, 2]), why="an integer counts as an array here: the axis comes first"),
        Sample(draw(2, 3, 4), key=([0, 1], ALL, [1, 3])),
        Sample(draw(2, 3, 4), key=(ALL, [0, 2], [1, 3])),
        Sample(draw(2, 3, 4), key=(ALL, 1, [1, 3])),
        Sample(draw(2, 3, 4), key=([1, 0], None, 2)),
        Sample(draw(2, 3, 4), key=(slice(1, None), None, [2, 0])),
        Sample(draw(3, 4), key=(np.array(1), ALL)),
        Sample(draw(3, 4), key=[], why="no row"),
        Sample(draw(3, 4), key=np.arange(12).reshape(3, 4) % 5 > 1, unsized=False),
        Sample(draw(3, 4), key=(ALL, np.array([True, False, True, True])), unsized=False),
        Sample(draw(3, 4), key=(np.array([True, False, True]), [0, 2]), unsized=False),
        Sample(np.zeros((0, 3)), key=(ALL, 1)),
    ],
    errors=[
        Bad(
            np.ones((2, 3)), key=2, match=r"index 2 is out of range for axis 0 of x of shape \(2, 3\)", error=IndexError
        ),
        Bad(np.ones((2, 3)), key=(0, -4), match="index -4 is out of range for axis 1", error=IndexError),
        Bad(np.ones((2, 3)), key=(0, 0, 0), match="key has 3 indices", error=IndexError),
        Bad(np.ones((2, 3)), key=(..., 0, ...), match="more than one Ellipsis", error=IndexError),
        Bad(np.ones((2, 3)), key=[0.5], match="integers, or of bools", error=IndexError),
        Bad(np.ones((2, 3)), key=np.ones(3, "bool"), match=r"a mask of shape \(3,\) does not fit", error=IndexError),
        Bad(np.ones((2, 3)), key=True, match="a single bool is no index"),
        Bad(np.ones((2, 3)), key=slice(None, None, 0), match="cannot be zero"),
        Bad(np.ones((2, 3)), key=([0, 1], [0, 1, 2]), match="don't broadcast"),
    ],
)

exact(
    ops.basic_index,
    reference=lambda x, key: x[key],
    samples=[
        Sample(draw(3, 4), key=(1, slice(None, None, -2))),
        Sample(draw(3, 4), key=(None, slice(1, None), ..., -1)),
        Sample(draw(2, 3, 4), key=(slice(None), 0, slice(5, 1, -1))),
        Sample(draw(), key=None),
    ],
    errors=[Bad(np.ones((2, 3)), key=2, match="index 2 is out of range", error=IndexError)],
)

# -- elements by index ------------------------------------------------------------------


def _take(x, indices, axis=None):
    if axis is None:
        x, axis = x.ravel(), 0
    axis %= x.ndim
    size = x.shape[axis]
    indices = np.asarray(indices)
    outside = (indices < -size) | (indices >= size)
    fill = np.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), missing(x.dtype), x.dtype)
    return np.take(np.concatenate([x, fill], axis), np.where(outside, size, indices % max(size, 1)), axis)


exact(
    ops.take,
    reference=_take,
    samples=[
        Sample(draw(3, 4), whole(2, 3, high=4), axis=1),
        arrays(draw(3, 4), [2, 0, 2, -1], axis=0, why="rows again: their gradients add up"),
        Sample(draw(2, 3, 4), whole(2, 2, high=3), axis=-2),
        arrays(draw(3, 4), [0, 11, -1, -12], why="of the flattened x"),
        Sample(draw(3), 1),
        Sample(draw(3, 4), np.array(2), axis=1),
        Sample(draw(3, 4), [1, 0], axis=0),
        arrays(np.arange(6.0).reshape(2, 3), [2, 0], axis=1, **FEW_BITS),
        Sample(draw(3, 4), np.zeros((0, 2), "int32"), axis=0),
        Sample(np.zeros((2, 0)), np.zeros((0,), "int32"), axis=1),
        arrays([1.0, 2.0, 3.0], [3, -3, -4], axis=0, expect=[nan, 1.0, nan], gradient=[1.0, 0.0, 0.0]),
        Sample(np.array([1, 2, 3], "int16"), np.array([3, 0]), axis=0, expect=[-(2**15), 1], why="the least integer"),
        Sample(np.array([1, 2, 3], "uint16"), np.array([3, 0]), axis=0, expect=[2**16 - 1, 1], why="or the greatest"),
        arrays([False], [1, 0], axis=0, expect=[True, False]),
        arrays(np.zeros((0, 2)), [0, 1], axis=0, expect=np.full((2, 2), nan), grad=False, why="nothing to take"),
        ints(np.arange(300.0), [200, 255], axis=0, why="more elements than the indices' dtype counts", dtype="uint8"),
    ],
    errors=[
        Bad(np.ones((2, 3)), np.array([0.5]), match="indices should be integers, not float"),
        Bad(np.ones((2, 3)), np.array([True]), match="indices should be integers, not bool"),
        Bad(np.ones((2, 3)), np.array([0]), axis=2, match="out of range"),
    ],
)


def _take_along(x, indices, axis=None):
    if axis is None:
        return _take(x, indices)
    axis %= x.ndim
    size = x.shape[axis]
    outside = (indices < -size) | (indices >= size)
    fill = np.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), missing(x.dtype), x.dtype)
    x = np.concatenate([x, fill], axis)
    return np.take_along_axis(x, np.where(outside, size, indices % max(size, 1)), axis)


exact(
    ops.take_along_axis,
    reference=_take_along,
    samples=[
        Sample(draw(3, 4), whole(3, 2, high=4), axis=1),
        Sample(draw(3, 4), whole(5, 4, high=3), axis=0, why="elements again: their gradients add up"),
        Sample(draw(2, 3, 4), whole(2, 3, 2, low=-4, high=4), axis=-1),
        Sample(draw(2, 3, 4), whole(1, 3, 1, high=4), axis=-1, why="indices broadcast"),
        Sample(draw(2, 1, 4), whole(2, 3, 2, high=4), axis=2, why="and so does x"),
        arrays(draw(3, 4), [0, 11, -1]),
        Sample(draw(3), np.zeros(0, "int32"), axis=0),
        arrays([[1.0, 2.0]], [[2, -2, -3]], axis=1, expect=[[nan, 1.0, nan]], gradient=[[1.0, 0.0]]),
        arrays(np.zeros((2, 0)), [[0], [1]], axis=1, expect=np.full((2, 1), nan), grad=False),
    ],
    errors=[
        Bad(np.ones((2, 3)), np.array([0]), axis=1, match="as many dimensions as x"),
        Bad(np.ones((2, 3)), np.array([[0], [0], [0]]), axis=1, match="don't broadcast outside axis=1"),
        Bad(np.ones((2, 3)), np.array([[0]]), match="indices should have 1 dimensions"),
        Bad(np.ones((2, 3)), np.array([[0.0]]), axis=1, match="indices should be integers"),
        Bad(np.ones((2, 3)), np.array([[0]]), axis=2, match="out of range"),
    ],
)

# -- blocks -----------------------------------------------------------------------------


def _block(x, start_indices, lengths):
    starts = [int(s) % d if -d <= s < 0 else int(s) for s, d in zip(start_indices, x.shape, strict=True)]
    lengths = [d - s if n == -1 else n for s, n, d in zip(starts, lengths, x.shape, strict=True)]
    return tuple(slice(s, s + n) for s, n in zip(starts, lengths, strict=True))


exact(
    ops.slice,
    reference=lambda inputs, start_indices, shape: inputs[_block(inputs, start_indices, shape)],
    samples=[
        Sample(draw(3, 4), start_indices=(1, 0), shape=(2, 3)),
        Sample(draw(2, 3, 4), start_indices=(0, 1, 2), shape=(2, 1, 2)),
        Sample(draw(3, 4), start_indices=(-2, 1), shape=(1, 2), why="from the end", unsized=False),
        Sample(draw(3, 4), start_indices=(1, 1), shape=(-1, 2), why="the rest of the axis"),
        Sample(draw(3, 4), start_indices=np.array([1, 0]), shape=(2, 3)),
        Sample(draw(3, 4), start_indices=(3, 0), shape=(0, 4)),
        Sample(draw(), start_indices=(), shape=()),
    ],
    errors=[
        Bad(np.ones((2, 3)), start_indices=(1, 1), shape=(2, 1), match="don't fit"),
        Bad(np.ones((2, 3)), start_indices=(-3, 1), shape=(1, 1), match="don't fit"),
        Bad(np.ones((2, 3)), start_indices=(0,), shape=(1, 1), match="should be 2 integers"),
        Bad(np.ones((2, 3)), start_indices=(0, 0), shape=(1,), match="a size for each axis"),
    ],
)


def _slice_update(inputs, start_indices, updates):
    y = inputs.copy()
    y[_block(inputs, start_indices, updates.shape)] = updates
    return y


exact(
    ops.slice_update,
    reference=_slice_update,
    samples=[
        Sample(draw(3, 4), (1, 0), draw(2, 3, seed=1)),
        Sample(draw(2, 3, 4), (0, 1, 2), draw(2, 1, 2, seed=1)),
        Sample(draw(3, 4), (-1, 1), draw(1, 2, seed=1), unsized=False),
        arrays(draw(3, 4), [1, 0], draw(2, 3, seed=1)),
        Sample(draw(3, 4), (0, 0), whole(1, 2), why="updates are cast"),
        arrays(whole(3), (1,), [2.7], expect=[*whole(3)[:1], 2, *whole(3)[2:]]),
        Sample(draw(3, 4), (1, 1), np.zeros((0, 2))),
        Sample(np.arange(6.0).reshape(2, 3), (0, 1), np.ones((2, 1)), **FEW_BITS),
        Sample(draw(), (), draw(seed=1)),
    ],
    errors=[
        Bad(np.ones((2, 3)), (1, 1), np.ones((2, 1)), match="don't fit"),
        Bad(np.ones((2, 3)), (0, 0), np.ones(2), match="as many dimensions as inputs"),
        Bad(np.ones((2, 3)), (0,), np.ones((1, 1)), match="should be 2 integers"),
    ],
)

# -- scattered --------------------------------------------------------------------------


def _scatter_update(inputs, indices, updates, reduction=None):
    y = np.array(inputs)
    indices = np.asarray(indices)
    depth = indices.shape[-1]
    rows = indices.reshape(-1, depth)
    updates = np.broadcast_to(updates, (*indices.shape[:-1], *inputs.shape[depth:]))
    for i, u in zip(rows, updates.reshape(len(rows), *inputs.shape[depth:]), strict=True):
        if all(-d <= j < d for j, d in zip(i, y.shape, strict=False)):
            at = tuple(i)
            y[at] = {
                None: lambda a, b: b,
                "add": lambda a, b: a + b,
                "mul": lambda a, b: a * b,
                "max": np.maximum,
                "min": np.minimum,
            }[reduction](y[at], u)
    return y


AT = np.array([[0, 1], [2, -1], [0, 1], [1, 9], [-4, 0]])  # one twice, two out of range

Case(
    ops.scatter_update,
    reference=_scatter_update,
    samples=[
        arrays(draw(3, 4), [[0, 1], [2, -1]], draw(2, seed=1)),
        arrays(draw(3, 4), [[1], [0]], draw(2, 4, seed=1), why="whole rows"),
        arrays(draw(3, 4, 2), [[[1, 0]], [[2, 3]]], draw(2, 1, 2, seed=1)),
        arrays(draw(3, 4), [[0, 1], [2, 2]], 5.0, why="one update for all"),
        arrays(draw(3, 4), [[0, 1], [3, 0], [0, -5]], draw(3, seed=1), why="two are out of range"),
        *(Sample(draw(3, 4), AT, draw(5, seed=1), reduction=r) for r in ("add", "mul", "max", "min")),
        *(arrays(draw(3, 2), [[1], [1]], draw(2, 2, seed=1), reduction=r) for r in ("add", "mul", "max", "min")),
        *(Sample(whole(3, 4), AT, whole(5, seed=1), reduction=r) for r in ("add", "mul", "max", "min")),
        arrays(np.ones(2), [[0], [0]], np.ones(2), reduction="max", gradient=[[1 / 3, 1.0], [1 / 3, 1 / 3]]),
        arrays(
            [2.0, 3.0],
            [[0], [0], [1]],
            [0.0, 5.0, 0.0],
            reduction="mul",
            expect=[0.0, 0.0],
            gradient=[[0.0, 0.0], [10.0, 0.0, 3.0]],
            why="zeros in a product",
        ),
        Sample(draw(3), np.zeros((0, 1), "int32"), np.zeros(0)),
        arrays(whole(3), [[0]], [5.7], expect=[5, *whole(3)[1:]], why="updates are cast"),
        arrays(np.zeros(3, "bool"), [[1]], [True]),
    ],
    errors=[
        Bad(np.ones((2, 3)), np.array([[0.0]]), np.ones((1, 3)), match="indices should be integers"),
        Bad(np.ones((2, 3)), np.array([[0]]), np.ones((1, 2)), match=r"updates of shape \(1, 2\)|don't broadcast"),
        Bad(np.ones((2, 3)), np.array([[0, 0, 0]]), np.ones(1), match="1 to 2 columns"),
        Bad(
            np.ones((2, 3)),
            np.array([[0]]),
            np.ones((1, 3)),
            reduction="mean",
            match="reduction='mean' should be one of",
        ),
    ],
)

Case(
    ops.scatter_rows,
    reference=lambda x, indices, updates, reduction=None: _scatter_update(
        x, np.asarray(indices)[:, None], updates, reduction
    ),
    samples=[
        arrays(draw(3, 2), [2, 0], draw(2, 2, seed=1)),
        *(arrays(draw(3, 2), [1, -2, 5], draw(3, 2, seed=1), reduction=r) for r in ("add", "mul", "max", "min")),
        arrays(
            draw(2, 1, 2),
            [0, 1, 0, 1, 0],
            [[[0.0, 2.0]], [[0.0, -1.5]], [[-2.0, 3.0]], [[0.5, 0.0]], [[1.5, 0.5]]],
            reduction="mul",
            why="one zero in a product",
        ),
        arrays(
            draw(2, 1, 1, 1),
            [0, 1, 0, 1, 0],
            np.array([0.0, 0.5, 0.0, 1.5, 3.0]).reshape(5, 1, 1, 1),
            reduction="mul",
            why="two zeros in a product",
        ),
        Sample(draw(3), np.zeros(0, "int32"), np.zeros(0), reduction="add"),
        arrays(np.zeros((0, 2)), [0, 1], draw(2, 2), reduction="add", why="there is no row to add to"),
        *(
            arrays(np.arange(3) > 0, [0, 1, 1], np.arange(3) < 2, reduction=r, why="bools: or, and")
            for r in ("add", "mul")
        ),
    ],
    errors=[
        Bad(np.ones((2, 3)), np.array([[0]]), np.ones((1, 3)), match="indices should have 1 dimensions"),
        Bad(np.ones((2, 3)), np.array([0]), np.ones((2, 3)), match=r"should be of shape \(1, 3\)"),
        Bad(np.ones((2, 3)), np.array([0]), np.ones((1, 3)), reduction="mean", match="should be one of"),
    ],
)

Case(
    ops.scatter,
    reference=lambda indices, values, shape: _scatter_update(
        np.zeros(shape, values.dtype if values.dtype != bool else "int32"), indices, values, "add"
    ),
    samples=[
        arrays([[0, 1], [2, 3], [0, 1]], draw(3), shape=(3, 4), why="what is put in one place adds up"),
        arrays([[1], [0], [1]], draw(3, 4), shape=(3, 4)),
        arrays([[0], [5], [-1]], draw(3), shape=(4,), why="one is out of range"),
        Sample(np.zeros((0, 1), "int32"), np.zeros((0, 2)), shape=(3, 2)),
        arrays([[0], [0]], [True, True], shape=(2,), expect=[2, 0], why="bools count as int32"),
    ],
    errors=[
        Bad(np.array([[0.0]]), np.ones(1), shape=(2,), match="indices should be integers"),
        Bad(np.array([[0]]), np.ones(2), shape=(2,), match="should be of shape|don't broadcast"),
        Bad(np.array([[0]]), np.ones(1), shape=(-2,), match="negative size"),
    ],
)

# -- classes ----------------------------------------------------------------------------


def _one_hot(x, num_classes, axis=-1, dtype=None, sparse=False):
    y = np.asarray(x)[..., None] == np.arange(num_classes)
    return np.moveaxis(y, -1, axis).astype(dtype or "float32")


exact(
    ops.one_hot,
    reference=_one_hot,
    samples=[
        Sample(whole(2, 3, high=4), num_classes=4),
        Sample(whole(2, 3, high=4), num_classes=4, axis=0),
        Sample(whole(2, 3, high=4), num_classes=4, axis=-2, dtype="int32"),
        arrays([0, 3, -1], num_classes=3, expect=[[1, 0, 0], [0, 0, 0], [0, 0, 0]], why="no such class"),
        Sample(np.array(1), num_classes=3, dtype="bool"),
        Sample([2, 0], num_classes=3),
        arrays([1.0, 0.5], num_classes=2, expect=[[0, 1], [0, 0]], grad=False),
        ints([200, 3], num_classes=300, why="more classes than the dtype of x counts", dtype="uint8"),
        Sample(np.zeros((0, 2), "int32"), num_classes=3),
        Sample(whole(3, high=2), num_classes=0),
    ],
    errors=[
        Bad(np.array([0]), num_classes=-1, match="num_classes=-1 is negative"),
        Bad(np.array([0]), num_classes=2, axis=2, match="out of range"),
    ],
    grad=False,
)

exact(
    ops.multi_hot,
    reference=lambda inputs, num_classes, axis=-1, dtype=None: np.max(
        _one_hot(inputs, num_classes, axis, dtype), axis=1 if np.ndim(inputs) > 1 else 0
    ),
    samples=[
        arrays([[0, 2], [1, 1], [3, -1]], num_classes=4),
        arrays([0, 2], num_classes=4),
        Sample(whole(2, 3, 2, high=4), num_classes=4, dtype="int32"),
        arrays([[0, 2], [1, 1]], num_classes=4, axis=0),
    ],
    errors=[
        Bad(np.array([0]), match="num_classes is missing"),
        Bad(np.array([0]), num_classes=2, depth=1, match="depth is no argument"),
    ],
    grad=False,
)

# -- which ones -------------------------------------------------------------------------

Case(
    ops.nonzero,
    reference=lambda x: tuple(i.astype("int32") for i in np.nonzero(x)),
    samples=[
        arrays([[0.0, 1.0, -2.0], [nan, 0.0, -0.0]], why="nan is not 0, and -0 is"),
        arrays([True, False, True]),
        Sample(np.zeros((2, 3)), why="there is none"),
        Sample(np.zeros((0, 3))),
    ],
    errors=[Bad(np.ones(()), match="at least 1 dimensions")],
    grad=False,
)


def _unravel(indices, shape):
    total = int(np.prod(shape))
    indices = np.asarray(indices)
    found = np.unravel_index(np.clip(np.where(indices < 0, indices + total, indices), 0, total - 1), shape)
    return tuple(i.astype("int32") for i in found)


Case(
    ops.unravel_index,
    reference=_unravel,
    samples=[
        arrays([[0, 5], [3, 2]], shape=(2, 3)),
        arrays([7, 23, 0], shape=(2, 3, 4)),
        arrays([-1, -6, 6, -7], shape=(2, 3), expect=[[1, 0, 1, 0], [2, 0, 2, 0]], why="moved to the nearest end"),
        Sample(4, shape=(2, 3)),
        arrays([2], shape=(5,)),
        ints([255], shape=(2, 300), why="more elements than the indices' dtype counts", dtype="uint8"),
    ],
    errors=[
        Bad(np.array([0.5]), shape=(2, 3), match="indices should be integers"),
        Bad(np.array([0]), shape=(2, -3), match="negative size"),
    ],
    grad=False,
)


def _select(condlist, choicelist, default=0):
    choices = np.broadcast_arrays(*choicelist, default, *condlist)
    count = len(condlist)
    return np.select([c.astype(bool) for c in choices[count + 1 :]], choices[:count], choices[count])


exact(
    ops.select,
    reference=_select,
    samples=[
        Sample([draw(2, 3) > 0, draw(2, 3) > -1], [draw(2, 3), draw(2, 3, seed=1)], 0.5),
        Sample([draw(2, 1) > 0, draw(3) > 0], [draw(3), draw(2, 1)], draw(2, 3)),
        Sample([draw(3) > 0], [draw(3)], why="0 elsewhere"),
        Sample([np.array([1, 0, 2])], [draw(3)], why="numbers as conditions"),
        Sample([draw(3) > 0], [whole(3)], why="integers stay integers"),
        Sample([draw(2, 3) > 9], [1.0], draw(3), why="the conditions alone have the shape"),
        Sample([np.array([True, False])], [np.array([1.0, inf])], 2.0, gradient=[1.0, 0.0], why="0, not 0 * inf"),
    ],
    errors=[
        Bad([], [], match="not empty"),
        Bad([np.ones(3, "bool")], [np.ones(3), np.ones(3)], match="as many"),
        Bad([np.ones(3, "bool")], [np.ones(2)], match="don't broadcast"),
    ],
)
