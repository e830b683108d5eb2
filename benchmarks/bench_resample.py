"""Images resized, channels last in kcore and JAX, in both layouts in torch."""

from __future__ import annotations

from kcore import ops

from .bench_conv import FIRST, LAST, torch_images
from .peers import Call, backward, forward, functional, jax, normal
from .rows import Row

# name: shape, new size, filter, whether it widens
RESIZES = {
    "bilinear 4x224x224x3 to 448": ((4, 224, 224, 3), 448, "bilinear", False),
    "bicubic 4x224x224x3 to 448": ((4, 224, 224, 3), 448, "bicubic", False),
    "bilinear 4x448x448x3 to 224": ((4, 448, 448, 3), 224, "bilinear", False),
    "bilinear antialias 4x448x448x3 to 224": ((4, 448, 448, 3), 224, "bilinear", True),
    "bicubic antialias 4x448x448x3 to 224": ((4, 448, 448, 3), 224, "bicubic", True),
    "bilinear 8x56x56x64 to 112": ((8, 56, 56, 64), 112, "bilinear", False),
    "nearest 8x56x56x64 to 112": ((8, 56, 56, 64), 112, "nearest", False),
}


def functions(shape, size, method, antialias):
    new = (shape[0], size, size, shape[3])

    def in_torch(x):
        return functional.interpolate(x, (size, size), mode=method, antialias=antialias)

    def in_jax(x):
        return jax.image.resize(x, new, {"bicubic": "cubic"}.get(method, method), antialias)

    def laid_out(memory_format):
        image = torch_images(memory_format)
        return Call(in_torch, [image], image)

    peers = {"kcore": lambda x: ops.image.resize(x, (size, size), method, antialias), "jax": in_jax}
    if method == "bicubic" and not antialias:
        return peers  # torch's cubic is another, with a = -3/4
    return {**peers, LAST: laid_out("channels_last"), FIRST: laid_out("contiguous_format")}


def rows():
    for name, how in RESIZES.items():
        shape, size = how[:2]
        new = (shape[0], size, size, shape[3])
        yield Row(f"resize {name}", forward(normal(shape), **functions(*how)))
        yield Row(f"resize {name}, backward", backward(normal(shape, new), (0,), **functions(*how)))


ROWS = list(rows())


def test_resample(timed):
    timed()
