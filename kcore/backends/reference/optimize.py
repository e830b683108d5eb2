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
    whole = [_arrays(v, g, s) for v, g, s in zip(variables, gradients, slots, strict=True)]
    if None in whole:
        return False
    for variable, arrays, owned, fade in zip(variables, whole, slots, decay, strict=True):
        value, gradient, *rest = arrays  # type: ignore[misc]
        threads = threads_for(value.size)
        if kind == "adam":
            beta_1, beta_2, epsilon = numbers["beta_1"], numbers["beta_2"], numbers["epsilon"]
            kernels.adam_step(value, gradient, *rest, numbers["step_size"], beta_1, beta_2, epsilon, fade, threads)
        else:
            if fade:
                plain = value.view(np.ndarray)  # not the operators of tensors, which make new ones
                plain -= fade * plain
            buffer = rest[0] if rest else None
            kernels.sgd_step(
                value, gradient, buffer, numbers["learning_rate"], numbers["momentum"], numbers["nesterov"], threads
            )
        variable.version += 1
        for slot in owned:
            slot.version += 1
    return True


def _arrays(variable: Any, gradient: Any, slots: list[Any]) -> list[np.ndarray] | None:
    """The memory of a variable, its gradient and its slots; None if a kernel can't take it."""
    held = [variable._storage, gradient, *[s._storage for s in slots]]
    dtype = held[0].dtype
    if dtype.char not in "fd":
        return None
    for a in held:
        if a.dtype != dtype:
            return None
    if not gradient.flags.c_contiguous:
        held[1] = np.ascontiguousarray(gradient)
    return held
