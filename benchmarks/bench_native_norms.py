"""Normalizations and crossentropies, forward and backward, float32, one thread: kcore, PyTorch, JAX.

    pytest benchmarks/bench_native_norms.py           # pytest-benchmark, one benchmark per library
    python benchmarks/bench_native_norms.py [words]   # ratios of minimums, the peers taking turns

kcore's calls are the reference backend's ops and, for backward, the private ops of its gradient rules.
PyTorch's are its own kernels; JAX runs compiled, backward with what forward leaves recomputed.
"""

import side_by_side  # isort: skip - first: it sets the number of threads

import sys

import numpy as np
import pytest

import kcore
from kcore import ops
from kcore.backends.reference import activate, loss, normalize

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
jnp, nn = jax.numpy, jax.nn
aten, functional = torch.ops.aten, torch.nn.functional
kcore.config.set_backend("reference")
torch.set_num_threads(1)
torch.set_grad_enabled(False)
PEERS = ["kcore", "torch", "jax"]


def draws(*shapes):
    """The same arrays for each library: (kcore's, torch's, jax's)."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s, "float32") for s in shapes]
    return (
        [ops.convert_to_tensor(a) for a in arrays],
        [torch.from_numpy(a) for a in arrays],
        [jnp.asarray(a) for a in arrays],
    )


def jitted(function, *arguments):
    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(*arguments))


def pulled(function, g, *arguments):
    """The compiled gradients of a function by its arguments."""
    return jitted(lambda g, *a: jax.vjp(function, *a)[1](g), g, *arguments)


def jax_layer(x, gamma, beta):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * gamma + beta


def layer(rows, cols):
    k, t, j = draws((rows, cols), (cols,), (cols,))
    return {
        "kcore": lambda: ops.layer_normalization(*k, epsilon=1e-5),
        "torch": lambda: torch.native_layer_norm(t[0], [cols], t[1], t[2], 1e-5),
        "jax": jitted(jax_layer, *j),
    }


def layer_gradient(rows, cols):
    k, t, j = draws((rows, cols), (cols,), (cols,), (rows, cols))
    _, mean, scale = normalize.normalize_rows(*k[:3], (1,), 1e-5, True)
    _, tm, ts = torch.native_layer_norm(t[0], [cols], t[1], t[2], 1e-5)
    return {
        "kcore": lambda: normalize.normalize_rows_grad(k[3], *k[:3], mean, scale, (1,), 1e-5, True),
        "torch": lambda: aten.native_layer_norm_backward(t[3], t[0], [cols], tm, ts, t[1], t[2], [True] * 3),
        "jax": pulled(jax_layer, j[3], *j[:3]),
    }


def jax_rms(x, gamma):
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * gamma


def rms(rows, cols):
    k, t, j = draws((rows, cols), (cols,))
    return {
        "kcore": lambda: ops.rms_normalization(*k, epsilon=1e-5),
        "torch": lambda: functional.rms_norm(t[0], (cols,), t[1], 1e-5),
        "jax": jitted(jax_rms, *j),
    }


def jax_batch(x, gamma, beta):
    mean = x.mean((0, 1, 2))
    variance = ((x - mean) ** 2).mean((0, 1, 2))
    return (x - mean) * (jax.lax.rsqrt(variance + 1e-3) * gamma) + beta


def batch(size, channels):
    k, t, j = draws((8, size, size, channels), (channels,), (channels,))
    tx, planes = t[0].permute(0, 3, 1, 2), t[0].permute(0, 3, 1, 2).contiguous()
    zeros, ones = torch.zeros(channels), torch.ones(channels)
    return {
        "kcore": lambda: ops.normalize_batch(k[0], k[2], k[1]),
        "torch": lambda: torch.native_batch_norm(tx, t[1], t[2], zeros, ones, True, 0.1, 1e-3),
        "torch nchw": lambda: torch.native_batch_norm(planes, t[1], t[2], zeros, ones, True, 0.1, 1e-3),
        "jax": jitted(jax_batch, *j),
    }


def batch_gradient(size, channels):
    shape = (8, size, size, channels)
    k, t, j = draws(shape, (channels,), (channels,), shape)
    _, mean, variance = ops.normalize_batch(k[0], k[2], k[1])
    none = ops.zeros(channels)
    tx, tg = (a.permute(0, 3, 1, 2) for a in (t[0], t[3]))
    zeros, ones = torch.zeros(channels), torch.ones(channels)
    _, tm, ts = torch.native_batch_norm(tx, t[1], t[2], zeros, ones, True, 0.1, 1e-3)
    return {
        "kcore": lambda: normalize.normalize_columns_grad(k[3], none, none, k[0], k[1], mean, variance, (3,), 1e-3),
        "torch": lambda: aten.native_batch_norm_backward(tg, tx, t[1], zeros, ones, tm, ts, True, 1e-3, [True] * 3),
        "jax": pulled(jax_batch, j[3], *j[:3]),
    }


def softmax(rows, cols):
    k, t, j = draws((rows, cols))
    return {
        "kcore": lambda: ops.softmax(k[0]),
        "torch": lambda: torch.softmax(t[0], -1),
        "jax": jitted(nn.softmax, j[0]),
    }


def softmax_gradient(rows, cols):
    k, t, j = draws((rows, cols), (rows, cols))
    y, ty = ops.softmax(k[0]), torch.softmax(t[0], -1)
    return {
        "kcore": lambda: activate.softmax_grad(k[1], y, (1,)),
        "torch": lambda: aten._softmax_backward_data(t[1], ty, -1, torch.float32),
        "jax": pulled(nn.softmax, j[1], j[0]),
    }


def jax_sparse(x, target):
    return -jnp.take_along_axis(nn.log_softmax(x), target[:, None], 1)[:, 0]


def sparse(rows, cols):
    k, t, j = draws((rows, cols))
    target = np.random.default_rng(1).integers(0, cols, rows)
    kt, tt, jt = ops.convert_to_tensor(target), torch.from_numpy(target), jnp.asarray(target)
    return {
        "kcore": lambda: ops.sparse_categorical_crossentropy(kt, k[0], from_logits=True),
        "torch": lambda: functional.cross_entropy(t[0], tt, reduction="none"),
        "jax": jitted(jax_sparse, j[0], jt),
    }


def sparse_gradient(rows, cols):
    k, t, j = draws((rows, cols), (rows,))
    target = np.random.default_rng(1).integers(0, cols, rows)
    kt, tt, jt = ops.convert_to_tensor(target), torch.from_numpy(target), jnp.asarray(target)
    logs, weight = torch.log_softmax(t[0], -1), torch.tensor(0.0)

    def in_torch():
        g = aten.nll_loss_backward(t[1], logs, tt, None, 0, -100, weight)
        return aten._log_softmax_backward_data(g, logs, -1, torch.float32)

    return {
        "kcore": lambda: loss.sparse_crossentropy_grad(k[1], kt, k[0], True, 1),
        "torch": in_torch,
        "jax": pulled(lambda x: jax_sparse(x, jt), j[1], j[0]),
    }


def dense(rows, cols):
    k, t, j = draws((rows, cols), (rows, cols))
    return {
        "kcore": lambda: ops.categorical_crossentropy(k[1], k[0], from_logits=True),
        "torch": lambda: functional.cross_entropy(t[0], t[1], reduction="none"),
        "jax": jitted(lambda x, p: -(p * nn.log_softmax(x)).sum(-1), *j),
    }


ROWS = {
    "layer 4096x768": lambda: layer(4096, 768),
    "layer gradient 4096x768": lambda: layer_gradient(4096, 768),
    "layer 512x128": lambda: layer(512, 128),
    "layer gradient 512x128": lambda: layer_gradient(512, 128),
    "rms 4096x768": lambda: rms(4096, 768),
    "batch 8x56x56x64": lambda: batch(56, 64),
    "batch gradient 8x56x56x64": lambda: batch_gradient(56, 64),
    "batch 8x14x14x256": lambda: batch(14, 256),
    "batch gradient 8x14x14x256": lambda: batch_gradient(14, 256),
    "softmax 1024x1000": lambda: softmax(1024, 1000),
    "softmax gradient 1024x1000": lambda: softmax_gradient(1024, 1000),
    "sparse crossentropy 1024x1000": lambda: sparse(1024, 1000),
    "sparse crossentropy gradient 1024x1000": lambda: sparse_gradient(1024, 1000),
    "crossentropy 1024x1000": lambda: dense(1024, 1000),
}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("row", ROWS)
def test_norm(benchmark, row, peer):
    benchmark.group = row
    benchmark(side_by_side.pick(ROWS[row](), peer))


if __name__ == "__main__":
    side_by_side.table(((name, make()) for name, make in ROWS.items()), sys.argv[1:])
