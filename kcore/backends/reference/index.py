"""Definitions and gradient rules of the ops that pick elements by position."""

from __future__ import annotations

import math

import numpy as np

from kcore import _native, dtypes, ops
from kcore._native.threads import threads_for
from kcore.backends.host import block, to_array
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tape import vjp
from kcore.ops.index import flat_indices, inside_rows, product_gradients
from kcore.ops.mechanism import Plan, Tensor, private_op

# -- x[key] -----------------------------------------------------------------------------


def get_item(x, key):
    key = tuple(to_array(k) if hasattr(k, "dtype") else k for k in key)
    outside = _outside(key, x.shape)
    if not outside:
        return x[key]
    # One more place at the end of each such axis holds what an index out of range gives.
    fill = dtypes.missing(dtypes.name_of(x.dtype))
    return np.pad(x, [(0, int(a in outside)) for a in range(x.ndim)], constant_values=fill)[_sent_outside(key, x.shape)]


def _axes(key):
    """(axis of x, part) for each part of a key but None."""
    axis = 0
    for part in key:
        if part is not None:
            yield axis, part
            axis += part.ndim if _is_mask(part) else 1


def _is_mask(part):
    return isinstance(part, np.ndarray) and part.dtype == bool


def _is_indices(part):
    return isinstance(part, np.ndarray) and part.dtype != bool


def _outside(key, shape):
    """The axes that some array of indices leaves."""
    return [a for a, k in _axes(key) if _is_indices(k) and k.size and not -shape[a] <= k.min() <= k.max() < shape[a]]


def _sent_outside(key, shape):
    """The key with indices from 0 on, those out of range as the size of their axis."""
    sizes = {id(k): shape[a] for a, k in _axes(key) if _is_indices(k)}
    return tuple(_from_zero(k, sizes[id(k)]) if id(k) in sizes else k for k in key)


def _from_zero(indices, size):
    if indices.size and 0 <= indices.min() and indices.max() < size:
        return indices
    i = np.where(indices < 0, indices.astype("int64") + size, indices)
    return np.where((i < 0) | (i >= size), size, i)


def basic_index(x, key):
    return x[key]


@private_op(rule=lambda g, key, shape: Plan(shape, g.dtype))
def put_item(g: Tensor, key, shape):
    """Zeros of `shape` with `g` at `key`: the gradient of `basic_index`."""
    y = np.zeros(shape, g.dtype)
    y[key] = g
    return y


@vjp(ops.basic_index)
def _(g, y, x, key):
    return put_item(g, key, x.shape)


@vjp(put_item)
def _(g, y, g0, key, shape):
    return ops.basic_index(g, key)


# -- elements by index ------------------------------------------------------------------


def take(x, indices, axis):
    if axis is None:
        x, axis = x.reshape(-1), 0
    if axis == 0 and x.ndim > 1 and _has_kernel(x):
        rows = np.ascontiguousarray(x).reshape(len(x), -1)
        y = _native.kernels.take_rows(rows, _numbers(indices, len(x)), threads_for(indices.size * rows.shape[1]))
        return y.reshape(indices.shape + x.shape[1:])
    i = _from_zero(indices, x.shape[axis])
    if not (i == x.shape[axis]).any():
        return np.take(x, i, axis)
    fill = dtypes.missing(dtypes.name_of(x.dtype))
    return np.take(np.pad(x, [(0, int(a == axis)) for a in range(x.ndim)], constant_values=fill), i, axis)


@vjp(ops.take)
def _(g, y, x, indices, axis):
    # Rows of g are added up where they come from.
    if axis is None:
        return ops.reshape(sum_rows(g, indices, x.size), x.shape), None
    if axis == 0:
        return sum_rows(g, indices, x.shape[0]), None
    picked = tuple(range(axis, axis + indices.ndim))
    others = [a for a in range(g.ndim) if a not in picked]
    return ops.moveaxis(sum_rows(ops.transpose(g, (*picked, *others)), indices, x.shape[axis]), 0, axis), None


def take_along_axis(x, indices, axis):
    if axis is None:
        return take(x, indices, None)
    size = x.shape[axis]
    i = _from_zero(indices, size)
    if (i == size).any():
        fill = dtypes.missing(dtypes.name_of(x.dtype))
        x = np.pad(x, [(0, int(a == axis)) for a in range(x.ndim)], constant_values=fill)
    return np.take_along_axis(x, i, axis)


@vjp(ops.take_along_axis)
def _(g, y, x, indices, axis):
    if axis is None:
        rows = ops.scatter_rows(ops.zeros((x.size,), g.dtype), indices, g, "add")
        return ops.reshape(rows, x.shape), None
    return _added_along(g, indices, axis, x.shape), None


def _added_along(g, indices, axis, shape):
    """Zeros of `shape` with g added where `take_along_axis` takes from."""
    # An axis of size 1 that is broadcast has the one row for all.
    places = [
        indices if a == axis else np.arange(d).reshape([-1 if b == a else 1 for b in range(len(shape))])
        for a, d in enumerate(shape)
    ]
    flat = ops.broadcast_to(flat_indices(places, shape), g.shape)
    rows = ops.scatter_rows(ops.zeros((math.prod(shape),), g.dtype), ops.ravel(flat), ops.ravel(g), "add")
    return ops.reshape(rows, shape)


def _cleared(shape, dtype):
    """Zeros; where a kernel's memory is at hand, in that: fresh pages cost more than clearing used ones."""
    if not (_native.available and dtype.char in "fd"):
        return np.zeros(shape, dtype)
    y = _native.kernels.new_array(shape, dtype.name)
    y[...] = 0
    return y


