"""Elementwise functions and their gradients, on a million and ten million numbers."""

from __future__ import annotations

import numpy as np

from kcore import ops

from .peers import backward, forward, functional, jax, jnp, nn, normal, torch
from .rows import Row

SIZES = {"1M": 1_000_000, "10M": 10_000_000}
GOAL = 1.3

# name: (goal, kcore, NumPy or None, torch, jax); functions of modules that may be absent are called, not held
FORWARD = {
    "exp": (GOAL, ops.exp, np.exp, lambda x: torch.exp(x), lambda x: jnp.exp(x)),
    "log": (None, ops.log, np.log, lambda x: torch.log(x), lambda x: jnp.log(x)),
    "tanh": (GOAL, ops.tanh, np.tanh, lambda x: torch.tanh(x), lambda x: jnp.tanh(x)),
    "sigmoid": (GOAL, ops.sigmoid, None, lambda x: torch.sigmoid(x), lambda x: nn.sigmoid(x)),
    "softplus": (None, ops.softplus, None, lambda x: functional.softplus(x), lambda x: nn.softplus(x)),
    "silu": (GOAL, ops.silu, None, lambda x: functional.silu(x), lambda x: nn.silu(x)),
    "gelu": (
        GOAL,
        lambda x: ops.gelu(x, approximate=False),
        None,
        lambda x: functional.gelu(x),
        lambda x: nn.gelu(x, approximate=False),
    ),
    "gelu tanh": (GOAL, ops.gelu, None, lambda x: functional.gelu(x, approximate="tanh"), lambda x: nn.gelu(x)),
    "erf": (None, ops.erf, None, lambda x: torch.erf(x), lambda x: jax.scipy.special.erf(x)),
    "elu": (None, ops.elu, None, lambda x: functional.elu(x), lambda x: nn.elu(x)),
    "leaky relu": (
        None,
        ops.leaky_relu,
        None,
        lambda x: functional.leaky_relu(x, 0.2),
        lambda x: nn.leaky_relu(x, 0.2),
    ),
    "relu": (1.0, ops.relu, lambda x: np.maximum(x, 0), lambda x: torch.relu(x), lambda x: nn.relu(x)),
    "add": (
        None,
        lambda x: ops.add(x, x),
        lambda x: np.add(x, x),
        lambda x: torch.add(x, x),
        lambda x: jnp.add(x, x),
    ),
}
GRADIENTS = ("tanh", "sigmoid", "softplus", "silu", "gelu", "gelu tanh", "relu")


def drawn(name, size):
    def inputs(rng):
        (x,) = normal((size,), scale=2)(rng)
        return [np.abs(x) if name == "log" else x]

    return inputs


def functions(name):
    goal, own, plain, in_torch, in_jax = FORWARD[name]
    return goal, {"kcore": own, "numpy": plain, "torch": in_torch, "jax": in_jax}


def rows():
    for label, size in SIZES.items():
        for name in FORWARD:
            goal, how = functions(name)
            yield Row(f"{name} {label}", forward(drawn(name, size), **how), goal=goal)
        for name in GRADIENTS:
            goal, how = functions(name)
            how.pop("numpy")
            yield Row(f"{name} {label}, backward", backward(normal((size,), (size,)), (0,), **how), goal=goal)


ROWS = list(rows())


def test_elementwise(timed):
    timed()
