"""Pieces of portable bodies that several families need: wide sums, roots with a gradient at 0.

They are plain functions of tensors, not ops: they have no rule, and take what an op's rule has cast.
"""

from __future__ import annotations

import math

from kcore import dtypes, ops
from kcore.ops.mechanism import Axes, Tensor


def real_dtype(x: Tensor) -> str:
    """The dtype of x, or of its real part."""
    return dtypes.real_of(dtypes.name_of(x.dtype))


def wide(x: Tensor) -> Tensor:
    """16-bit floats as float32, for sums and squares: one rounding, at the end; others as they are."""
    dtype = dtypes.name_of(x.dtype)
    accumulator = dtypes.accumulator(dtype)
    return x if accumulator == dtype else ops.cast(x, accumulator)


def complex_of(real: Tensor, imag: Tensor) -> Tensor:
    """real + imag * 1j for float32 or float64, without the product: 1j * inf has nan for its real part."""
    return ops.view_as_complex(ops.stack([real, imag], -1))


def present(x: Tensor, mask: Tensor | None) -> Tensor:
    """x (batch, steps, ...) with 0 where `mask` is false: nan there would come through in gradients, as 0 times nan."""
    return x if mask is None else ops.where(ops.expand_dims(mask, tuple(range(2, x.ndim))), x, 0)


def squared(x: Tensor) -> Tensor:
    """|x|**2, a real number."""
    if dtypes.is_complex(dtypes.name_of(x.dtype)):
        return ops.square(ops.real(x)) + ops.square(ops.imag(x))
    return ops.square(x)


def root(x: Tensor) -> Tensor:
    """sqrt(x) with gradient 0 at 0."""
    zero = ops.equal(x, 0)
    return ops.where(zero, 0.0, ops.sqrt(ops.where(zero, 1.0, x)))


def vector_norm(x: Tensor, order: float, axis: Axes, keepdims: bool) -> Tensor:
    """sum(|x|**order)**(1/order) over `axis`, or its limit, with gradient 0 where it is 0."""
    if order == 2:
        return root(ops.sum(squared(x), axis, keepdims))
    size = ops.absolute(x)
    if order == math.inf:
        return ops.max(size, axis, keepdims, 0.0)
    if order == -math.inf:
        return ops.min(size, axis, keepdims, math.inf)
    if order == 0:
        return ops.sum(ops.cast(ops.not_equal(size, 0), dtypes.name_of(size.dtype)), axis, keepdims)
    if order == 1:
        return ops.sum(size, axis, keepdims)
    zero = ops.equal(size, 0)
    powers = ops.where(zero, 0.0 if order > 0 else math.inf, ops.power(ops.where(zero, 1.0, size), order))
    total = ops.sum(powers, axis, keepdims)
    zero = ops.equal(total, 0 if order > 0 else math.inf)
    return ops.where(zero, 0.0, ops.power(ops.where(zero, 1.0, total), 1 / order))
