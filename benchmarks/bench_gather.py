"""Embeddings: rows picked by number, and the gradient that adds them up."""

from __future__ import annotations

import numpy as np

from kcore import ops

from .peers import Inputs, backward, forward, functional, jnp, normal
from .rows import Row

SIZES = {"4096 of 30000x256": (4096, 30_000, 256), "4096 of 1000x64": (4096, 1000, 64)}
FUNCTIONS = {
    "kcore": lambda x, at: ops.take(x, at, 0),
    "torch": lambda x, at: functional.embedding(at, x),
    "jax": lambda x, at: jnp.take(x, at, 0),
}


def drawn(count: int, rows: int, cols: int, gradient: bool = False) -> Inputs:
    def draw(rng):
        x, *g = normal((rows, cols), *([(count, cols)] if gradient else []))(rng)
        return [x, rng.integers(0, rows, count), *g]

    return draw


ROWS = [
    Row(f"embedding {name}", forward(drawn(*s), numpy=lambda x, at: np.take(x, at, 0), **FUNCTIONS))
    for name, s in SIZES.items()
] + [
    Row(f"embedding {name}, backward", backward(drawn(*s, True), (0,), **FUNCTIONS), goal=1.5)
    for name, s in SIZES.items()
]


def test_gather(timed):
    timed()
