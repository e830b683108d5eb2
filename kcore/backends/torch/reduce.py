"""Reductions in torch."""

from __future__ import annotations

import torch


def sum(x, axis, keepdims):
    if axis == ():  # torch folds every axis for an empty dim, kcore folds none
        return x
    return torch.sum(x, axis, keepdim=keepdims, dtype=x.dtype)  # torch widens small ints


def max(x, axis, keepdims, initial):
    if axis == ():
        y = x
    elif 0 in x.shape and initial is not None:  # torch folds no empty axis
        shape = [1 if i in axis else d for i, d in enumerate(x.shape) if keepdims or i not in axis]
        y = torch.full(shape, initial, dtype=x.dtype)
    else:
        y = torch.amax(x, axis, keepdim=keepdims)
    return y if initial is None else torch.maximum(y, torch.tensor(initial, dtype=x.dtype))


def mean(x, axis, keepdims):
    return x if axis == () else torch.mean(x, axis, keepdim=keepdims)
