"""Attention: values averaged by how well queries and keys agree."""

from __future__ import annotations

import math
from typing import Any

from kcore import config, dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.symbolic import Spec

# A logit that no softmax in float32 or float64 gives any weight beside another.
_FAR = -2e38


def _attended(
    query: Spec, key: Spec, value: Spec, bias: Spec | None, mask: Spec | None, flash_attention: bool | None, **rest: Any
) -> Plan:
    for operand, what in ((query, "query"), (key, "key"), (value, "value")):
        rules.require_ndim(operand, 4, what)
    (batch, rows, heads, depth), (kb, columns, kh, kd), (vb, vc, vh, out) = query.shape, key.shape, value.shape
    shapes = f"query {query.shape}, key {key.shape} and value {value.shape}"
    for what, sizes in (
        ("batch size", (batch, kb, vb)),
        ("number of keys and values", (columns, vc)),
        ("number of key and value heads", (kh, vh)),
        ("size of a query and key head", (depth, kd)),
    ):
        if len({d for d in sizes if d is not None}) > 1:
            raise ValueError(f"the {what} differs in {shapes}.")
    if heads is not None and kh is not None and (kh == 0 or heads % kh):
        raise ValueError(f"the {heads} query heads can't share {kh} key and value heads evenly, in {shapes}.")
    logits = (batch, heads, rows, columns)
    for name, x in (("bias", bias), ("mask", mask)):
        if x is not None and (x.ndim > 4 or not _fits(x.shape, logits)):
            raise ValueError(
                f"{name} of shape {x.shape} does not broadcast to (batch, heads, queries, keys) = {logits}."
            )
    dtype = dtypes.float_of(dtypes.promote(query.dtype, key.dtype, value.dtype))
    known = next((b for b in (batch, kb, vb) if b is not None), None)
    cast = {"query": dtype, "key": dtype, "value": dtype, "mask": "bool"}
    if bias is not None:
        cast["bias"] = dtypes.float_of(bias.dtype)
    if flash_attention is None:
        flash_attention = config.is_flash_attention_enabled()
    return Plan((known, rows, heads, out), dtype, cast=cast, flash_attention=flash_attention)


def _fits(shape: tuple, target: tuple) -> bool:
    return all(d in (1, None, t) or t is None for d, t in zip(shape[::-1], target[::-1], strict=False))


@op(rule=_attended)
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """softmax(query @ key * scale + bias) @ value, for each head (Vaswani et al. 2017).

    Args:
        query: (batch, queries, heads, depth).
        key: (batch, keys, key heads, depth). `heads` is a multiple of the key heads: each serves
            heads / key heads neighbouring query heads.
        value: (batch, keys, key heads, value depth).
        bias: Added to the logits; broadcasts to (batch, heads, queries, keys). -inf hides a key, but
            may not hide all keys of a query.
        mask: True where a query may see a key; broadcasts to (batch, heads, queries, keys). A
            query that may see none averages all values alike. What is hidden must be finite: its
            weight is 0, and 0 times nan is nan.
        scale: Of the logits; None is 1 / sqrt(depth).
        is_causal: Whether query i sees keys 0 to i only.
        flash_attention: True insists on the framework's fused kernel, False goes without; None
            leaves it to the backend.
        attn_logits_soft_cap: Bounds the scaled logits to (-cap, cap) by cap * tanh(logits / cap),
            before the bias.

    Returns:
        (batch, queries, heads, value depth), in the dtype that query, key and value meet in.
        The softmax of 16-bit floats is taken in float32.

    Raises:
        ValueError: The shapes don't fit together.
        RuntimeError: `flash_attention` is True and the backend has no such kernel for this call.

    >>> query = key = ops.zeros((1, 2, 1, 4))  # (batch, length, heads, depth)
    >>> value = ops.reshape([1.0, 3.0], (1, 2, 1, 1))
    >>> ops.ravel(ops.dot_product_attention(query, key, value, is_causal=True))
    Tensor([1., 2.], dtype=float32)
    """
    if flash_attention:
        raise RuntimeError("flash_attention=True, but this backend has no fused kernel for this call; leave it None.")
    dtype = dtypes.name_of(query.dtype)
    wide = dtypes.accumulator(dtype)
    batch, rows, heads, depth = ops.shape(query)
    shared = key.shape[2]
    groups = query.shape[2] // shared
    q = ops.transpose(ops.cast(query, wide), (0, 2, 1, 3))
    if groups > 1:  # the query heads of one key head become more rows of it
        q = ops.reshape(q, (batch, shared, groups * rows, depth))
    logits = ops.matmul(q, ops.transpose(ops.cast(key, wide), (0, 2, 3, 1)))
    logits = logits * (1 / math.sqrt(depth) if scale is None else scale)
    if attn_logits_soft_cap is not None:
        logits = attn_logits_soft_cap * ops.tanh(logits / attn_logits_soft_cap)
    if groups > 1:
        logits = ops.reshape(logits, (batch, heads, rows, ops.shape(key)[1]))
    if bias is not None:
        logits = logits + ops.cast(bias, wide)
    if is_causal:
        before = _causal(logits)
        mask = before if mask is None else ops.logical_and(mask, before)
    if mask is not None:
        # Finite, so that a row with nothing to see is uniform, not nan.
        logits = ops.where(mask, logits, _FAR)
    weights = ops.cast(ops.softmax(logits, -1), dtype)
    if groups > 1:
        weights = ops.reshape(weights, (batch, shared, groups * rows, ops.shape(key)[1]))
    y = ops.matmul(weights, ops.transpose(value, (0, 2, 1, 3)))
    if groups > 1:
        y = ops.reshape(y, (batch, heads, rows, value.shape[3]))
    return ops.transpose(y, (0, 2, 1, 3))


def _causal(logits: Tensor) -> Tensor:
    """Whether a key comes no later than the query, for (..., queries, keys)."""
    rows, columns = ops.shape(logits)[-2:]
    return ops.expand_dims(ops.arange(rows), 1) >= ops.arange(columns)
