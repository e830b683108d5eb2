"""Ops that join tensors, take them apart, repeat and pad them.

None of them computes: values come through bit for bit, in every dtype, and gradients follow
the elements to where they went.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.backends.host import number
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, Tensors, op
from kcore.ops.symbolic import Spec

# -- joined -----------------------------------------------------------------------------


def _meeting(name: str, xs: Sequence[Spec]) -> str:
    """The dtype that several tensors meet in."""
    if not xs:
        raise ValueError(f"{name} is empty; there should be at least one tensor.")
    return dtypes.promote(*(x.dtype for x in xs))


def _merged(sizes: Sequence[int | None]) -> tuple[int | None, bool]:
    """The size that several agree on, None if all are unknown, and whether they do agree."""
    known = {d for d in sizes if d is not None}
    return next(iter(known), None), len(known) < 2


def _joined(xs: Sequence[Spec], axis: int = 0, name: str = "xs") -> Plan:
    dtype = _meeting(name, xs)
    first = xs[0]
    at = rules.normalize_axis(axis, first.ndim, first.shape)
    shapes = " and ".join(dict.fromkeys(str(x.shape) for x in xs))
    if any(x.ndim != first.ndim for x in xs):
        raise ValueError(f"{name} of shapes {shapes} have different numbers of dimensions.")
    shape: list[int | None] = []
    for i, sizes in enumerate(zip(*(x.shape for x in xs), strict=True)):
        if i == at:
            shape.append(None if None in sizes else sum(sizes))
            continue
        size, agreed = _merged(sizes)
        if not agreed:
            raise ValueError(f"{name} of shapes {shapes} differ in another axis than axis={axis!r}.")
        shape.append(size)
    return Plan(tuple(shape), dtype, cast=dtype, axis=at)


@op(rule=_joined)
def concatenate(xs: Tensors, axis: int = 0) -> Tensor:
    """The tensors joined along an axis that they have.

    Args:
        xs: Tensors of one shape but for `axis`; they meet in the promoted dtype.
        axis: An int.

    Raises:
        ValueError: `xs` is empty, shapes differ elsewhere, or the axis is out of range.

    >>> ops.concatenate([[1, 2], [3]])
    Tensor([1, 2, 3], dtype=int32)
    """


def _stacked(x: Sequence[Spec], axis: int = 0) -> Plan:
    dtype = _meeting("x", x)
    shape: list[int | None] = []
    for sizes in zip(*(e.shape for e in x), strict=False):
        size, agreed = _merged(sizes)
        if not agreed:
            break
        shape.append(size)
    if len(shape) < x[0].ndim or len({e.ndim for e in x}) > 1:
        raise ValueError(
            f"x should be tensors of one shape, not {' and '.join(dict.fromkeys(str(e.shape) for e in x))}."
        )
    at = rules.normalize_axis(axis, len(shape) + 1)
    return Plan((*shape[:at], len(x), *shape[at:]), dtype, cast=dtype, axis=at)


@op(rule=_stacked)
def stack(x: Tensors, axis: int = 0) -> Tensor:
    """The tensors joined along a new axis.

    Args:
        x: Tensors of one shape; they meet in the promoted dtype.
        axis: Where the new axis is in the result.

    Raises:
        ValueError: `x` is empty, the shapes differ, or the axis is out of range.

    >>> ops.stack([[1, 2], [3, 4]], axis=1)
    Tensor([[1, 3],
           [2, 4]], dtype=int32)
    """
    return ops.concatenate([ops.expand_dims(e, axis) for e in x], axis)


def _appended(x1: Spec, x2: Spec, axis: int | None = None) -> Plan:
    if axis is None:
        x1, x2 = (Spec((rules.size_of(x.shape),), x.dtype) for x in (x1, x2))
        plan = _joined([x1, x2], 0, "x1 and x2")
        plan.arguments["axis"] = None
        return plan
    return _joined([x1, x2], axis, "x1 and x2")


@op(rule=_appended)
def append(x1: Tensor, x2: Tensor, axis: int | None = None) -> Tensor:
    """x2 after x1 along an axis; both flattened for None.

    Raises:
        ValueError: Shapes differ elsewhere, or the axis is out of range.

    >>> ops.append([1, 2], [3])
    Tensor([1, 2, 3], dtype=int32)
    """
    if axis is None:
        return ops.concatenate([ops.ravel(x1), ops.ravel(x2)], 0)
    return ops.concatenate([x1, x2], axis)


def _with_ndim(x: Spec, ndim: int) -> Spec:
    """x as a stack of rows has it: new axes so that there are `ndim`, as NumPy's atleast_1d, 2d, 3d."""
    shape = x.shape
    if len(shape) == 0:
        shape = (1,)
    if len(shape) == 1 and ndim > 1:
        shape = (1, *shape)
    if len(shape) == 2 and ndim > 2:
        shape = (*shape, 1)
    return Spec(shape, x.dtype)


