"""Chains of ops that torch has as one."""

from __future__ import annotations

import torch

_ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


def dense(x, kernel, bias, activation):
    y = torch.nn.functional.linear(x, kernel.mT, bias)
    return y if activation == "linear" else _ACTIVATIONS[activation](y)
