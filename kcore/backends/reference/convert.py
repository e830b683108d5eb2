"""Definitions and gradient rules of the ops that make tensors of other dtypes."""

from __future__ import annotations

import numpy as np

from kcore import dtypes, ops
from kcore.backends.reference.tape import vjps

copy = np.array


def view(x, dtype):
    return np.ascontiguousarray(x).reshape(x.shape).view(dtypes.to_numpy(dtype))


def view_as_complex(x):
    y = np.empty(x.shape[:-1], "complex64" if x.dtype == "float32" else "complex128")
    y.real, y.imag = x[..., 0], x[..., 1]
    return y


vjps(
    copy=lambda g, y, x: g,
    view=lambda g, y, x, dtype: g if dtypes.name_of(x.dtype) == dtype else None,
    view_as_complex=lambda g, y, x: ops.view_as_real(g),
)
