"""device: where new tensors are made."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from kcore import backends


def device(device_name: str) -> AbstractContextManager[Any]:
    """A context in which the active backend makes new tensors on a device.

    Args:
        device_name: "cpu", "gpu:0", "cuda:1"... as `kind:number`; "gpu" is the framework's first accelerator kind.

    Raises:
        ValueError: The backend has no such device.
    """
    backend = backends.active()
    found = list(backend.devices())
    kind, _, number = device_name.lower().partition(":")
    kinds = ("cuda", "rocm", "gpu") if kind == "gpu" else (kind,)
    wanted = [f"{k}:{number or 0}" for k in kinds] + ([kind] if number in ("", "0") else [])
    name = next((n for n in found if n in wanted), None)
    if name is None:
        raise ValueError(f"device: the {backend.name} backend has no {device_name!r}; it has {', '.join(found)}.")
    return backend.on_device(name)
