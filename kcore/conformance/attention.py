"""Records of attention."""

from __future__ import annotations

import numpy as np
import scipy.special as special

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import FLOATS, draw


def attention(
    q, k, v, bias=None, mask=None, scale=None, is_causal=False, flash_attention=None, attn_logits_soft_cap=None
):
    groups = q.shape[2] // k.shape[2]
    k, v = np.repeat(k, groups, 2), np.repeat(v, groups, 2)
    logits = np.einsum("btnh,bsnh->bnts", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if attn_logits_soft_cap is not None:
        logits = np.tanh(logits / attn_logits_soft_cap) * attn_logits_soft_cap
    if bias is not None:
        logits = logits + bias
    seen = np.ones(logits.shape, bool) if mask is None else np.broadcast_to(np.asarray(mask, bool), logits.shape)
    if is_causal:
        seen = seen & np.tri(*logits.shape[-2:], dtype=bool)
    blind = ~seen.any(-1, keepdims=True)
    weights = special.softmax(np.where(blind, 0, np.where(seen, logits, -np.inf)), -1)
    return np.einsum("bnts,bsnh->btnh", weights, v)


Q, K, V = draw(2, 5, 4, 3), draw(2, 7, 4, 3, seed=1), draw(2, 7, 4, 3, seed=2)
BIAS = draw(2, 4, 5, 7, seed=3)
MASK = draw(2, 1, 5, 7, seed=4) > -0.5
BLIND = np.ones((1, 1, 5, 7), bool)
BLIND[..., 2, :] = False

Case(
    ops.dot_product_attention,
    attention,
    samples=[
        Sample(Q, K, V),
        Sample(Q, K, V, scale=0.25),
        Sample(Q, K, V, BIAS),
        Sample(Q, K, V, BIAS[:1, :1], MASK),
        Sample(Q, K, V, mask=MASK),
        Sample(Q, K, V, mask=MASK[0, 0], why="a mask for all batches and heads"),
        Sample(Q, K, V, mask=BLIND, why="a query that sees nothing averages"),
        Sample(Q, K, V, np.where(np.arange(7) == 2, -np.inf, BIAS), why="a bias that hides a key"),
        Sample(Q, K, V, is_causal=True, why="fewer queries than keys"),
        Sample(K, Q, Q, is_causal=True, why="more queries than keys"),
        Sample(Q, K, V, BIAS, MASK, is_causal=True),
        Sample(Q, K[:, :, :2], V[:, :, :2], why="two query heads for each key head"),
        Sample(Q, K[:, :, :1], V[:, :, :1], BIAS, MASK, is_causal=True, why="one key head for all"),
        Sample(Q, K, V[..., :2], why="values of another size"),
        Sample(Q, K, V, attn_logits_soft_cap=0.5),
        Sample(Q, K, V, BIAS, MASK, attn_logits_soft_cap=2.0, flash_attention=False),
        Sample(30 * Q, 30 * K, V, why="large logits"),
        Sample(Q[:0], K[:0], V[:0], why="an empty batch"),
    ],
    errors=[
        Bad(Q[0], K, V, match=r"query should have 4 dimensions"),
        Bad(Q[:1], K, V, match=r"batch size differs"),
        Bad(Q, K[:, :3], V, match=r"number of keys and values differs"),
        Bad(Q, K, V[:, :, :2], match=r"number of key and value heads differs"),
        Bad(Q[..., :2], K, V, match=r"size of a query and key head differs"),
        Bad(Q, K[:, :, :3], V[:, :, :3], match=r"4 query heads can't share 3"),
        Bad(Q, K, V, mask=np.ones((2, 5, 7), bool), match=r"mask of shape \(2, 5, 7\) does not broadcast"),
        Bad(Q, K, V, np.ones((7, 5)), match=r"bias of shape \(7, 5\) does not broadcast"),
    ],
    tol={"float64": 4e-15, "float32": 3e-6, "float16": 4e-3, "bfloat16": 4e-2},
    dtypes=FLOATS,
)
