"""Ops that make tensors, in torch."""

from __future__ import annotations

import torch

from kcore import dtypes
from kcore.backends.host import float_range
from kcore.backends.torch import DTYPES as _DTYPES
from kcore.backends.torch import from_numpy

tril, triu, diagonal = torch.tril, torch.triu, torch.diagonal


def _typed(make):
    """The function, whose last argument is a dtype, with the dtype by its name."""
    return lambda *given: make(*given[:-1], dtype=_DTYPES[given[-1]])


zeros, ones = _typed(torch.zeros), _typed(torch.ones)
zeros_like, ones_like = _typed(torch.zeros_like), _typed(torch.ones_like)


def full(shape, fill_value, dtype):
    return fill_value.expand(shape).clone()


def arange(start, stop, step, dtype):
    if not dtypes.is_int(dtype) or not all(isinstance(v, int) for v in (start, stop, step)):
        return from_numpy(float_range(start, stop, step, dtype))
    if (stop - start) * step < 0:  # torch refuses a range that ends before it starts
        stop = start
    return torch.arange(start, stop, step, dtype=_DTYPES[dtype])
