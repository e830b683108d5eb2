"""Ops on sparse tensors by their stored elements.

A definition takes what a backend's function of the op takes, sparse tensors of the active backend
among it, and is written in ops on their coordinates and values; so it runs and
differentiates everywhere. A backend overrides by name in `kcore/backends/<name>/sparse.py`.
Where arrays must keep their size, elements that are no longer stored become padding:
coordinates out of range, which `kcore.ops.index.flat_indices` puts past the end.
"""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from kcore import backends, dtypes, ops
from kcore.backends.coo import Coo, is_sparse
from kcore.ops import rules
from kcore.ops.index import flat_indices
from kcore.ops.mechanism import REGISTRY

# -- pieces -----------------------------------------------------------------------------


def coo(x: Any) -> Coo:
    """The stored elements of a sparse tensor of the active backend, each once."""
    return backends.active().coo(x)


def tensor(indices: Any, values: Any, like: Any, sizes: Any = None, unique: bool = True, ordered: bool = True) -> Any:
    """The sparse tensor of the active backend with these stored elements.

    Args:
        indices: (stored, ndim), or a list of its columns.
        values: (stored,).
        like: The shape; with `sizes` where some are None.
        unique, ordered: As `Coo` has them.
    """
    if isinstance(indices, list):
        indices = ops.stack(indices, 1) if indices else ops.zeros((ops.shape(values)[0], 0), "int32")
    return backends.active().from_coo(Coo(indices, values, like, sizes, unique, ordered))


def columns(c: Coo) -> list[Any]:
    """The coordinates along each axis."""
    return [c.indices[:, axis] for axis in range(c.ndim)]


def axes_of(c: Coo) -> list[tuple[Any, Any, Any]]:
    """For each axis the coordinates along it, its size as far as it is known, and as it is when it runs."""
    return list(zip(columns(c), c.shape, c.sizes))


def of_axes(axes: Sequence[tuple[Any, Any, Any]], values: Any, unique: bool = True, ordered: bool = True) -> Any:
    """The sparse tensor with these axes, at least one, and values."""
    cols, shape, sizes = map(list, zip(*axes))
    return tensor(cols, values, shape, sizes, unique, ordered)


def new_axis(c: Coo) -> tuple[Any, Any, Any]:
    """An axis of size 1."""
    return ops.zeros_like(c.indices[:, 0]), 1, 1


def places(c: Coo, axes: Sequence[int] | None = None) -> Any:
    """The row-major position of each stored element, along some axes only; padding is past the end."""
    axes = range(c.ndim) if axes is None else axes
    if not axes:
        return ops.zeros((ops.shape(c.values)[0],), "int32")
    return flat_indices([c.indices[:, a] for a in axes], [c.sizes[a] for a in axes])


def coordinates(flat: Any, sizes: Sequence[Any]) -> list[Any]:
    """The columns of indices of row-major positions."""
    found = []
    for axis, size in enumerate(sizes):
        inner = math.prod(sizes[axis + 1 :])
        step = ops.maximum(inner, 1) if not isinstance(inner, int) else builtins.max(inner, 1)
        i = ops.floor_divide(flat, ops.cast(step, flat.dtype))
        found.append(ops.mod(i, ops.cast(size, flat.dtype)) if axis and size != 0 else i)
    return found


def padding(c: Coo) -> Any:
    """Which rows stand for no element; None where the backend has none such."""
    if not backends.active().pads_sparse or not c.ndim:
        return None
    return functools.reduce(ops.logical_or, [ops.greater_equal(i, n) for i, n in zip(columns(c), c.sizes)])


def where_stored(c: Coo, values: Any, otherwise: Any = 0) -> Any:
    """`values`, and `otherwise` at padding."""
    none = padding(c)
    return values if none is None else ops.where(none, ops.cast(otherwise, values.dtype), values)


