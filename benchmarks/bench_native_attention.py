"""Attention, forward and forward with gradients, float32, one thread: kcore, PyTorch's fused kernel, JAX.

    pytest benchmarks/bench_native_attention.py           # pytest-benchmark, one benchmark per library
    python benchmarks/bench_native_attention.py [words]   # ratios of minimums, the peers taking turns

Shapes are batch x heads x queries x depth, with as many keys unless `to` says how many.
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
fused = torch.nn.functional.scaled_dot_product_attention
kcore.config.set_backend("reference")
torch.set_num_threads(1)
PEERS = ["kcore", "torch", "jax"]


def draws(batch, heads, rows, columns, depth, key_heads):
    """q, k, v and the result's gradient, for each library; PyTorch's with heads before rows, as views."""
    rng = np.random.default_rng(0)
    many, few = (batch, rows, heads, depth), (batch, columns, key_heads, depth)
    arrays = [rng.standard_normal(s, "float32") for s in (many, few, few, many)]
    return (
        [ops.convert_to_tensor(a) for a in arrays],
        [torch.from_numpy(a).transpose(1, 2) for a in arrays],
        [jnp.asarray(a) for a in arrays],
    )


def forward(shape, causal=False):
    k, t, j = draws(*shape)
    grouped = shape[1] != shape[5]
    compiled = jax.jit(lambda *a: nn.dot_product_attention(*a, is_causal=causal))

    def in_torch():
        with torch.no_grad():
            return fused(*t[:3], is_causal=causal, enable_gqa=grouped)

    return {
        "kcore": lambda: ops.dot_product_attention(*k[:3], is_causal=causal),
        "torch": in_torch,
        "jax": lambda: jax.block_until_ready(compiled(*j[:3])),
    }


def with_gradients(shape, causal=False):
    k, t, j = draws(*shape)
    grouped = shape[1] != shape[5]
    leaves = [a.detach().requires_grad_() for a in t[:3]]
    pulled = jax.jit(lambda g, *a: jax.vjp(lambda *a: nn.dot_product_attention(*a, is_causal=causal), *a)[1](g))
    return {
        "kcore": lambda: kcore.vjp(lambda *a: ops.dot_product_attention(*a, is_causal=causal), *k[:3])[1](k[3]),
        "torch": lambda: torch.autograd.grad(fused(*leaves, is_causal=causal, enable_gqa=grouped), leaves, t[3]),
        "jax": lambda: jax.block_until_ready(pulled(j[3], *j[:3])),
    }


SHAPES = {
    "8x8x512x64": (8, 8, 512, 512, 64, 8),
    "2x8x2048x64": (2, 8, 2048, 2048, 64, 8),
    "32x4x64x32": (32, 4, 64, 64, 32, 4),
    "4x8x256x128, 2 key heads": (4, 8, 256, 256, 128, 2),
    "8x8x1x64 to 512": (8, 8, 1, 512, 64, 8),
}
ROWS = {}
for _name, _shape in SHAPES.items():
    ROWS[f"{_name}"] = lambda s=_shape: forward(s)
    ROWS[f"{_name} with gradients"] = lambda s=_shape: with_gradients(s)
ROWS["8x8x512x64 causal"] = lambda: forward(SHAPES["8x8x512x64"], True)
ROWS["8x8x512x64 causal with gradients"] = lambda: with_gradients(SHAPES["8x8x512x64"], True)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("row", ROWS)
def test_attention(benchmark, row, peer):
    benchmark.group = row
    benchmark(side_by_side.pick(ROWS[row](), peer))


if __name__ == "__main__":
    side_by_side.table(((name, make()) for name, make in ROWS.items()), sys.argv[1:])
