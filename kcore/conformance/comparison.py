"""How far a result is from the one that was wanted."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np


class Distance(NamedTuple):
    """The worst of what was found.

    Attributes:
        error: The largest |got - want| / max(1, |want|) over the elements.
        ulp: The largest |got - want| in units in the last place of `want` in got's dtype, where want is not 0;
            0 for integers.
        where: The index of the worst element, None where there is none.
        problem: What is wrong whatever the tolerance: a nan out of place, say. None if nothing.
    """

    error: float = 0.0
    ulp: float = 0.0
    where: tuple[int, ...] | None = None
    problem: str | None = None


def distance(got: np.ndarray, want: np.ndarray, signs: bool = False) -> Distance:
    """Compares a result with the wanted one, which is in float64 where `got` is a float.

    Nan must be where nan is wanted, and infinities with their sign; where a finite value is
    wanted that got's dtype does not hold, its infinity is. Integers and bools are compared exactly.

    Args:
        got, want: Arrays.
        signs: Whether a zero must have the wanted sign.
    """
    if got.shape != want.shape:
        return Distance(problem=f"shape {got.shape} instead of {want.shape}")
    if got.dtype.kind in "biu":
        return _exact(got, want)
    if got.dtype.kind == "c":
        return _complex(got, want.astype("complex128"))
    if want.dtype.kind == "c":
        return Distance(problem=f"dtype {got.dtype}, but the formula is complex")
    return _floats(got, want.astype("float64"), signs)


def _exact(got: np.ndarray, want: np.ndarray) -> Distance:
    if want.dtype.kind in "biu" and got.dtype.kind != "b":
        want = want.astype(got.dtype)  # wraps around, as the op's own integers do
    wrong = got != want
    if not wrong.any():
        return Distance()
    where = _first(wrong)
    return Distance(np.inf, 0.0, where, "values differ")


def _floats(got: np.ndarray, want: np.ndarray, signs: bool) -> Distance:
    bounds = _limits(got.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        want = np.where(np.isfinite(want) & np.isinf(want.astype(got.dtype)), np.copysign(np.inf, want), want)
        wide = got.astype("float64")
    misplaced = np.isnan(wide) != np.isnan(want)
    if misplaced.any():
        return Distance(np.inf, np.inf, _first(misplaced), "nan is out of place")
    infinite = np.isinf(want) | np.isinf(wide)
    misplaced = infinite & (wide != want)
    if misplaced.any():
        return Distance(np.inf, np.inf, _first(misplaced), "an infinity is out of place")
    if signs:
        misplaced = (want == 0) & (wide == 0) & (np.signbit(wide) != np.signbit(want))
        if misplaced.any():
            return Distance(np.inf, np.inf, _first(misplaced), "a zero has the wrong sign")
    finite = ~infinite & ~np.isnan(want)
    if not finite.any():
        return Distance()
    gap = np.where(finite, np.abs(wide - np.where(finite, want, 0)), 0)
    size = np.where(finite, np.abs(want), 0)
    error = gap / np.maximum(1, size)
    _, exponent = np.frexp(np.maximum(size, float(bounds.smallest_normal)))
    with np.errstate(over="ignore"):
        ulp = np.where(size > 0, gap / np.ldexp(float(bounds.eps), exponent - 1), 0)
    return Distance(float(error.max()), float(ulp.max()), _first(error == error.max()))


def _complex(got: np.ndarray, want: np.ndarray) -> Distance:
    parts = [_floats(np.asarray(g), np.asarray(w), False) for g, w in ((got.real, want.real), (got.imag, want.imag))]
    for part in parts:
        if part.problem:
            return part
    finite = np.isfinite(want)
    if not finite.any():
        return Distance()
    error = np.where(finite, np.abs(np.where(finite, got - want, 0)), 0) / np.maximum(
        1, np.abs(np.where(finite, want, 0))
    )
    return Distance(float(error.max()), max(part.ulp for part in parts), _first(error == error.max()))


def _limits(dtype: np.dtype) -> Any:
    return ml_dtypes.finfo(dtype)


def _first(mask: np.ndarray) -> tuple[int, ...]:
    """The index of the first true element."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))
