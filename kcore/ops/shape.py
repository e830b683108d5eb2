"""Ops that move elements about: reshape, transpose, join, split, index, pad."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from kcore import dtypes
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Shape, Tensor, op
from kcore.ops.symbolic import Spec


def _reshaped(x: Spec, newshape: Shape) -> Plan:
    many = newshape if isinstance(newshape, (tuple, list)) else (newshape,)
    sizes = [None if d is None else operator.index(d) for d in many]
    if sizes.count(-1) + sizes.count(None) > 1 and sizes.count(-1) > 0 and None not in x.shape:
        raise ValueError(f"newshape={newshape!r} leaves more than one size open.")
    if any(d is not None and d < -1 for d in sizes):
        raise ValueError(f"newshape={newshape!r} has a negative size besides -1.")
    total = rules.size_of(x.shape)
    known = math.prod(d for d in sizes if d not in (-1, None))
    if -1 in sizes:
        open_at = sizes.index(-1)
        if total is None:
            # The unknown sizes of x can only be told if exactly one is open on both sides.
            sizes[open_at] = None
        elif known == 0 or total % known:
            raise ValueError(f"x of shape {x.shape} has {total} elements, which don't fit newshape={newshape!r}.")
        else:
            sizes[open_at] = total // known
    elif None not in sizes and total is not None and known != total:
        raise ValueError(f"x of shape {x.shape} has {total} elements, which don't fit newshape={newshape!r}.")
    backend_shape = tuple(-1 if d is None else d for d in sizes)
    return Plan(tuple(sizes), dtypes.concrete(x.dtype), newshape=backend_shape)


@op(rule=_reshaped)
def reshape(x: Tensor, newshape: Shape) -> Tensor:
    """The same elements, in row-major order, in another shape.

    Args:
        x: Any shape and dtype.
        newshape: Sizes; one may be -1, and is then what is left.

    Raises:
        ValueError: The number of elements differs, or more than one size is open.
    """


def _broadcast_to(x: Spec, shape: Shape) -> Plan:
    sizes = tuple(None if d is None else operator.index(d) for d in shape)
    if len(sizes) < x.ndim or rules.broadcast(x.shape, sizes) != sizes:
        raise ValueError(f"x of shape {x.shape} does not broadcast to shape={tuple(shape)}.")
    return Plan(sizes, dtypes.concrete(x.dtype), shape=sizes)


@op(rule=_broadcast_to)
def broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """x repeated along axes of size 1, and new ones in front, to `shape`.

    Raises:
        ValueError: A size differs and is not 1.
    """


def _indexed(x: Spec, key: Any) -> Plan:
    key = tuple(_index_part(k) for k in (key if isinstance(key, tuple) else (key,)))
    shapes = []
    # NumPy itself tells the shape, on views without memory. Sizes that are unknown get three
    # values: where the result's sizes differ, they are unknown too. Two are large, so that an
    # index is in range; with 1, a slice that ends early shows.
    for unknown in (104729, 104723, 1) if None in x.shape else (1,):
        probe = np.broadcast_to(np.empty((), "bool"), [unknown if d is None else d for d in x.shape])
        try:
            shapes.append(probe[key].shape)
        except IndexError as error:
            if unknown != 1 or len(shapes) == 0:
                raise IndexError(f"{error} (x has shape {x.shape}).") from None
    sizes = tuple(d[0] if len(set(d)) == 1 else None for d in zip(*shapes, strict=True))
    return Plan(sizes, dtypes.concrete(x.dtype), key=key)


def _index_part(k: Any) -> Any:
    """One part of an index: None, ..., a slice of integers, an integer, or an array of integers or bools."""
    if k is None or k is Ellipsis:
        return k
    if isinstance(k, slice):
        return slice(*(None if e is None else _index_number(e) for e in (k.start, k.stop, k.step)))
    if isinstance(k, (bool, np.bool_)):
        return np.asarray(k)
    if hasattr(k, "__kcore_value__"):
        k = k.__kcore_value__()
    if hasattr(k, "__index__") and getattr(k, "shape", ()) == () and not _is_traced(k):
        return operator.index(k)
    if hasattr(k, "shape"):
        return k
    return np.asarray(k) if len(k) else np.asarray(k, "int32")


def _index_number(e: Any) -> Any:
    return e if _is_traced(e) else operator.index(e)


def _is_traced(k: Any) -> bool:
    """Whether it is a tensor whose value is not known yet: inside jit or tf.function."""
    try:
        operator.index(k)
    except Exception:
        return hasattr(k, "dtype")
    return False


@op(rule=_indexed)
def get_item(x: Tensor, key: Any) -> Tensor:
    """x[key], by NumPy's rules.

    Args:
        x: At least as many dimensions as `key` indexes.
        key: An integer, slice, None, Ellipsis, an array of integers or bools, or a tuple of these.

    The gradient adds up where an element is taken more than once.

    Raises:
        IndexError: An index is out of range, or there are too many.
    """


def _swapped(x: Spec, axis1: int, axis2: int) -> Plan:
    i, j = (rules.normalize_axis(a, x.ndim, x.shape, n) for a, n in ((axis1, "axis1"), (axis2, "axis2")))
    sizes = list(x.shape)
    sizes[i], sizes[j] = sizes[j], sizes[i]
    return Plan(tuple(sizes), dtypes.concrete(x.dtype), axis1=i, axis2=j)


@op(rule=_swapped)
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """x with two axes exchanged.

    Raises:
        ValueError: An axis is out of range.
    """
