"""Pooling, forward and backward: channels last in kcore and JAX, images in both layouts in torch."""

from __future__ import annotations

from kcore import ops

from .bench_conv import FIRST, LAST, torch_images
from .peers import Call, Layout, backward, forward, functional, jax, jnp, normal
from .rows import Row

# name: image's size, channels, window, stride, kind; none needs padding, which torch puts elsewhere
WINDOWS = {
    "max 3x3 stride 2, 8x113x113x64": (113, 64, 3, 2, "max"),
    "max 2x2, 8x56x56x64": (56, 64, 2, 2, "max"),
    "average 2x2, 8x56x56x64": (56, 64, 2, 2, "average"),
    "average 3x3 stride 1, 8x28x28x128": (28, 128, 3, 1, "average"),
}
# the same for sequences and volumes
SEQUENCES = {
    "max 3 stride 2, 32x1001x64": (1001, 64, 3, 2, "max"),
    "average 2, 32x1000x64": (1000, 64, 2, 2, "average"),
}
VOLUMES = {"max 2x2x2, 2x32x32x32x32": (32, 32, 2, 2, "max"), "average 2x2x2, 2x32x32x32x32": (32, 32, 2, 2, "average")}
GLOBAL = (8, 7, 7, 2048)
ADAPTIVE = (8, 30, 30, 128)  # to 7x7: windows of 5, some of which overlap


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


def other_functions(rank, window, stride, kind):
    """The pooling of sequences or volumes, which torch has channels first."""
    how = window, stride
    swapped = Layout(lambda x: x.movedim(-1, 1).contiguous(), lambda x: x.movedim(1, -1))
    sizes = (1, *(window,) * rank, 1), (1, *(stride,) * rank, 1), "VALID"

    def in_torch(x):
        return getattr(functional, f"{'max' if kind == 'max' else 'avg'}_pool{rank}d")(x, *how)

    def in_jax(x):
        if kind == "max":
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *sizes)
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, *sizes) / window**rank

    return {
        "kcore": lambda x: (ops.max_pool if kind == "max" else ops.average_pool)(x, *how),
        "torch": Call(in_torch, [swapped], swapped),
        "jax": in_jax,
    }


def adaptive(kind):
    """Pooling to 7x7, which JAX has not."""
    in_kcore = ops.adaptive_max_pool if kind == "max" else ops.adaptive_average_pool

    def in_torch(x):
        return (functional.adaptive_max_pool2d if kind == "max" else functional.adaptive_avg_pool2d)(x, 7)

    return {"kcore": lambda x: in_kcore(x, 7), **laid_out(in_torch)}


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
    for rank, batch, shapes in ((1, 32, SEQUENCES), (3, 2, VOLUMES)):
        for name, (size, channels, window, stride, kind) in shapes.items():
            out = (size - window) // stride + 1
            x, y = ((batch, *(n,) * rank, channels) for n in (size, out))
            yield from both(name, other_functions(rank, window, stride, kind), x, y)
    for kind in ("max", "average"):
        yield from both(f"adaptive {kind} 8x30x30x128 to 7x7", adaptive(kind), ADAPTIVE, (8, 7, 7, 128))
    yield from both("global average, 8x7x7x2048", averages(), GLOBAL, (8, 1, 1, 2048))


ROWS = list(rows())


def test_pool(timed):
    timed()