def past_the_end(c: Coo, axes: list[tuple[Any, Any, Any]]) -> list[tuple[Any, Any, Any]]:
    """Axes of c, some of which are left out or new, with the coordinates of padding past the end of each."""
    none = padding(c)
    return axes if none is None else [(ops.where(none, ops.cast(n, i.dtype), i), d, n) for i, d, n in axes]


def pruned(keep: Any, cols: list[Any], values: Any, like: Any, sizes: Any, ordered: bool = True) -> Any:
    """The sparse tensor with those elements alone for which `keep` is true."""
    if backends.active().pads_sparse:
        cols = [ops.where(keep, i, ops.cast(size, i.dtype)) for i, size in zip(cols, sizes)]
        return tensor(cols, ops.where(keep, values, ops.zeros_like(values)), like, sizes, ordered=False)
    at = ops.nonzero(keep)[0]
    return tensor([ops.take(i, at, 0) for i in cols], ops.take(values, at, 0), like, sizes, ordered=ordered)


def canonical(c: Coo) -> Coo:
    """Each element once, in row-major order: what backends without a function for it make of a Coo."""
    if c.unique and c.ordered:
        return c
    flat = places(c)
    order = ops.argsort(flat)
    flat, values, indices = ops.take(flat, order, 0), ops.take(c.values, order, 0), ops.take(c.indices, order, 0)
    if not c.unique:
        first = ops.concatenate([ops.ones_like(flat[:1], "bool"), ops.not_equal(flat[1:], flat[:-1])])
        number = ops.cumsum(ops.cast(first, "int32")) - 1
        at = ops.nonzero(first)[0]
        values = ops.cast(ops.segment_sum(values, number, ops.shape(at)[0]), dtypes.name_of(values.dtype))
        indices = ops.take(indices, at, 0)
    return Coo(indices, values, c.shape, c.sizes)


def dense_of(c: Coo) -> Any:
    """The dense tensor."""
    if not c.ndim:
        return ops.cast(ops.sum(c.values), dtypes.name_of(c.dtype))
    total = ops.segment_sum(c.values, places(c), math.prod(c.sizes))
    return ops.reshape(ops.cast(total, dtypes.name_of(c.dtype)), c.sizes)


def dense(x: Any) -> Any:
    """x itself, or the dense tensor that it stands for."""
    return dense_of(coo(x)) if backends.active().is_sparse(x) else x


def inside(flat: Any, total: Any) -> Any:
    """Positions, with padding's moved to the last element, so that it can be taken from."""
    return ops.minimum(flat, builtins.max(total - 1, 0)) if backends.active().pads_sparse else flat


def picked(x: Any, c: Coo) -> Any:
    """The elements of the dense x, broadcast to c's shape, where c has stored ones."""
    lead = c.ndim - len(x.shape)
    own = [a for a, size in enumerate(x.shape) if size != 1]
    if not own:
        return ops.reshape(x, ())
    sizes = ops.shape(x)
    flat = flat_indices([c.indices[:, a + lead] for a in own], [sizes[a] for a in own])
    return ops.take(ops.ravel(x), inside(flat, math.prod(sizes)), 0)


def found(c: Coo, flat: Any) -> tuple[Any, Any]:
    """(whether c stores an element at each position, its value or 0)."""
    own, values = places(c), c.values
    if not c.ordered:
        order = ops.argsort(own)
        own, values = ops.take(own, order, 0), ops.take(values, order, 0)
    dtype = dtypes.promote(*(dtypes.name_of(p.dtype) for p in (own, flat)))
    last = ops.cast(math.prod(c.sizes) + 1, dtype)
    own = ops.concatenate([ops.cast(own, dtype), ops.reshape(last, (1,))])
    values = ops.concatenate([values, ops.zeros((1,), values.dtype)])
    at = ops.searchsorted(own, ops.cast(flat, dtype))
    there = ops.equal(ops.take(own, at, 0), ops.cast(flat, dtype))
    values = ops.take(values, at, 0)
    return there, ops.where(there, values, ops.zeros_like(values))


