"""Ops that make tensors of other dtypes, in torch."""

from __future__ import annotations

import torch

from kcore.backends.torch import DTYPES as _DTYPES

copy = torch.clone


def view(x, dtype):
    return x if x.dtype is _DTYPES[dtype] else x.detach().contiguous().view(_DTYPES[dtype])


def view_as_complex(x):
    return torch.complex(x[..., 0], x[..., 1])
