"""Whole optimizer updates, in place, by native kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import _native
from kcore._native.threads import threads_for
from kcore.backends.reference import tracer


def step(
    kind: str, variables: list[Any], gradients: list[Any], slots: list[list[Any]], numbers: Callable, at: Any
) -> bool:
    """`Backend.optimizer_step`; False where a kernel is missing or an array is not as it needs it."""
    changed = [v for variable, own in zip(variables, slots, strict=True) for v in (variable, *own)]
    kinds = {a.dtype for a in (*[v._storage.array for v in changed], *gradients)}
    if not _native.available or len(kinds) != 1 or kinds.pop().char not in "fd":
        return False
    update = _Update(kind, variables, slots, numbers)
    at = [x.__kcore_value__() if hasattr(x, "__kcore_value__") else x for x in at]
    capture = tracer.found_in((*gradients, *at)) if tracer.active else None
    if capture is not None:
        capture.effect(update, (*at, *gradients), changed)
        return True
    update(*at, *[g.view(np.ndarray) for g in gradients])
    return True


class _Update:
    """The update of these variables: a function of the learning rate, the number of updates so far and the gradients."""

    def __init__(self, kind: str, variables: list[Any], slots: list[list[Any]], numbers: Callable) -> None:
        self.kernel = {"adam": _adam, "sgd": _sgd}[kind]
        # Of the variables, and for each kind of slot those of all variables.
        self.storages = [[v._storage for v in column] for column in (variables, *zip(*slots, strict=True))]
        self.size = sum(s.array.size for s in self.storages[0])
        self.numbers = numbers

    def __call__(self, rate: np.ndarray, iterations: np.ndarray, *gradients: np.ndarray) -> None:
        numbers = self.numbers(float(rate), int(iterations))
        whole = [g if g.flags.c_contiguous else np.ascontiguousarray(g) for g in gradients]
        values, *slots = [[s.changing() for s in column] for column in self.storages]
        self.kernel(values, whole, *slots, threads=threads_for(self.size), **numbers)


def _adam(values, gradients, m, v, step_size, beta_1, beta_2, epsilon, decay, threads):
    _native.kernels.adam_step(values, gradients, m, v, step_size, beta_1, beta_2, epsilon, decay, threads)


def _sgd(values, gradients, velocities=None, *, learning_rate, momentum, nesterov, decay, threads):
    _native.kernels.sgd_step(values, gradients, velocities, learning_rate, momentum, nesterov, decay, threads)
