"""What one eager call costs beside NumPy's own, and what importing kcore costs beside importing NumPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from kcore import layers, ops

from .peers import forward, normal
from .rows import Row, Subject


def dense():
    layer = layers.Dense(4)
    layer.build((2, 4))
    layer.set_weights([np.eye(4, dtype="float32"), np.zeros(4, "float32")])
    return layer


def called():
    """`Dense(4)` of arrays as a user has them, beside the product alone."""
    layer = dense()
    x, w = np.ones((2, 4), "float32"), np.eye(4, dtype="float32")
    return {
        "kcore": lambda: Subject(lambda: layer(x), lambda: [np.asarray(layer(x))]),
        "numpy": lambda: Subject(lambda: np.matmul(x, w), lambda: [np.matmul(x, w)]),
    }


def imported(module: str):
    def run() -> None:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    return lambda: Subject(run, list)


ROWS = [
    Row(
        "add of 4 elements",
        forward(normal((4,), (4,)), kcore=ops.add, numpy=np.add, torch=lambda a, b: a + b, jax=lambda a, b: a + b),
        goal=1 / 4,
    ),
    Row("Dense(4) beside matmul, 2x4", called(), goal=1 / 20),
    Row("import", {"kcore": imported("kcore"), "numpy": imported("numpy")}, goal=1 / 1.5, seconds=3),
]


def test_eager(timed):
    timed()
