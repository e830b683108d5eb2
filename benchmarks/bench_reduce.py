"""Reductions, scans and sorts of a matrix, over rows and over columns."""

from __future__ import annotations

import numpy as np
import scipy.special

from kcore import ops

from .peers import Inputs, forward, jax, jnp, normal, torch
from .rows import Row

SHAPE = (1024, 1000)
VIEWS = {
    "rows of 1000x1000": ((1000, 1000), 1),
    "columns of 1000x1000": ((1000, 1000), 0),
    "1M numbers": ((1_000_000,), 0),
    "the middle of 10x1000x100": ((10, 1000, 100), 1),
    "rows of 100000x10": ((100_000, 10), 1),
    "rows of 3162x3162": ((3162, 3162), 1),
    "columns of 3162x3162": ((3162, 3162), 0),
}

# name: (kcore, NumPy, torch, jax), each a function of (x, axis)
FOLDS = {
    "sum": (ops.sum, np.sum, lambda x, a: torch.sum(x, a), lambda x, a: jnp.sum(x, a)),
    "mean": (ops.mean, np.mean, lambda x, a: torch.mean(x, a), lambda x, a: jnp.mean(x, a)),
    "variance": (ops.var, np.var, lambda x, a: torch.var(x, a, correction=0), lambda x, a: jnp.var(x, a)),
    "max": (ops.max, np.max, lambda x, a: torch.amax(x, a), lambda x, a: jnp.max(x, a)),
    "argmax": (ops.argmax, np.argmax, lambda x, a: torch.argmax(x, a), lambda x, a: jnp.argmax(x, a)),
    "norm": (
        lambda x, a: ops.norm(x, axis=a),
        lambda x, a: np.linalg.norm(x, axis=a),
        lambda x, a: torch.linalg.vector_norm(x, dim=a),
        lambda x, a: jnp.linalg.norm(x, axis=a),
    ),
    "logsumexp": (
        ops.logsumexp,
        scipy.special.logsumexp,
        lambda x, a: torch.logsumexp(x, a),
        lambda x, a: jax.scipy.special.logsumexp(x, a),
    ),
    "cumsum": (ops.cumsum, np.cumsum, lambda x, a: torch.cumsum(x, a), lambda x, a: jnp.cumsum(x, a)),
}


PRODUCTS = {
    "prod": (ops.prod, np.prod, lambda x, a: torch.prod(x, a), lambda x, a: jnp.prod(x, a)),
    "cumprod": (ops.cumprod, np.cumprod, lambda x, a: torch.cumprod(x, a), lambda x, a: jnp.cumprod(x, a)),
}


def near_one(shape) -> Inputs:
    """Numbers whose products are neither 0 nor infinite."""
    return lambda rng: [1 + (rng.random(shape, "float32") - np.float32(0.5)) / 100]


def uniform(shape) -> Inputs:
    """Between 0 and 1: sums of all the numbers are far from 0."""
    return lambda rng: [rng.random(shape, "float32")]


def functions(folds, axis):
    return {library: (lambda x, f=f: f(x, axis)) for library, f in zip(("kcore", "numpy", "torch", "jax"), folds)}


ROWS = [
    Row(f"{name} of {view}", forward(inputs(shape), **functions(folds[name], axis)), seconds=0.8)
    for folds, inputs in ((FOLDS, uniform), (PRODUCTS, near_one))
    for name in folds
    for view, (shape, axis) in VIEWS.items()
] + [
    Row(
        "sort 1024x1000",
        forward(
            normal(SHAPE),
            kcore=ops.sort,
            numpy=np.sort,
            torch=lambda x: torch.sort(x)[0],
            jax=lambda x: jnp.sort(x),
        ),
    ),
    Row(
        "top 10 of 1024x1000",
        forward(
            normal(SHAPE),
            kcore=lambda x: ops.top_k(x, 10)[0],
            torch=lambda x: torch.topk(x, 10)[0],
            jax=lambda x: jax.lax.top_k(x, 10)[0],
        ),
    ),
]


def test_reduce(timed):
    timed()
