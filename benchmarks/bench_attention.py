"""Attention: the op, plain and causal, and the layer with its projections, forward and backward."""

from __future__ import annotations

import functools

import kcore
from kcore import ops

from .peers import Call, Layout, backward, forward, functional, nn, normal
from .rows import Row

BATCH, HEADS, LENGTH, DEPTH = 8, 8, 512, 64
WIDTH = HEADS * DEPTH
GOAL = 1.0


def attention(causal: bool) -> dict:
    """(batch, length, heads, depth) in kcore and JAX; torch has heads before length."""
    swapped = Layout(lambda x: x.transpose(1, 2).contiguous(), lambda x: x.transpose(1, 2))

    def in_torch(q, k, v):
        return functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

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


SHAPE = (BATCH, LENGTH, HEADS, DEPTH)
X = (2, 128, WIDTH)
WEIGHTS = [(WIDTH, WIDTH), (WIDTH,)] * 4


def layer_inputs(rng, gradient=False):
    x, *g = normal(X, *([X] if gradient else []))(rng)
    return [x, *normal(*WEIGHTS, scale=0.04)(rng), *g]


def rows():
    for name, causal in (("", False), ("causal ", True)):
        how = attention(causal)
        yield Row(f"{name}attention 8x8x512x64", forward(normal(*[SHAPE] * 3), **how), goal=GOAL, seconds=4)
        yield Row(
            f"{name}attention 8x8x512x64, backward",
            backward(normal(*[SHAPE] * 4), (0, 1, 2), **how),
            goal=GOAL,
            seconds=6,
        )
    yield Row("MultiHeadAttention 2x128x512, 8 heads", forward(layer_inputs, **layer()), goal=GOAL)
    yield Row(
        "MultiHeadAttention 2x128x512, 8 heads, backward",
        backward(lambda rng: layer_inputs(rng, True), tuple(range(9)), **layer()),
        goal=GOAL,
    )


ROWS = list(rows())


def test_attention(timed):
    timed()
