"""Ops that order elements, in torch."""

from __future__ import annotations

import torch


def sort(x, axis):
    if axis is None:
        x, axis = x.reshape(-1), 0
    return torch.sort(x, dim=axis, stable=True).values


def argsort(x, axis):
    if axis is None:
        x, axis = x.reshape(-1), 0
    return torch.sort(x, dim=axis, stable=True).indices.int()


def top_k(x, k, sorted):
    # torch.topk takes any of equal elements.
    values, indices = torch.sort(x, dim=-1, descending=True, stable=True)
    return values[..., :k], indices[..., :k].int()


def searchsorted(sorted_sequence, values, side):
    if not values.is_floating_point():
        return torch.searchsorted(sorted_sequence, values, side=side, out_int32=True)
    # torch compares with nan in the sequence: the part without any is searched, and nan goes to its end.
    absent = torch.isnan(sorted_sequence)
    numbers = (~absent).sum(dtype=torch.int32)
    bound = sorted_sequence.masked_fill(absent, torch.inf).contiguous()
    y = torch.minimum(torch.searchsorted(bound, values.contiguous(), side=side, out_int32=True), numbers)
    return torch.where(torch.isnan(values), numbers if side == "left" else len(sorted_sequence), y)
