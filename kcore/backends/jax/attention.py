"""Attention in JAX."""

from __future__ import annotations

import jax

from kcore import ops


def dot_product_attention(query, key, value, bias, mask, scale, is_causal, flash_attention, attn_logits_soft_cap):
    if not flash_attention:  # XLA fuses the definition
        return ops.dot_product_attention.op.body(
            query, key, value, bias, mask, scale, is_causal, flash_attention, attn_logits_soft_cap
        )
    if attn_logits_soft_cap is not None:
        raise RuntimeError("flash_attention=True, but cuDNN's kernel has no soft cap; leave it None.")
    four = [None if x is None else x.reshape((1,) * (4 - x.ndim) + x.shape) for x in (bias, mask)]
    return jax.nn.dot_product_attention(
        query, key, value, *four, scale=scale, is_causal=is_causal, implementation="cudnn"
    )
