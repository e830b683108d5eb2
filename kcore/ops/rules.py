"""Rules: what the arguments of an op mean, for its backends and for symbolic calls.

A rule takes the op's parameters, a `Spec` for each tensor, and answers a `Plan`: the result's
shape and dtype, the cast, and normalized plain arguments. Rules are the only place that
checks. Their messages name the argument; `@op` puts the op's name in front.

This module has the pieces, and the rules that several families share. A rule that one op
alone needs stands beside that op.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import dtypes
from kcore.backends.host import to_array
from kcore.ops.mechanism import Axes, Plan
from kcore.ops.symbolic import KerasTensor, Shape, Spec

# -- pieces -----------------------------------------------------------------------------


def normalize_axis(axis: Any, ndim: int, shape: Shape | None = None, name: str = "axis") -> int:
    """`axis` as a number from 0 to ndim - 1.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is out of range.
    """
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"{name} should be an integer, not {axis!r}.") from None
    if not -ndim <= index < ndim:
        of = "" if shape is None else f" for x of shape {shape}"
        raise ValueError(f"{name}={axis!r} is out of range{of}; expected {-ndim} <= {name} < {ndim}.")
    return index % ndim


def normalize_axes(axis: Axes, shape: Shape, name: str = "axis") -> tuple[int, ...]:
    """The axes, sorted and non-negative; None is all of them.

    Raises:
        ValueError: One is out of range or named twice.
    """
    ndim = len(shape)
    if axis is None:
        return tuple(range(ndim))
    many = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = sorted(normalize_axis(a, ndim, shape, name) for a in many)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}={axis!r} names an axis twice for x of shape {shape}.")
    return tuple(axes)


def fold(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    """The shape with `axes` gone, or of size 1."""
    if keepdims:
        return tuple(1 if i in axes else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axes)


def broadcast(*shapes: Shape) -> Shape:
    """The shape that these broadcast to; an unknown size meets a known one and takes it.

    Raises:
        ValueError: Two sizes differ and neither is 1.
    """
    ndim = max(map(len, shapes), default=0)
    result = []
    for i in range(ndim):
        sizes = {s[i - ndim + len(s)] for s in shapes if i - ndim + len(s) >= 0}
        known = sizes - {1, None}
        if len(known) > 1:
            raise ValueError(f"shapes {' and '.join(map(str, shapes))} don't broadcast together.")
        result.append(known.pop() if known else None if None in sizes else 1)
    return tuple(result)


def agree(a: Shape, b: Shape) -> bool:
    """Whether two shapes are the same, as far as is known."""
    return len(a) == len(b) and all(None in pair or pair[0] == pair[1] for pair in zip(a, b, strict=True))


def integers(value: Any, count: int, name: str, least: int = 1) -> tuple[int, ...]:
    """`count` integers of at least `least`, from one for all or one each.

    Raises:
        ValueError: The number of them, or one of them, is off.
    """
    many = tuple(value) if isinstance(value, (tuple, list)) else (value,) * count
    if len(many) == 1:
        many *= count
    if len(many) != count or not all(hasattr(v, "__index__") and int(v) >= least for v in many):
        raise ValueError(f"{name}={value!r} should be an integer of at least {least}, or {count} of them.")
    return tuple(int(v) for v in many)


def checked_shape(shape: Any, name: str = "shape") -> tuple[int, ...]:
    """A concrete shape from an int or a sequence of them.

    Raises:
        ValueError: A size is negative, unknown or no integer.
    """
    many = shape if isinstance(shape, (tuple, list)) or hasattr(shape, "__iter__") else (shape,)
    try:
        sizes = tuple(operator.index(d) for d in many)
    except TypeError:
        raise ValueError(f"{name}={shape!r} should be integers, all known.") from None
    if any(d < 0 for d in sizes):
        raise ValueError(f"{name}={shape!r} has a negative size.")
    return sizes


def is_traced(value: Any) -> bool:
    """Whether it stands for a number that is not known yet: a tracer, a graph's tensor, a KerasTensor."""
    if isinstance(value, (int, np.integer)) or not hasattr(value, "dtype"):
        return False
    if isinstance(value, KerasTensor) or hasattr(value, "__kcore_traced__"):
        return True
    try:
        to_array(value)
    except Exception:  # each framework has its own error for it
        return True
    return False


