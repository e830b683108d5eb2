"""Chains of ops that torch has as one."""

from __future__ import annotations

import functools

import torch
from torch.nn import functional

_ACTIVATIONS = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_tanh": functools.partial(functional.gelu, approximate="tanh"),
}


def dense(x, kernel, bias, activation):
    y = functional.linear(x, kernel.mT, bias)
    return y if activation == "linear" else _ACTIVATIONS[activation](y)
