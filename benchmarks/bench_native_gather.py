"""Embeddings: rows picked by number, and the gradient that adds them up, float32, one thread.

pytest benchmarks/bench_native_gather.py   # pytest-benchmark, one benchmark per library
python benchmarks/bench_native_gather.py   # ratios of minimums, the peers taking turns
"""

import side_by_side  # isort: skip - first: it sets the number of threads

import sys

import numpy as np
import pytest

import kcore
from kcore import ops
from kcore.backends.reference.index import sum_rows

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
jnp = jax.numpy
kcore.config.set_backend("reference")
torch.set_num_threads(1)
torch.set_grad_enabled(False)

SIZES = {"4096 of 30000x256": (4096, 30_000, 256), "4096 of 1000x64": (4096, 1000, 64)}
PEERS = ["kcore", "numpy", "torch", "jax"]


def pick(count, rows, cols):
    rng = np.random.default_rng(0)
    x, at = rng.standard_normal((rows, cols), "float32"), rng.integers(0, rows, count)
    tx, ta, jx, ja = torch.from_numpy(x), torch.from_numpy(at), jnp.asarray(x), jnp.asarray(at)
    kx, ka = ops.convert_to_tensor(x), ops.convert_to_tensor(at)
    taken = jax.jit(lambda x, i: jnp.take(x, i, 0))
    return {
        "kcore": lambda: ops.take(kx, ka, 0),
        "numpy": lambda: np.take(x, at, 0),
        "torch": lambda: torch.nn.functional.embedding(ta, tx),
        "jax": lambda: taken(jx, ja).block_until_ready(),
    }


def gradient(count, rows, cols):
    rng = np.random.default_rng(0)
    g, at = rng.standard_normal((count, cols), "float32"), rng.integers(0, rows, count)
    tg, ta, jg, ja = torch.from_numpy(g), torch.from_numpy(at), jnp.asarray(g), jnp.asarray(at)
    kg, ka = ops.convert_to_tensor(g), ops.convert_to_tensor(at)
    added = jax.jit(lambda g, i: jnp.zeros((rows, cols), "float32").at[i].add(g))
    return {
        "kcore": lambda: sum_rows(kg, ka, rows),
        "torch": lambda: torch.ops.aten.embedding_dense_backward(tg, ta, rows, -1, False),
        "jax": lambda: added(jg, ja).block_until_ready(),
    }


ROWS = {f"embedding {name}": (pick, sizes) for name, sizes in SIZES.items()}
ROWS |= {f"embedding gradient {name}": (gradient, sizes) for name, sizes in SIZES.items()}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("row", ROWS)
def test_gather(benchmark, row, peer):
    make, sizes = ROWS[row]
    benchmark.group = row
    benchmark(side_by_side.pick(make(*sizes), peer))


if __name__ == "__main__":
    side_by_side.table(((name, make(*sizes)) for name, (make, sizes) in ROWS.items()), sys.argv[1:])