def known_size(size: Any) -> int | None:
    """A size as a rule knows it: None for None and for one that is traced.

    Raises:
        TypeError: It is no integer.
    """
    if size is None:
        return None
    try:
        return operator.index(size)
    except Exception as error:
        if is_traced(size):
            return None
        raise TypeError(f"a size should be an integer, not {size!r}.") from error


def open_shape(shape: Any, name: str = "shape") -> tuple[Shape, tuple, bool]:
    """A shape of which sizes may be None or traced: as the rule knows it, as backends get it,
    and whether it has a None, so that no backend can run.

    Raises:
        ValueError: A size is negative or no integer.
    """
    if isinstance(shape, (tuple, list)):
        many = tuple(shape)
    elif getattr(shape, "shape", ()) and is_traced(shape):  # a graph's tensor of sizes does not iterate
        many = tuple(shape[i] for i in range(shape.shape[0]))
    else:
        many = tuple(shape) if hasattr(shape, "__iter__") and getattr(shape, "shape", None) != () else (shape,)
    try:
        if shape is None:
            raise TypeError
        sizes = tuple(known_size(d) for d in many)
    except TypeError:
        raise ValueError(f"{name}={shape!r} should be integers.") from None
    if any(d is not None and d < 0 for d in sizes):
        raise ValueError(f"{name}={shape!r} has a negative size.")
    given = tuple(d if d is not None else m for d, m in zip(sizes, many, strict=True))
    return sizes, given, None in given


def size_of(shape: Shape) -> int | None:
    """The number of elements, None if a size is unknown."""
    return None if None in shape else math.prod(shape)  # type: ignore[arg-type]


def one_of(value: Any, allowed: Sequence[Any], name: str) -> Any:
    """`value` if it is allowed.

    Raises:
        ValueError: It is not.
    """
    if value not in allowed:
        raise ValueError(f"{name}={value!r} should be one of {', '.join(map(repr, allowed))}.")
    return value


def dtype_or(dtype: Any, default: str) -> str:
    """The name of `dtype`, or `default` for None."""
    return dtypes.concrete(default) if dtype is None else dtypes.name_of(dtype)


def require_order(x: Spec, name: str = "x") -> None:
    """Raises TypeError for complex numbers."""
    if dtypes.is_complex(x.dtype):
        raise TypeError(f"complex numbers have no order; {name} is {dtypes.concrete(x.dtype)}.")


def require_elements(x: Spec, axis: Axes, axes: Sequence[int], hint: str = "") -> None:
    """Raises ValueError if one of the folded `axes` is empty."""
    if 0 in [x.shape[a] for a in axes]:
        raise ValueError(f"x of shape {x.shape} has no elements along axis={axis!r}{hint}.")


def require_ndim(x: Spec, ndim: int | tuple[int, int], name: str = "x") -> None:
    """Raises ValueError unless `x` has `ndim` dimensions, or from ndim[0] to ndim[1] of them."""
    least, most = (ndim, ndim) if isinstance(ndim, int) else ndim
    if not least <= x.ndim <= most:
        want = f"{least}" if least == most else f"{least} to {most}" if most < 32 else f"at least {least}"
        raise ValueError(f"{name} should have {want} dimensions, not shape {x.shape}.")


def at_least(x: Spec, ndim: int, name: str = "x") -> Spec:
    """x itself, if it has `ndim` dimensions or more.

    Raises:
        ValueError: It has fewer.
    """
    require_ndim(x, (ndim, 32), name)
    return x


def known_integers(value: Any, name: str) -> int | tuple[int, ...]:
    """An int, or a tuple of ints, from those or an array of integers.

    Raises:
        TypeError: It is something else, or only known later.
    """
    try:
        array = to_array(value)
    except Exception:
        raise TypeError(f"{name} should be known integers, not {value!r}.") from None
    if array.size == 0:
        array = array.astype("int32")
    if array.dtype.kind not in "iu" or array.ndim > 1:
        raise TypeError(f"{name} should be integers, not {value!r}.")
    return int(array) if array.ndim == 0 else tuple(int(n) for n in array)


