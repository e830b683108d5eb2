"""Ops that make tensors of other dtypes, in torch."""

from __future__ import annotations

import torch

from kcore.backends.torch import DTYPES as _DTYPES

copy = torch.clone


def view(x, dtype):
    if x.dtype is _DTYPES[dtype]:
        return x
    # A copy: torch takes an axis of one element, or none, for contiguous whatever its stride, but does not view it.
    return x.detach().clone(memory_format=torch.contiguous_format).view(_DTYPES[dtype])


def view_as_complex(x):
    return torch.complex(x[..., 0], x[..., 1])
