"""Normalizations, softmax and crossentropies, forward and backward."""

from __future__ import annotations

import numpy as np

from kcore import ops

from .bench_conv import FIRST, LAST, torch_images
from .peers import Call, backward, forward, functional, jax, jnp, nn, normal, torch
from .rows import Row

GOAL = 1.2


def jax_layer(x, gamma, beta):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * gamma + beta


LAYER = {
    "kcore": lambda x, gamma, beta: ops.layer_normalization(x, gamma, beta, epsilon=1e-5),
    "torch": lambda x, gamma, beta: functional.layer_norm(x, gamma.shape, gamma, beta, 1e-5),
    "jax": jax_layer,
}
RMS = {
    "kcore": lambda x, gamma: ops.rms_normalization(x, gamma, epsilon=1e-5),
    "torch": lambda x, gamma: functional.rms_norm(x, gamma.shape, gamma, 1e-5),
    "jax": lambda x, gamma: x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * gamma,
}


def jax_batch(x, gamma, beta):
    mean = x.mean((0, 1, 2))
    variance = ((x - mean) ** 2).mean((0, 1, 2))
    return (x - mean) * (jax.lax.rsqrt(variance + 1e-3) * gamma) + beta


def torch_batch(memory_format):
    image = torch_images(memory_format)

    def call(x, gamma, beta):
        return functional.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-3)

    return Call(call, [image], image)


BATCH = {
    "kcore": lambda x, gamma, beta: ops.normalize_batch(x, beta, gamma)[0],
    LAST: torch_batch("channels_last"),
    FIRST: torch_batch("contiguous_format"),
    "jax": jax_batch,
}


def groups(count):
    """Group normalization with so many groups."""

    def jax_group(x, gamma, beta):
        grouped = x.reshape(x.shape[0], -1, count, x.shape[-1] // count)
        mean = grouped.mean((1, 3), keepdims=True)
        variance = ((grouped - mean) ** 2).mean((1, 3), keepdims=True)
        return ((grouped - mean) * jax.lax.rsqrt(variance + 1e-3)).reshape(x.shape) * gamma + beta

    def torch_group(memory_format):
        image = torch_images(memory_format)

        def call(x, gamma, beta):
            return functional.group_norm(x, count, gamma, beta, 1e-3)

        return Call(call, [image], image)

    return {
        "kcore": lambda x, gamma, beta: ops.group_normalization(x, gamma, beta, count),
        LAST: torch_group("channels_last"),
        FIRST: torch_group("contiguous_format"),
        "jax": jax_group,
    }


SOFTMAX = {
    "kcore": lambda x: ops.softmax(x),
    "torch": lambda x: torch.softmax(x, -1),
    "jax": lambda x: nn.softmax(x),
}
SPARSE = {
    "kcore": lambda x, target: ops.sparse_categorical_crossentropy(target, x, from_logits=True),
    "torch": lambda x, target: functional.cross_entropy(x, target, reduction="none"),
    "jax": lambda x, target: -jnp.take_along_axis(nn.log_softmax(x), target[:, None], 1)[:, 0],
}
DENSE = {
    "kcore": lambda x, p: ops.categorical_crossentropy(p, x, from_logits=True),
    "torch": lambda x, p: functional.cross_entropy(x, p, reduction="none"),
    "jax": lambda x, p: -(p * nn.log_softmax(x)).sum(-1),
}


def labelled(rows, classes, gradient=False):
    """Logits and the numbers of their classes."""

    def draw(rng):
        x, *g = normal((rows, classes), *([(rows,)] if gradient else []))(rng)
        return [x, rng.integers(0, classes, rows), *g]

    return draw


def shares(rows, classes):
    """Logits and probabilities."""

    def draw(rng):
        x, p = normal((rows, classes), (rows, classes))(rng)
        p = np.exp(p)
        return [x, p / p.sum(-1, keepdims=True)]

    return draw


def both(name, functions, shape, extra=(), by=(0,)):
    """Forward, and backward by some of the arguments."""
    shapes = (shape, *extra)
    return [
        Row(name, forward(normal(*shapes), **functions), goal=GOAL),
        Row(f"{name}, backward", backward(normal(*shapes, shape), by, **functions), goal=GOAL),
    ]


ROWS = [
    *both("layer normalization 4096x768", LAYER, (4096, 768), [(768,), (768,)], (0, 1, 2)),
    *both("layer normalization 512x128", LAYER, (512, 128), [(128,), (128,)], (0, 1, 2)),
    *both("RMS normalization 4096x768", RMS, (4096, 768), [(768,)], (0, 1)),
    *both("batch normalization 8x56x56x64", BATCH, (8, 56, 56, 64), [(64,), (64,)], (0, 1, 2)),
    *both("batch normalization 8x14x14x256", BATCH, (8, 14, 14, 256), [(256,), (256,)], (0, 1, 2)),
    *both("group normalization 8x56x56x64, 32 groups", groups(32), (8, 56, 56, 64), [(64,), (64,)], (0, 1, 2)),
    *both("group normalization 8x56x56x64, one group", groups(1), (8, 56, 56, 64), [(64,), (64,)], (0, 1, 2)),
    *both("instance normalization 8x56x56x64", groups(64), (8, 56, 56, 64), [(64,), (64,)], (0, 1, 2)),
    *both("group normalization 8x14x14x256, 32 groups", groups(32), (8, 14, 14, 256), [(256,), (256,)], (0, 1, 2)),
    *both("softmax 1024x1000", SOFTMAX, (1024, 1000)),
    *both("softmax 32768x64", SOFTMAX, (32768, 64)),
    Row("sparse crossentropy 1024x1000", forward(labelled(1024, 1000), **SPARSE), goal=GOAL),
    Row("sparse crossentropy 1024x1000, backward", backward(labelled(1024, 1000, True), (0,), **SPARSE), goal=GOAL),
    Row("crossentropy 1024x1000", forward(shares(1024, 1000), **DENSE), goal=GOAL),
]


def test_norms(timed):
    timed()
