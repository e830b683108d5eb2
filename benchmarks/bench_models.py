"""Whole models: an epoch of `fit`, and `predict` of ResNet-50.

`fit` of kcore and of Keras on each backend, a plain loop in torch and a jitted one in JAX, each in its own
process: the same weights at first, the same data, Adam, crossentropy, accuracy counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import kcore

from . import loops, resnet, training
from .peers import in_onnxruntime, torch
from .rows import Row, Subject

TASKS = {
    "MLP 784-128-10, batch 32": training.MLP,
    "convnet 28x28, batch 128": training.CONVNET,
    "LSTM classifier, batch 32": training.LSTM,
    "transformer classifier, batch 32": training.TRANSFORMER,
}
FRAMEWORKS = ("jax", "tensorflow", "torch")


def fitting(task: training.Task) -> dict[str, Any]:
    """Builders of all who train."""
    builders = {"kcore": lambda: loops.fit(task, "kcore", "reference")}
    for library in ("kcore", "keras"):
        for name in FRAMEWORKS:
            builders[f"{library}-{name}"] = lambda library=library, name=name: loops.fit(task, library, name)
    return builders | {"torch loop": lambda: loops.in_torch(task), "jax loop": lambda: loops.in_jax(task)}


def images(batch: int) -> np.ndarray:
    return np.random.default_rng(4).standard_normal((batch, resnet.SIZE, resnet.SIZE, 3), "float32")


def predicted(batch: int) -> dict[str, Any]:
    """Builders of all who predict; torch's and ONNX Runtime's images are channels first, as they like them."""

    def in_kcore() -> Subject:
        model, x = resnet.in_keras(kcore, resnet.weights()), images(batch)
        return Subject(lambda: model.predict(x, verbose=0), lambda: [np.asarray(model.predict(x, verbose=0))])

    def in_torch(memory_format: str) -> Subject:
        layout = getattr(torch, memory_format)
        model = resnet.in_torch(resnet.weights(), layout)
        x = torch.from_numpy(images(batch)).permute(0, 3, 1, 2).contiguous(memory_format=layout)

        def run() -> Any:
            with torch.inference_mode():
                return model(x)

        return Subject(run, lambda: [run().numpy()])

    def in_onnx() -> Subject:
        x = np.ascontiguousarray(images(batch).transpose(0, 3, 1, 2))
        return in_onnxruntime(resnet.in_onnx(resnet.weights(), batch), {"x": x})

    return {
        "kcore": in_kcore,
        "torch channels_last": lambda: in_torch("channels_last"),
        "torch nchw": lambda: in_torch("contiguous_format"),
        "onnxruntime": in_onnx,
    }


ROWS = [
    *(
        Row(f"fit {name}", fitting(task), goal=1.0, apart=True, tolerance=1e-3, seconds=12)
        for name, task in TASKS.items()
    ),
    *(
        Row(
            f"predict ResNet-50, batch {batch}, {threads} thread{'s' if threads > 1 else ''}",
            predicted(batch),
            goal=1.0,
            apart=True,
            threads=threads,
            tolerance=1e-3,
            seconds=8,
        )
        for threads in (1, 2)
        for batch in (1, 8)
    ),
]


def test_models(timed):
    timed()
