"""`ops.image.resize`, float32, one thread: kcore, PyTorch's interpolate, jax.image.resize.

    pytest benchmarks/bench_native_resample.py           # pytest-benchmark, one benchmark per library
    python benchmarks/bench_native_resample.py [words]   # ratios of minimums, the peers taking turns

Images have their channels last in kcore and JAX, and in PyTorch's memory; "planes" have them first. JAX
widens its filters where images shrink, if asked, as kcore does; its cubic is the same, PyTorch's has a = -0.75.
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
PEERS = ["kcore", "torch", "jax"]
interpolate = torch.nn.functional.interpolate


def row(shape, size, method, antialias=False, gradient=False):
    rng = np.random.default_rng(0)
    planes = shape[1] == 3
    new = (*shape[:2], *size) if planes else (shape[0], *size, shape[3])
    x, g = (rng.standard_normal(s, "float32") for s in (shape, new))
    layout = "channels_first" if planes else "channels_last"
    own, own_g, array, array_g = ops.convert_to_tensor(x), ops.convert_to_tensor(g), jnp.asarray(x), jnp.asarray(g)
    tensor, tensor_g = (torch.from_numpy(a) if planes else torch.from_numpy(a).permute(0, 3, 1, 2) for a in (x, g))

    def by_kcore(x):
        return ops.image.resize(x, size, method, antialias, data_format=layout)

    def by_torch(x):
        return interpolate(x, size, mode=method, antialias=antialias)

    def by_jax(x):
        return jax.image.resize(x, new, {"bicubic": "cubic"}.get(method, method), antialias)

    if not gradient:
        compiled = jax.jit(by_jax)
        return {
            "kcore": lambda: by_kcore(own),
            "torch": lambda: by_torch(tensor),
            "jax": lambda: jax.block_until_ready(compiled(array)),
        }
    leaf, pulled = tensor.detach().requires_grad_(), jax.jit(lambda g, x: jax.vjp(by_jax, x)[1](g))
    return {
        "kcore": lambda: kcore.vjp(by_kcore, own)[1](own_g),
        "torch": lambda: torch.autograd.grad(by_torch(leaf), leaf, tensor_g),
        "jax": lambda: jax.block_until_ready(pulled(array_g, array)),
    }


PHOTOS, PLANES, MAPS = (4, 224, 224, 3), (4, 3, 224, 224), (8, 56, 56, 64)
LARGE, LARGE_PLANES = (4, 448, 448, 3), (4, 3, 448, 448)
ROWS = {
    "bilinear 4x224x224x3 to 448": lambda: row(PHOTOS, (448, 448), "bilinear"),
    "bicubic 4x224x224x3 to 448": lambda: row(PHOTOS, (448, 448), "bicubic"),
    "bilinear 4x448x448x3 to 224": lambda: row(LARGE, (224, 224), "bilinear"),
    "bilinear antialias 4x448x448x3 to 224": lambda: row(LARGE, (224, 224), "bilinear", True),
    "bicubic antialias 4x448x448x3 to 224": lambda: row(LARGE, (224, 224), "bicubic", True),
    "bilinear planes 4x3x224x224 to 448": lambda: row(PLANES, (448, 448), "bilinear"),
    "bilinear antialias planes 4x3x448x448 to 224": lambda: row(LARGE_PLANES, (224, 224), "bilinear", True),
    "bilinear 8x56x56x64 to 112": lambda: row(MAPS, (112, 112), "bilinear"),
    "nearest 8x56x56x64 to 112": lambda: row(MAPS, (112, 112), "nearest"),
    "bilinear with gradient 8x56x56x64 to 112": lambda: row(MAPS, (112, 112), "bilinear", gradient=True),
}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("what", ROWS)
def test_resize(benchmark, what, peer):
    benchmark.group = what
    benchmark(side_by_side.pick(ROWS[what](), peer))


if __name__ == "__main__":
    side_by_side.table(((name, make()) for name, make in ROWS.items()), sys.argv[1:])
