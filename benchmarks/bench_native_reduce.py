"""Reductions, float32, one thread: kcore, NumPy, PyTorch, JAX.

pytest benchmarks/bench_native_reduce.py           # pytest-benchmark, one benchmark per library
python benchmarks/bench_native_reduce.py [words]   # ratios of minimums, the peers taking turns
"""

import side_by_side  # isort: skip - first: it sets the number of threads

import sys

import numpy as np
import pytest

import kcore
from kcore import ops

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
jnp = jax.numpy
kcore.config.set_backend("reference")
torch.set_num_threads(1)
torch.set_grad_enabled(False)
PEERS = ["kcore", "numpy", "torch", "jax"]

# name: in NumPy, PyTorch and JAX; kcore's is the op of that name
NAMES = {
    "sum": (np.sum, torch.sum, jnp.sum),
    "mean": (np.mean, torch.mean, jnp.mean),
    "max": (np.max, torch.amax, jnp.max),
    "var": (np.var, lambda x, axis: torch.var(x, axis, correction=0), jnp.var),
    "norm": (np.linalg.norm, lambda x, axis: torch.linalg.vector_norm(x, dim=axis), jnp.linalg.norm),
    "logsumexp": (None, torch.logsumexp, lambda x, axis: jax.nn.logsumexp(x, axis)),
    "argmax": (np.argmax, torch.argmax, jnp.argmax),
    "cumsum": (np.cumsum, torch.cumsum, jnp.cumsum),
}
VIEWS = {
    "rows of 1000x1000": ((1000, 1000), 1),
    "columns of 1000x1000": ((1000, 1000), 0),
    "all of 1M": ((1_000_000,), 0),
    "the middle of 10x1000x100": ((10, 1000, 100), 1),
    "rows of 100000x10": ((100_000, 10), 1),
    "rows of 3162x3162": ((3162, 3162), 1),
    "columns of 3162x3162": ((3162, 3162), 0),
}


def row(name, shape, axis):
    x = np.random.default_rng(0).standard_normal(shape, "float32")
    in_numpy, in_torch, in_jax = NAMES[name]
    op, own, tensor = getattr(ops, name), ops.convert_to_tensor(x), torch.from_numpy(x)
    compiled, array = jax.jit(lambda x: in_jax(x, axis=axis)), jnp.asarray(x)
    calls = {
        "kcore": lambda: op(own, axis=axis),
        "torch": lambda: in_torch(tensor, axis),
        "jax": lambda: jax.block_until_ready(compiled(array)),
    }
    if in_numpy is not None:
        calls["numpy"] = lambda: in_numpy(x, axis=axis)
    return calls


ROWS = {
    f"{name} {view}": lambda name=name, shape=shape, axis=axis: row(name, shape, axis)
    for name in NAMES
    for view, (shape, axis) in VIEWS.items()
}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("what", ROWS)
def test_reduction(benchmark, what, peer):
    benchmark.group = what
    benchmark(side_by_side.pick(ROWS[what](), peer))


if __name__ == "__main__":
    side_by_side.table(((name, make()) for name, make in ROWS.items()), sys.argv[1:])
