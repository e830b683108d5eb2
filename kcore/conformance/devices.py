"""Where a backend runs, in which precision, and how much further off results may be there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

# (kind of device, dtype) -> what the records' tolerances, which were found on CPUs, are multiplied by.
# Accelerators sum in other orders, fuse multiplications with additions, and have functions of 2 to 4 units in
# the last place. Products in less than the inputs' precision (TF32, bfloat16 passes) are not allowed for: they are
# a setting, which the report names.
FACTORS: dict[str, dict[str, float]] = {
    "cpu": {},
    "cuda": {"float16": 2.0, "bfloat16": 2.0, "float32": 4.0, "float64": 4.0, "complex64": 4.0, "complex128": 4.0},
    "rocm": {"float16": 2.0, "bfloat16": 2.0, "float32": 4.0, "float64": 4.0, "complex64": 4.0, "complex128": 4.0},
    "mps": {"float16": 2.0, "bfloat16": 2.0, "float32": 8.0, "complex64": 8.0},
    "xpu": {"float16": 2.0, "bfloat16": 2.0, "float32": 4.0, "float64": 4.0, "complex64": 4.0, "complex128": 4.0},
    "tpu": {"float16": 2.0, "bfloat16": 2.0, "float32": 8.0, "float64": 8.0, "complex64": 8.0, "complex128": 8.0},
}


def kind(device: str | None) -> str:
    """The kind of a device: "cuda" for "cuda:0" and "gpu:0"; "cpu" for None."""
    name = (device or "cpu").partition(":")[0].lower()
    return {"gpu": "cuda"}.get(name, name)


def factors(backend: Any, device: str | None) -> Mapping[str, float]:
    """dtype -> the factor of its tolerance on that device of the backend; 1 where it has none."""
    return FACTORS.get(kind(device or backend.device()), {})


def on(backend: Any, device: str | None) -> contextlib.AbstractContextManager[Any]:
    """A context in which the backend makes its tensors on that device; None is wherever it makes them anyway.

    Raises:
        ValueError: The backend has no such device; the message lists those it has.
    """
    if device is None:
        return contextlib.nullcontext()
    there = backend.devices()
    asked = normal(device)
    if asked not in there:
        raise ValueError(
            f"The {backend.name} backend has no device {device!r} here; expected one of {', '.join(there)}."
        )
    context: contextlib.AbstractContextManager[Any] = backend.on_device(asked)
    return context


def normal(device: str) -> str:
    """The name of a device with its number, as `devices()` has it: "cuda" and "gpu:0" are "cuda:0"."""
    name, _, number = device.lower().partition(":")
    name = kind(name)
    return name if name == "cpu" and number in ("", "0") else f"{name}:{number or 0}"
