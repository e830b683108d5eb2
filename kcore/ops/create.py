"""Ops that make tensors: constants, ranges, identity matrices, conversions."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from kcore import backends, config, dtypes, ops
from kcore.backends.host import to_array
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Shape, Tensor, op
from kcore.ops.symbolic import KerasTensor, Spec

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
    """Zeros of that shape; the default float dtype unless `dtype` is given."""


@op(rule=filled)
def ones(shape: Shape, dtype: Any = None) -> Tensor:
    """Ones of that shape; the default float dtype unless `dtype` is given."""


@op(rule=filled)
def empty(shape: Shape, dtype: Any = None) -> Tensor:
    """A tensor of that shape whose values don't matter: zeros, so that runs can be compared."""
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
    """
    return ops.broadcast_to(fill_value, shape)


@op(rule=filled_like)
def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros of x's shape, and dtype unless `dtype` is given."""


@op(rule=filled_like)
def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones of x's shape, and dtype unless `dtype` is given."""


@op(rule=filled_like)
def empty_like(x: Tensor, dtype: Any = None) -> Tensor:
    """A tensor of x's shape, and dtype unless `dtype` is given, whose values don't matter: zeros."""
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
    name = dtypes.name_of(dtype) if dtype is not None else dtypes.promote(*(_range_dtype(v) for v in (start, stop, step)))
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
    """


def _spaced(
    start: Spec,
    stop: Spec,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Plan:
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
    """
    rows, columns = _places(N, M)
    return ops.cast(ops.equal(rows + k, columns), dtype)


@op(rule=lambda n, dtype=None: _renamed(_matrix(n, dtype=dtype)))
def identity(n: int, dtype: Any = None) -> Tensor:
    """The identity matrix of n rows, in the default float unless `dtype` is given.

    Raises:
        ValueError: n is negative or no integer.
    """
    return ops.eye(n, n, 0, dtype)


def _renamed(plan: Plan) -> Plan:
    plan.arguments = {"n": plan.arguments["N"], "dtype": plan.arguments["dtype"]}
    return plan


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
    """
    rows, columns = _places(N, M)
    return ops.cast(ops.greater_equal(rows + k, columns), dtype)


def _places(rows: Any, columns: Any) -> tuple[Tensor, Tensor]:
    """Row numbers as a column and column numbers as a row."""
    return ops.expand_dims(ops.arange(0, rows, 1, "int32"), 1), ops.expand_dims(ops.arange(0, columns, 1, "int32"), 0)


# -- conversions ------------------------------------------------------------------------


def convert_to_tensor(x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Tensor:
    """x as a tensor of the active backend.

    Args:
        x: A number, nested lists, an array, a Variable, or any framework's tensor. A KerasTensor is returned as
            it is, or cast.
        dtype: The result's; for None arrays keep theirs, and Python numbers become bool, int32, the
            default float or complex64.
        sparse, ragged: Taken as they come: x stays dense.

    Raises:
        TypeError: x holds something else than numbers.
        ValueError: Nested lists are ragged.
    """
    name = None if dtype is None else dtypes.name_of(dtype)
    if isinstance(x, KerasTensor):
        return x if name in (None, x.dtype) else ops.cast(x, name)
    if hasattr(x, "__kcore_value__"):
        x = x.__kcore_value__()
    return backends.active().convert(x, name)


def convert_to_numpy(x: Any) -> np.ndarray:
    """x as a NumPy array of the same dtype; ml_dtypes has bfloat16 and float8.

    Raises:
        ValueError: x is a KerasTensor, which has no values.
    """
    if isinstance(x, KerasTensor):
        return np.asarray(x)
    if hasattr(x, "__kcore_value__"):
        x = x.__kcore_value__()
    return backends.active().numpy(x)


def _arrayed(x: Spec, dtype: Any = None) -> Plan:
    name = rules.dtype_or(dtype, x.dtype)
    return Plan(x.shape, name, cast={"x": name}, dtype=name)


@op(rule=_arrayed)
def array(x: Tensor, dtype: Any = None) -> Tensor:
    """x as a tensor, in `dtype` if given: `convert_to_tensor` that a model can hold."""
    return x


@op(rule=rules.same)
def copy(x: Tensor) -> Tensor:
    """A tensor with x's values, in memory of its own where tensors can be changed in place."""


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor of the active backend."""
    return backends.active().is_tensor(x)


def dtype(x: Any) -> str:
    """The name of x's dtype."""
    if isinstance(x, KerasTensor) or hasattr(x, "dtype"):
        return dtypes.name_of(x.dtype)
    return dtypes.name_of(to_array(x).dtype)
