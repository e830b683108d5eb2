"""Definitions of the ops that make tensors."""

from __future__ import annotations

import numpy as np

from kcore import dtypes
from kcore.backends.host import float_range

tril, triu, diagonal = np.tril, np.triu, np.diagonal


def zeros(shape, dtype):
    return np.zeros(shape, dtypes.to_numpy(dtype))


def ones(shape, dtype):
    return np.ones(shape, dtypes.to_numpy(dtype))


def zeros_like(x, dtype):
    return np.zeros(x.shape, dtypes.to_numpy(dtype))


def ones_like(x, dtype):
    return np.ones(x.shape, dtypes.to_numpy(dtype))


def full(shape, fill_value, dtype):
    return np.full(shape, fill_value, dtypes.to_numpy(dtype))


def arange(start, stop, step, dtype):
    if dtypes.is_int(dtype) and all(isinstance(v, int) for v in (start, stop, step)):
        return np.arange(start, stop, step).astype(dtypes.to_numpy(dtype))
    return float_range(start, stop, step, dtype)


def eye(N, M, k, dtype):
    return np.eye(N, M, k, dtypes.to_numpy(dtype))


def tri(N, M, k, dtype):
    return np.tri(N, M, k, "bool").astype(dtypes.to_numpy(dtype))
