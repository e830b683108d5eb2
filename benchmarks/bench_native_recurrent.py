"""LSTM and GRU along whole sequences, float32, one thread: kcore, PyTorch, JAX.

    pytest benchmarks/bench_native_recurrent.py           # pytest-benchmark, one benchmark per library
    python benchmarks/bench_native_recurrent.py [words]   # ratios of minimums, the peers taking turns

All return the states of all steps. kcore's calls are the ops under its layers, batch-major; PyTorch's are
torch.nn.LSTM and GRU with batch_first, JAX's a compiled lax.scan with the inputs' product outside of the loop.
Backward is that with forward, by the inputs and all weights.
"""

import side_by_side  # isort: skip - first: it sets the number of threads

import sys

import numpy as np
import pytest

import kcore
from kcore import ops

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
jnp, nn = jax.numpy, jax.nn
kcore.config.set_backend("reference")
torch.set_num_threads(1)
PEERS = ["kcore", "torch", "jax"]

# batch, steps, features, units
SIZES = [(32, 64, 64, 128), (1, 64, 64, 128), (128, 28, 28, 128), (64, 100, 128, 256)]


def lstm_scan(x, kernel, recurrent, bias):
    def step(carry, gates):
        h, c = carry
        i, f, g, o = jnp.split(gates + h @ recurrent, 4, -1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((x.shape[0], recurrent.shape[0]))
    return jax.lax.scan(step, (zeros, zeros), jnp.swapaxes(x @ kernel + bias, 0, 1))[1]


def gru_scan(x, kernel, recurrent, bias):
    def step(h, gates):
        by_state = h @ recurrent + bias[1]
        x_update, x_reset, x_candidate = jnp.split(gates, 3, -1)
        h_update, h_reset, h_candidate = jnp.split(by_state, 3, -1)
        update, reset = nn.sigmoid(x_update + h_update), nn.sigmoid(x_reset + h_reset)
        h = update * h + (1 - update) * jnp.tanh(x_candidate + reset * h_candidate)
        return h, h

    return jax.lax.scan(step, jnp.zeros((x.shape[0], recurrent.shape[0])), jnp.swapaxes(x @ kernel + bias[0], 0, 1))[1]


def calls(kind, size, backward):
    batch, steps, features, units = size
    gates = 4 if kind == "lstm" else 3
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, steps, features), "float32")
    kernel, recurrent = (rng.standard_normal((n, gates * units), "float32") * 0.1 for n in (features, units))
    bias = np.zeros(gates * units if kind == "lstm" else (2, gates * units), "float32")
    weights = x, kernel, recurrent, bias
    zeros = ops.zeros((batch, units))

    def own(x, kernel, recurrent, bias):
        states = (zeros, zeros) if kind == "lstm" else (zeros,)
        return getattr(ops, kind)(x, *states, kernel, recurrent, bias)[0]

    own_args = [ops.convert_to_tensor(a) for a in weights]
    theirs = (torch.nn.LSTM if kind == "lstm" else torch.nn.GRU)(features, units, batch_first=True)
    torch_x = torch.from_numpy(x).requires_grad_(backward)
    scanned = lstm_scan if kind == "lstm" else gru_scan
    jax_args = [jnp.asarray(a) for a in weights]
    if not backward:
        compiled = jax.jit(scanned)

        def torch_forward():
            with torch.no_grad():
                theirs(torch_x)

        return {
            "kcore": lambda: own(*own_args),
            "torch": torch_forward,
            "jax": lambda: compiled(*jax_args).block_until_ready(),
        }
    own_grad = kcore.grad(lambda *args: ops.sum(own(*args)), (0, 1, 2, 3))
    jax_grad = jax.jit(jax.grad(lambda *args: jnp.sum(scanned(*args)), (0, 1, 2, 3)))
    return {
        "kcore": lambda: own_grad(*own_args),
        "torch": lambda: theirs(torch_x)[0].sum().backward(),
        "jax": lambda: jax.block_until_ready(jax_grad(*jax_args)),
    }


def rows():
    for kind in ("lstm", "gru"):
        for size in SIZES:
            for backward in (False, True):
                name = f"{kind} {'forward + backward' if backward else 'forward'} {'x'.join(map(str, size))}"
                yield name, calls(kind, size, backward)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_recurrent(benchmark, kind, size, backward, peer):
    benchmark(side_by_side.pick(calls(kind, size, backward), peer))


if __name__ == "__main__":
    side_by_side.table(rows(), sys.argv[1:])
