"""Dtypes by name, and the one promotion lattice that every backend follows.

A dtype is a string ("float32"). Python scalars are weak: "int", "float" and "complex"
stand for `int`, `float` and `complex` values, which take the dtype of what they meet and
only widen its kind. The lattice is JAX's (https://docs.jax.dev/en/latest/jep/9407-type-promotion.html),
as Keras has it: 64-bit integers with a float give that float, and nothing becomes float64
unless a float64 is there.
"""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np

from kcore import config

BOOL = ("bool",)
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
FLOAT8 = ("float8_e4m3fn", "float8_e5m2")
FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
ALL = BOOL + INTEGERS + FLOAT8 + FLOATS + COMPLEX

WEAK = {bool: "bool", int: "int", float: "float", complex: "complex"}

# Each dtype and the smallest ones that can hold it; a promotion is the least upper bound.
_ABOVE: dict[str, tuple[str, ...]] = {
    "bool": ("int",),
    "int": ("uint8", "int8"),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float",),
    "float": ("bfloat16", "float16", "complex"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64", "complex64"),
    "float64": ("complex128",),
    "complex": ("complex64",),
    "complex64": ("complex128",),
    "complex128": (),
}

_NUMPY: dict[str, np.dtype] = {name: np.dtype(getattr(ml_dtypes, name, None) or name) for name in ALL}
_NAMES: dict[Any, str] = {dtype: name for name, dtype in _NUMPY.items()}
_NAMES |= {np.dtype(name).type: name for name in ALL if not hasattr(ml_dtypes, name)}
_NAMES |= {getattr(ml_dtypes, n): n for n in ("bfloat16", *FLOAT8)}
_NAMES |= {bool: "bool", int: "int32", complex: "complex64"}


def name_of(dtype: Any) -> str:
    """The name of a dtype given as a name, a NumPy, JAX, torch or TensorFlow dtype, or `int`...

    Raises:
        ValueError: It names no dtype that kcore has.
    """
    if isinstance(dtype, str):
        if dtype in _NUMPY:
            return dtype
        if dtype in ("int", "float", "complex"):
            return concrete(dtype)
        if dtype.startswith("torch."):
            return name_of(dtype[6:])
        if dtype == "half":
            return "float16"
        if dtype == "double":
            return "float64"
    if dtype is float:
        return config.floatx()
    try:
        return _NAMES[dtype]
    except (KeyError, TypeError):
        pass
    for found in (getattr(dtype, "name", None), str(dtype).removeprefix("torch.")):
        if found in _NUMPY:
            return found
    raise ValueError(f"{dtype!r} is no dtype; expected one of {', '.join(ALL)}.")


def standardize(dtype: Any) -> str:
    """As `name_of`; None is the default float."""
    return config.floatx() if dtype is None else name_of(dtype)


def to_numpy(name: str) -> np.dtype:
    """The NumPy dtype of that name (ml_dtypes for bfloat16 and float8)."""
    return _NUMPY[name]


def concrete(name: str) -> str:
    """The dtype itself; for a weak one, what it becomes alone: int32, floatx or complex64."""
    if name == "int":
        return "int32"
    if name == "float":
        return config.floatx()
    return "complex64" if name == "complex" else name


def is_weak(name: str) -> bool:
    return name in ("int", "float", "complex")


def is_bool(name: str) -> bool:
    return name == "bool"


def is_int(name: str) -> bool:
    return name in INTEGERS or name == "int"


def is_float(name: str) -> bool:
    return name in FLOATS or name in FLOAT8 or name == "float"


def is_complex(name: str) -> bool:
    return name in COMPLEX or name == "complex"


def is_inexact(name: str) -> bool:
    return is_float(name) or is_complex(name)


def is_wide(name: str) -> bool:
    """Whether elements have 64-bit parts, which JAX cuts to 32 unless told otherwise."""
    return name in ("int64", "uint64", "float64", "complex128")


def real_of(name: str) -> str:
    """The dtype of the real part."""
    return {"complex64": "float32", "complex128": "float64"}.get(name, name)


def float_of(name: str) -> str:
    """The dtype for float results on such input: itself if inexact, else the default float."""
    return concrete(name) if is_float(name) or is_complex(name) else config.floatx()


def missing(name: str) -> Any:
    """What ops answer where an index is out of range: nan, the least signed integer, the greatest unsigned one, true."""
    if is_bool(name):
        return True
    if not is_int(name):
        return float("nan")
    limits = np.iinfo(name)
    return int(limits.min if limits.min else limits.max)


def accumulator(name: str) -> str:
    """The dtype that sums of such elements are carried in: float32 for the 16-bit floats."""
    return "float32" if name in ("float16", "bfloat16") or name in FLOAT8 else name


@functools.cache
def _uppers(name: str) -> frozenset[str]:
    return frozenset({name}.union(*(_uppers(up) for up in _ABOVE[name])))


@functools.cache
def _join(names: frozenset[str]) -> str:
    eights = [n for n in names if n in FLOAT8]
    if eights:
        if len(names - {"bool", "int", "float"}) > 1:
            raise ValueError(
                f"{eights[0]} and {', '.join(sorted(names - set(eights[:1])))} have no common dtype; "
                "cast float8 explicitly."
            )
        return eights[0]
    common = frozenset.intersection(*(_uppers(n) for n in names))
    return next(n for n in common if common <= _uppers(n))


def promote(*names: str) -> str:
    """The dtype that values of these dtypes meet in. Weak names only widen the kind.

    Raises:
        ValueError: float8 meets another float: no implicit cast exists.
    """
    return concrete(_join(frozenset(names)))


def result_type(*items: Any) -> str:
    """`promote` of dtypes, Python scalar types, or anything that has a dtype."""
    names = []
    for item in items:
        item = getattr(item, "dtype", item)
        names.append(WEAK[item] if isinstance(item, type) and item in WEAK else _weak_or_name(item))
    return promote(*names) if names else config.floatx()


def _weak_or_name(item: Any) -> str:
    if isinstance(item, (bool, int, float, complex)):
        return WEAK[type(item)]
    return item if isinstance(item, str) and is_weak(item) else name_of(item)
