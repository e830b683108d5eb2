"""kcore: the Keras 3 API, with a numerical oracle inside.

`import kcore as keras` runs Keras code on TensorFlow, JAX or PyTorch and, with none of them
installed, on kcore's own CPU backend. Everything is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

from kcore.version import __version__

_NAMESPACES = (
    "activations",
    "backend",
    "backends",
    "callbacks",
    "config",
    "conformance",
    "constraints",
    "data",
    "dtype_policies",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "saving",
    "sparse",
    "tree",
    "utils",
)

# name -> where it is defined
_NAMES = {
    "DTypePolicy": "kcore.dtype_policies",
    "FloatDTypePolicy": "kcore.dtype_policies",
    "Function": "kcore.function",
    "Initializer": "kcore.initializers",
    "Input": "kcore.layers.input_layer",
    "InputSpec": "kcore.layers.input_spec",
    "KerasTensor": "kcore.ops.symbolic",
    "Layer": "kcore.layers.layer",
    "Loss": "kcore.losses",
    "Metric": "kcore.metrics",
    "Model": "kcore.models",
    "Operation": "kcore.operation",
    "Optimizer": "kcore.optimizers",
    "Regularizer": "kcore.regularizers",
    "RematScope": "kcore.rematerialization",
    "SeedGenerator": "kcore.random",
    "Sequential": "kcore.models",
    "StatelessScope": "kcore.state",
    "Variable": "kcore.state",
    "device": "kcore.device",
    "grad": "kcore.gradients",
    "hessian": "kcore.gradients",
    "jacobian": "kcore.gradients",
    "jvp": "kcore.gradients",
    "name_scope": "kcore.naming",
    "remat": "kcore.rematerialization",
    "value_and_grad": "kcore.gradients",
    "vjp": "kcore.gradients",
}

__all__ = [*_NAMESPACES, *_NAMES, "__version__", "version"]  # noqa: PLE0604


def version() -> str:
    """The version of kcore."""
    return __version__


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return importlib.import_module(f"kcore.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'kcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
