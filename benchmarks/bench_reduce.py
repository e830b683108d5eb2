"""Reductions, scans and sorts of a matrix, over rows and over columns."""

from __future__ import annotations

import numpy as np
import scipy.special

from kcore import ops

from .peers import forward, jax, jnp, normal, torch
from .rows import Row

SHAPE = (1024, 1000)

# name: (kcore, NumPy, torch, jax), each a function of (x, axis)
FOLDS = {
    "sum": (ops.sum, np.sum, lambda x, a: torch.sum(x, a), lambda x, a: jnp.sum(x, a)),
    "mean": (ops.mean, np.mean, lambda x, a: torch.mean(x, a), lambda x, a: jnp.mean(x, a)),
    "variance": (ops.var, np.var, lambda x, a: torch.var(x, a, correction=0), lambda x, a: jnp.var(x, a)),
    "max": (ops.max, np.max, lambda x, a: torch.amax(x, a), lambda x, a: jnp.max(x, a)),
    "argmax": (ops.argmax, np.argmax, lambda x, a: torch.argmax(x, a), lambda x, a: jnp.argmax(x, a)),
    "logsumexp": (
        ops.logsumexp,
        scipy.special.logsumexp,
        lambda x, a: torch.logsumexp(x, a),
        lambda x, a: jax.scipy.special.logsumexp(x, a),
    ),
    "cumsum": (ops.cumsum, np.cumsum, lambda x, a: torch.cumsum(x, a), lambda x, a: jnp.cumsum(x, a)),
}


def functions(name, axis):
    return {library: (lambda x, f=f: f(x, axis)) for library, f in zip(("kcore", "numpy", "torch", "jax"), FOLDS[name])}


ROWS = [
    Row(f"{name} of 1024x1000, axis {axis}", forward(normal(SHAPE), **functions(name, axis)), seconds=1)
    for name in FOLDS
    for axis in (1, 0)
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
