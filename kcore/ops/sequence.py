"""Ops along a sequence: differences, integrals, and the windows that taper it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import config, dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.symbolic import Spec

# -- differences ------------------------------------------------------------------------


def _differences(a: Spec, n: int = 1, axis: int = -1) -> Plan:
    times = operator.index(n)
    if times < 0:
        raise ValueError(f"n={n!r} is negative.")
    at = rules.normalize_axis(axis, a.ndim)
    size = a.shape[at]
    shape = (*a.shape[:at], None if size is None and times else max(0, (size or 0) - times), *a.shape[at + 1 :])
    return Plan(shape if times else a.shape, dtypes.concrete(a.dtype), n=times, axis=at)


@op(rule=_differences)
def diff(a: Tensor, n: int = 1, axis: int = -1) -> Tensor:
    """Each element less the one before it along an axis, taken n times.

    Args:
        a: Any shape. Integers wrap around; of bools it is whether two differ.
        n: How often; each time leaves one element less.
        axis: An int.

    Raises:
        ValueError: `n` is negative, or the axis is out of range.

    >>> ops.diff([1, 4, 9])
    Tensor([3, 5], dtype=int32)
    """
    less = ops.not_equal if dtypes.is_bool(dtypes.name_of(a.dtype)) else ops.subtract
    before = (slice(None),) * axis
    for _ in range(n):
        a = less(ops.get_item(a, (*before, slice(1, None))), ops.get_item(a, (*before, slice(None, -1))))
    return a


def _integrated(y: Spec, x: Spec | None, dx: Spec, axis: int) -> Plan:
    at = rules.normalize_axis(axis, y.ndim, y.shape)
    dtype = dtypes.float_of(dtypes.promote(*(s.dtype for s in (y, x, dx) if s is not None)))
    shape = y.shape
    if x is not None and x.ndim == 1:
        if None not in (x.shape[0], shape[at]) and x.shape[0] != shape[at]:
            raise ValueError(
                f"x of shape {x.shape} should have size {shape[at]}, as axis={axis!r} of y of shape {y.shape}."
            )
    elif x is not None:
        shape = rules.broadcast(shape, x.shape)
    return Plan(rules.fold(shape, (at,), False), dtype, cast=dtype, axis=at)


@op(rule=_integrated)
def trapezoid(y: Tensor, x: Tensor | None = None, dx: Tensor = 1.0, axis: int = -1) -> Tensor:
    """The integral of y along an axis by the trapezoidal rule.

    Args:
        y: At least one dimension. Integers are taken as the default float.
        x: The points of y: a vector, or as many dimensions as y.
        dx: Their distance, where x is left out.
        axis: An int.

    Returns:
        sum((y[1:] + y[:-1]) / 2 * distances), in the promoted float dtype; 0 for a single point.

    Raises:
        ValueError: The shapes don't fit, or the axis is out of range.

    >>> ops.trapezoid([1.0, 2.0, 3.0])
    Tensor(4., dtype=float32)
    """
    ndim = len(y.shape)
    before = (slice(None),) * axis
    if x is None:
        widths = dx
    elif len(x.shape) == 1:
        widths = ops.reshape(ops.diff(x), [-1 if i == axis else 1 for i in range(ndim)])
    else:
        widths = ops.diff(x, 1, axis)
    heights = ops.get_item(y, (*before, slice(1, None))) + ops.get_item(y, (*before, slice(None, -1)))
    return ops.sum(heights * widths / 2, axis)


# -- windows ----------------------------------------------------------------------------


def _tapered(x: Any, *_: Any) -> Plan:
    count = rules.known_integers(x, "x")
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"x={x!r} should be a number of points, not negative.")
    return Plan((count,), config.floatx(), x=count)


def _window(count: int, formula: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """`formula` of `count` numbers from -1 to 1, in float64 and rounded once; 1 for a single point."""
    places = np.linspace(-1, 1, count) if count > 1 else np.zeros(count)
    return ops.cast(formula(places), config.floatx())


def _taper(name: str, what: str, gives: str, formula: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """A window that is a formula of its points alone."""

    def function(x: int) -> Tensor:
        return _window(x, formula)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The {what}, in the default float.

    Raises:
        TypeError: x is no integer, or not known.
        ValueError: x is negative.

    >>> ops.{name}(5)
    Tensor([{gives}], dtype=float32)
    """
    return op(_tapered)(function)


bartlett = _taper(
    "bartlett",
    "triangular window of x points, 0 at both ends",
    "0. , 0.5, 1. , 0.5, 0. ",
    lambda t: 1 - np.abs(t),
)
blackman = _taper(
    "blackman",
    "Blackman window of x points, 0.42 + 0.5 cos(pi t) + 0.08 cos(2 pi t) for t from -1 to 1",
    "-0.  ,  0.34,  1.  ,  0.34, -0.  ",
    lambda t: 0.42 + 0.5 * np.cos(math.pi * t) + 0.08 * np.cos(2 * math.pi * t),
)
hamming = _taper(
    "hamming",
    "Hamming window of x points, 0.54 + 0.46 cos(pi t) for t from -1 to 1",
    "0.08, 0.54, 1.  , 0.54, 0.08",
    lambda t: 0.54 + 0.46 * np.cos(math.pi * t),
)
hanning = _taper(
    "hanning",
    "Hann window of x points, 0.5 + 0.5 cos(pi t) for t from -1 to 1",
    "0. , 0.5, 1. , 0.5, 0. ",
    lambda t: 0.5 + 0.5 * np.cos(math.pi * t),
)


@op(rule=_tapered)
def kaiser(x: int, beta: float) -> Tensor:
    """The Kaiser window of x points, i0(beta sqrt(1 - t**2)) / i0(beta) for t from -1 to 1, in the default float.

    Raises:
        TypeError: x is no integer, or x or beta is not known.
        ValueError: x is negative.

    >>> ops.kaiser(5, 6.0)
    Tensor([0.0149, 0.483 , 1.    , 0.483 , 0.0149], dtype=float32)
    """
    shape = float(ops.convert_to_numpy(beta))
    return _window(x, lambda t: np.i0(shape * np.sqrt(1 - t * t)) / np.i0(shape))
