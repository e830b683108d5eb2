"""Definitions of the ops that make tensors."""

from __future__ import annotations

import numpy as np

from kcore import dtypes


def zeros(shape, dtype):
    return np.zeros(shape, dtypes.to_numpy(dtype))


def ones(shape, dtype):
    return np.ones(shape, dtypes.to_numpy(dtype))


def zeros_like(x, dtype):
    return np.zeros(x.shape, dtypes.to_numpy(dtype))


def ones_like(x, dtype):
    return np.ones(x.shape, dtypes.to_numpy(dtype))
