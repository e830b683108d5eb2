"""Pieces of portable bodies, and of backends' definitions and gradients, that several need.

Wide sums, roots with a gradient at 0, the signs of decompositions, gradients of products. They are plain functions of
tensors, not ops: they have no rule, and take what an op's rule has cast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def narrow(y: Tensor, dtype: str) -> Tensor:
    """y back in the dtype that `wide` left."""
    return y if dtypes.name_of(y.dtype) == dtype else ops.cast(y, dtype)


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


def next_of_16_bits(x1: Tensor, x2: Tensor) -> Tensor:
    """`nextafter` of 16-bit floats: as integers, those of one sign are in the order of their size."""
    away = ops.cast(ops.equal(ops.greater(x2, x1), ops.greater(x1, 0)), "int16") * 2 - 1
    tiny = ops.cast(ops.where(ops.greater(x2, 0), 1, -0x7FFF), "int16")
    moved = ops.where(ops.equal(x1, 0), tiny, ops.view(x1, "int16") + away)
    moved = ops.where(ops.equal(x1, x2), x2, ops.view(moved, dtypes.name_of(x1.dtype)))
    return ops.where(ops.logical_or(ops.isnan(x1), ops.isnan(x2)), x1 + x2, moved)


# -- the signs of decompositions --------------------------------------------------------

# The first element of at least this share of a column's greatest tells its sign; the greatest itself is often tied.
LARGE = 0.37


def phase(u: Tensor) -> Tensor:
    """What to multiply each column by, so that the first of its large elements is positive."""
    u = ops.stop_gradient(u)
    size = ops.absolute(u)
    first = ops.argmax(ops.greater_equal(size, LARGE * ops.max(size, -2, keepdims=True)), -2, keepdims=True)
    element = ops.take_along_axis(u, first, -2)
    return ops.conj(element) / ops.cast(ops.absolute(element), dtypes.name_of(element.dtype))


def signed_qr(q: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """The same with no negative number on the diagonal of r."""
    diagonal = ops.stop_gradient(ops.real(ops.diagonal(r, axis1=-2, axis2=-1)))
    sign = ops.cast(ops.where(ops.less(diagonal, 0), -1, 1), dtypes.name_of(q.dtype))
    sizes, more = ops.shape(sign), q.shape[-1] - sign.shape[-1]
    if more:
        sign = ops.concatenate([sign, ops.ones((*sizes[:-1], more), dtypes.name_of(q.dtype))], -1)
    return q * ops.expand_dims(sign, -2), r * ops.expand_dims(sign, -1)


def signed_svd(u: Tensor, s: Tensor, vh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same with the phases of singular vectors as `phase` has them."""
    k = s.shape[-1]
    turn = phase(u[..., :k])
    back = ops.conj(ops.swapaxes(turn, -1, -2))
    u = ops.concatenate([u[..., :k] * turn, u[..., k:]], -1)
    return u, s, ops.concatenate([vh[..., :k, :] * back, vh[..., k:, :]], -2)


# -- gradients of products --------------------------------------------------------------
# None of them divides, so zeros do no harm.


def product_gradient(g: Tensor, x: Tensor, axis: Sequence[int], keepdims: bool) -> Tensor:
    """The gradient of sum(g * prod(x, axis, keepdims)) by x: g times the product of the other elements."""
    if not keepdims:
        g = ops.expand_dims(g, axis)
    kept = [a for a in range(len(x.shape)) if a not in axis]
    order = (*kept, *axis)
    moved = ops.transpose(x, order)
    sizes = ops.shape(moved)
    rows = ops.reshape(moved, (math.prod(sizes[: len(kept)]), math.prod(sizes[len(kept) :])))
    others = _before(rows, 1) * ops.flip(_before(ops.flip(rows, 1), 1), 1)
    back = sorted(range(len(order)), key=order.__getitem__)
    return g * ops.conj(ops.transpose(ops.reshape(others, sizes), back))


def running_product_gradient(g: Tensor, x: Tensor, axis: int) -> Tensor:
    """The gradient of sum(g * cumprod(x, axis)) by x."""
    # With p the product of the elements before, dx[j] = p[j] * r[j], where r sums up what comes
    # after: r[j] = g[j] + x[j+1] * r[j+1].
    return ops.conj(_before(x, axis)) * _recurrence(_shifted(ops.conj(x), 1, axis), g, axis)


def _part(x: Tensor, axis: int, start: int | None, stop: int | None) -> Tensor:
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _before(x: Tensor, axis: int) -> Tensor:
    """The product of the elements before each one."""
    return ops.concatenate([ops.ones_like(_part(x, axis, None, 1)), _part(ops.cumprod(x, axis), axis, None, -1)], axis)


def _shifted(x: Tensor, by: int, axis: int) -> Tensor:
    """x[by:], with zeros at the end."""
    return ops.concatenate([_part(x, axis, by, None), ops.zeros_like(_part(x, axis, None, by))], axis)


def _recurrence(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """r[j] = b[j] + a[j] * r[j+1] along `axis`, from 0 at the end: log2(n) steps of doubling reach."""
    n = a.shape[axis]
    reach = 1
    while reach < (2**31 - 1 if n is None else n):  # past an unknown n a step changes nothing
        b = b + a * _shifted(b, reach, axis)
        a = a * _shifted(a, reach, axis)
        reach *= 2
    return b
