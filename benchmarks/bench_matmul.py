"""Matrix products, and dense layers with their bias and activation, forward and backward."""

from __future__ import annotations

import numpy as np

from kcore import ops

from .peers import AS_IS, Layout, backward, forward, functional, jnp, nn, normal, torch
from .peers import Call as Of
from .rows import Row

SQUARE = [(256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (4096, 768, 768)]
SMALL = [(64, 256, 128), (32, 128, 784), (32, 10, 128)]
DENSE = [(128, 784, 512), (512, 512, 2048), (2048, 768, 768)]


def shape(m, n, k):
    return f"{m}x{n}x{k}"


def product(m, n, k):
    return forward(normal((m, k), (k, n)), kcore=ops.matmul, numpy=np.matmul, torch=torch_matmul, jax=jax_matmul)


def torch_matmul(a, b):
    return torch.matmul(a, b)


def jax_matmul(a, b):
    return jnp.matmul(a, b)


# name: (torch, jax), each as kcore has it
ACTIVATIONS = {
    "relu": (lambda y: torch.relu(y), lambda y: nn.relu(y)),
    "gelu": (lambda y: functional.gelu(y), lambda y: nn.gelu(y, approximate=False)),
    "silu": (lambda y: functional.silu(y), lambda y: nn.silu(y)),
}


def dense(activation, make, m, units, width, by=()):
    """act(x w + b). Half of the units are on and half off, far from 0, where rounding would decide on relu's gradients."""
    last = [(m, units)] if by else []
    in_torch, in_jax = ACTIVATIONS[activation]

    def inputs(rng):
        x, w, *g = normal((m, width), (width, units), *last, scale=0.05)(rng)
        return [x, w, np.where(np.arange(units) % 2, 2, -2).astype("float32"), *g]

    return make(
        inputs,
        *([by] if by else []),
        kcore=lambda x, w, b: ops.dense(x, w, b, activation),
        torch=lambda x, w, b: in_torch(torch.addmm(b, x, w)),
        jax=lambda x, w, b: in_jax(x @ w + b),
        **{
            "torch linear": Of(lambda x, w, b: in_torch(functional.linear(x, w, b)), [AS_IS, TRANSPOSED]),
        },
    )


TRANSPOSED = Layout(lambda w: w.T.contiguous(), lambda w: w.T)  # as torch.nn.Linear keeps its weight


def threads(m, n, k):
    both = product(m, n, k)
    return {"kcore": both["kcore"], "kcore one thread": both["kcore"]}


ROWS = [
    *(Row(f"matmul {shape(*s)}", product(*s), goal=1.0) for s in SQUARE),
    *(Row(f"matmul {shape(*s)}", product(*s)) for s in SMALL),
    *(Row(f"dense {a} {shape(*s)}", dense(a, forward, *s), goal=1.0) for a in ACTIVATIONS for s in DENSE),
    *(
        Row(f"dense {a} {shape(*s)}, backward", dense(a, backward, *s, (0, 1, 2)), goal=1.0)
        for a in ACTIVATIONS
        for s in DENSE
    ),
    Row(
        "matmul 1024x1024x1024, two threads against one",
        threads(1024, 1024, 1024),
        goal=1.6,
        apart=True,
        threads=2,
        seconds=4,
    ),
]


def test_matmul(timed):
    timed()
