"""Memory: what a training step adds at its peak beside torch, and what long runs leave behind."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from . import loops, training
from .rows import Row, Subject

MIB = 2**20
STEPS, PREDICTS = 2000, 1000


def resident(which: str) -> float:
    """A field of this process's status, in MiB: VmRSS is what it has now, VmHWM the most it had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == which:
            return int(value.split()[0]) * 1024 / MIB
    raise OSError(f"/proc/self/status has no {which}.")


def forget_peak() -> None:
    """Sets VmHWM to VmRSS."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_of(subject: Subject) -> Subject:
    """Its epochs' peak, less what the process had before: weights, data and libraries."""

    def run() -> float:
        gc.collect()
        before = resident("VmRSS")
        forget_peak()
        subject.run()
        return resident("VmHWM") - before

    return Subject(run, list)  # nothing ran before: the first step's peak counts


def small(**changes: Any) -> training.Task:
    """The convnet, on images of 56x56, so that activations outweigh all else."""
    return training.Task(
        **vars(training.CONVNET)
        | {
            "shapes": [(3, 3, 1, 32), (32,), (3, 3, 32, 64), (64,), (14 * 14 * 64, 10), (10,)],
            "inputs": (56, 56, 1),
            "keras": _larger,
            "samples": 128 * 3,
        }
        | changes
    )


def _larger(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((56, 56, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def growth(fit: bool) -> Subject:
    """What thousands of steps add to the memory of a process that has warmed up."""
    task = training.Task(**vars(training.CONVNET) | {"samples": 16 * 200, "batch": 16})
    model = loops.compiled(loops.api("kcore", "reference"), task)
    x, y = task.data()

    def step() -> None:
        if fit:
            model.fit(x, y, batch_size=task.batch, epochs=1, verbose=0)  # 200 steps
        else:
            model.predict(x[: task.batch], verbose=0)

    def run() -> float:
        for _ in range(2 if fit else 100):
            step()
        gc.collect()
        before = resident("VmRSS")
        for _ in range(STEPS // 200 if fit else PREDICTS):
            step()
        gc.collect()
        return resident("VmRSS") - before

    return Subject(run, list)


ROWS = [
    Row(
        "peak of training a convnet on 56x56, batch 128",
        {
            "kcore": lambda: peak_of(loops.fit(small(), "kcore", "reference")),
            "torch loop": lambda: peak_of(loops.in_torch(small())),
            "jax loop": lambda: peak_of(loops.in_jax(small())),
        },
        goal=1.0,
        apart=True,
        unit="MiB",
    ),
    Row(f"growth over {STEPS} steps of fit", {"kcore": lambda: growth(True)}, apart=True, unit="MiB"),
    Row(f"growth over {PREDICTS} predicts", {"kcore": lambda: growth(False)}, apart=True, unit="MiB"),
]


def test_memory(timed):
    timed()
