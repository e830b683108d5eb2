"""Models to train, each written three times: in Keras's layers, and as a function of its weights in torch and JAX.

The weights are drawn here, in the order in which Keras lists them, so that all begin alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .peers import functional, jax, jnp, nn, torch
from .recurrence import LSTM_LAYOUTS, jax_lstm, torch_lstm

RATE, EPSILON = 1e-3, 1e-7
CHECKED = 3  # batches that are trained on to compare the peers


@dataclass(frozen=True)
class Task:
    """What is trained, on what.

    Attributes:
        shapes: Of the weights, in Keras's order.
        inputs: Shape of one sample.
        tokens: How many different ones there are, where inputs are tokens; else None, and inputs are numbers.
        samples: Of an epoch, which is what is timed.
        keras: Takes `keras` or `kcore`; returns a model that gives logits.
        torch: Takes (weights, x); returns logits.
        jax: The same in JAX.
        to_torch: Takes a list of torch tensors as Keras has its weights; returns those that `torch` takes.
    """

    shapes: Sequence[tuple[int, ...]]
    inputs: tuple[int, ...]
    tokens: int | None
    batch: int
    samples: int
    keras: Callable[[Any], Any]
    torch: Callable[[Sequence[Any], Any], Any]
    jax: Callable[[Sequence[Any], Any], Any]
    to_torch: Callable[[list[Any]], list[Any]]
    classes: int = 10

    def weights(self) -> list[np.ndarray]:
        """Kernels as Glorot has them, vectors zero, but for scales: `ones` tells them by their place."""
        rng = np.random.default_rng(1)
        drawn = []
        for i, shape in enumerate(self.shapes):
            if len(shape) == 1:
                drawn.append(np.full(shape, 1.0 if i in self.ones else 0.0))
            else:
                inputs = int(np.prod(shape[:-1]))
                drawn.append(rng.standard_normal(shape) * np.sqrt(2 / (inputs + shape[-1])))
        return [w.astype("float32") for w in drawn]

    ones: frozenset[int] = frozenset()

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and labels."""
        rng = np.random.default_rng(2)
        shape = (self.samples, *self.inputs)
        x = rng.standard_normal(shape, "float32") if self.tokens is None else rng.integers(0, self.tokens, shape)
        return x if self.tokens is None else x.astype("int32"), rng.integers(0, self.classes, self.samples).astype(
            "int32"
        )


def mlp(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((784,)), layers.Dense(128, activation="relu"), layers.Dense(10)])


def torch_mlp(weights: Sequence[Any], x: Any) -> Any:
    w1, b1, w2, b2 = weights
    return torch.addmm(b2, torch.relu(torch.addmm(b1, x, w1)), w2)


def jax_mlp(weights: Sequence[Any], x: Any) -> Any:
    w1, b1, w2, b2 = weights
    return nn.relu(x @ w1 + b1) @ w2 + b2


MLP = Task(
    shapes=[(784, 128), (128,), (128, 10), (10,)],
    inputs=(784,),
    tokens=None,
    batch=32,
    samples=6400,
    keras=mlp,
    torch=torch_mlp,
    jax=jax_mlp,
    to_torch=lambda ws: ws,
)


def convnet(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def torch_convnet(weights: Sequence[Any], x: Any) -> Any:
    """Images are channels last in memory; so is what is flattened, as in Keras."""
    w1, b1, w2, b2, w3, b3 = weights
    x = x.permute(0, 3, 1, 2)
    x = functional.max_pool2d(torch.relu(torch.conv2d(x, w1, b1, padding=1)), 2)
    x = functional.max_pool2d(torch.relu(torch.conv2d(x, w2, b2, padding=1)), 2)
    return torch.addmm(b3, x.permute(0, 2, 3, 1).reshape(len(x), -1), w3)


def jax_convnet(weights: Sequence[Any], x: Any) -> Any:
    w1, b1, w2, b2, w3, b3 = weights

    def convolved(x: Any, w: Any, b: Any) -> Any:
        form = ("NHWC", "HWIO", "NHWC")
        x = nn.relu(jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=form) + b)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    x = convolved(convolved(x, w1, b1), w2, b2)
    return x.reshape(len(x), -1) @ w3 + b3


def oihw(kernel: Any) -> Any:
    return kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


CONVNET = Task(
    shapes=[(3, 3, 1, 32), (32,), (3, 3, 32, 64), (64,), (7 * 7 * 64, 10), (10,)],
    inputs=(28, 28, 1),
    tokens=None,
    batch=128,
    samples=128 * 6,
    keras=convnet,
    torch=torch_convnet,
    jax=jax_convnet,
    to_torch=lambda ws: [oihw(w) if w.ndim == 4 else w for w in ws],
)

