"""Whole optimizer updates, in place, over all variables at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def step(
    kind: str, variables: list[Any], gradients: list[Any], slots: list[list[Any]], numbers: Callable, at: Any
) -> bool:
    """`Backend.optimizer_step`; False for dtypes that torch's foreach functions can't mix."""
    values = [v._storage for v in variables]
    if not values or len({(x.dtype, x.device) for x in (*values, *gradients)}) > 1 or not values[0].is_floating_point():
        return False
    rate, iterations = at
    given = numbers(float(rate), int(iterations))
    decay = given.pop("decay")
    with torch.no_grad():
        if any(decay):
            torch._foreach_mul_(values, [1 - d for d in decay])
        if kind == "adam":
            _adam(values, gradients, *([s[i]._storage for s in slots] for i in range(2)), **given)
        else:
            _sgd(values, gradients, [s[0]._storage for s in slots if s], **given)
    return True


def _adam(values, gradients, m, v, step_size, beta_1, beta_2, epsilon):
    torch._foreach_lerp_(m, gradients, 1 - beta_1)
    torch._foreach_mul_(v, beta_2)
    torch._foreach_addcmul_(v, gradients, gradients, 1 - beta_2)
    below = torch._foreach_sqrt(v)
    torch._foreach_add_(below, epsilon)
    torch._foreach_addcdiv_(values, m, below, -step_size)


def _sgd(values, gradients, momenta, learning_rate, momentum, nesterov):
    if not momenta:
        torch._foreach_add_(values, gradients, alpha=-learning_rate)
        return
    torch._foreach_mul_(momenta, momentum)
    torch._foreach_add_(momenta, gradients, alpha=-learning_rate)
    if nesterov:
        torch._foreach_add_(values, momenta, alpha=momentum)
        torch._foreach_add_(values, gradients, alpha=-learning_rate)
    else:
        torch._foreach_add_(values, momenta)
