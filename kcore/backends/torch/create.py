"""Ops that make tensors, in torch."""

from __future__ import annotations

import torch

from kcore.backends.torch import DTYPES as _DTYPES


def zeros(shape, dtype):
    return torch.zeros(shape, dtype=_DTYPES[dtype])


def ones(shape, dtype):
    return torch.ones(shape, dtype=_DTYPES[dtype])


def zeros_like(x, dtype):
    return torch.zeros_like(x, dtype=_DTYPES[dtype])


def ones_like(x, dtype):
    return torch.ones_like(x, dtype=_DTYPES[dtype])