def values_at(x: Any, c: Coo) -> Any:
    """The elements of x, dense or sparse, where c has stored ones."""
    if not is_sparse(x):
        return where_stored(c, picked(x, c))
    return found(coo(x), places(c))[1]


def spread(c: Coo, shape: Sequence[Any], sizes: Sequence[Any] | None = None) -> Coo:
    """c broadcast to a shape: what is stored along an axis of size 1 is stored again for each place of it."""
    sizes = tuple(shape) if sizes is None else tuple(sizes)
    lead = len(sizes) - c.ndim
    new = [a for a in range(len(sizes)) if (a < lead or c.shape[a - lead] == 1) and sizes[a] != 1]
    if not new and not lead:
        return c
    stored = ops.shape(c.values)[0]
    count = math.prod(sizes[a] for a in new)
    offsets = dict(zip(new, coordinates(ops.arange(count, dtype="int32"), [sizes[a] for a in new])))
    none = padding(c)
    cols = []
    for a in range(len(sizes)):
        if a in offsets:
            i = ops.broadcast_to(ops.expand_dims(offsets[a], 1), (count, stored))
            i = i if none is None else ops.where(none, ops.cast(sizes[a], i.dtype), i)
        else:
            i = c.indices[:, a - lead] if a >= lead else ops.zeros((stored,), "int32")
            i = ops.broadcast_to(ops.expand_dims(ops.cast(i, "int32"), 0), (count, stored))
        cols.append(ops.reshape(i, (count * stored,)))
    values = ops.reshape(ops.broadcast_to(ops.expand_dims(c.values, 0), (count, stored)), (count * stored,))
    return Coo(ops.stack(cols, 1), values, shape, sizes, c.unique, False)


def together(x1: Any, x2: Any) -> tuple[Coo, Coo]:
    """Two sparse tensors, broadcast to one shape."""
    c1, c2 = coo(x1), coo(x2)
    if c1.shape == c2.shape:
        return c1, c2
    ndim = builtins.max(c1.ndim, c2.ndim)
    pairs = [((1,) * (ndim - c.ndim) + c.shape, (1,) * (ndim - c.ndim) + tuple(c.sizes)) for c in (c1, c2)]
    take = [1 if a == 1 else 0 for a in pairs[0][0]]  # a size of 1 gives way to the other
    shape = [pairs[t][0][a] for a, t in enumerate(take)]
    sizes = [pairs[t][1][a] for a, t in enumerate(take)]
    return spread(c1, shape, sizes), spread(c2, shape, sizes)


def join(c1: Coo, c2: Coo) -> Any:
    """All the elements of both, added up where both have one."""
    indices = ops.concatenate([ops.cast(c.indices, _index_dtype(c1, c2)) for c in (c1, c2)])
    return tensor(indices, ops.concatenate([c1.values, c2.values]), c1.shape, c1.sizes, unique=False, ordered=False)


def _index_dtype(*cs: Coo) -> str:
    return dtypes.promote(*(dtypes.name_of(c.indices.dtype) for c in cs))


# -- elementwise ------------------------------------------------------------------------


def mapped(name: str) -> Callable:
    """An op with f(0) = 0, on the stored values."""
    call = REGISTRY[name].call

    def run(x: Any, *plain: Any) -> Any:
        c = coo(x)
        y = where_stored(c, call(c.values, *plain)) if name == "nan_to_num" else call(c.values, *plain)
        return backends.active().from_coo(c.with_values(y))

    return run


def add(x1: Any, x2: Any) -> Any:
    if is_sparse(x1) and is_sparse(x2):
        return join(*together(x1, x2))
    return ops.add(dense(x1), dense(x2))


def subtract(x1: Any, x2: Any) -> Any:
    if is_sparse(x1) and is_sparse(x2):
        c1, c2 = together(x1, x2)
        return join(c1, c2.with_values(ops.negative(c2.values)))
    return ops.subtract(dense(x1), dense(x2))


