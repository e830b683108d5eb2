"""Attention in torch."""

from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend
from torch.nn.attention import sdpa_kernel as _sdpa_kernel

from kcore import ops


def dot_product_attention(query, key, value, bias, mask, scale, is_causal, flash_attention, attn_logits_soft_cap):
    from kcore.backends import torch as here

    # The fused kernels know no soft cap, and can't be differentiated twice.
    if not flash_attention and (flash_attention is False or attn_logits_soft_cap is not None or here._depth > 1):
        return ops.dot_product_attention.op.body(
            query, key, value, bias, mask, scale, is_causal, flash_attention, attn_logits_soft_cap
        )
    if attn_logits_soft_cap is not None:
        raise RuntimeError("flash_attention=True, but torch's fused kernels have no soft cap; leave it None.")
    bias, mask = (None if x is None else x.reshape((1,) * (4 - x.ndim) + x.shape) for x in (bias, mask))
    if is_causal and (bias is not None or mask is not None):
        before = torch.ones(query.shape[1], key.shape[1], dtype=torch.bool, device=query.device).tril()[None, None]
        mask = before if mask is None else mask & before
    if mask is not None:
        # torch makes nan of a query that sees nothing; seeing all with equal logits it averages.
        blind = ~mask.any(-1, keepdim=True)
        mask = mask | blind
        query = torch.where(blind.transpose(1, 2), 0, query)
        if bias is not None:
            bias = torch.where(blind, 0, bias.to(query.dtype))
            mask = torch.where(mask, bias, -torch.inf)
    elif bias is not None:
        mask = bias.to(query.dtype)
    with _sdpa_kernel(SDPBackend.FLASH_ATTENTION) if flash_attention else contextlib.nullcontext():
        y = F.scaled_dot_product_attention(
            *(x.transpose(1, 2) for x in (query, key, value)),
            attn_mask=mask,
            is_causal=is_causal and mask is None,
            scale=scale,
            enable_gqa=query.shape[2] != key.shape[2],
        )
    return y.transpose(1, 2)
