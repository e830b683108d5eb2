"""Activations in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from kcore import ops

relu, relu6, sigmoid, log_sigmoid, silu = F.relu, F.relu6, torch.sigmoid, F.logsigmoid, F.silu
elu, celu, selu, leaky_relu = F.elu, F.celu, F.selu, F.leaky_relu
glu = F.glu


def softplus(x):
    return F.softplus(x, threshold=40.0)  # at 20, torch's default, a float64 is 2e-9 off


def gelu(x, approximate):
    return F.gelu(x, approximate="tanh" if approximate else "none")


def softmax(x, axis):
    if len(axis) == 1:
        return torch.softmax(x, axis[0])
    return ops.softmax.op.body(x, axis)  # torch takes one axis


def log_softmax(x, axis):
    if len(axis) == 1:
        return torch.log_softmax(x, axis[0])
    return ops.log_softmax.op.body(x, axis)