def extreme(name: str) -> Callable:
    call = REGISTRY[name].call

    def run(x1: Any, x2: Any) -> Any:
        if not (is_sparse(x1) and is_sparse(x2)):
            return call(dense(x1), dense(x2))
        c1, c2 = together(x1, x2)
        union = coo(join(c1, c2))  # its pattern is what counts
        flat = places(union)
        y = call(found(c1, flat)[1], found(c2, flat)[1])
        return backends.active().from_coo(union.with_values(where_stored(union, y)))

    return run


def multiply(x1: Any, x2: Any) -> Any:
    if is_sparse(x1) and is_sparse(x2):
        c1, c2 = together(x1, x2)
        there, values = found(c2, places(c1))
        none = padding(c1)
        there = there if none is None else ops.logical_and(there, ops.logical_not(none))
        return pruned(there, columns(c1), ops.multiply(c1.values, values), c1.shape, c1.sizes, c1.ordered)
    if is_sparse(x1):
        return _scaled(ops.multiply, x1, x2)
    return _scaled(lambda values, factor: ops.multiply(factor, values), x2, x1)


def _scaled(call: Callable, x: Any, factor: Any) -> Any:
    """A sparse x times, or divided by, a dense tensor."""
    c = coo(x)
    lead = len(factor.shape) - c.ndim
    padded = (1,) * lead + c.shape
    own = (1,) * -lead + tuple(factor.shape)
    sizes = [
        f if n == 1 else s for n, s, f in zip(padded, (1,) * lead + tuple(c.sizes), (1,) * -lead + ops.shape(factor))
    ]
    c = spread(c, [f if n == 1 else n for n, f in zip(padded, own)], sizes)
    return backends.active().from_coo(c.with_values(where_stored(c, call(c.values, picked(factor, c)))))


def quotient(name: str) -> Callable:
    call = REGISTRY[name].call
    return lambda x1, x2: _scaled(call, x1, x2)


def power(x1: Any, x2: Any) -> Any:
    c = coo(x1)
    return backends.active().from_coo(c.with_values(ops.power(c.values, x2)))


def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    c = coo(x)
    return backends.active().from_coo(c.with_values(ops.clip(c.values, x_min, x_max)))


# -- products ---------------------------------------------------------------------------


def matmul(x1: Any, x2: Any) -> Any:
    if is_sparse(x1) and is_sparse(x2):
        return _sparse_product(coo(x1), coo(x2))
    if is_sparse(x2):  # x1 @ x2 = (x2ᵀ @ x1ᵀ)ᵀ
        y = product(transpose(x2, (1, 0)), ops.moveaxis(x1, -1, 0) if len(x1.shape) > 1 else x1)
        return ops.moveaxis(y, 0, -1) if len(x1.shape) > 1 else y
    return product(x1, x2)


def product(x: Any, y: Any) -> Any:
    """A sparse (..., n, k) times a dense (k, ...): the backend's own product of matrices does the work."""
    sizes = ops.shape(x)
    two = [math.prod(sizes[:-1]) if len(sizes) > 1 else 1, sizes[-1]]
    x = x if len(sizes) == 2 else reshape(x, two)
    rest = ops.shape(y)[1:]
    flat = y if len(y.shape) == 2 else ops.reshape(y, (sizes[-1], math.prod(rest)))
    active = backends.active()
    z = active.sparse_ops.get("matrix_product", matrix_product)(x, flat)
    return ops.reshape(z, (*sizes[:-1], *rest))


def matrix_product(x: Any, y: Any) -> Any:
    """A sparse (n, k) times a dense (k, m): rows of y, scaled and added up."""
    c = coo(x)
    rows = ops.take(y, inside(c.indices[:, 1], c.sizes[1]), 0)
    wide = dtypes.accumulator(dtypes.name_of(y.dtype))
    parts = ops.multiply(ops.cast(ops.expand_dims(c.values, 1), wide), ops.cast(rows, wide))
    return ops.cast(ops.segment_sum(parts, c.indices[:, 0], c.sizes[0]), dtypes.name_of(y.dtype))


