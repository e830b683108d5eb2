"""Elementwise ops. Arguments have one dtype already: the rule casts them."""

from __future__ import annotations

import array_api_strict as xp

from kcore_array_api.tensor import NoKernel, translated

# fmt: off
_SAME = [
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "negative", "positive", "square", "exp", "expm1",
    "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil", "trunc",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or",
    "logical_xor", "logical_not", "bitwise_and", "bitwise_or", "bitwise_xor", "isnan", "isinf", "isfinite",
    "signbit", "reciprocal", "logaddexp",
]
# fmt: on
_RENAMED = {
    "absolute": "abs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "bitwise_not": "bitwise_invert",
}


def _named(function, name):
    op = translated(function)
    op.__name__, op.__module__ = name, __name__
    return op


globals().update({name: _named(getattr(xp, name), name) for name in _SAME})
globals().update({name: _named(getattr(xp, theirs), name) for name, theirs in _RENAMED.items()})


def _is_complex(x):
    return xp.isdtype(x.dtype, "complex floating")


@translated
def conj(x):
    return xp.conj(x) if _is_complex(x) else x


@translated
def real(x):
    return xp.real(x) if _is_complex(x) else x


@translated
def imag(x):
    return xp.imag(x) if _is_complex(x) else xp.zeros_like(x)


@translated
def where(condition, x1, x2):
    if x1 is None:  # the indices of what is true
        raise NoKernel("where with one argument")
    return xp.where(condition, x1, x2)


@translated
def clip(x, x_min, x_max):
    return xp.minimum(xp.maximum(x, x_min), x_max)