def _as_rank(x: Any, ndim: int) -> Any:
    """The tensor of which `_with_ndim` is the Spec."""
    have = len(x.shape)
    if have == 0:
        return ops.reshape(x, (1,) * ndim)
    if have == 1 and ndim > 1:
        return ops.expand_dims(x, 0 if ndim == 2 else (0, 2))
    return ops.expand_dims(x, 2) if have == 2 and ndim > 2 else x


def _rows(xs: Sequence[Spec], ndim: int, axis: int) -> Plan:
    return _joined([_with_ndim(x, ndim) for x in xs], axis)


@op(rule=lambda xs: _rows(xs, 1, 0 if xs and _with_ndim(xs[0], 1).ndim == 1 else 1))
def hstack(xs: Tensors) -> Tensor:
    """The tensors joined along axis 1, vectors and scalars along axis 0.

    Raises:
        ValueError: `xs` is empty, or shapes differ in another axis.

    >>> ops.hstack([[[1], [2]], [[3], [4]]])
    Tensor([[1, 3],
           [2, 4]], dtype=int32)
    """
    xs = [_as_rank(x, 1) for x in xs]
    return ops.concatenate(xs, 0 if len(xs[0].shape) == 1 else 1)


@op(rule=lambda xs: _rows(xs, 2, 0))
def vstack(xs: Tensors) -> Tensor:
    """The tensors joined along axis 0; vectors count as rows.

    Raises:
        ValueError: `xs` is empty, or shapes differ in another axis.

    >>> ops.vstack([[1, 2], [3, 4]])
    Tensor([[1, 2],
           [3, 4]], dtype=int32)
    """
    return ops.concatenate([_as_rank(x, 2) for x in xs], 0)


@op(rule=lambda xs: _rows(xs, 3, 2))
def dstack(xs: Tensors) -> Tensor:
    """The tensors joined along axis 2; a vector counts as (1, n, 1), a matrix as (m, n, 1).

    Raises:
        ValueError: `xs` is empty, or shapes differ in another axis.

    >>> ops.dstack([[1, 2], [3, 4]])
    Tensor([[[1, 3],
            [2, 4]]], dtype=int32)
    """
    return ops.concatenate([_as_rank(x, 3) for x in xs], 2)


# -- taken apart ------------------------------------------------------------------------


def _pieces(x: Spec, sizes: Sequence[int | None], axis: int) -> list[Spec]:
    dtype = dtypes.concrete(x.dtype)
    return [Spec((*x.shape[:axis], d, *x.shape[axis + 1 :]), dtype) for d in sizes]