def _sparse_product(c1: Coo, c2: Coo) -> Any:
    """A sparse (n, k) times a sparse (k, m): each element of the first with each of its row of the second."""
    keys = ops.cast(c2.indices[:, 0], "int32")
    order = None if c2.ordered else ops.argsort(keys)
    keys = keys if order is None else ops.take(keys, order, 0)
    wanted = ops.cast(c1.indices[:, 1], "int32")
    start = ops.searchsorted(keys, wanted, "left")
    count = ops.searchsorted(keys, wanted, "right") - start
    ends = ops.cumsum(count)
    total = ops.sum(count)
    if rules.is_traced(total) and backends.active().pads_sparse:
        return _all_pairs(c1, c2)
    number = ops.arange(total if rules.is_traced(total) else int(ops.convert_to_numpy(total)), dtype="int32")
    first = ops.searchsorted(ends, number, "right")
    second = ops.take(start, first, 0) + number - (ops.take(ends, first, 0) - ops.take(count, first, 0))
    second = second if order is None else ops.take(order, second, 0)
    values = ops.multiply(ops.take(c1.values, first, 0), ops.take(c2.values, second, 0))
    cols = [ops.take(c1.indices[:, 0], first, 0), ops.take(c2.indices[:, 1], second, 0)]
    cols = [ops.cast(i, _index_dtype(c1, c2)) for i in cols]
    return tensor(cols, values, (c1.shape[0], c2.shape[1]), (c1.sizes[0], c2.sizes[1]), unique=False, ordered=False)


def _all_pairs(c1: Coo, c2: Coo) -> Any:
    """The same where the run alone tells how many elements meet: each with each, and those that don't are padding."""
    pairs = [ops.shape(c.values)[0] for c in (c1, c2)]

    def first(a: Any) -> Any:
        return ops.reshape(ops.broadcast_to(ops.expand_dims(a, 1), pairs), (-1,))

    def second(a: Any) -> Any:
        return ops.reshape(ops.broadcast_to(ops.expand_dims(a, 0), pairs), (-1,))

    meet = ops.equal(first(c1.indices[:, 1]), second(c2.indices[:, 0]))
    cols = [
        ops.where(meet, i, n)
        for i, n in ((first(c1.indices[:, 0]), c1.sizes[0]), (second(c2.indices[:, 1]), c2.sizes[1]))
    ]
    values = ops.multiply(first(c1.values), second(c2.values))
    values = ops.where(meet, values, ops.zeros_like(values))
    return tensor(cols, values, (c1.shape[0], c2.shape[1]), unique=False, ordered=False)


def body(name: str) -> Callable:
    """An op whose portable body is made of ops that take sparse tensors."""
    return lambda *args: REGISTRY[name].body(*args)  # type: ignore[misc]


def take(x: Any, indices: Any, axis: int | None) -> Any:
    return ops.take(x, dense(indices), axis)


# -- reductions -------------------------------------------------------------------------


def _kept(c: Coo, axis: Sequence[int]) -> list[int]:
    return [a for a in range(c.ndim) if a not in axis]


