"""Normalizations in torch."""

from __future__ import annotations

import torch.nn.functional as F

from kcore import config, ops


def _fused(x, axis, *parts):
    """The sizes that are normalized, if they are the last ones and all is of one dtype; else None."""
    first = x.ndim - len(axis)
    if axis != tuple(range(first, x.ndim)) or not axis or any(p is not None and p.dtype is not x.dtype for p in parts):
        return None
    return tuple(x.shape[first:])


def layer_normalization(x, gamma, beta, axis, epsilon):
    sizes = _fused(x, axis, gamma, beta)
    if sizes is None:
        return ops.layer_normalization.op.body(x, gamma, beta, axis, epsilon)
    gamma, beta = (None if p is None else p.reshape(sizes) for p in (gamma, beta))
    epsilon = config.epsilon() if epsilon is None else epsilon
    if gamma is None and beta is not None:  # torch has no second gradient then
        return F.layer_norm(x, sizes, None, None, epsilon) + beta
    return F.layer_norm(x, sizes, gamma, beta, epsilon)


def rms_normalization(x, scale, axis, epsilon):
    sizes = _fused(x, axis, scale)
    if sizes is None:
        return ops.rms_normalization.op.body(x, scale, axis, epsilon)
    scale = None if scale is None else scale.reshape(sizes)
    return F.rms_norm(x, sizes, scale, config.epsilon() if epsilon is None else epsilon)