def one_hot(x, num_classes, axis, dtype, sparse):
    numbers = x.reshape(-1)
    if numbers.dtype.kind not in "iu":
        with quiet():
            whole = numbers.astype("int64")
        numbers = np.where(whole == numbers, whole, -1)
    rows = np.flatnonzero((0 <= numbers) & (numbers < num_classes))
    y = _cleared((x.size, num_classes), dtypes.to_numpy(dtype))
    y[rows, numbers[rows]] = 1
    return np.moveaxis(y.reshape(*x.shape, num_classes), -1, axis)


# -- blocks -----------------------------------------------------------------------------


def slice(inputs, start_indices, shape):
    return inputs[block(inputs.shape, start_indices, shape)]


@vjp(ops.slice)
def _(g, y, inputs, start_indices, shape):
    return ops.slice_update(ops.zeros(inputs.shape, g.dtype), start_indices, g)


def slice_update(inputs, start_indices, updates):
    y = inputs.copy()
    y[block(inputs.shape, start_indices, updates.shape)] = updates
    return y


@vjp(ops.slice_update)
def _(g, y, inputs, start_indices, updates):
    cut = ops.slice_update(g, start_indices, ops.zeros(updates.shape, g.dtype))
    return cut, ops.slice(g, start_indices, updates.shape)


# -- scattered --------------------------------------------------------------------------


def scatter_rows(x, indices, updates, reduction):
    if reduction is not None and _has_kernel(x) and updates.dtype == x.dtype:
        return _scattered(x, len(x), indices, updates, reduction)
    i = _from_zero(indices, len(x))
    inside = i < len(x)
    y, i, updates = x.copy(), i[inside], updates[inside]
    if reduction is None:
        y[i] = updates
        return y
    if reduction == "add" and updates.ndim > 1 and updates.size > MANY and y.dtype != bool:
        return y + _row_sums(i, updates, len(x))
    if reduction in ("max", "min") and updates.ndim > 1 and updates.size > MANY and np.all(i[1:] >= i[:-1]):
        _fold_runs({"max": np.maximum, "min": np.minimum}[reduction], y, i, updates)
        return y
    with np.errstate(all="ignore"):
        {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction].at(y, i, updates)
    return y


def _fold_runs(fold, y, i, updates):
    """`fold.at(y, i, updates)` for ascending i, whose runs of equal numbers are folded as such."""
    starts = np.flatnonzero(np.concatenate([[True], i[1:] != i[:-1]]))
    rows = i[starts]
    y[rows] = fold(y[rows], fold.reduceat(updates, starts, 0))


def _has_kernel(x):
    return _native.available and x.dtype.char in "fd" and x.size > 0


_UINT64 = np.dtype("uint64")


def _numbers(indices, count):
    """Flat int64; a uint64 that has no such number is out of range as it is."""
    if indices.dtype == _UINT64:
        indices = np.minimum(indices, count)
    return np.ascontiguousarray(indices, np.int64).reshape(-1)


def _scattered(base, count, indices, updates, reduction, from_end=True):
    """`base` of `count` rows, or what changes nothing for None, with the updates joined to the rows that the indices name."""
    shape = updates.shape[indices.ndim :]
    rows = np.ascontiguousarray(updates).reshape(indices.size, math.prod(shape))
    start = None if base is None else np.ascontiguousarray(base).reshape(count, -1)
    numbers = _numbers(indices, count)
    y = _native.kernels.scatter_rows(start, count, numbers, rows, reduction, threads_for(rows.size), from_end)
    return y.reshape(count, *shape)


@private_op(rule=lambda updates, indices, count: Plan((count, *updates.shape[len(indices.shape) :]), updates.dtype))
def sum_rows(updates: Tensor, indices: Tensor, count):
    """Zeros of `count` rows with each update added to the row that its index names: the gradient of `take`."""
    if _has_kernel(updates):
        return _scattered(None, count, indices, updates, "add")
    shape = updates.shape[indices.ndim :]
    start = np.zeros((count, *shape), updates.dtype)
    return scatter_rows(start, indices.reshape(-1), updates.reshape(indices.size, *shape), "add")


@vjp(sum_rows)
def _(g, y, updates, indices, count):
    rows = ops.reshape(updates, (indices.size, *g.shape[1:]))
    return ops.reshape(inside_rows(g, ops.ravel(indices), rows), updates.shape), None


MANY = 4096  # elements from which on a sparse matrix pays for being made


def _row_sums(indices, rows, count):
    """The sums of the rows that have each index: 20 times as fast as `np.add.at`, which goes element by element."""
    import scipy.sparse

    ones = np.ones(len(indices), rows.dtype)
    pick = scipy.sparse.csr_matrix((ones, indices, np.arange(len(indices) + 1)), (len(indices), count))
    return (pick.T @ rows.reshape(len(indices), -1)).reshape(count, *rows.shape[1:])


@vjp(ops.scatter_rows)
def _(g, y, x, indices, updates, reduction):
    if reduction == "add":
        return g, None, inside_rows(g, indices, updates)
    if reduction is None:
        return ops.scatter_rows(g, indices, ops.zeros_like(updates)), None, inside_rows(g, indices, updates)
    if reduction == "mul":
        gx, gu = product_gradients(g, x, indices, updates)
        return gx, None, gu
    kept = ops.cast(ops.equal(x, y), g.dtype)
    won = ops.cast(ops.equal(inside_rows(y, indices, updates), updates), g.dtype)
    share = g / ops.maximum(ops.scatter_rows(kept, indices, won, "add"), 1)
    return share * kept, None, inside_rows(share, indices, updates) * won