WORDS, LENGTH, WIDTH = 2000, 40, 64


def lstm(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            layers.Embedding(WORDS, WIDTH),
            layers.LSTM(WIDTH, return_sequences=True),
            layers.LSTM(WIDTH),
            layers.Dense(10),
        ]
    )


def torch_lstms(weights: Sequence[Any], x: Any) -> Any:
    table, w1, u1, b1, w2, u2, b2, w3, b3 = weights
    x = torch_lstm(functional.embedding(x, table), w1, u1, b1)
    return torch.addmm(b3, torch_lstm(x, w2, u2, b2)[:, -1], w3)


def jax_lstms(weights: Sequence[Any], x: Any) -> Any:
    table, w1, u1, b1, w2, u2, b2, w3, b3 = weights
    return jax_lstm(jax_lstm(table[x], w1, u1, b1), w2, u2, b2)[:, -1] @ w3 + b3


GATES = [(WIDTH, 4 * WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH,)]
LSTM = Task(
    shapes=[(WORDS, WIDTH), *GATES, *GATES, (WIDTH, 10), (10,)],
    inputs=(LENGTH,),
    tokens=WORDS,
    batch=32,
    samples=32 * 10,
    keras=lstm,
    torch=torch_lstms,
    jax=jax_lstms,
    to_torch=lambda ws: [LSTM_LAYOUTS[1].to(w) if w.shape == GATES[0] else w for w in ws],
)

HEADS, BLOCKS, INNER = 4, 2, 128
DEPTH = WIDTH // HEADS


def transformer(keras: Any) -> Any:
    layers = keras.layers
    x = inputs = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(WORDS, WIDTH)(x)
    for _ in range(BLOCKS):
        y = layers.MultiHeadAttention(HEADS, DEPTH)(x, x)
        x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, y]))
        y = layers.Dense(WIDTH)(layers.Dense(INNER, activation="relu")(x))
        x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def heads(x: Any, w: Any, b: Any) -> Any:
    """Projected, as (batch, length, heads, depth)."""
    return (x @ w + b).reshape(*x.shape[:2], HEADS, DEPTH)


def torch_transformer(weights: Sequence[Any], x: Any) -> Any:
    left = iter(weights)
    x = functional.embedding(x, next(left))
    for _ in range(BLOCKS):
        q, k, v = (heads(x, next(left), next(left)).transpose(1, 2) for _ in range(3))
        y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        x = functional.layer_norm(x + (y @ next(left) + next(left)), (WIDTH,), next(left), next(left), 1e-5)
        y = torch.relu(x @ next(left) + next(left)) @ next(left) + next(left)
        x = functional.layer_norm(x + y, (WIDTH,), next(left), next(left), 1e-5)
    return x.mean(1) @ next(left) + next(left)


def jax_transformer(weights: Sequence[Any], x: Any) -> Any:
    left = iter([w.reshape(WIDTH, WIDTH) if w.ndim == 3 else w for w in weights])

    def normalized(x: Any, gamma: Any, beta: Any) -> Any:
        mean = x.mean(-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * gamma + beta

    x = next(left)[x]
    for _ in range(BLOCKS):
        q, k, v = (heads(x, next(left), next(left).reshape(-1)) for _ in range(3))
        y = nn.dot_product_attention(q, k, v).reshape(x.shape)
        x = normalized(x + (y @ next(left) + next(left)), next(left), next(left))
        y = nn.relu(x @ next(left) + next(left)) @ next(left) + next(left)
        x = normalized(x + y, next(left), next(left))
    return x.mean(1) @ next(left) + next(left)


_PROJECTIONS = [(WIDTH, HEADS, DEPTH), (HEADS, DEPTH)] * 3 + [(HEADS, DEPTH, WIDTH), (WIDTH,)]
_BLOCK = [*_PROJECTIONS, *[(WIDTH,)] * 2, (WIDTH, INNER), (INNER,), (INNER, WIDTH), *[(WIDTH,)] * 3]
TRANSFORMER = Task(
    shapes=[(WORDS, WIDTH), *_BLOCK * BLOCKS, (WIDTH, 10), (10,)],
    inputs=(LENGTH,),
    tokens=WORDS,
    batch=32,
    samples=32 * 10,
    keras=transformer,
    torch=torch_transformer,
    jax=jax_transformer,
    to_torch=lambda ws: [
        w.reshape(WIDTH, WIDTH) if w.ndim == 3 else w.reshape(-1) if w.shape == (HEADS, DEPTH) else w for w in ws
    ],
    ones=frozenset(1 + i * len(_BLOCK) + at for i in range(BLOCKS) for at in (8, 14)),
)
