"""Reductions in torch. Where torch folds every axis for an empty dim, kcore folds none."""

from __future__ import annotations

import torch


def sum(x, axis, keepdims):
    return torch.sum(x, axis, keepdim=keepdims, dtype=x.dtype) if axis else x  # torch widens small ints


def prod(x, axis, keepdims, dtype):
    for a in reversed(axis):  # torch.prod takes one axis
        x = torch.prod(x, a, keepdim=keepdims, dtype=x.dtype)
    return x


def var(x, axis, keepdims):
    if not axis:
        return torch.zeros_like(x.real if x.is_complex() else x) * x.abs()  # nan for inf and nan
    return torch.var(x, axis, correction=0, keepdim=keepdims)


def moments(x, axes, keepdims, synchronized):
    dtype = x.dtype
    x = x.float() if x.element_size() == 2 else x
    m, v = mean(x, axes, keepdims), var(x, axes, keepdims)
    if synchronized and torch.distributed.is_available() and torch.distributed.is_initialized():
        # Each process has an equal part of the batch: the mean of their variances, and the variance of their means.
        own = m
        m = _mean_of_processes(own)
        v = _mean_of_processes(v + (own - m).abs().square())
    return m.to(dtype), v.to(dtype.to_real())


def _mean_of_processes(x):
    import torch.distributed.nn.functional as distributed

    return distributed.all_reduce(x.contiguous()) / torch.distributed.get_world_size()  # gradients flow through it


def _peak(fold, meet):
    def folded(x, axis, keepdims, initial):
        if not axis:
            y = x
        elif 0 in x.shape and initial is not None:  # torch folds no empty axis
            shape = [1 if i in axis else d for i, d in enumerate(x.shape) if keepdims or i not in axis]
            return torch.full(shape, initial, dtype=x.dtype, device=x.device)
        else:
            y = fold(x, axis, keepdim=keepdims)
        return y if initial is None else meet(y, torch.tensor(initial, dtype=x.dtype, device=x.device))

    return folded


def _place(find):
    def found(x, axis, keepdims):
        x = x.to(torch.uint8) if x.dtype == torch.bool else x  # torch has no argmax of bools
        return find(x, axis, keepdim=keepdims).to(torch.int32)

    return found


def _folded(fold):
    return lambda x, axis, keepdims: fold(x, axis, keepdim=keepdims) if axis else x


def _running(fold):
    return lambda x, axis, dtype: fold(x.reshape(-1) if axis is None else x, axis or 0, dtype=x.dtype)


max, min = _peak(torch.amax, torch.maximum), _peak(torch.amin, torch.minimum)
argmax, argmin = _place(torch.argmax), _place(torch.argmin)
mean, any, all = _folded(torch.mean), _folded(torch.any), _folded(torch.all)
cumsum, cumprod = _running(torch.cumsum), _running(torch.cumprod)
