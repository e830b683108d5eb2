"""Attention in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from kcore import ops


def dot_product_attention(query, key, value, bias, mask, scale, is_causal, flash_attention, attn_logits_soft_cap):
    from kcore.backends import torch as here

    # The fused kernels know no soft cap, and can't be differentiated twice.
    if flash_attention is False or attn_logits_soft_cap is not None or here._depth > 1:
        return ops.dot_product_attention.op.body(
            query, key, value, bias, mask, scale, is_causal, flash_attention, attn_logits_soft_cap
        )
    if is_causal and (bias is not None or mask is not None):
        before = torch.ones(query.shape[1], key.shape[1], dtype=torch.bool, device=query.device).tril()
        mask = before if mask is None else mask & before
    if mask is not None:
        # A bool mask makes nan of a row with nothing to see; a large finite bias makes it uniform.
        far = torch.full((), -0.7 * torch.finfo(query.dtype).max, dtype=query.dtype, device=query.device)
        bias = torch.where(mask, far.new_zeros(()) if bias is None else bias.to(query.dtype), far)
    y = F.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (query, key, value)),
        attn_mask=None if bias is None else bias.to(query.dtype),
        is_causal=is_causal and bias is None,
        scale=scale,
        enable_gqa=query.shape[2] != key.shape[2],
    )
    return y.transpose(1, 2)
