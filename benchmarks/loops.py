"""The same training as `fit` of a library with Keras's API, as a loop in torch, and as a jitted step in JAX."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .peers import functional, jax, jnp, nn, torch
from .rows import Subject
from .training import CHECKED, EPSILON, RATE, Task


def api(library: str, backend: str) -> Any:
    """`kcore` on a backend, or Keras, which took its own from the environment."""
    import importlib

    if library == "keras":
        return importlib.import_module("keras")
    kcore = importlib.import_module("kcore")
    kcore.config.set_backend(backend)
    return kcore


def compiled(keras: Any, task: Task) -> Any:
    """The model with the task's weights, ready to train."""
    model = task.keras(keras)
    model.set_weights(task.weights())
    model.compile(
        optimizer=keras.optimizers.Adam(RATE, epsilon=EPSILON),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def fit(task: Task, library: str, backend: str) -> Subject:
    """`fit` for an epoch."""
    model = compiled(api(library, backend), task)
    x, y = task.data()

    def run() -> None:
        model.fit(x, y, batch_size=task.batch, epochs=1, verbose=0)

    def result() -> list[np.ndarray]:
        some = CHECKED * task.batch
        history = model.fit(x[:some], y[:some], batch_size=task.batch, epochs=1, verbose=0, shuffle=False)
        return [np.array(history.history["loss"])]  # not accuracy, which a tie may move by a sample

    return Subject(run, result)


def batches(task: Task, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The numbers of the samples of each batch of a shuffled epoch."""
    order = rng.permutation(task.samples)
    return (order[i : i + task.batch] for i in range(0, task.samples, task.batch))


def in_torch(task: Task) -> Subject:
    """A plain loop; Adam is torch's fused one."""
    weights = [torch.nn.Parameter(w) for w in task.to_torch([torch.from_numpy(w) for w in task.weights()])]
    optimizer = torch.optim.Adam(weights, RATE, eps=EPSILON, fused=True)
    x, y = (torch.from_numpy(a) for a in task.data())
    y = y.long()
    rng = np.random.default_rng(3)

    def trained(numbers: Any) -> tuple[float, float]:
        total, right, count = 0.0, 0, 0
        for at in numbers:
            at = torch.from_numpy(at)
            bx, by = x[at], y[at]
            optimizer.zero_grad()
            logits = task.torch(weights, bx)
            loss = functional.cross_entropy(logits, by)
            loss.backward()
            optimizer.step()
            total += loss.item()
            right += (logits.argmax(1) == by).sum().item()
            count += 1
        return total / count, right / (count * task.batch)

    def result() -> list[np.ndarray]:
        first = np.arange(CHECKED * task.batch).reshape(CHECKED, -1)
        return [np.array([trained(first)[0]])]

    return Subject(lambda: trained(batches(task, rng)), result)


def in_jax(task: Task) -> Subject:
    """A jitted step whose state is donated; batches are picked in NumPy, as Keras does."""
    x, y = task.data()
    weights = [jnp.asarray(w) for w in task.weights()]
    zeros = [jnp.zeros_like(w) for w in weights]
    sums = jnp.zeros(2)
    state: list[Any] = [weights, zeros, [jnp.copy(z) for z in zeros], jnp.zeros((), "int32"), sums]
    rng = np.random.default_rng(3)

    def loss(weights: Any, x: Any, y: Any) -> Any:
        logits = task.jax(weights, x)
        each = -jnp.take_along_axis(nn.log_softmax(logits), y[:, None], 1)
        return each.mean(), (logits.argmax(-1) == y).sum()

    def step(weights: Any, ms: Any, vs: Any, count: Any, sums: Any, x: Any, y: Any) -> Any:
        (value, right), gradients = jax.value_and_grad(loss, has_aux=True)(weights, x, y)
        count += 1
        size = RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        ms = [0.9 * m + 0.1 * g for m, g in zip(ms, gradients)]
        vs = [0.999 * v + 0.001 * g * g for v, g in zip(vs, gradients)]
        weights = [w - size * m / (jnp.sqrt(v) + EPSILON) for w, m, v in zip(weights, ms, vs)]
        return weights, ms, vs, count, sums + jnp.stack([value, right])

    jitted = jax.jit(step, donate_argnums=(0, 1, 2, 3, 4))

    def trained(numbers: Any) -> np.ndarray:
        state[4], count = jnp.zeros(2), 0
        for at in numbers:
            state[:] = jitted(*state, x[at], y[at])
            count += 1
        jax.block_until_ready(state)
        return np.asarray(state[4]) / np.array([count, count * task.batch])

    def result() -> list[np.ndarray]:
        first = np.arange(CHECKED * task.batch).reshape(CHECKED, -1)
        return [trained(first)[:1]]

    return Subject(lambda: trained(batches(task, rng)), result)
