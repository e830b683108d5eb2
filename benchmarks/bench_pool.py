"""Pooling, forward and backward, images channels last in kcore and JAX, in both layouts in torch."""

from __future__ import annotations

from kcore import ops

from .bench_conv import FIRST, LAST, torch_images
from .peers import Call, backward, forward, functional, jax, jnp, normal
from .rows import Row

# name: image's size, channels, window, stride, kind; none needs padding, which torch puts elsewhere
WINDOWS = {
    "max 3x3 stride 2, 8x113x113x64": (113, 64, 3, 2, "max"),
    "max 2x2, 8x56x56x64": (56, 64, 2, 2, "max"),
    "average 2x2, 8x56x56x64": (56, 64, 2, 2, "average"),
    "average 3x3 stride 1, 8x28x28x128": (28, 128, 3, 1, "average"),
}
GLOBAL = (8, 7, 7, 2048)


def laid_out(function):
    """torch's function in both layouts."""
    image = {name: torch_images(name) for name in ("channels_last", "contiguous_format")}
    return {
        LAST: Call(function, [image["channels_last"]], image["channels_last"]),
        FIRST: Call(function, [image["contiguous_format"]], image["contiguous_format"]),
    }


def functions(window, stride, kind):
    """The pooling in each library."""
    sizes = (1, window, window, 1), (1, stride, stride, 1), "VALID"

    def in_kcore(x):
        return (ops.max_pool if kind == "max" else ops.average_pool)(x, window, stride)

    def in_torch(x):
        return (functional.max_pool2d if kind == "max" else functional.avg_pool2d)(x, window, stride)

    def in_jax(x):
        if kind == "max":
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *sizes)
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, *sizes) / window**2

    return {"kcore": in_kcore, **laid_out(in_torch), "jax": in_jax}


def averages():
    """What global average pooling computes, with the pixels' axes kept."""
    return {
        "kcore": lambda x: ops.mean(x, (1, 2), keepdims=True),
        **laid_out(lambda x: x.mean((2, 3), keepdim=True)),
        "jax": lambda x: jnp.mean(x, (1, 2), keepdims=True),
    }


def both(name, how, x, y):
    """Forward and backward."""
    return [
        Row(name, forward(normal(x), **how), goal=1.2),
        Row(f"{name}, backward", backward(normal(x, y), (0,), **how), goal=1.2),
    ]


def rows():
    for name, (size, channels, window, stride, kind) in WINDOWS.items():
        out = (size - window) // stride + 1
        yield from both(name, functions(window, stride, kind), (8, size, size, channels), (8, out, out, channels))
    yield from both("global average, 8x7x7x2048", averages(), GLOBAL, (8, 1, 1, 2048))


ROWS = list(rows())


def test_pool(timed):
    timed()
