"""Narrow floats on the reference backend: stored so, computed in float32, rounded once, at the end.

This is done here for all ops, where they are bound: a definition sees float16, bfloat16 and float8 only if it is one of
`EXACT`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import _native, dtypes
from kcore._native.threads import threads_for
from kcore.ops.symbolic import Spec

NAMES = ("float16", "bfloat16", *dtypes.FLOAT8)
_BRAIN = dtypes.to_numpy("bfloat16")
_HALVES = (np.dtype("float16"), _BRAIN)  # kernels cast these
_NARROW = frozenset(map(dtypes.to_numpy, NAMES))
_FLOAT = np.dtype("float32")

# Ops that move, make or compare values, or whose results depend on the dtype: the same as they are stored, and sooner done.
# fmt: off
EXACT = frozenset((
    "stop_gradient", "custom_call", "checkpoint", "copy", "view", "cast", "where", "signbit", "nextafter",
    "conj", "real", "imag",
    "zeros", "ones", "zeros_like", "ones_like", "full", "arange", "eye", "tri", "tril", "triu", "diagonal",
    "random_unit",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "isnan", "isinf", "isfinite", "any",
    "all",
    "logical_and", "logical_or", "logical_xor", "logical_not",
    "get_item", "basic_index", "take", "take_along_axis", "one_hot", "slice", "slice_update",
    "concatenate", "stack", "split", "unstack", "tile", "repeat", "constant_pad", "sort", "argsort", "top_k",
    "searchsorted",
    "reshape", "broadcast_to", "expand_dims", "squeeze", "transpose", "swapaxes", "flip", "roll", "spread",
    "picked_from_places",
))
# fmt: on
# Below so many elements NumPy's casts are as fast as a kernel with its checks.
_FEW = 1 << 10


def is_half(dtype: Any) -> bool:
    """Whether it is a 16-bit float."""
    return dtype in _HALVES


def widened(x: np.ndarray) -> np.ndarray:
    """The same values in float32, in the same order in memory."""
    if x.size < _FEW or not _native.available or x.dtype not in _HALVES:
        return x.astype(_FLOAT)
    return _by_kernel(_to_float, x)


def narrowed(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """float32 rounded to a 16-bit dtype: to the nearest, ties to even."""
    if x.size < _FEW or not _native.available or dtype not in _HALVES:
        with np.errstate(all="ignore"):
            return x.astype(dtype)
    return _by_kernel(lambda x: _from_float(x, dtype), x)


def _by_kernel(kernel: Callable, x: np.ndarray) -> np.ndarray:
    if x.flags.c_contiguous:
        return kernel(x)
    order = sorted(range(x.ndim), key=lambda a: -abs(x.strides[a]))  # a transposed array stays one
    inverse = np.argsort(order)
    return kernel(np.ascontiguousarray(x.transpose(order))).transpose(inverse)


def _to_float(x: np.ndarray) -> np.ndarray:
    return _native.kernels.widen(x.view("uint16"), x.dtype == _BRAIN, threads_for(x.size))


def _from_float(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return _native.kernels.narrow(x, dtype == _BRAIN, threads_for(x.size)).view(dtype)


def _wide(a: Any) -> Any:
    if isinstance(a, np.ndarray):
        return widened(a) if a.dtype in _NARROW else a
    return [_wide(x) for x in a] if isinstance(a, list) else a


def in_float32(name: str, definition: Callable, plan: Any, sources: Sequence[Any]) -> Callable:
    """The definition of the op `name` for narrow floats, where there are any among the arguments; else as it is."""
    if name in EXACT or not any(s.dtype in NAMES for source in sources for s in (source, *source.parts)):
        return definition
    if isinstance(plan.outputs, Spec):
        one = _narrow_dtype(plan.outputs)

        def run(*args: Any) -> Any:
            y = definition(*[_wide(a) for a in args])
            return y if one is None else _narrow(y, one)

        return run
    many = [_narrow_dtype(spec) for spec in plan.outputs]

    def run_many(*args: Any) -> Any:
        ys = definition(*[_wide(a) for a in args])
        return type(ys)(y if to is None else _narrow(y, to) for y, to in zip(ys, many, strict=True))

    return run_many


def _narrow_dtype(spec: Spec) -> np.dtype | None:
    return dtypes.to_numpy(spec.dtype) if spec.dtype in NAMES else None


def _narrow(y: Any, dtype: np.dtype) -> np.ndarray:
    y = np.asarray(y)
    if y.dtype == dtype:
        return y
    return narrowed(y, dtype) if y.dtype == _FLOAT else y.astype(dtype)
