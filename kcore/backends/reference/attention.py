"""Attention by kernels, where its portable body in `kcore/ops/attention.py` would make a matrix of all weights."""

from __future__ import annotations

import math

import numpy as np

from kcore import _native, gradients, ops
from kcore._native.threads import threads_for
from kcore.backends.reference.tape import recorded_as, tracked, vjp
from kcore.backends.reference.tensor import Tensor as _Tensor
from kcore.ops.mechanism import Plan, Tensor, Tensors, private_op
from kcore.ops.symbolic import Spec


def _has_kernel(query, key, value, flash_attention) -> bool:
    return _native.available and flash_attention is not False and 0 not in (*query.shape, *key.shape, *value.shape)


def _parts(query, key, value, bias, mask, scale, is_causal, cap):
    """The kernel's arguments."""
    q, k, v, bias = (None if t is None else np.ascontiguousarray(t, query.dtype) for t in (query, key, value, bias))
    mask = None if mask is None else np.ascontiguousarray(mask)
    scale = 1 / math.sqrt(query.shape[3]) if scale is None else float(scale)
    return q, k, v, bias, mask, scale, bool(is_causal), 0.0 if cap is None else float(cap)


def _threads(query, key):
    batch, rows, heads, depth = query.shape
    return threads_for(batch * rows * heads * depth * key.shape[1])


def _attended(query: Spec, key: Spec, value: Spec, bias, mask, scale, is_causal, cap) -> Plan:
    batch, rows, heads, _ = query.shape
    statistic = Spec((batch, heads, rows), "float64" if query.dtype == "float64" else "float32")
    return Plan.many((Spec((batch, rows, heads, value.shape[3]), query.dtype), statistic, statistic))


@private_op(rule=_attended)
def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, mask: Tensor | None, scale, is_causal, cap):
    """`dot_product_attention`; and each row's largest logit, and the sum of exp(logit - that)."""
    parts = _parts(query, key, value, bias, mask, scale, is_causal, cap)
    return _native.kernels.attention(*parts, _threads(query, key))


def _gradients(g: Spec, query: Spec, key: Spec, value: Spec, bias, mask, ys, how, by_bias) -> Plan:
    specs = [Spec(t.shape, t.dtype) for t in (query, key, value)]
    if by_bias:
        specs.append(Spec((query.shape[0], query.shape[2], query.shape[1], key.shape[1]), query.dtype))
    return Plan.many(tuple(specs), cast={"g": query.dtype})


@private_op(rule=_gradients)
def attend_grad(
    g: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    ys: Tensors,
    how,
    by_bias,
):
    """The gradients of `attend` by query, key and value, and by a bias as large as the logits if asked, for its
    first result, from its results ys. `how` is (scale, is_causal, cap)."""
    parts, (y, peak, total) = _parts(query, key, value, bias, mask, *how), ys
    g, y = (np.ascontiguousarray(t, query.dtype) for t in (g, y))
    found = _native.kernels.attention_grad(g, *parts, y, peak, total, by_bias, _threads(query, key))
    return tuple(d for d in found if d is not None)


@vjp(attend)
def _(gs, ys, query, key, value, bias, mask, scale, is_causal, cap):
    # The statistics have no gradient of their own: a second derivative makes them again.
    g = ops.broadcast_to(gs[0], ys[0].shape)
    by_bias = bias is not None and tracked((bias,))
    found = attend_grad(g, query, key, value, bias, mask, ys, (scale, is_causal, cap), by_bias)
    return (*found, *(() if by_bias else (None,)), None)


@recorded_as(attend_grad)
def _(g, query, key, value, bias, mask, ys, how, by_bias):
    logits = (query.shape[0], query.shape[2], query.shape[1], key.shape[1])

    def attended(query, key, value, *bias):
        return _body(query, key, value, *bias or (given,), mask, *how)

    given = bias
    wide = (ops.broadcast_to(bias, logits),) if by_bias else ()
    return gradients.vjp(attended, query, key, value, *wide)[1](g)


def _body(query, key, value, bias, mask, scale, is_causal, cap):
    return ops.dot_product_attention.op.body(query, key, value, bias, mask, scale, is_causal, None, cap)


def dot_product_attention(query, key, value, bias, mask, scale, is_causal, flash_attention, attn_logits_soft_cap):
    if _has_kernel(query, key, value, flash_attention):
        parts = _parts(query, key, value, bias, mask, scale, is_causal, attn_logits_soft_cap)
        return _native.kernels.attention(*parts, _threads(query, key))[0]
    tensors = (None if t is None else t.view(_Tensor) for t in (query, key, value, bias, mask))
    return ops.dot_product_attention.op.body(*tensors, scale, is_causal, flash_attention, attn_logits_soft_cap)


@recorded_as(ops.dot_product_attention)
def _(query, key, value, bias, mask, scale, is_causal, flash_attention, attn_logits_soft_cap):
    if _has_kernel(query, key, value, flash_attention):
        return attend(query, key, value, bias, mask, scale, is_causal, attn_logits_soft_cap)[0]
    return ops.dot_product_attention.op.body(
        query, key, value, bias, mask, scale, is_causal, flash_attention, attn_logits_soft_cap
    )
