"""Anything as a NumPy array, by kcore's rules: what every backend's `convert` starts from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kcore import dtypes, tree


def to_array(x: Any, dtype: str | None = None) -> np.ndarray:
    """`x` as a NumPy array, with no copy where there need be none.

    Arrays and tensors keep their dtype, and sparse ones become dense. Python numbers, alone or in lists, become `dtype`; without
    one bool, int32 (int64 where a value does not fit), floatx or complex64.

    Raises:
        TypeError: It holds something else than numbers.
        ValueError: Nested lists are ragged.
    """
    if isinstance(x, np.ndarray):
        return x.view(np.ndarray)
    if isinstance(x, np.generic):
        return np.asarray(x)
    if type(x) in dtypes.WEAK:
        return _weak(np.asarray(x), dtypes.WEAK[type(x)], dtype)
    if hasattr(x, "__kcore_value__"):
        return to_array(x.__kcore_value__())
    if isinstance(x, (list, tuple, range)):
        return _from_sequence(x, dtype)
    from kcore.backends import coo

    if coo.is_sparse(x):
        return coo.densified(x)
    x = _off_device(x)
    y = np.asarray(x)
    if y.dtype == object:
        raise TypeError(f"{type(x).__name__} can't become a tensor.")
    return y


def number(x: Any, dtype: str) -> np.ndarray:
    """A Python number as an array of shape (), rounded once; integers wrap around."""
    try:
        return np.array(x, dtypes._NUMPY[dtype])
    except (OverflowError, TypeError):  # out of range, or complex for a real dtype
        return to_array(x, dtype)


def _from_sequence(x: Any, dtype: str | None) -> np.ndarray:
    leaves = tree.flatten(list(x))
    if all(type(e) in dtypes.WEAK for e in leaves):
        try:
            y = np.array(x)
        except ValueError as error:
            raise ValueError(f"nested lists of different lengths make no tensor: {error}") from None
        weak = {"b": "bool", "i": "int", "u": "int", "f": "float", "c": "complex"}.get(y.dtype.kind)
        if weak is None:
            raise TypeError("the list holds a number that fits no dtype.")
        return _weak(y, weak, dtype)
    rows = [to_array(e) for e in x]
    common = dtypes.promote(*(dtypes.name_of(r.dtype) for r in rows))
    return np.stack([r.astype(dtypes.to_numpy(common), copy=False) for r in rows])


def _weak(y: np.ndarray, weak: str, dtype: str | None) -> np.ndarray:
    if dtype is not None and not (weak == "complex" and not dtypes.is_complex(dtype)):
        with np.errstate(all="ignore"):
            return y.astype(dtypes.to_numpy(dtype))  # straight from Python's double: rounded once
    if weak == "int" and y.size and (y.max() > 2**31 - 1 or y.min() < -(2**31)):
        return y if y.dtype.kind == "u" else y.astype("int64")
    return y.astype(dtypes.to_numpy(dtypes.concrete(weak)))


def _off_device(x: Any) -> Any:
    """A torch tensor out of its graph, on the CPU, and in a dtype that NumPy can take; else x itself."""
    if not (hasattr(x, "detach") and hasattr(x, "cpu")):
        return x
    x = x.detach().cpu()
    name = str(x.dtype).removeprefix("torch.")
    if name in ("bfloat16", *dtypes.FLOAT8):  # NumPy takes no such tensor; its bytes it does
        same_size = x.new_empty(0).short() if name == "bfloat16" else x.new_empty(0).byte()
        return np.asarray(x.view(same_size.dtype)).view(dtypes.to_numpy(name))
    return x.numpy(force=True)  # of conjugated and zero views too


def block(sizes: Sequence[int], starts: Sequence[Any], shape: Sequence[int]) -> tuple[slice, ...]:
    """The index of the block of `shape` that starts there; starts count from the end below 0, and are moved so that it
    lies inside."""
    found = []
    for size, start, length in zip(sizes, starts, shape, strict=True):
        start = int(start)
        start = min(max(start + size if start < 0 else start, 0), size - length)
        found.append(slice(start, start + length))
    return tuple(found)


def float_range(start: float, stop: float, step: float, dtype: str) -> np.ndarray:
    """start, start + step, ... below stop, each computed in float64 and rounded once."""
    count = max(0, math.ceil((stop - start) / step))
    return (start + step * np.arange(count, dtype="float64")).astype(dtypes.to_numpy(dtype))
