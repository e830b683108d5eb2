"""Elementwise functions and their gradients, float32, one thread: kcore's reference backend, NumPy, PyTorch, JAX.

    pytest benchmarks/bench_native_elementwise.py           # pytest-benchmark, one benchmark per library
    python benchmarks/bench_native_elementwise.py [words]   # ratios of minimums, the peers taking turns

Every library allocates its results; JAX runs compiled.
"""

import side_by_side  # isort: skip - first: it sets the number of threads

import sys

import numpy as np
import pytest

import kcore
from kcore import ops
from kcore.backends.reference.curve import curve_grad

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
jnp, nn = jax.numpy, jax.nn
aten = torch.ops.aten
kcore.config.set_backend("reference")
torch.set_num_threads(1)
torch.set_grad_enabled(False)

SIZES = {"1M": 1_000_000, "10M": 10_000_000}
PEERS = ["kcore", "numpy", "torch", "jax"]

# name: (kcore, NumPy or None, torch, jax)
FORWARD = {
    "exp": (ops.exp, np.exp, torch.exp, jnp.exp),
    "log": (ops.log, np.log, torch.log, jnp.log),
    "tanh": (ops.tanh, np.tanh, torch.tanh, jnp.tanh),
    "sigmoid": (ops.sigmoid, None, torch.sigmoid, nn.sigmoid),
    "softplus": (ops.softplus, None, torch.nn.functional.softplus, nn.softplus),
    "silu": (ops.silu, None, torch.nn.functional.silu, nn.silu),
    "gelu": (
        lambda x: ops.gelu(x, approximate=False),
        None,
        torch.nn.functional.gelu,
        lambda x: nn.gelu(x, approximate=False),
    ),
    "gelu tanh": (ops.gelu, None, lambda x: torch.nn.functional.gelu(x, approximate="tanh"), nn.gelu),
    "erf": (ops.erf, None, torch.erf, jax.scipy.special.erf),
    "elu": (ops.elu, None, torch.nn.functional.elu, nn.elu),
    "leaky relu": (ops.leaky_relu, None, lambda x: torch.nn.functional.leaky_relu(x, 0.2), nn.leaky_relu),
    "relu": (ops.relu, lambda x: np.maximum(x, 0), torch.relu, nn.relu),
    "add": (lambda x: ops.add(x, x), lambda x: np.add(x, x), lambda x: torch.add(x, x), lambda x: x + x),
}

# name: (kcore's kernel, whether it takes the result, torch's backward, jax's function)
GRADIENTS = {
    "tanh": ("tanh", True, aten.tanh_backward, jnp.tanh),
    "sigmoid": ("sigmoid", True, aten.sigmoid_backward, nn.sigmoid),
    "softplus": ("softplus", False, lambda g, x: aten.softplus_backward(g, x, 1, 20), nn.softplus),
    "silu": ("silu", False, aten.silu_backward, nn.silu),
    "gelu": ("gelu", False, aten.gelu_backward, lambda x: nn.gelu(x, approximate=False)),
    "gelu tanh": ("gelu_tanh", False, lambda g, x: aten.gelu_backward(g, x, approximate="tanh"), nn.gelu),
}


def forward(name, size):
    own, plain, in_torch, in_jax = FORWARD[name]
    x = np.random.default_rng(0).standard_normal(size, "float32") * 2
    x = abs(x) if name == "log" else x
    t, j, tensor = torch.from_numpy(x), jnp.asarray(x), kcore.ops.convert_to_tensor(x)
    compiled = jax.jit(in_jax)
    calls = {"kcore": lambda: own(tensor), "torch": lambda: in_torch(t), "jax": lambda: compiled(j).block_until_ready()}
    if plain is not None:
        calls["numpy"] = lambda: plain(x)
    return calls


def gradient(name, size):
    own, by_result, in_torch, in_jax = GRADIENTS[name]
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal(size, "float32") for _ in range(2))
    given = np.tanh(x) if by_result else x
    tg, tx = torch.from_numpy(g), torch.from_numpy(given)
    kg, kx = ops.convert_to_tensor(g), ops.convert_to_tensor(given)
    pull = jax.jit(lambda g, x: jax.vjp(in_jax, x)[1](g)[0])
    jg, jx = jnp.asarray(g), jnp.asarray(x)
    return {
        "kcore": lambda: curve_grad(kg, kx, own),
        "torch": lambda: in_torch(tg, tx),
        "jax": lambda: pull(jg, jx).block_until_ready(),
    }


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FORWARD)
def test_forward(benchmark, name, size, peer):
    benchmark.group = f"{name} {size}"
    benchmark(side_by_side.pick(forward(name, SIZES[size]), peer))


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(benchmark, name, size, peer):
    benchmark.group = f"{name} gradient {size}"
    benchmark(side_by_side.pick(gradient(name, SIZES[size]), peer))


def rows():
    for size, count in SIZES.items():
        for name in FORWARD:
            yield f"{name} {size}", forward(name, count)
        for name in GRADIENTS:
            yield f"{name} gradient {size}", gradient(name, count)


if __name__ == "__main__":
    side_by_side.table(rows(), sys.argv[1:])
