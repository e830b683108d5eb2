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


def _along(spread, body):
    return lambda x, axis: spread(x, axis[0]) if len(axis) == 1 else body(x, axis)  # torch takes one axis


softmax = _along(torch.softmax, ops.softmax.op.body)
log_softmax = _along(torch.log_softmax, ops.log_softmax.op.body)
