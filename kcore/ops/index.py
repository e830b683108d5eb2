"""Ops that pick elements by position, and ops that put elements there.

An index below 0 counts from the end. An index that is still out of range is an error where it
is a Python integer. In a tensor of indices, which may only be known on a device, reading
there gives nan (of integers the least value if they are signed, the greatest if not; of
bools true) with a gradient of 0, and writing there does nothing.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from kcore import config, dtypes, ops
from kcore.backends.host import to_array
from kcore.ops import rules
from kcore.ops.mechanism import Index, Plan, Shape, Tensor, Tensors, op
from kcore.ops.symbolic import Spec

# -- x[key] -----------------------------------------------------------------------------


def _indexed(x: Spec, key: Any) -> Plan:
    """Backends get a part for every axis of x, and None for new ones: slices, integers, arrays."""
    parts = _spread([_index_part(k) for k in (key if isinstance(key, tuple) else (key,))], x)
    shape: list[int | None] = []
    arrays: list[Any] = []
    axis = 0
    for part in parts:
        size = None if part is None else x.shape[axis]
        if part is None:
            shape.append(1)
            continue
        if isinstance(part, builtins.slice):
            shape.append(_slice_size(part, size))
        elif isinstance(part, int):
            if size is not None and not -size <= part < size:
                raise IndexError(f"index {part} is out of range for axis {axis} of x of shape {x.shape}.")
        else:
            arrays.append(part)
            axis += _consumed(part) - 1
        axis += 1
    if arrays:
        picked = rules.broadcast(*(_picked_shape(a, x) for a in arrays))
        place = _placement(parts)
        shape[place:place] = picked
    return Plan(shape, dtypes.concrete(x.dtype), key=parts)


def _index_part(k: Any) -> Any:
    """One part of a key: None, ..., a slice of integers, an integer, or an array of integers or bools."""
    if k is None or k is Ellipsis:
        return k
    if isinstance(k, builtins.slice):
        return builtins.slice(*(None if e is None else _slice_bound(e) for e in (k.start, k.stop, k.step)))
    if isinstance(k, (bool, np.bool_)):
        raise TypeError("a single bool is no index; use None for a new axis.")
    if isinstance(k, (int, np.integer)):
        return int(k)
    if hasattr(k, "__kcore_value__"):
        k = k.__kcore_value__()
    if not hasattr(k, "dtype"):
        k = _index_array(k)
    dtype = dtypes.name_of(k.dtype)
    if not (dtypes.is_int(dtype) or (dtypes.is_bool(dtype) and len(k.shape))):
        raise IndexError(f"an index array should be of integers, or of bools for each element, not {dtype}.")
    if type(k) is np.ndarray and k.dtype.itemsize == 8 and np.abs(k).max(initial=0) < 2**31:
        return k.astype("int32")  # NumPy's default is 64 bits, which JAX does not have by default
    return k


def _index_key(key: Any) -> tuple:
    """A key's part of a plan's key; `True` is no 1 here, as it is elsewhere."""
    return tuple([_part_key(k) for k in key]) if key.__class__ is tuple else (_part_key(key),)


def _part_key(k: Any) -> Any:
    kind = k.__class__
    if kind is int or k is None or k is Ellipsis:
        return k
    if kind is builtins.slice:
        bounds = k.start, k.stop, k.step
        if all(e is None or e.__class__ is int for e in bounds):
            return bounds
    elif kind is list and all(e.__class__ is int for e in k):
        return kind, *k
    elif _is_integer_array(k):
        return kind, k.dtype, k.shape
    raise TypeError


def _is_integer_array(k: Any) -> bool:
    return hasattr(k, "dtype") and not isinstance(k, np.generic) and dtypes.is_int(dtypes.name_of(k.dtype))


class _Array:
    """Stands for an array in a key that is kept."""


def _remade(parts: tuple) -> Any:
    """A function that gives the parts for another key, alike but for what its arrays hold; None if it has none."""
    if not any(hasattr(p, "dtype") for p in parts):
        return None
    fixed = [_Array if hasattr(p, "dtype") else p for p in parts]

    def remade(key: Any) -> tuple:
        given = key if key.__class__ is tuple else (key,)
        arrays = iter([_index_part(k) for k in given if hasattr(k, "dtype") or k.__class__ is list])
        return tuple([next(arrays) if p is _Array else p for p in fixed])

    return remade


def _index_array(k: Any) -> Any:
    if hasattr(k, "__index__"):
        return np.asarray(operator.index(k))
    if not len(k):
        return np.zeros(np.shape(k), "int32")
    try:
        return to_array(k)
    except Exception:  # a list that holds tracers
        return ops.stack(k)


def _slice_bound(e: Any) -> Any:
    return e if rules.is_traced(e) else operator.index(e)


def _is_mask(part: Any) -> bool:
    return hasattr(part, "dtype") and dtypes.is_bool(dtypes.name_of(part.dtype))


def _consumed(part: Any) -> int:
    """How many axes of x a part of a key is for."""
    if part is None:
        return 0
    return len(part.shape) if _is_mask(part) else 1


def _spread(parts: list, x: Spec) -> tuple:
    """The parts with the Ellipsis, or the end, filled up with whole slices."""
    at = [i for i, p in enumerate(parts) if p is Ellipsis]
    if len(at) > 1:
        raise IndexError("key has more than one Ellipsis.")
    used = sum(_consumed(p) for p in parts if p is not Ellipsis)
    if used > x.ndim:
        raise IndexError(f"key has {used} indices, but x of shape {x.shape} has {x.ndim} dimensions.")
    fill = [builtins.slice(None)] * (x.ndim - used)
    i = at[0] if at else len(parts)
    full = [*parts[:i], *fill, *parts[i + 1 :]]
    axis = 0
    for p in full:
        if _is_mask(p):
            for have, want in zip(p.shape, x.shape[axis:], strict=False):
                if None not in (have, want) and have != want:
                    raise IndexError(f"a mask of shape {tuple(p.shape)} does not fit x of shape {x.shape}.")
        axis += _consumed(p)
    return tuple(full)


def _slice_size(part: Any, size: int | None) -> int | None:
    """The size of a slice of an axis; known on an unknown axis too if every axis would give it."""
    if any(rules.is_traced(e) for e in (part.start, part.stop, part.step)):
        return None
    sizes = {len(range(*part.indices(n))) for n in ((1, 104723, 104729) if size is None else (size,))}
    return sizes.pop() if len(sizes) == 1 else None


def _picked_shape(part: Any, x: Spec) -> Shape:
    """The shape of indices that an array stands for; a mask stands for as many as it has true."""
    if not _is_mask(part):
        return tuple(part.shape)
    return (int(np.count_nonzero(part)),) if isinstance(part, np.ndarray) else (None,)


def _placement(parts: Sequence[Any]) -> int:
    """The axis of the result where indices of arrays go: that of the first, or 0 if others come between."""
    at = [i for i, p in enumerate(parts) if p is not None and not isinstance(p, builtins.slice)]
    return at[0] if at[-1] - at[0] + 1 == len(at) else 0


_INDEX = Index(_index_key, _remade)


@op(rule=_indexed, key=_INDEX)
def get_item(x: Tensor, key: Any) -> Tensor:
    """x[key], by NumPy's rules.

    Args:
        x: At least as many dimensions as `key` indexes.
        key: An integer, slice, None, Ellipsis, an array of integers or bools, or a tuple of these.

    The gradient adds up where an element is taken more than once. For indices out of range in
    an array see `kcore.ops.index`.

    Raises:
        IndexError: An integer is out of range, there are too many indices, a mask does not fit, or an
            array is of neither integers nor bools.

    >>> x = ops.reshape(ops.arange(6), (2, 3))
    >>> ops.get_item(x, (slice(None), [0, 2]))
    Tensor([[0, 2],
           [3, 5]], dtype=int32)
    >>> ops.get_item(x, x > 3)
    Tensor([4, 5], dtype=int32)
    """
    if not any(hasattr(part, "dtype") for part in key):
        return ops.basic_index(x, key)
    # Slices and integers first; then the axes that arrays index become one, and `take` does the rest.
    place = _placement(key)
    plain: list[Any] = []
    indices: list[Any] = []
    axes: list[int] = []
    axis = 0
    for part in key:
        if not hasattr(part, "dtype"):
            plain.append(part)
            axis += not isinstance(part, int)
            continue
        for found in ops.where(part) if _consumed(part) != 1 or _is_mask(part) else (part,):
            plain.append(builtins.slice(None))
            indices.append(ops.convert_to_tensor(found))
            axes.append(axis)
            axis += 1
    y = ops.basic_index(x, tuple(plain))
    rest = [a for a in range(len(y.shape)) if a not in axes]
    order = rest[:place] + axes + rest[place:]
    if order != sorted(order):
        y = ops.transpose(y, order)
    if len(axes) == 1:
        return ops.take(y, indices[0], place)
    sizes = ops.shape(y)
    last = place + len(axes)
    merged = ops.reshape(y, (*sizes[:place], math.prod(sizes[place:last]), *sizes[last:]))
    return ops.take(merged, flat_indices(indices, sizes[place:last]), place)


@op(rule=_indexed, key=_INDEX)
def basic_index(x: Tensor, key: Any) -> Tensor:
    """`get_item` for a key without arrays: x[key] for integers, slices, None and Ellipsis.

    Raises:
        IndexError: An integer is out of range, or there are too many indices.

    >>> ops.basic_index(ops.reshape(ops.arange(6), (2, 3)), (1, slice(0, 2)))
    Tensor([3, 4], dtype=int32)
    """


def flat_indices(indices: Sequence[Tensor], sizes: Sequence[Any]) -> Tensor:
    """The row-major position of each point of a block of `sizes`; the number of elements if it is outside."""
    total = math.prod(sizes)
    wide = isinstance(total, int) and total > 2**31 - 1
    flat: Any = 0
    inside: Any = True
    for i, size in zip(indices, sizes, strict=True):
        i = ops.cast(i, "int64" if wide else "int32")
        i = ops.where(ops.less(i, 0), ops.add(i, size), i)
        inside = ops.logical_and(inside, ops.logical_and(ops.greater_equal(i, 0), ops.less(i, size)))
        flat = ops.add(ops.multiply(flat, size), i)
    return ops.where(inside, flat, total)


# -- elements by index ------------------------------------------------------------------


def _index_dtype(indices: Spec, name: str = "indices") -> str:
    """The dtype that indices are carried in: 32 bits, or 64 where they have more.

    Raises:
        TypeError: They are not integers.
    """
    if not dtypes.is_int(indices.dtype):
        raise TypeError(f"{name} should be integers, not {dtypes.concrete(indices.dtype)}.")
    return "int64" if indices.dtype in ("int64", "uint32", "uint64") else "int32"


def _taken(x: Spec, indices: Spec, axis: int | None = None) -> Plan:
    cast = {"x": dtypes.concrete(x.dtype), "indices": _index_dtype(indices)}
    if axis is None:
        return Plan(indices.shape, cast["x"], cast=cast)
    at = rules.normalize_axis(axis, x.ndim, x.shape)
    return Plan((*x.shape[:at], *indices.shape, *x.shape[at + 1 :]), cast["x"], cast=cast, axis=at)


@op(rule=_taken)
def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """The slices of x at `indices` along an axis.

    Args:
        x: Any shape and dtype.
        indices: Integers of any shape, which takes the place of the axis.
        axis: An int; None takes elements of the flattened x.

    The gradient adds up where an index comes again. For indices out of range see `kcore.ops.index`.

    Raises:
        TypeError: The indices are not integers.
        ValueError: The axis is out of range.

    >>> ops.take([[1, 2], [3, 4]], [1, 1, 0], axis=0)
    Tensor([[3, 4],
           [3, 4],
           [1, 2]], dtype=int32)
    """


def _taken_along(x: Spec, indices: Spec, axis: int | None = None) -> Plan:
    cast = {"x": dtypes.concrete(x.dtype), "indices": _index_dtype(indices)}
    if axis is None:
        rules.require_ndim(indices, 1, "indices")
        return Plan(indices.shape, cast["x"], cast=cast)
    at = rules.normalize_axis(axis, x.ndim, x.shape)
    if indices.ndim != x.ndim:
        raise ValueError(f"indices of shape {indices.shape} should have as many dimensions as x of shape {x.shape}.")
    others = [(*s[:at], 1, *s[at + 1 :]) for s in (x.shape, indices.shape)]
    try:
        shape = list(rules.broadcast(*others))
    except ValueError:
        raise ValueError(
            f"x of shape {x.shape} and indices of shape {indices.shape} don't broadcast outside axis={axis!r}."
        ) from None
    shape[at] = indices.shape[at]
    return Plan(shape, cast["x"], cast=cast, axis=at)


@op(rule=_taken_along)
def take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """The element of each row of x, along an axis, at the index that `indices` has in that row.

    Args:
        x: Any shape and dtype.
        indices: Integers; as many dimensions as x, and sizes that broadcast with x's outside the axis.
        axis: An int; None takes elements of the flattened x, and `indices` is a vector.

    The gradient adds up where an index comes again. For indices out of range see `kcore.ops.index`.

    Raises:
        TypeError: The indices are not integers.
        ValueError: Shapes don't fit, or the axis is out of range.

    >>> ops.take_along_axis([[1, 2], [3, 4]], [[1], [0]], axis=1)
    Tensor([[2],
           [3]], dtype=int32)
    """


# -- blocks -----------------------------------------------------------------------------


def _starts(start_indices: Any, sizes: Shape, lengths: Shape, name: str) -> tuple:
    """Where a block of `lengths` starts on each axis: known ones checked, counted from the start."""
    if isinstance(start_indices, (tuple, list)) or type(start_indices) is np.ndarray:
        many = list(start_indices)
    elif len(getattr(start_indices, "shape", ())):
        count = start_indices.shape[0]
        many = [start_indices[i] for i in range(len(sizes) if count is None else count)]
    else:
        many = [start_indices]
    if len(many) != len(sizes):
        raise ValueError(f"start_indices={start_indices!r} should be {len(sizes)} integers, one for each axis.")
    found = []
    for start, size, length in zip(many, sizes, lengths, strict=True):
        if hasattr(start, "shape") and not isinstance(start, np.generic):
            found.append(start)  # a tensor: clamped where it runs
            continue
        start = operator.index(start)
        if size is not None and start < 0:
            start += size
        if size is not None and (start < 0 or start + (length or 0) > size):
            raise ValueError(f"start_indices={start_indices!r} and {name}={tuple(lengths)} don't fit in shape {sizes}.")
        found.append(start)
    return tuple(found)


def _sliced(inputs: Spec, start_indices: Any, shape: Shape) -> Plan:
    sizes, given, _ = rules.open_shape([None if _is_rest(d) else d for d in shape])
    if len(sizes) != inputs.ndim:
        raise ValueError(f"shape={tuple(shape)} should have a size for each axis of inputs of shape {inputs.shape}.")
    starts = _starts(start_indices, inputs.shape, sizes, "shape")
    lengths, backend_sizes = list(sizes), list(given)
    for i, d in enumerate(shape):
        if _is_rest(d):
            if not isinstance(starts[i], int):
                raise ValueError("a size of -1 is the rest of the axis, which a start that is a tensor does not tell.")
            size = inputs.shape[i]
            lengths[i] = None if size is None else size - starts[i]
            backend_sizes[i] = -1 if lengths[i] is None else lengths[i]
    return Plan(lengths, dtypes.concrete(inputs.dtype), start_indices=starts, shape=tuple(backend_sizes))


def _is_rest(size: Any) -> bool:
    return isinstance(size, (int, np.integer)) and int(size) == -1


@op(rule=_sliced)
def slice(inputs: Tensor, start_indices: Any, shape: Shape) -> Tensor:
    """The block of `shape` that starts at `start_indices`.

    Args:
        inputs: Any shape and dtype.
        start_indices: An integer for each axis, known or in tensors. Negative ones count from the end. Those in
            tensors are moved so that the block lies inside.
        shape: The sizes of the block; -1 is the rest of an axis.

    Raises:
        ValueError: Not one start or size for each axis, or a block that is known to reach outside.

    >>> ops.slice([[1, 2, 3], [4, 5, 6]], (0, 1), (2, 2))
    Tensor([[2, 3],
           [5, 6]], dtype=int32)
    """


def _slice_updated(inputs: Spec, start_indices: Any, updates: Spec) -> Plan:
    if updates.ndim != inputs.ndim:
        raise ValueError(
            f"updates of shape {updates.shape} should have as many dimensions as inputs of shape {inputs.shape}."
        )
    starts = _starts(start_indices, inputs.shape, updates.shape, "updates' shape")
    dtype = dtypes.concrete(inputs.dtype)
    return Plan(inputs.shape, dtype, cast=dtype, start_indices=starts)


@op(rule=_slice_updated)
def slice_update(inputs: Tensor, start_indices: Any, updates: Tensor) -> Tensor:
    """inputs with `updates` in place of the block that starts at `start_indices`.

    Args:
        inputs: Any shape and dtype.
        start_indices: An integer for each axis, known or in tensors. Negative ones count from the end. Those in
            tensors are moved so that the block lies inside.
        updates: As many dimensions as `inputs`; cast to their dtype.

    Raises:
        ValueError: Not one start for each axis, or a block that is known to reach outside.

    >>> ops.slice_update([1, 2, 3, 4], (1,), [7, 8])
    Tensor([1, 7, 8, 4], dtype=int32)
    """


# -- scattered --------------------------------------------------------------------------

_REDUCTIONS = (None, "add", "max", "min", "mul")


def _scatter_updated(inputs: Spec, indices: Spec, updates: Spec, reduction: str | None = None) -> Plan:
    rules.one_of(reduction, _REDUCTIONS, "reduction")
    rows = _scattered_shape(indices, inputs.shape, "inputs of")
    if len(updates.shape) > len(rows) or rules.broadcast(updates.shape, rows) != rules.broadcast((), rows):
        raise ValueError(
            f"updates of shape {updates.shape} should be of shape {rows}: indices of shape {indices.shape} into "
            f"inputs of shape {inputs.shape}."
        )
    dtype = dtypes.concrete(inputs.dtype)
    return Plan(inputs.shape, dtype, cast={"inputs": dtype, "indices": _index_dtype(indices), "updates": dtype})


def _scattered_shape(indices: Spec, shape: Shape, name: str) -> Shape:
    """The shape of what `indices` pick: its own but for the last axis, whose size is the number of axes indexed."""
    depth = indices.shape[-1] if indices.ndim else None
    if depth is None or not 1 <= depth <= len(shape):
        raise ValueError(
            f"indices of shape {indices.shape} should have 1 to {len(shape)} columns, for {name} shape {shape}."
        )
    return (*indices.shape[:-1], *shape[depth:])


@op(rule=_scatter_updated)
def scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Tensor:
    """inputs with `updates` at `indices`.

    Args:
        inputs: Any shape and dtype.
        indices: Integers (..., k): each row is a position in the first k axes of `inputs`.
        updates: (..., *inputs.shape[k:]), or a shape that broadcasts to it; cast to inputs' dtype.
        reduction: How an update meets what is there: None replaces it, "add", "mul", "max" and "min" combine;
            bools add as or and multiply as and.

    Where indices repeat, updates combine; with None one of them stays, and which one is not specified.
    Updates out of range are dropped. At a tie of "max" or "min", those that tie share the gradient equally.

    Raises:
        TypeError: The indices are not integers.
        ValueError: Shapes don't fit, or the reduction is another.

    >>> ops.scatter_update([1, 2, 3], [[0], [2]], [7, 8])
    Tensor([7, 2, 8], dtype=int32)
    """
    depth = indices.shape[-1]
    sizes = ops.shape(inputs)
    rows = flat_indices(ops.unstack(indices, depth, -1), sizes[:depth])
    updates = ops.broadcast_to(updates, (*ops.shape(rows), *sizes[depth:]))
    updates = ops.reshape(updates, (-1 if 0 not in updates.shape else math.prod(rows.shape), *sizes[depth:]))
    table = ops.reshape(inputs, (math.prod(sizes[:depth]), *sizes[depth:]))
    return ops.reshape(ops.scatter_rows(table, ops.ravel(rows), updates, reduction), sizes)


def _rows_scattered(x: Spec, indices: Spec, updates: Spec, reduction: str | None = None) -> Plan:
    rules.one_of(reduction, _REDUCTIONS, "reduction")
    rules.require_ndim(x, (1, 32))
    rules.require_ndim(indices, 1, "indices")
    want = (*indices.shape, *x.shape[1:])
    if not rules.agree(updates.shape, want):
        raise ValueError(f"updates of shape {updates.shape} should be of shape {want}.")
    dtype = dtypes.concrete(x.dtype)
    return Plan(x.shape, dtype, cast={"x": dtype, "indices": _index_dtype(indices), "updates": dtype})


@op(rule=_rows_scattered)
def scatter_rows(x: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Tensor:
    """`scatter_update` along the first axis: x with the rows `updates` at `indices`.

    Args:
        x: (n, ...).
        indices: Integers (m,).
        updates: (m, ...); cast to x's dtype.
        reduction: How an update meets what is there: None replaces it, "add", "mul", "max" and "min" combine.

    Raises:
        TypeError: The indices are not integers.
        ValueError: Shapes don't fit, or the reduction is another.

    >>> ops.scatter_rows([1, 2, 3], [0, 0, -1], [10, 10, 10], "add")
    Tensor([21,  2, 13], dtype=int32)
    """


def inside_rows(x: Tensor, indices: Tensor, like: Tensor) -> Tensor:
    """The rows of x at `indices`, zeros where they are out of range: what the updates `like` of `scatter_rows` meet."""
    count = ops.shape(x)[0]
    ok = ops.logical_and(ops.greater_equal(indices, -count), ops.less(indices, count))
    ok = ops.reshape(ok, (-1 if 0 not in ok.shape else 0,) + (1,) * (len(like.shape) - 1))
    return ops.where(ok, ops.take(x, indices, 0), ops.zeros_like(like))


def product_gradients(g: Tensor, x: Tensor, indices: Tensor, updates: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of x and updates of `scatter_rows` with "mul".

    A product without one of its factors, by division. Zeros, which divide nothing, are left out and come
    back as a factor of their own, which has their gradient.
    """

    def gathered(values: Tensor, onto: Tensor, reduction: str) -> Tensor:
        return inside_rows(ops.scatter_rows(onto, indices, values, reduction), indices, updates)

    zero = ops.equal(updates, 0)
    lone = ops.where(zero, updates, ops.zeros_like(updates))  # 0 everywhere, but not its gradient
    count = ops.cast(zero, updates.dtype)
    none, one = ops.zeros_like(x), ops.ones_like(x)
    other_zeros = gathered(count, none, "add") - count
    product_of_zeros = ops.where(  # with two of them or more, their gradient is 0 too
        ops.equal(other_zeros, 0),
        ops.ones_like(updates),
        ops.where(ops.equal(other_zeros, 1), gathered(lone, none, "add") - lone, ops.zeros_like(updates)),
    )
    divisor = ops.where(zero, ops.ones_like(updates), updates)
    others = gathered(divisor, one, "mul") / divisor * product_of_zeros
    return g * ops.scatter_rows(one, indices, updates, "mul"), inside_rows(g * x, indices, updates) * others


