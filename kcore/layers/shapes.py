"""Shapes, and the symbolic tensors that stand for them where a layer is traced."""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore import dtypes
from kcore.backends.coo import is_sparse
from kcore.ops.symbolic import KerasTensor


def shape_of(x: Any) -> Any:
    """The shape as a tuple; None for what has none."""
    return tuple(x.shape) if hasattr(x, "shape") else None


def is_shape(value: Any) -> bool:
    """Whether it is a tuple or list of sizes, None among them."""
    return isinstance(value, (tuple, list)) and all(d is None or isinstance(d, (int, np.integer)) for d in value)


def as_shapes(value: Any) -> Any:
    """Shapes from JSON: lists of numbers become tuples."""
    if is_shape(value):
        return tuple(value)
    if isinstance(value, dict):
        return {k: as_shapes(v) for k, v in value.items()}
    return [as_shapes(v) for v in value] if isinstance(value, list) else value


def specs(shape: Any, dtype: str) -> Any:
    """KerasTensors for a shape, or a structure of shapes."""
    if is_shape(shape):
        return KerasTensor(tuple(shape), dtype, record_history=False)
    if isinstance(shape, dict):
        return {k: specs(v, dtype) for k, v in shape.items()}
    return type(shape)(specs(s, dtype) for s in shape)


def as_symbolic(x: Any) -> Any:
    """A KerasTensor like a tensor; anything else as it is."""
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        return x
    return KerasTensor(tuple(x.shape), dtypes.name_of(x.dtype), is_sparse(x), record_history=False)
