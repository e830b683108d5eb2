"""Ops that make tensors: constants, ranges, matrices and their diagonals."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from kcore import config, dtypes, ops
from kcore.backends.host import to_array
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Shape, Tensor, op
from kcore.ops.symbolic import Spec

# -- constants --------------------------------------------------------------------------


def filled(shape: Shape, dtype: Any = None) -> Plan:
    """A constant of the given shape, in the default float unless told otherwise."""
    sizes, given, unsized = rules.open_shape(shape)
    name = rules.dtype_or(dtype, config.floatx())
    plan = Plan(sizes, name, shape=given, dtype=name)
    plan.unsized = unsized
    return plan


def filled_like(x: Spec, dtype: Any = None) -> Plan:
    """A constant of x's shape, in x's dtype unless told otherwise."""
    name = rules.dtype_or(dtype, x.dtype)
    return Plan(x.shape, name, dtype=name)


@op(rule=filled)
def zeros(shape: Shape, dtype: Any = None) -> Tensor:
    """Zeros of that shape; the default float dtype unless `dtype` is given.

    >>> ops.zeros((2, 3))
    Tensor([[0., 0., 0.],
           [0., 0., 0.]], dtype=float32)
    """


@op(rule=filled)
def ones(shape: Shape, dtype: Any = None) -> Tensor:
    """Ones of that shape; the default float dtype unless `dtype` is given.

    >>> ops.ones(3, "int32")
    Tensor([1, 1, 1], dtype=int32)
    """


@op(rule=filled)
def empty(shape: Shape, dtype: Any = None) -> Tensor:
    """A tensor of that shape whose values don't matter: zeros, so that runs can be compared.

    >>> ops.empty((2, 3)).shape
    (2, 3)
    """
    return ops.zeros(shape, dtype)


def _full(shape: Shape, fill_value: Spec, dtype: Any = None) -> Plan:
    plan = filled(shape, dtype)
    sizes = plan.outputs.shape
    if fill_value.ndim > len(sizes) or rules.broadcast(fill_value.shape, sizes) != rules.broadcast((), sizes):
        raise ValueError(f"fill_value of shape {fill_value.shape} does not broadcast to shape={sizes}.")
    plan.cast = plan.outputs.dtype
    return plan


@op(rule=_full)
def full(shape: Shape, fill_value: Tensor, dtype: Any = None) -> Tensor:
    """`fill_value` everywhere.

    Args:
        shape: The result's.
        fill_value: A number, or a tensor that broadcasts to `shape`; cast to `dtype`.
        dtype: The default float for None, whatever the value's.

    Raises:
        ValueError: `fill_value` does not broadcast to `shape`.

    >>> ops.full((2, 2), 7)
    Tensor([[7., 7.],
           [7., 7.]], dtype=float32)
    """
    return ops.broadcast_to(fill_value, shape)


@op(rule=filled_like)
def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros of x's shape, and dtype unless `dtype` is given.

    >>> ops.zeros_like([[1, 2]])
    Tensor([[0, 0]], dtype=int32)
    """


