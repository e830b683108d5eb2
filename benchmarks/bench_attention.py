"""Attention: the op, plain and causal, and the layer with its projections, forward and backward."""

from __future__ import annotations

import functools

import kcore
from kcore import ops

from .peers import Call, Layout, backward, forward, functional, nn, normal
from .rows import Row

HEADS, DEPTH = 8, 64
WIDTH = HEADS * DEPTH
GOAL = 1.0

# batch x heads x queries x depth: batch, heads, queries, keys, depth, heads of the keys, causal
SHAPES = {
    "8x8x512x64": (8, 8, 512, 512, 64, 8, False),
    "8x8x512x64, causal": (8, 8, 512, 512, 64, 8, True),
    "2x8x2048x64": (2, 8, 2048, 2048, 64, 8, False),
    "32x4x64x32": (32, 4, 64, 64, 32, 4, False),
    "4x8x256x128, 2 key heads": (4, 8, 256, 256, 128, 2, False),
    "8x8x1x64 to 512 keys": (8, 8, 1, 512, 64, 8, False),
    "8x8x1x64 to 2048 keys": (8, 8, 1, 2048, 64, 8, False),
}


def attention(heads: int, key_heads: int, causal: bool) -> dict:
    """(batch, length, heads, depth) in kcore and JAX; torch has heads before length."""
    swapped = Layout(lambda x: x.transpose(1, 2).contiguous(), lambda x: x.transpose(1, 2))
    grouped = heads != key_heads

    def in_torch(q, k, v):
        return functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=grouped)

    def strided(q, k, v):
        return in_torch(*(a.transpose(1, 2) for a in (q, k, v))).transpose(1, 2)

    return {
        "kcore": lambda q, k, v: ops.dot_product_attention(q, k, v, is_causal=causal),
        "torch": Call(in_torch, [swapped] * 3, swapped),
        "torch strided": strided,
        "jax": lambda q, k, v: nn.dot_product_attention(q, k, v, is_causal=causal),
    }


def layer():
    """Self-attention with its four projections, as a function of x and the weights."""

    @functools.cache
    def made():
        one = kcore.layers.MultiHeadAttention(HEADS, DEPTH)
        one.build((2, 4, WIDTH), (2, 4, WIDTH))
        return one

    def in_kcore(x, *weights):
        shaped = [ops.reshape(w, v.shape) for w, v in zip(weights, made().trainable_variables)]
        return made().stateless_call(shaped, made().non_trainable_variables, x, x)[0]

    def projected(x, w, b, split):
        y = x @ w + b
        return y.reshape(*y.shape[:2], HEADS, DEPTH) if split else y

    def in_torch(x, wq, bq, wk, bk, wv, bv, wo, bo):
        q, k, v = (projected(x, w, b, True).transpose(1, 2) for w, b in ((wq, bq), (wk, bk), (wv, bv)))
        y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return projected(y.reshape(x.shape), wo, bo, False)

    def in_jax(x, wq, bq, wk, bk, wv, bv, wo, bo):
        q, k, v = (projected(x, w, b, True) for w, b in ((wq, bq), (wk, bk), (wv, bv)))
        return projected(nn.dot_product_attention(q, k, v).reshape(x.shape), wo, bo, False)

    return {"kcore": in_kcore, "torch": in_torch, "jax": in_jax}


X = (2, 128, WIDTH)
WEIGHTS = [(WIDTH, WIDTH), (WIDTH,)] * 4


def layer_inputs(rng, gradient=False):
    x, *g = normal(X, *([X] if gradient else []))(rng)
    return [x, *normal(*WEIGHTS, scale=0.04)(rng), *g]


def rows():
    for name, (batch, heads, queries, keys, depth, key_heads, causal) in SHAPES.items():
        q, k = (batch, queries, heads, depth), (batch, keys, key_heads, depth)
        how = attention(heads, key_heads, causal)
        yield Row(f"attention {name}", forward(normal(q, k, k), **how), goal=GOAL, seconds=2)
        yield Row(f"attention {name}, backward", backward(normal(q, k, k, q), (0, 1, 2), **how), goal=GOAL, seconds=3)
    yield Row("MultiHeadAttention 2x128x512, 8 heads", forward(layer_inputs, **layer()), goal=GOAL)
    yield Row(
        "MultiHeadAttention 2x128x512, 8 heads, backward",
        backward(lambda rng: layer_inputs(rng, True), tuple(range(9)), **layer()),
        goal=GOAL,
    )


ROWS = list(rows())


def test_attention(timed):
    timed()