def _scattered(indices: Spec, values: Spec, shape: Shape) -> Plan:
    sizes, given, unsized = rules.open_shape(shape)
    dtype = dtypes.concrete(values.dtype)
    dtype = "int32" if dtype == "bool" else dtype
    plan = _scatter_updated(Spec(sizes, dtype), indices, values)
    plan.cast = {"indices": plan.cast_of("indices"), "values": dtype}
    plan.arguments["shape"] = given
    plan.unsized = unsized
    return plan


@op(rule=_scattered)
def scatter(indices: Tensor, values: Tensor, shape: Shape) -> Tensor:
    """Zeros of `shape` with `values` added at `indices`.

    Args:
        indices: Integers (..., k): each row is a position in the first k axes of the result.
        values: (..., *shape[k:]); bools count as int32. Where indices repeat they add up.
        shape: The result's.

    Values out of range are dropped.

    Raises:
        TypeError: The indices are not integers.
        ValueError: Shapes don't fit.

    >>> ops.scatter([[0], [2], [2]], [1, 5, 5], (3,))
    Tensor([ 1,  0, 10], dtype=int32)
    """
    return ops.scatter_update(ops.zeros(shape, values.dtype), indices, values, "add")


# -- classes ----------------------------------------------------------------------------


def _hot(x: Spec, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Plan:
    count = operator.index(num_classes)
    if count < 0:
        raise ValueError(f"num_classes={num_classes!r} is negative.")
    at = rules.normalize_axis(axis, x.ndim + 1)
    name = rules.dtype_or(dtype, config.floatx())
    shape = (*x.shape[:at], count, *x.shape[at:])
    return Plan.many(Spec(shape, name, bool(sparse)), num_classes=count, axis=at, dtype=name)


@op(rule=_hot)
def one_hot(x: Tensor, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Tensor:
    """1 at the place of each class along a new axis, 0 elsewhere.

    Args:
        x: Classes from 0 to num_classes - 1. Any other number gives zeros only.
        num_classes: The size of the new axis.
        axis: Where the new axis is in the result.
        dtype: The default float for None.
        sparse: Whether the result is a sparse tensor.

    Raises:
        ValueError: `num_classes` is negative, or the axis is out of range.

    >>> ops.one_hot([0, 2], 3)
    Tensor([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    x = ops.cast(x, "int32") if dtypes.name_of(x.dtype) in _NARROW else x
    classes = ops.arange(num_classes, dtype="int32")
    ndim = len(x.shape) + 1
    classes = ops.reshape(classes, [num_classes if i == axis else 1 for i in range(ndim)])
    return ops.cast(ops.equal(ops.expand_dims(x, axis), classes), dtype)


_NARROW = ("bool", "int8", "uint8", "int16", "uint16")


def multi_hot(
    inputs: Tensor,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Tensor:
    """1 at the place of each class that occurs along the last axis but the batch's, 0 elsewhere.

    Args:
        inputs: Classes from 0 to num_classes - 1, (n,) or (batch, n, ...). Any other number is left out.
        num_classes: The number of classes; `num_tokens` is its old name.
        axis: Where the axis of classes is before the classes of one sample are joined.
        dtype: The default float for None.
        sparse: Whether the result is a sparse tensor.

    Returns:
        `one_hot(inputs)` with the maximum taken over axis 1, for a vector over axis 0.

    Raises:
        ValueError: `num_classes` is missing, or the axis is out of range.
        TypeError: Another keyword is given.

    >>> ops.multi_hot([[0, 2]], 4)
    Tensor([[1., 0., 1., 0.]], dtype=float32)
    """
    num_classes = kwargs.pop("num_tokens", num_classes)
    if kwargs:
        raise TypeError(f"multi_hot: {next(iter(kwargs))} is no argument.")
    if num_classes is None:
        raise ValueError("multi_hot: num_classes is missing.")
    hot = one_hot(inputs, num_classes, axis, dtype, sparse)
    joined = 1 if len(hot.shape) > 2 else 0
    return ops.sign(ops.sum(hot, joined)) if sparse else ops.max(hot, joined)


# -- which ones -------------------------------------------------------------------------


def _found(x: Spec) -> Plan:
    rules.at_least(x, 1)
    return Plan.many(tuple(Spec((None,), "int32") for _ in x.shape), cast="bool")


@op(rule=_found)
def nonzero(x: Tensor) -> tuple[Tensor, ...]:
    """The indices of the elements that are not 0, an int32 vector for each axis, in row-major order.

    How many there are depends on the values: inside a compiled JAX function it can't be known.

    Raises:
        ValueError: x is a scalar.

    >>> ops.nonzero([[0, 5], [6, 0]])
    (Tensor([0, 1], dtype=int32), Tensor([1, 0], dtype=int32))
    """
    return ops.where(x)


def _unraveled(indices: Spec, shape: Shape) -> Plan:
    sizes, given, unsized = rules.open_shape(shape)
    dtype = _index_dtype(indices)
    plan = Plan.many(tuple(Spec(indices.shape, dtype) for _ in sizes), cast=dtype, shape=given)
    plan.unsized = unsized
    return plan


@op(rule=_unraveled)
def unravel_index(indices: Tensor, shape: Shape) -> tuple[Tensor, ...]:
    """Positions in the flattened form of a tensor of `shape`, as an index for each of its axes.

    Args:
        indices: Integers. Negative ones count from the end; those out of range are moved to the nearest end.
        shape: Sizes.

    Returns:
        A tuple of tensors of the shape of `indices`, int32 or, for wider ones, int64.

    Raises:
        TypeError: The indices are not integers.
        ValueError: A size is negative.

    >>> ops.unravel_index([1, 5], (2, 3))
    (Tensor([0, 1], dtype=int32), Tensor([1, 2], dtype=int32))
    """
    total = math.prod(shape)
    rest = ops.clip(ops.where(ops.less(indices, 0), indices + total, indices), 0, total - 1)
    found = []
    for size in reversed(shape):
        found.append(ops.mod(rest, size))
        rest = ops.floor_divide(rest, size)
    return tuple(reversed(found))


def _selected(condlist: Sequence[Spec], choicelist: Sequence[Spec], default: Spec) -> Plan:
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(
            f"condlist and choicelist should be as many, and not empty; they are {len(condlist)} and {len(choicelist)}."
        )
    values = [*choicelist, default]
    dtype = dtypes.promote(*(v.dtype for v in values))
    shape = rules.broadcast(*(v.shape for v in (*condlist, *values)))
    return Plan(shape, dtype, cast={"condlist": "bool", "choicelist": dtype, "default": dtype})


@op(rule=_selected)
def select(condlist: Tensors, choicelist: Tensors, default: Tensor = 0) -> Tensor:
    """Elements of the choice whose condition is the first to be true, else of `default`.

    Args:
        condlist: Conditions. Nonzero numbers and nan count as true.
        choicelist: A choice for each. All operands broadcast together, and choices are promoted to one dtype.
        default: Where no condition is true.

    Raises:
        ValueError: The lists differ in length or are empty, or shapes don't broadcast.

    >>> x = ops.arange(4)
    >>> ops.select([x < 1, x > 2], [x - 10, x + 10], default=0)
    Tensor([-10,   0,   0,  13], dtype=int32)
    """
    shape = rules.broadcast(*(tuple(t.shape) for t in (*condlist, *choicelist, default)))
    y = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        y = ops.where(condition, choice, y)
    return y if tuple(y.shape) == shape else ops.broadcast_to(y, shape)
