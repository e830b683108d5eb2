"""Elementwise functions, dropout and their gradients, on a million and ten million numbers."""

from __future__ import annotations

import numpy as np

from kcore import ops, random

from .peers import Builders, backward, forward, functional, jax, jnp, nn, normal, torch
from .rows import Row, Subject

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


RATE = 0.3


def jax_dropout(x, impl):
    kept = jax.random.bernoulli(jax.random.key(9, impl=impl), 1 - RATE, x.shape)
    return jnp.where(kept, x / (1 - RATE), 0)


DROPOUT = {
    "kcore": lambda x: random.dropout(x, RATE, seed=9),
    "torch": lambda x: functional.dropout(x, RATE),
    "jax": lambda x: jax_dropout(x, "threefry2x32"),
    "jax rbg": lambda x: jax_dropout(x, "rbg"),
}


def ones(count, size):
    return lambda rng: [np.ones(size, "float32") for _ in range(count)]


def in_the_mean(builders: Builders) -> Builders:
    """Draws differ from library to library: of the results their mean and largest number are compared."""

    def build(make):
        subject = make()

        def result():
            (y,) = subject.result()
            return [np.array([y.mean(dtype="float64"), y.max()])]

        return Subject(subject.run, result)

    return {peer: lambda make=make: build(make) for peer, make in builders.items()}


def dropout_rows(label, size):
    how = {"goal": GOAL, "tolerance": 5e-3}  # some six standard deviations of the mean of a million
    yield Row(f"dropout {label}", in_the_mean(forward(ones(1, size), **DROPOUT)), **how)
    yield Row(
        f"dropout {label}, backward", in_the_mean(backward(ones(2, size), (0,), **DROPOUT)), **how | {"goal": 1.0}
    )


def rows():
    for label, size in SIZES.items():
        for name in FORWARD:
            goal, how = functions(name)
            yield Row(f"{name} {label}", forward(drawn(name, size), **how), goal=goal)
        for name in GRADIENTS:
            goal, how = functions(name)
            how.pop("numpy")
            yield Row(f"{name} {label}, backward", backward(normal((size,), (size,)), (0,), **how), goal=goal)
        yield from dropout_rows(label, size)


ROWS = list(rows())


def test_elementwise(timed):
    timed()
