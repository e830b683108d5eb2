"""Ops that make tensors, in torch."""

from __future__ import annotations

import torch

from kcore import dtypes
from kcore.backends.host import float_range
from kcore.backends.torch import DTYPES as _DTYPES
from kcore.backends.torch import from_numpy

tril, triu, diagonal = torch.tril, torch.triu, torch.diagonal


def zeros(shape, dtype):
    return torch.zeros(shape, dtype=_DTYPES[dtype])


def ones(shape, dtype):
    return torch.ones(shape, dtype=_DTYPES[dtype])


def zeros_like(x, dtype):
    return torch.zeros_like(x, dtype=_DTYPES[dtype])


def ones_like(x, dtype):
    return torch.ones_like(x, dtype=_DTYPES[dtype])


def full(shape, fill_value, dtype):
    return fill_value.expand(shape).clone()


def arange(start, stop, step, dtype):
    if not dtypes.is_int(dtype) or not all(isinstance(v, int) for v in (start, stop, step)):
        return from_numpy(float_range(start, stop, step, dtype))
    if (stop - start) * step < 0:  # torch refuses a range that ends before it starts
        stop = start
    return torch.arange(start, stop, step, dtype=_DTYPES[dtype])
