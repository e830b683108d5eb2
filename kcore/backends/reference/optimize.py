"""Whole optimizer updates, in place, by native kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore import _native
from kcore._native.threads import threads_for


def step(
    kind: str, variables: list[Any], gradients: list[Any], slots: list[list[Any]], decay: list[float], **numbers: Any
) -> bool:
    """`Backend.optimizer_step`; False where a kernel is missing or an array is not as it needs it."""
    kernels = _native.kernels
    if kernels is None:
        return False
    arrays = [_arrays(v, g, s) for v, g, s in zip(variables, gradients, slots, strict=True)]
    if any(a is None for a in arrays):
        return False
    for variable, held, owned, fade in zip(variables, arrays, slots, decay, strict=True):
        value, gradient, *rest = held  # type: ignore[misc]
        threads = threads_for(value.size)
        if kind == "adam":
            kernels.adam_step(
                value,
                gradient,
                *rest,
                numbers["step_size"],
                numbers["beta_1"],
                numbers["beta_2"],
                numbers["epsilon"],
                fade,
                threads,
            )
        else:
            if fade:
                value -= fade * value
            buffer = rest[0] if rest else None
            kernels.sgd_step(
                value, gradient, buffer, numbers["learning_rate"], numbers["momentum"], numbers["nesterov"], threads
            )
        for changed in (variable, *owned):
            changed.version += 1
    return True


def _arrays(variable: Any, gradient: Any, slots: list[Any]) -> list[np.ndarray] | None:
    """The flat memory of a variable, its gradient and its slots; None if a kernel can't take it."""
    held = [variable._storage, gradient, *(s._storage for s in slots)]
    dtype = held[0].dtype
    if dtype.char not in "fd" or any(a.dtype != dtype for a in held):
        return None
    flat = [
        np.ascontiguousarray(gradient).view(np.ndarray).reshape(-1) if i == 1 else a.view(np.ndarray).reshape(-1)
        for i, a in enumerate(held)
    ]
    return flat
