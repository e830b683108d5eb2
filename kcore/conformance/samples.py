"""Draws of inputs that the records share. Shapes are small, rectangular and odd-sized on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore.conformance.record import Sample

FLOATS = ("float32", "float64", "float16", "bfloat16")
PRECISE = ("float32", "float64")
FIRST: dict[str, Any] = {"data_format": "channels_first"}
# What is known of a sample of complex numbers.
AS_COMPLEX: dict[str, Any] = {"grad": False, "dtypes": ("float64",), "why": "complex numbers"}


def draw(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    """Floats spread evenly over [low, high), no two alike, in float64."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def complex_draw(*shape: int, seed: int = 0) -> np.ndarray:
    """Complex numbers, of draws by `seed` and the next one."""
    return draw(*shape, seed=seed) + 1j * draw(*shape, seed=seed + 1)


def arrays(*args: Any, dtype: str | None = None, **known: Any) -> Sample:
    """One sample, with each list among its arguments as an array."""
    return Sample(*(np.array(a, dtype) if isinstance(a, list) else a for a in args), **known)


def ints(*args: Any, dtype: str = "int32", **known: Any) -> Sample:
    """`arrays` of whole numbers."""
    return arrays(*args, dtype=dtype, **known)


def points(*xs: float, **known: Any) -> Sample:
    """One sample of single points."""
    return arrays(list(xs), **known)


def whole(*shape: int, low: int = 0, high: int = 10, seed: int = 0, dtype: str = "int32") -> np.ndarray:
    """Integers from low to high - 1."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape).astype(dtype)


def folds(*shapes: tuple[int, ...], low: float = -2.0, high: float = 2.0, **arguments: Any) -> list[Sample]:
    """A reduction over each axis, a pair of axes, all of them, and with keepdims."""
    found = []
    for shape in shapes:
        x = draw(*shape, low=low, high=high)
        found += [Sample(x, **arguments), Sample(x, keepdims=True, **arguments)]
        found += [Sample(x, axis=axis, **arguments) for axis in range(-len(shape), len(shape))]
        if len(shape) > 1:
            found += [Sample(x, axis=(0, -1), **arguments), Sample(x, axis=(-1, 0), keepdims=True, **arguments)]
    return found


def unaries(low: float = -2.0, high: float = 2.0, **arguments: Any) -> list[Sample]:
    """One tensor argument: a scalar, a vector, a matrix, nothing."""
    shapes = ((), (5,), (3, 7), (0, 3))
    return [Sample(draw(*shape, low=low, high=high), **arguments) for shape in shapes]


def pairs(low: float = -2.0, high: float = 2.0, **arguments: Any) -> list[Sample]:
    """Two tensor arguments: equal shapes, broadcasting ones, and empty ones."""
    shapes = (((3, 5), (3, 5)), ((), (4,)), ((2, 1, 3), (5, 1)), ((3, 0), (1, 1)))
    return [Sample(draw(*a, low=low, high=high), draw(*b, low=low, high=high, seed=1), **arguments) for a, b in shapes]
