"""Embeddings: rows picked by number, and the gradient that adds them up; rows folded by segment; classes as one-hot rows."""

from __future__ import annotations

import numpy as np

from kcore import ops

from .peers import Inputs, backward, forward, functional, jax, jnp, nn, normal, torch
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


SEGMENTS = 1000


def segmented(rng):
    return [*normal((100_000, 16))(rng), rng.integers(0, SEGMENTS, 100_000)]


def segments(name: str):
    """The fold of the rows of each segment, whose numbers come in any order."""
    function = f"segment_{name}"

    def in_torch(x, at):
        start = x.new_full((SEGMENTS, x.shape[1]), 0.0 if name == "sum" else -torch.inf)
        if name == "sum":
            return start.index_add(0, at, x)
        return start.index_reduce(0, at, x, "amax")

    return {
        "kcore": lambda x, at: getattr(ops, function)(x, at, SEGMENTS),
        "torch": in_torch,
        "jax": lambda x, at: getattr(jax.ops, function)(x, at, SEGMENTS),
    }


def one_hot():
    return {
        "kcore": lambda at: ops.one_hot(at, 1000),
        "torch": lambda at: functional.one_hot(at, 1000).float(),
        "jax": lambda at: nn.one_hot(at, 1000),
    }


ROWS = [
    Row(f"embedding {name}", forward(drawn(*s), numpy=lambda x, at: np.take(x, at, 0), **FUNCTIONS))
    for name, s in SIZES.items()
] + [
    Row(f"embedding {name}, backward", backward(drawn(*s, True), (0,), **FUNCTIONS), goal=1.5)
    for name, s in SIZES.items()
]
ROWS += [Row(f"segment {name} of 100000x16", forward(segmented, **segments(name))) for name in ("sum", "max")]
ROWS += [Row("one hot 4096 of 1000", forward(lambda rng: [rng.integers(0, 1000, 4096)], **one_hot()))]


def test_gather(timed):
    timed()