def _cut(x: Spec, indices_or_sections: Any, axis: int = 0, even: bool = True) -> Plan:
    """Backends get the axis, and the points to cut at or, where the size is unknown, the number of pieces."""
    at = rules.normalize_axis(axis, x.ndim, x.shape)
    size = x.shape[at]
    points = rules.known_integers(indices_or_sections, "indices_or_sections")
    if isinstance(points, int):
        if points < 1:
            raise ValueError(f"indices_or_sections={indices_or_sections!r} should be at least 1.")
        if size is None:
            return Plan.many(_pieces(x, [None] * points, at), indices_or_sections=points, axis=at)
        if even and size % points:
            raise ValueError(f"axis={axis!r} of x of shape {x.shape} is not divisible by {points}.")
        longer = size % points  # the first pieces get one more where it does not come out even
        ends = [size // points * i + min(i, longer) for i in range(1, points)]
        points = tuple(ends)
    elif size is not None:
        points = tuple(p + size if p < 0 else p for p in points)
        if any(not 0 <= p <= size for p in points):
            raise ValueError(
                f"indices_or_sections={indices_or_sections!r} is out of range for axis={axis!r} of size {size}."
            )
    if any(a > b for a, b in itertools.pairwise(points)) or (size is None and any(p < 0 for p in points)):
        raise ValueError(f"indices_or_sections={indices_or_sections!r} should be increasing.")
    edges = [0, *points, size]
    sizes = [None if None in (a, b) else b - a for a, b in itertools.pairwise(edges)]
    return Plan.many(_pieces(x, sizes, at), indices_or_sections=points, axis=at)


@op(rule=_cut)
def split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """x in pieces along an axis.

    Args:
        x: Any shape and dtype.
        indices_or_sections: The number of equal pieces, or the increasing positions to cut at.
            Negative ones count from the end.
        axis: An int.

    Returns:
        A list of the pieces.

    Raises:
        ValueError: The pieces would not be equal, the positions decrease, or they or the axis are out of range.

    >>> ops.split([1, 2, 3, 4], 2)
    [Tensor([1, 2], dtype=int32), Tensor([3, 4], dtype=int32)]
    """


@op(rule=lambda x, indices_or_sections, axis=0: _cut(x, indices_or_sections, axis, even=False))
def array_split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """As `split`; where equal pieces do not come out even, the first ones are one longer.

    Raises:
        ValueError: The positions decrease, or they or the axis are out of range.

    >>> ops.array_split([1, 2, 3], 2)
    [Tensor([1, 2], dtype=int32), Tensor([3], dtype=int32)]
    """
    return ops.split(x, indices_or_sections, axis)


@op(rule=lambda x, indices_or_sections: _cut(rules.at_least(x, 1), indices_or_sections, 0 if x.ndim == 1 else 1))
def hsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along axis 1, of a vector along axis 0.

    Raises:
        ValueError: x is a scalar, the pieces would not be equal, or the positions decrease.

    >>> ops.hsplit([[1, 2], [3, 4]], 2)
    [Tensor([[1],
           [3]], dtype=int32), Tensor([[2],
           [4]], dtype=int32)]
    """
    return ops.split(x, indices_or_sections, 0 if len(x.shape) == 1 else 1)


@op(rule=lambda x, indices_or_sections: _cut(rules.at_least(x, 2), indices_or_sections, 0))
def vsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along axis 0.

    Raises:
        ValueError: x has fewer than 2 dimensions, the pieces would not be equal, or the positions decrease.

    >>> ops.vsplit([[1, 2], [3, 4]], 2)
    [Tensor([[1, 2]], dtype=int32), Tensor([[3, 4]], dtype=int32)]
    """
    return ops.split(x, indices_or_sections, 0)


@op(rule=lambda x, indices_or_sections: _cut(rules.at_least(x, 3), indices_or_sections, 2))
def dsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along axis 2.

    Raises:
        ValueError: x has fewer than 3 dimensions, the pieces would not be equal, or the positions decrease.

    >>> [part.shape for part in ops.dsplit(ops.zeros((2, 3, 4)), 2)]
    [(2, 3, 2), (2, 3, 2)]
    """
    return ops.split(x, indices_or_sections, 2)


def _unstacked(x: Spec, num: int | None = None, axis: int = 0) -> Plan:
    at = rules.normalize_axis(axis, x.ndim, x.shape)
    size = x.shape[at]
    if size is None and num is None:
        raise ValueError(f"axis={axis!r} of x of shape {x.shape} has no known size; give num.")
    if None not in (size, num) and size != num:
        raise ValueError(f"num={num!r}, but axis={axis!r} of x of shape {x.shape} has size {size}.")
    count = num if size is None else size
    part = Spec((*x.shape[:at], *x.shape[at + 1 :]), dtypes.concrete(x.dtype))
    return Plan.many([part] * count, num=count, axis=at)  # type: ignore[operator]


@op(rule=_unstacked)
def unstack(x: Tensor, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices of x along an axis, without that axis.

    Args:
        x: At least one dimension.
        num: The size of the axis, needed where it is unknown.
        axis: An int.

    Raises:
        ValueError: `num` is not the size, or is needed; or the axis is out of range.

    >>> ops.unstack([[1, 2], [3, 4]])
    [Tensor([1, 2], dtype=int32), Tensor([3, 4], dtype=int32)]
    """
    if num == 0:
        return []
    return [ops.squeeze(piece, axis) for piece in ops.split(x, num, axis)]


# -- repeated ---------------------------------------------------------------------------


def _tiled(x: Spec, repeats: int | Sequence[int]) -> Plan:
    given = tuple(repeats) if isinstance(repeats, (tuple, list)) else _as_tuple(repeats)
    counts = [rules.known_size(r) for r in given]
    if any(c is not None and c < 0 for c in counts):
        raise ValueError(f"repeats={repeats!r} has a negative number.")
    ndim = max(x.ndim, len(counts))
    sizes = (1,) * (ndim - x.ndim) + x.shape
    counts = [1] * (ndim - len(counts)) + counts
    full = (1,) * (ndim - len(given)) + tuple(
        g if c is None else c for c, g in zip(counts[ndim - len(given) :], given, strict=True)
    )
    shape = tuple(None if None in (d, c) else d * c for d, c in zip(sizes, counts, strict=True))
    return Plan(shape, dtypes.concrete(x.dtype), repeats=full)


def _as_tuple(value: Any) -> tuple:
    """A scalar or an array of them as a tuple."""
    if rules.is_traced(value):
        return tuple(value[i] for i in range(value.shape[0])) if value.shape else (value,)
    numbers = rules.known_integers(value, "repeats")
    return numbers if isinstance(numbers, tuple) else (numbers,)


@op(rule=_tiled)
def tile(x: Tensor, repeats: int | Sequence[int]) -> Tensor:
    """x laid out repeatedly, `repeats` times along each axis.

    Args:
        x: Any shape and dtype.
        repeats: A number for each of the last axes; more than x has make new axes in front.

    Raises:
        ValueError: A number is negative.

    >>> ops.tile([1, 2], 2)
    Tensor([1, 2, 1, 2], dtype=int32)
    """
    sizes = ops.shape(x)
    sizes = (1,) * (len(repeats) - len(sizes)) + sizes
    pairs = [s for d in sizes for s in (1, d)]
    laid = [s for r, d in zip(repeats, sizes, strict=True) for s in (r, d)]
    return ops.reshape(
        ops.broadcast_to(ops.reshape(x, pairs), laid), [r * d for r, d in zip(repeats, sizes, strict=True)]
    )


def _repeated(x: Spec, repeats: Any, axis: int | None = None) -> Plan:
    dtype = dtypes.concrete(x.dtype)
    shape = x.shape if axis is not None else (rules.size_of(x.shape),)
    at = rules.normalize_axis(axis, x.ndim, x.shape) if axis is not None else None
    where = at or 0
    size = shape[where]
    if rules.is_traced(repeats):
        return Plan((*shape[:where], None, *shape[where + 1 :]), dtype, axis=at)
    counts = rules.known_integers(repeats, "repeats")
    if isinstance(counts, tuple) and len(counts) == 1:
        counts = counts[0]
    if min(counts if isinstance(counts, tuple) else (counts,), default=0) < 0:
        raise ValueError(f"repeats={repeats!r} has a negative number.")
    if isinstance(counts, tuple):
        if size is not None and size != len(counts):
            raise ValueError(f"repeats={repeats!r} should be one number, or {size} of them.")
        total: int | None = sum(counts)
    else:
        total = None if size is None else size * counts
    return Plan((*shape[:where], total, *shape[where + 1 :]), dtype, repeats=counts, axis=at)


@op(rule=_repeated)
def repeat(x: Tensor, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each element of x, or each slice along an axis, several times in a row.

    Args:
        x: Any shape and dtype.
        repeats: How often: one number for all, or one for each slice.
        axis: An int; None repeats the elements of the flattened x.

    Raises:
        ValueError: A number is negative, there are not as many as slices, or the axis is out of range.

    >>> ops.repeat([1, 2], 2)
    Tensor([1, 1, 2, 2], dtype=int32)
    """
    if axis is None:
        x, axis = ops.ravel(x), 0
    if not isinstance(repeats, int):
        return ops.take(x, np.repeat(np.arange(len(repeats), dtype="int32"), repeats), axis)
    sizes = ops.shape(x)
    before, size, after = sizes[:axis], sizes[axis], sizes[axis + 1 :]
    y = ops.broadcast_to(ops.expand_dims(x, axis + 1), (*before, size, repeats, *after))
    return ops.reshape(y, (*before, size * repeats, *after))


def _grid(x: Sequence[Spec], indexing: str = "xy") -> Plan:
    rules.one_of(indexing, ("xy", "ij"), "indexing")
    for e in x:
        rules.require_ndim(e, (0, 1))
    shape = [e.shape[0] if e.ndim else 1 for e in x]
    if indexing == "xy":
        shape[:2] = reversed(shape[:2])
    return Plan.many([Spec(shape, dtypes.concrete(e.dtype)) for e in x])


@op(rule=_grid)
def meshgrid(*x: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Coordinates of the points of a grid: each vector spread over the axes of the others.

    Args:
        *x: Vectors or scalars.
        indexing: "xy" gives the first vector axis 1 and the second axis 0; "ij" gives each its own.

    Raises:
        ValueError: One has more than 1 dimension, or `indexing` is neither.

    >>> ops.meshgrid([1, 2], [3, 4])
    [Tensor([[1, 2],
           [1, 2]], dtype=int32), Tensor([[3, 3],
           [4, 4]], dtype=int32)]
    """
    axes = list(range(len(x)))
    if indexing == "xy":
        axes[:2] = reversed(axes[:2])
    sizes = {a: ops.shape(e)[0] if len(e.shape) else 1 for a, e in zip(axes, x, strict=True)}
    shape = [sizes[a] for a in range(len(x))]
    return [
        ops.broadcast_to(ops.reshape(e, [sizes[a] if a == i else 1 for i in range(len(x))]), shape)
        for a, e in zip(axes, x, strict=True)
    ]


# -- padded -----------------------------------------------------------------------------

_PAD_MODES = (
    "constant",
    "edge",
    "linear_ramp",
    "maximum",
    "mean",
    "median",
    "minimum",
    "reflect",
    "symmetric",
    "wrap",
    "empty",
)


def _padded(x: Spec, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Plan:
    rules.one_of(mode, _PAD_MODES, "mode")
    if constant_values is not None and mode != "constant":
        raise ValueError(f"constant_values={constant_values!r} is for mode='constant', not mode={mode!r}.")
    try:
        widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)) if x.ndim else np.zeros((0, 2), "int32")
    except ValueError:
        raise ValueError(
            f"pad_width={pad_width!r} should be a number, a pair, or a pair for each of {x.ndim} axes."
        ) from None
    if widths.size and (widths.dtype.kind not in "iu" or widths.min() < 0):
        raise ValueError(f"pad_width={pad_width!r} should be integers of at least 0.")
    pairs = tuple((int(a), int(b)) for a, b in widths)
    if mode not in ("constant", "empty", "linear_ramp"):
        for d, pair in zip(x.shape, pairs, strict=True):
            if d == 0 and any(pair):
                raise ValueError(f"x of shape {x.shape} has an empty axis, which mode={mode!r} can't extend.")
    shape = tuple(None if d is None else a + d + b for d, (a, b) in zip(x.shape, pairs, strict=True))
    dtype = dtypes.concrete(x.dtype)
    value = 0 if constant_values is None else _number_of(constant_values, dtype)
    return Plan(shape, dtype, pad_width=pairs, constant_values=value)


def _number_of(value: Any, dtype: str) -> Any:
    """A number as one of `dtype`: the whole part of a float for integers, which wrap around."""
    if not dtypes.is_int(dtype) or hasattr(value, "dtype"):
        return value
    if not math.isfinite(value):
        raise ValueError(f"constant_values={value!r} is no {dtype}.")
    return number(int(value), dtype).item()


@op(rule=_padded)
def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: float | None = None) -> Tensor:
    """x with elements added at the ends of its axes.

    Args:
        x: Any shape and dtype.
        pad_width: How many: a number for every end, a pair (before, after) for every axis, or a pair
            for each axis.
        mode: What: "constant" is `constant_values`, "edge" the nearest element, "reflect" the mirror image
            without the edge, "symmetric" with it, "wrap" the other end; "linear_ramp" goes down to 0 in a
            straight line, "maximum", "minimum", "mean" and "median" are those of the axis; "empty" is 0.
        constant_values: A number, cast to x's dtype, where integers wrap around; 0 for None.

    Raises:
        ValueError: A width is negative, the number of pairs is not that of axes, the mode is not known or
            takes no `constant_values`, these are infinite or nan for integers, or an empty axis has nothing to extend.

    >>> ops.pad([1, 2, 3], (1, 2), mode="reflect")
    Tensor([2, 1, 2, 3, 2, 1], dtype=int32)
    """
    if mode in ("constant", "empty"):
        return ops.constant_pad(x, pad_width, constant_values)
    for axis, (before, after) in enumerate(pad_width):
        if before or after:
            x = _extended(x, axis, before, after, mode)
    return x