def sum(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    c = coo(x)
    left = _kept(c, axis)
    if not left and not keepdims:
        return ops.sum(c.values)
    axes = [one if a in left else new_axis(c) for a, one in enumerate(axes_of(c)) if a in left or keepdims]
    return of_axes(past_the_end(c, axes), c.values, unique=not axis, ordered=not axis and c.ordered)


def mean(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    sizes = ops.shape(x)
    return ops.divide(sum(x, axis, keepdims), ops.cast(math.prod(sizes[a] for a in axis), dtypes.name_of(x.dtype)))


def _grouped(c: Coo, axis: Sequence[int], call: Callable, values: Any, dtype: str | None = None) -> Any:
    """A dense reduction: `call` (a segment op) of the values that share the coordinates that stay."""
    left = _kept(c, axis)
    total = math.prod(c.sizes[a] for a in left)
    flat = where_stored(c, places(c, left), total)
    y = ops.reshape(call(values, flat, total), [c.sizes[a] for a in left])
    return y if dtype is None else ops.cast(y, dtype)


def peak(name: str) -> Callable:
    """The greatest or least element, zeros that are not stored among them."""
    segment, call = (ops.segment_max, ops.maximum) if name == "max" else (ops.segment_min, ops.minimum)

    def run(x: Any, axis: tuple[int, ...], keepdims: bool, initial: Any = None) -> Any:
        c = coo(x)
        if not axis:
            y = dense_of(c)
        else:
            stored = _grouped(c, axis, ops.segment_sum, ops.ones_like(c.values, "int32"))
            y = _grouped(c, axis, segment, c.values)
            full = ops.equal(stored, ops.cast(math.prod(c.sizes[a] for a in axis), "int32"))
            zero = ops.zeros_like(y)
            y = ops.where(full, y, ops.where(ops.equal(stored, 0), zero, call(y, zero)))
        y = y if initial is None else call(y, ops.cast(initial, dtypes.name_of(y.dtype)))
        return ops.expand_dims(y, axis) if keepdims and axis else y

    return run


def any(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    c = coo(x)
    y = _grouped(c, axis, ops.segment_sum, ops.cast(ops.not_equal(c.values, 0), "int32"))
    y = ops.not_equal(y, 0)
    return ops.expand_dims(y, axis) if keepdims and axis else y


def count_nonzero(x: Any, axis: tuple[int, ...]) -> Any:
    c = coo(x)
    return _grouped(c, axis, ops.segment_sum, ops.cast(ops.not_equal(c.values, 0), "int32"))


def softmax(x: Any, axis: tuple[int, ...]) -> Any:
    """Over the stored elements alone: the others are left out, as if they were -inf, and stay 0."""
    c = coo(x)
    left = _kept(c, axis)
    total = math.prod(c.sizes[a] for a in left)
    flat = where_stored(c, places(c, left), total)
    back = inside(flat, total)
    peak = ops.take(ops.segment_max(ops.stop_gradient(c.values), flat, total), back, 0)
    e = where_stored(c, ops.exp(ops.subtract(c.values, peak)))
    y = ops.divide(e, ops.take(ops.segment_sum(e, flat, total), back, 0))
    return backends.active().from_coo(c.with_values(where_stored(c, y)))


# -- another arrangement ----------------------------------------------------------------


def reshape(x: Any, newshape: Sequence[Any]) -> Any:
    c = coo(x)
    sizes = list(newshape)
    if -1 in [d for d in sizes if isinstance(d, int)]:
        at = next(i for i, d in enumerate(sizes) if isinstance(d, int) and d == -1)
        known = math.prod(d for i, d in enumerate(sizes) if i != at)
        sizes[at] = math.prod(c.sizes) // known
    if not sizes:
        return ops.sum(c.values)
    shape = [d if isinstance(d, int) else None for d in sizes]
    return tensor(coordinates(places(c), sizes), c.values, shape, sizes, c.unique, c.ordered)


def transpose(x: Any, axes: Sequence[int]) -> Any:
    c = coo(x)
    own = axes_of(c)
    return of_axes([own[a] for a in axes], c.values, c.unique, list(axes) == sorted(axes) and c.ordered)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    axes = list(range(len(x.shape)))
    axes[axis1], axes[axis2] = axis2, axis1
    return ops.transpose(x, axes)


def expand_dims(x: Any, axis: Sequence[int]) -> Any:
    c = coo(x)
    axes = axes_of(c)
    for a in axis:
        axes.insert(a, new_axis(c))
    return of_axes(axes, c.values, c.unique, c.ordered)


def squeeze(x: Any, axis: Sequence[int]) -> Any:
    c = coo(x)
    left = _kept(c, axis)
    if not left:
        return ops.sum(c.values)
    axes = past_the_end(c, axes_of(c))
    return of_axes([axes[a] for a in left], c.values, c.unique, c.ordered)


def flip(x: Any, axis: Sequence[int]) -> Any:
    c = coo(x)
    cols = [
        where_stored(c, ops.cast(n - 1, i.dtype) - i, n) if a in axis else i
        for a, (i, n) in enumerate(zip(columns(c), c.sizes))
    ]
    return tensor(cols, c.values, c.shape, c.sizes, c.unique, ordered=False)


def broadcast_to(x: Any, shape: Sequence[Any]) -> Any:
    known = [d if isinstance(d, int) else None for d in shape]
    return backends.active().from_coo(spread(coo(x), known, shape))


def concatenate(xs: Sequence[Any], axis: int) -> Any:
    if not all_sparse(xs):
        return ops.concatenate([dense(x) for x in xs], axis)
    cs = [coo(x) for x in xs]
    size: Any = builtins.sum(c.sizes[axis] for c in cs)
    known = [c.shape[axis] for c in cs]
    shape, sizes = list(cs[0].shape), list(cs[0].sizes)
    shape[axis], sizes[axis] = None if None in known else builtins.sum(known), size
    start: Any = 0
    cols = []
    for c in cs:
        own = columns(c)
        own[axis] = where_stored(c, own[axis] + ops.cast(start, own[axis].dtype), size)
        cols.append(ops.cast(ops.stack(own, 1), _index_dtype(*cs)))
        start = start + c.sizes[axis]
    ordered = axis == 0 and not backends.active().pads_sparse and builtins.all(c.ordered for c in cs)
    return tensor(ops.concatenate(cols), ops.concatenate([c.values for c in cs]), shape, sizes, ordered=ordered)


def all_sparse(xs: Sequence[Any]) -> bool:
    return builtins.all(is_sparse(x) for x in xs)


def stack(x: Sequence[Any], axis: int) -> Any:
    return ops.concatenate([ops.expand_dims(e, axis) for e in x], axis)


def basic_index(x: Any, key: Sequence[Any]) -> Any:
    c = coo(x)
    none = padding(c)
    keep = None if none is None else ops.logical_not(none)
    axes = []
    own = enumerate(axes_of(c))
    for part in key:
        if part is None:
            axes.append(new_axis(c))
            continue
        axis, (i, known, size) = next(own)
        if isinstance(part, int):
            fits = ops.equal(i, ops.cast(part if part >= 0 else part + size, i.dtype))
        elif part == builtins.slice(None):
            axes.append((i, known, size))
            continue
        else:
            if not isinstance(size, int):
                raise ValueError(f"a slice of axis {axis} of a sparse tensor needs its size, which is not known yet.")
            steps = range(*part.indices(size))
            offset = ops.multiply(i - ops.cast(steps.start, i.dtype), 1 if steps.step > 0 else -1)
            stride = abs(steps.step)
            fits = ops.logical_and(
                ops.greater_equal(offset, 0), ops.less(offset, ops.cast(len(steps) * stride, i.dtype))
            )
            fits = ops.logical_and(fits, ops.equal(ops.mod(offset, stride), 0)) if stride > 1 else fits
            axes.append((ops.floor_divide(offset, stride) if stride > 1 else offset, len(steps), len(steps)))
        keep = fits if keep is None else ops.logical_and(keep, fits)
    if not axes:  # one element
        return ops.cast(ops.sum(ops.where(keep, c.values, ops.zeros_like(c.values))), dtypes.name_of(c.dtype))
    ordered = c.ordered and builtins.all(not isinstance(p, builtins.slice) or (p.step or 1) > 0 for p in key)
    if keep is None:
        return of_axes(axes, c.values, ordered=ordered)
    cols, shape, sizes = map(list, zip(*axes))
    return pruned(keep, cols, c.values, shape, sizes, ordered)


def slice(inputs: Any, start_indices: Sequence[Any], shape: Sequence[int]) -> Any:
    c = coo(inputs)
    none = padding(c)
    keep = None if none is None else ops.logical_not(none)
    cols = []
    for i, start, length, size in zip(columns(c), start_indices, shape, c.sizes):
        start = ops.cast(start, i.dtype)
        start = ops.where(ops.less(start, 0), start + ops.cast(size, i.dtype), start)
        start = ops.minimum(ops.maximum(start, 0), ops.cast(size - length, i.dtype))  # as for a dense tensor
        cols.append(i - start)
        fits = ops.logical_and(ops.greater_equal(cols[-1], 0), ops.less(cols[-1], ops.cast(length, i.dtype)))
        keep = fits if keep is None else ops.logical_and(keep, fits)
    return pruned(keep, cols, c.values, shape, shape, c.ordered)


def split(x: Any, indices_or_sections: Any, axis: int) -> list[Any]:
    size = x.shape[axis]
    if isinstance(indices_or_sections, int):
        cuts = [size // indices_or_sections * i for i in range(1, indices_or_sections)]
    else:
        cuts = list(indices_or_sections)
    lead = (builtins.slice(None),) * axis
    return [ops.basic_index(x, (*lead, builtins.slice(a, b))) for a, b in zip([0, *cuts], [*cuts, size])]


def pad(x: Any, pad_width: Sequence[tuple[int, int]], mode: str, constant_values: Any) -> Any:
    c = coo(x)
    sizes = [n + a + b for n, (a, b) in zip(c.sizes, pad_width)]
    shape = [None if n is None else n + a + b for n, (a, b) in zip(c.shape, pad_width)]
    cols = [where_stored(c, i + ops.cast(a, i.dtype), n) for i, (a, _), n in zip(columns(c), pad_width, sizes)]
    return tensor(cols, c.values, shape, sizes, c.unique, c.ordered)


# -- made of other things ---------------------------------------------------------------


def one_hot(x: Any, num_classes: int, axis: int, dtype: str, sparse: bool) -> Any:
    x = dense(x)
    sizes = ops.shape(x)
    flat = ops.cast(ops.ravel(x), "int64" if dtypes.name_of(x.dtype) in ("int64", "uint64", "uint32") else "int32")
    count = math.prod(sizes)
    cols = coordinates(ops.arange(count, dtype="int32"), sizes)
    none = ops.logical_or(ops.less(flat, 0), ops.greater_equal(flat, num_classes))
    cols.insert(axis, ops.cast(ops.where(none, num_classes, flat), "int32"))
    shape, whole = list(x.shape), list(sizes)
    shape.insert(axis, num_classes)
    whole.insert(axis, num_classes)
    return pruned(ops.less(cols[axis], num_classes), cols, ops.ones((count,), dtype), shape, whole, axis == len(sizes))


def bincount(x: Any, weights: Any, minlength: int, sparse: bool) -> Any:
    from kcore.ops.segment import _one_past

    x, weights = dense(x), dense(weights)
    count = _one_past(x, minlength)
    batch = ops.shape(x)[:-1]
    flat = ops.ravel(x)
    ones = ops.ones_like(flat, "int32") if weights is None else ops.ravel(ops.broadcast_to(weights, ops.shape(x)))
    cols = [ops.cast(flat, "int32")]
    if batch:
        cols.insert(
            0, ops.floor_divide(ops.arange(ops.shape(flat)[0], dtype="int32"), builtins.max(ops.shape(x)[1], 1))
        )
    at = ops.nonzero(ops.greater_equal(flat, 0))[0]
    known = count if isinstance(count, int) else None
    return tensor(
        [ops.take(i, at, 0) for i in cols],
        ops.take(ones, at, 0),
        (*x.shape[:-1], known),
        (*batch, count),
        unique=False,
        ordered=False,
    )


def like(value: Any) -> Callable:
    """zeros_like and ones_like read nothing but the shape."""
    return lambda x, dtype: ops.full(ops.shape(x), value, dtype)


def full_like(x: Any, fill_value: Any, dtype: str) -> Any:
    return ops.broadcast_to(ops.cast(fill_value, dtype), ops.shape(x))
