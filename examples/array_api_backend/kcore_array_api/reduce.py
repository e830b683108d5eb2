"""Reductions. Axes arrive as a tuple of non-negative ints; an empty one folds nothing."""

from __future__ import annotations

import math

import array_api_strict as xp

from kcore_array_api.tensor import translated

_WIDER = {xp.float32: xp.float64, xp.complex64: xp.complex128}  # a sum is rounded once, at the end


@translated
def sum(x, axis, keepdims):
    return xp.astype(_sum(x, axis, keepdims), x.dtype)


@translated
def mean(x, axis, keepdims):
    total = _sum(x, axis, keepdims)
    return xp.astype(total / math.prod(x.shape[a] for a in axis), x.dtype)


def _sum(x, axis, keepdims):
    return xp.sum(x, axis=axis, keepdims=keepdims, dtype=_WIDER.get(x.dtype, x.dtype))


@translated
def any(x, axis, keepdims):
    return xp.any(x, axis=axis, keepdims=keepdims)


@translated
def all(x, axis, keepdims):
    return xp.all(x, axis=axis, keepdims=keepdims)
