"""Ops that make tensors: constants, ranges, identity matrices, conversions."""

from __future__ import annotations

from typing import Any

from kcore import config, dtypes
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Shape, Tensor, op
from kcore.ops.symbolic import Spec


def filled(shape: Shape, dtype: Any = None) -> Plan:
    """A constant of the given shape, in the default float unless told otherwise."""
    sizes = rules.checked_shape(shape)
    name = rules.dtype_or(dtype, config.floatx())
    return Plan(sizes, name, shape=sizes, dtype=name)


def filled_like(x: Spec, dtype: Any = None) -> Plan:
    """A constant of x's shape, in x's dtype unless told otherwise."""
    name = rules.dtype_or(dtype, x.dtype)
    return Plan(x.shape, name, dtype=name)


@op(rule=filled)
def zeros(shape: Shape, dtype: Any = None) -> Tensor:
    """Zeros of that shape; the default float dtype unless `dtype` is given."""


@op(rule=filled)
def ones(shape: Shape, dtype: Any = None) -> Tensor:
    """Ones of that shape; the default float dtype unless `dtype` is given."""


@op(rule=filled_like)
def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros of x's shape, and dtype unless `dtype` is given."""


@op(rule=filled_like)
def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones of x's shape, and dtype unless `dtype` is given."""