def _extended(x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    size = ops.shape(x)[axis]
    if mode in ("edge", "reflect", "symmetric", "wrap"):
        return ops.take(x, _source_indices(size, before, after, mode), axis)
    if mode == "linear_ramp":
        return _ramped(x, axis, before, after)
    value = {"maximum": ops.max, "minimum": ops.min, "mean": ops.mean, "median": ops.median}[mode](
        x, axis, keepdims=True
    )
    value = ops.cast(ops.round(value) if dtypes.is_int(dtypes.name_of(x.dtype)) else value, x.dtype)
    return ops.concatenate([ops.repeat(value, before, axis), x, ops.repeat(value, after, axis)], axis)


def _source_indices(size: Any, before: int, after: int, mode: str) -> Any:
    """The element that each place of the padded axis shows."""
    xp: Any = np if isinstance(size, int) else ops
    i = xp.arange(-before, size + after, dtype="int32")
    if mode == "edge":
        return xp.clip(i, 0, size - 1)
    if mode == "wrap":
        return xp.mod(i, size)
    if mode == "symmetric":
        i = xp.mod(i, 2 * size)
        return xp.minimum(i, 2 * size - 1 - i)
    period = xp.maximum(2 * (size - 1), 1)  # a single element mirrors itself
    i = xp.mod(i, period)
    return xp.minimum(i, period - i) if xp is ops or size > 1 else i


def _ramped(x: Any, axis: int, before: int, after: int) -> Any:
    shape = [1] * len(x.shape)
    size = ops.shape(x)[axis]
    parts = [x]
    dtype = dtypes.name_of(x.dtype)
    inexact = dtypes.is_inexact(dtype)
    for count, edge, ascending in ((before, 0, True), (after, size - 1, False)):
        if not count:
            continue
        if isinstance(size, int) and size == 0:
            ramp = ops.repeat(ops.zeros_like(ops.sum(x, axis, keepdims=True), x.dtype), count, axis)
        else:
            steps = np.arange(count) if ascending else np.arange(count)[::-1]
            shape[axis] = count
            steps = ops.cast(np.reshape(steps, shape), x.dtype if inexact else "float64")
            ramp = ops.divide(ops.multiply(ops.take(x, ops.reshape(edge, (1,)), axis), steps), count)
            ramp = ops.cast(ops.floor(ramp) if dtypes.is_int(dtype) else ramp, dtype)
        parts = [ramp, *parts] if ascending else [*parts, ramp]
    return ops.concatenate(parts, axis)


def _constant_padded(x: Spec, pad_width: Sequence[tuple[int, int]], value: float = 0) -> Plan:
    plan = _padded(x, pad_width, "constant", value)
    given = plan.arguments
    return Plan(plan.outputs.shape, plan.outputs.dtype, pad_width=given["pad_width"], value=given["constant_values"])


@op(rule=_constant_padded)
def constant_pad(x: Tensor, pad_width: Sequence[tuple[int, int]], value: float = 0) -> Tensor:
    """x with `value` added at the ends of its axes: `pad` in its mode "constant".

    Raises:
        ValueError: A width is negative, or the number of pairs is not that of axes.

    >>> ops.constant_pad([1, 2], ((1, 2),), 9)
    Tensor([9, 1, 2, 9, 9], dtype=int32)
    """
