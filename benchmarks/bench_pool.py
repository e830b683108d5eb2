"""Pooling, forward and backward, images channels last in kcore and JAX, in both layouts in torch."""

from __future__ import annotations

import numpy as np

from kcore import ops

from .bench_conv import FIRST, LAST, Chosen
from .peers import Call, backward, forward, functional, jax, jnp, normal
from .rows import Row

# name: image's size, channels, window, stride, padding, kind
WINDOWS = {
    "max 3x3 stride 2, 8x112x112x64": (112, 64, 3, 2, 1, "max"),
    "max 2x2, 8x56x56x64": (56, 64, 2, 2, 0, "max"),
    "average 2x2, 8x56x56x64": (56, 64, 2, 2, 0, "average"),
    "average 3x3 stride 1, 8x28x28x128": (28, 128, 3, 1, 0, "average"),
    "global average, 8x7x7x2048": (7, 2048, 7, 7, 0, "average"),
}


def functions(size, window, stride, pad, kind):
    """The pooling in each library; a padded image has zeros around it, as inputs are above 0."""
    own = ops.max_pool if kind == "max" else ops.average_pool
    sizes = (1, window, window, 1), (1, stride, stride, 1)
    pads = ((0, 0), (pad, pad), (pad, pad), (0, 0))

    def in_kcore(x):
        return own(ops.pad(x, pads) if pad else x, window, stride)

    def in_torch(x):
        if kind == "max":
            return functional.max_pool2d(x, window, stride, pad)
        return functional.avg_pool2d(x, window, stride, pad)

    def in_jax(x):
        if kind == "max":
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *sizes, pads)
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, *sizes, pads) / window**2

    def laid_out(memory_format):
        image = Chosen(memory_format, 0)
        return Call(in_torch, [image], image)

    return {"kcore": in_kcore, LAST: laid_out("channels_last"), FIRST: laid_out("contiguous_format"), "jax": in_jax}


def rows():
    for name, (size, channels, window, stride, pad, kind) in WINDOWS.items():
        out = (size + 2 * pad - window) // stride + 1
        x, y = (8, size, size, channels), (8, out, out, channels)

        def inputs(rng, shapes=(x,)):
            return [np.abs(a) if i == 0 else a for i, a in enumerate(normal(*shapes)(rng))]

        def with_gradient(rng, shapes=(x, y), draw=inputs):
            return draw(rng, shapes)

        how = functions(size, window, stride, pad, kind)
        yield Row(name, forward(inputs, **how), goal=1.2)
        yield Row(f"{name}, backward", backward(with_gradient, (0,), **how), goal=1.2)


ROWS = list(rows())


def test_pool(timed):
    timed()