# -- shared rules -----------------------------------------------------------------------


def same(x: Spec) -> Plan:
    """The shape and dtype of x."""
    return Plan(x.shape, dtypes.concrete(x.dtype))


def float_map(x: Spec) -> Plan:
    """Elementwise in x's float dtype; integers and bools are taken as the default float."""
    dtype = dtypes.float_of(x.dtype)
    return Plan(x.shape, dtype, cast=dtype)


def predicate(x: Spec) -> Plan:
    """Elementwise, answering bools."""
    return Plan(x.shape, "bool")


def numeric_map(x: Spec) -> Plan:
    """Elementwise in x's dtype; bools count as int32."""
    dtype = "int32" if dtypes.is_bool(x.dtype) else dtypes.concrete(x.dtype)
    return Plan(x.shape, dtype, cast=dtype)


def promoted(x1: Spec, x2: Spec) -> Plan:
    """Two operands broadcast together, in the dtype that they meet in."""
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    return Plan(broadcast(x1.shape, x2.shape), dtype, cast=dtype)


def promoted_float(x1: Spec, x2: Spec) -> Plan:
    """As `promoted`, and integers become the default float."""
    dtype = dtypes.float_of(dtypes.promote(x1.dtype, x2.dtype))
    return Plan(broadcast(x1.shape, x2.shape), dtype, cast=dtype)


def compared(x1: Spec, x2: Spec) -> Plan:
    """Two operands broadcast together, cast to a common dtype, answering bools."""
    return Plan(broadcast(x1.shape, x2.shape), "bool", cast=dtypes.promote(x1.dtype, x2.dtype))


def logical(x1: Spec, x2: Spec) -> Plan:
    """Two operands broadcast together as truth values."""
    return Plan(broadcast(x1.shape, x2.shape), "bool", cast="bool")


def folded(x: Spec, axis: Axes, keepdims: bool) -> Plan:
    """A reduction in x's dtype: the folded axes go, or stay with size 1."""
    axes = normalize_axes(axis, x.shape)
    dtype = dtypes.concrete(x.dtype)
    return Plan(fold(x.shape, axes, keepdims), dtype, cast=dtype, axis=axes)


def folded_float(x: Spec, axis: Axes, keepdims: bool) -> Plan:
    """A reduction to a float."""
    axes = normalize_axes(axis, x.shape)
    dtype = dtypes.float_of(x.dtype)
    return Plan(fold(x.shape, axes, keepdims), dtype, cast=dtype, axis=axes)


def folded_bool(x: Spec, axis: Axes, keepdims: bool) -> Plan:
    """A reduction of truth values."""
    axes = normalize_axes(axis, x.shape)
    return Plan(fold(x.shape, axes, keepdims), "bool", cast="bool", axis=axes)


def sum_dtype(dtype: str) -> str:
    """The dtype of sums and products: bools and ints narrower than 32 bits widen to 32, as in NumPy and Keras."""
    if dtype in ("bool", "int8", "int16"):
        return "int32"
    return "uint32" if dtype in ("uint8", "uint16") else dtypes.concrete(dtype)


def folded_sum(x: Spec, axis: Axes, keepdims: bool) -> Plan:
    """A reduction that adds or multiplies."""
    axes = normalize_axes(axis, x.shape)
    dtype = sum_dtype(x.dtype)
    return Plan(fold(x.shape, axes, keepdims), dtype, cast=dtype, axis=axes)


def along(rule: Callable[..., Plan] = float_map) -> Callable[..., Plan]:
    """A rule for (x, axis): the elementwise `rule`, with one axis normalized."""

    def rule_along(x: Spec, axis: int = -1) -> Plan:
        plan = rule(x)
        plan.arguments["axis"] = normalize_axis(axis, x.ndim, x.shape)
        return plan

    return rule_along