@op(rule=filled_like)
def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones of x's shape, and dtype unless `dtype` is given.

    >>> ops.ones_like([[1.5, 2.5]])
    Tensor([[1., 1.]], dtype=float32)
    """


@op(rule=filled_like)
def empty_like(x: Tensor, dtype: Any = None) -> Tensor:
    """A tensor of x's shape, and dtype unless `dtype` is given, whose values don't matter: zeros.

    >>> ops.empty_like([[1.0, 2.0]]).shape
    (1, 2)
    """
    return ops.zeros_like(x, dtype)


def _full_like(x: Spec, fill_value: Spec, dtype: Any = None) -> Plan:
    name = rules.dtype_or(dtype, x.dtype)
    plan = _full(x.shape, fill_value, name)
    return Plan(x.shape, name, cast={"fill_value": name}, dtype=plan.outputs.dtype)


@op(rule=_full_like)
def full_like(x: Tensor, fill_value: Tensor, dtype: Any = None) -> Tensor:
    """`fill_value` everywhere, in x's shape, and dtype unless `dtype` is given.

    Raises:
        ValueError: `fill_value` does not broadcast to x's shape.

    >>> ops.full_like([1, 2], 7)
    Tensor([7, 7], dtype=int32)
    """
    return ops.full(ops.shape(x), fill_value, dtype)


# -- ranges -----------------------------------------------------------------------------


def _ranged(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Plan:
    """Backends get numbers, and (0, start, 1) for a lone `start`."""
    unsized = start is None
    if stop is None:
        start, stop = 0 if unsized or _is_whole(start) else 0.0, start
    step = 1 if step is None else step
    ends = [_number(v, n) for v, n in ((start, "start"), (stop, "stop"), (step, "step"))]
    name = (
        dtypes.name_of(dtype) if dtype is not None else dtypes.promote(*(_range_dtype(v) for v in (start, stop, step)))
    )
    if dtypes.is_bool(name) or dtypes.is_complex(name):
        raise TypeError(f"a range has no dtype {name}.")
    count = None
    if not any(v is None or rules.is_traced(v) for v in ends):
        if ends[2] == 0:
            raise ValueError("step=0 never arrives.")
        count = range_length(*ends)
    plan = Plan((count,), name, start=ends[0], stop=ends[1], step=ends[2], dtype=name)
    plan.unsized = unsized or None in ends
    return plan


def _is_whole(value: Any) -> bool:
    return dtypes.is_int(_range_dtype(value))


def _range_dtype(value: Any) -> str:
    if value is None or type(value) in dtypes.WEAK:
        return dtypes.WEAK.get(type(value), "int")
    name = dtypes.name_of(value.dtype)
    # NumPy's own scalars come from len() and shapes: they count as Python's.
    return {"int64": "int", "float64": "float"}.get(name, name) if isinstance(value, np.generic) else name


def _number(value: Any, name: str) -> Any:
    """A Python number, None, or a tensor that is only known later."""
    if value is None or type(value) in (int, float) or rules.is_traced(value):
        return value
    array = to_array(value)
    if array.ndim:
        raise ValueError(f"{name} should be a number, not of shape {array.shape}.")
    return array.item()


def range_length(start: float, stop: float, step: float) -> int:
    """The number of elements of `arange`."""
    if all(isinstance(v, int) for v in (start, stop, step)):
        return len(range(start, stop, step))  # type: ignore[arg-type]
    return max(0, math.ceil((stop - start) / step))


@op(rule=_ranged)
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """start, start + step, ... up to `stop`, which is left out.

    Args:
        start: The first number; with `stop` left out, the numbers go from 0 to it.
        stop: Where to end.
        step: 1 unless given; negative ones go down.
        dtype: For None, int32 if all three are Python integers, the default float for floats.

    Element i is start + i * step, computed in float64 and rounded once.

    Raises:
        ValueError: `step` is 0.
        TypeError: `dtype` is bool or complex.

    >>> ops.arange(1, 10, 3)
    Tensor([1, 4, 7], dtype=int32)
    """


def _spaced(start: Spec, stop: Spec, num: int, dtype: Any, axis: int, retstep: bool = False, **rest: Any) -> Plan:
    count = operator.index(num)
    if count < 0:
        raise ValueError(f"num={num!r} is negative.")
    work = dtypes.float_of(dtypes.promote(start.dtype, stop.dtype))
    name = work if dtype is None else dtypes.name_of(dtype)
    if dtypes.is_int(name):
        work = "float64"  # float32 does not hold every integer
    shape = rules.broadcast(start.shape, stop.shape)
    at = rules.normalize_axis(axis, len(shape) + 1)
    points = Spec((*shape[:at], count, *shape[at:]), name)
    arguments = {"num": count, "dtype": name, "axis": at}
    if retstep:
        return Plan.many((points, Spec(shape, work)), cast=work, **arguments)
    return Plan(points.shape, name, cast=work, **arguments)


@op(rule=_spaced)
def linspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """`num` numbers from start to stop, evenly spaced.

    Args:
        start, stop: Numbers or tensors that broadcast together.
        num: How many.
        endpoint: Whether `stop` is the last one; it then is so exactly.
        retstep: Whether to return (numbers, step); the step is nan for a single number.
        dtype: The promoted float dtype for None. Integers are rounded down.
        axis: Where the axis of numbers is in the result.

    Raises:
        ValueError: `num` is negative, shapes don't broadcast, or the axis is out of range.

    >>> ops.linspace(0, 1, 5)
    Tensor([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    parts = num - 1 if endpoint else num
    work = start.dtype
    start, stop = ops.broadcast_to(start, _joint(start, stop)), ops.broadcast_to(stop, _joint(start, stop))
    shape = [1] * (len(start.shape) + 1)
    shape[axis] = num
    number = np.reshape(np.arange(num), shape)
    first, last = ops.expand_dims(start, axis), ops.expand_dims(stop, axis)
    # Multiplied before it is divided, so that whole numbers come out whole.
    y = first + (last - first) * ops.cast(number, work) / max(parts, 1)
    if endpoint and num > 1:
        y = ops.where(number == parts, last, y)
    y = ops.cast(ops.floor(y) if dtypes.is_int(dtype) else y, dtype)
    if not retstep:
        return y
    return y, ((stop - start) / parts if parts > 0 else ops.full(ops.shape(start), math.nan, work))


def _joint(x1: Any, x2: Any) -> tuple:
    """The shape that two tensors broadcast to, also where sizes are only known later."""
    if None not in (*tuple(x1.shape), *tuple(x2.shape)):
        return rules.broadcast(tuple(x1.shape), tuple(x2.shape))
    return ops.shape(x1 + x2)


def _logspaced(start: Spec, base: Spec, **rest: Any) -> Plan:
    """As `linspace`, in a float dtype that all operands meet in."""
    rules.require_ndim(base, 0, "base")
    return _spaced(Spec(start.shape, dtypes.promote(start.dtype, base.dtype)), **rest)


@op(rule=_logspaced)
def logspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    base: Tensor = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """`num` numbers from base**start to base**stop, evenly spaced in the exponent.

    Args:
        start, stop: Exponents: numbers or tensors that broadcast together.
        num: How many.
        endpoint: Whether the one of `stop` is the last.
        base: A number.
        dtype: The promoted float dtype for None. Integers are rounded down.
        axis: Where the axis of numbers is in the result.

    Raises:
        ValueError: `num` is negative, shapes don't broadcast, `base` is no scalar, or the axis is out of range.

    >>> ops.logspace(0, 2, 3)
    Tensor([  1.,  10., 100.], dtype=float32)
    """
    return _rounded_down(ops.power(base, ops.linspace(start, stop, num, endpoint, axis=axis)), dtype)


@op(rule=_spaced)
def geomspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Tensor:
    """`num` numbers from start to stop, each the same multiple of the one before.

    Args:
        start, stop: Numbers or tensors that broadcast together, of one sign. Between others, and 0, there is nan.
        num: How many.
        endpoint: Whether `stop` is the last one; it then is so exactly.
        dtype: The promoted float dtype for None. Integers are rounded down.
        axis: Where the axis of numbers is in the result.

    Raises:
        ValueError: `num` is negative, shapes don't broadcast, or the axis is out of range.

    >>> ops.geomspace(1, 8, 4)
    Tensor([1., 2., 4., 8.], dtype=float32)
    """
    exponents = ops.linspace(ops.log10(ops.absolute(start)), ops.log10(ops.absolute(stop)), num, endpoint, axis=axis)
    shape = _joint(start, stop)
    first, last = (ops.expand_dims(ops.broadcast_to(e, shape), axis) for e in (start, stop))
    sign = ops.where(first * last > 0, ops.sign(first), math.nan)
    number = np.reshape(np.arange(num), [num if i == axis else 1 for i in range(len(shape) + 1)])
    y = ops.where(number == 0, first, sign * ops.power(10.0, exponents))
    if endpoint and num > 1:
        y = ops.where(number == num - 1, last, y)
    return _rounded_down(y, dtype)


def _rounded_down(y: Tensor, dtype: Any) -> Tensor:
    """y in `dtype`. What is meant as a whole number is taken as one, though rounding put it just below."""
    if dtypes.is_int(dtype):
        y = ops.floor(y + ops.absolute(y) * 1e-12)
    return ops.cast(y, dtype)


# -- matrices ---------------------------------------------------------------------------


def _matrix(N: Any, M: Any = None, k: int = 0, dtype: Any = None) -> Plan:
    plan = filled((N, N if M is None else M), dtype)
    rows, columns = plan.arguments.pop("shape")
    plan.arguments |= {"N": rows, "M": columns, "k": operator.index(k)}
    return plan


@op(rule=_matrix)
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on the k-th diagonal of a matrix of zeros.

    Args:
        N: The number of rows.
        M: The number of columns; as many as rows for None.
        k: The diagonal: 0 is the main one, positive ones are above it.
        dtype: The default float for None.

    Raises:
        ValueError: A size is negative or no integer.

    >>> ops.eye(2, 3)
    Tensor([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """
    rows, columns = _places(N, M)
    return ops.cast(ops.equal(rows + k, columns), dtype)


@op(rule=_matrix)
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on and below the k-th diagonal, zeros above it.

    Args:
        N: The number of rows.
        M: The number of columns; as many as rows for None.
        k: The diagonal: 0 is the main one, positive ones are above it.
        dtype: The default float for None.

    Raises:
        ValueError: A size is negative or no integer.

    >>> ops.tri(2, 3)
    Tensor([[1., 0., 0.],
           [1., 1., 0.]], dtype=float32)
    """
    rows, columns = _places(N, M)
    return ops.cast(ops.greater_equal(rows + k, columns), dtype)


@op(rule=lambda n, dtype=None: filled((n, n), dtype))
def identity(n: int, dtype: Any = None) -> Tensor:
    """The identity matrix of n rows, in the default float unless `dtype` is given.

    Raises:
        ValueError: n is negative or no integer.

    >>> ops.identity(2)
    Tensor([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    return ops.eye(n, n, 0, dtype)


def _places(rows: Any, columns: Any) -> tuple[Tensor, Tensor]:
    """Row numbers as a column and column numbers as a row."""
    return ops.expand_dims(ops.arange(0, rows, 1, "int32"), 1), ops.expand_dims(ops.arange(0, columns, 1, "int32"), 0)


# -- triangles --------------------------------------------------------------------------


def _triangle(x: Spec, k: int = 0) -> Plan:
    rules.require_ndim(x, (2, 32))
    return Plan(x.shape, dtypes.concrete(x.dtype), k=operator.index(k))


@op(rule=_triangle)
def tril(x: Tensor, k: int = 0) -> Tensor:
    """x with zeros above the k-th diagonal of the last two axes.

    Raises:
        ValueError: x has fewer than 2 dimensions.

    >>> ops.tril([[1, 2], [3, 4]])
    Tensor([[1, 0],
           [3, 4]], dtype=int32)
    """
    rows, columns = ops.shape(x)[-2:]
    return ops.where(ops.tri(rows, columns, k, dtype="bool"), x, ops.zeros_like(x))


@op(rule=_triangle)
def triu(x: Tensor, k: int = 0) -> Tensor:
    """x with zeros below the k-th diagonal of the last two axes.

    Raises:
        ValueError: x has fewer than 2 dimensions.

    >>> ops.triu([[1, 2], [3, 4]])
    Tensor([[1, 2],
           [0, 4]], dtype=int32)
    """
    rows, columns = ops.shape(x)[-2:]
    return ops.where(ops.tri(rows, columns, k - 1, dtype="bool"), ops.zeros_like(x), x)


# -- diagonals --------------------------------------------------------------------------


def _diagonal_size(rows: int | None, columns: int | None, offset: int) -> int | None:
    if None in (rows, columns):
        return None
    return max(0, min(rows + min(offset, 0), columns - max(offset, 0)))  # type: ignore[operator]


def _diagonal(x: Spec, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Plan:
    rules.at_least(x, 2)
    i, j = (rules.normalize_axis(a, x.ndim, x.shape, n) for a, n in ((axis1, "axis1"), (axis2, "axis2")))
    if i == j:
        raise ValueError(f"axis1={axis1!r} and axis2={axis2!r} are the same axis of x of shape {x.shape}.")
    k = operator.index(offset)
    rest = tuple(d for a, d in enumerate(x.shape) if a not in (i, j))
    shape = (*rest, _diagonal_size(x.shape[i], x.shape[j], k))
    return Plan(shape, dtypes.concrete(x.dtype), offset=k, axis1=i, axis2=j)


@op(rule=_diagonal)
def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements x[i, i + offset] of two axes, along a new last one.

    Args:
        x: At least 2 dimensions.
        offset: Which diagonal: 0 is the main one, positive ones are above it.
        axis1, axis2: The axes of rows and of columns.

    Raises:
        ValueError: x has fewer than 2 dimensions, or the axes are equal or out of range.

    >>> ops.diagonal([[1, 2], [3, 4]])
    Tensor([1, 4], dtype=int32)
    """
    rest = [a for a in range(len(x.shape)) if a not in (axis1, axis2)]
    y = ops.transpose(x, (*rest, axis1, axis2))
    *batch, rows, columns = ops.shape(y)
    if all(isinstance(d, int) for d in (rows, columns)):
        count = _diagonal_size(rows, columns, offset)
    else:
        count = ops.maximum(ops.minimum(rows + min(offset, 0), columns - max(offset, 0)), 0)
    places = ops.arange(count, dtype="int32") * (columns + 1) + (offset if offset >= 0 else -offset * columns)
    return ops.take(ops.reshape(y, (*batch, rows * columns)), places, len(batch))


def _traced(x: Spec, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Plan:
    plan = _diagonal(x, offset, axis1, axis2)
    return Plan(plan.outputs.shape[:-1], rules.sum_dtype(x.dtype), **plan.arguments)


@op(rule=_traced)
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal; see `diagonal`. Bools and integers below 32 bits are summed in 32 bits.

    Raises:
        ValueError: x has fewer than 2 dimensions, or the axes are equal or out of range.

    >>> ops.trace([[1, 2], [3, 4]])
    Tensor(5, dtype=int32)
    """
    return ops.sum(ops.diagonal(x, offset, axis1, axis2), -1)


def _as_diagonal(x: Spec, k: int = 0) -> Plan:
    size = rules.size_of(x.shape)
    width = operator.index(k)
    size = None if size is None else size + abs(width)
    return Plan((size, size), dtypes.concrete(x.dtype), k=width)


def _diag(x: Spec, k: int = 0) -> Plan:
    rules.require_ndim(x, (1, 2))
    if x.ndim == 1:
        return _as_diagonal(x, k)
    return Plan(_diagonal(x, k).outputs.shape, dtypes.concrete(x.dtype), k=operator.index(k))


@op(rule=_diag)
def diag(x: Tensor, k: int = 0) -> Tensor:
    """A matrix with the vector x on its k-th diagonal and zeros elsewhere; of a matrix, its k-th diagonal.

    Raises:
        ValueError: x has neither 1 nor 2 dimensions.

    >>> ops.diag([1, 2])
    Tensor([[1, 0],
           [0, 2]], dtype=int32)
    """
    return ops.diagonal(x, k, 0, 1) if len(x.shape) == 2 else ops.diagflat(x, k)


@op(rule=_as_diagonal)
def diagflat(x: Tensor, k: int = 0) -> Tensor:
    """A matrix with the elements of x on its k-th diagonal and zeros elsewhere.

    >>> ops.diagflat([[1, 2]], k=1)
    Tensor([[0, 1, 0],
           [0, 0, 2],
           [0, 0, 0]], dtype=int32)
    """
    column = ops.expand_dims(ops.pad(ops.ravel(x), ((max(-k, 0), max(k, 0)),)), 1)
    size = ops.shape(column)[0]
    return ops.where(ops.eye(size, size, k, "bool"), column, ops.zeros_like(column))


def _powers(x: Spec, N: int | None = None, increasing: bool = False) -> Plan:
    rules.require_ndim(x, 1)
    count = x.shape[0] if N is None else operator.index(N)
    if count is not None and count < 0:
        raise ValueError(f"N={N!r} is negative.")
    dtype = "int32" if dtypes.is_bool(x.dtype) else dtypes.concrete(x.dtype)
    return Plan((x.shape[0], count), dtype, cast=dtype, N=count)


@op(rule=_powers)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of each element of a vector, one row for each: x**(N - 1), ..., x, 1.

    Args:
        x: A vector; bools count as int32.
        N: How many powers; as many as elements for None.
        increasing: Whether they go up from 1 instead.

    Raises:
        ValueError: x is no vector, or `N` is negative.

    >>> ops.vander([2, 3], 3)
    Tensor([[4, 2, 1],
           [9, 3, 1]], dtype=int32)
    """
    count = ops.shape(x)[0] if N is None else N
    powers = ops.arange(count, dtype="int32") if increasing else count - 1 - ops.arange(count, dtype="int32")
    return ops.power(ops.expand_dims(x, 1), ops.cast(ops.expand_dims(powers, 0), x.dtype))
