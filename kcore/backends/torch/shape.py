"""Ops that give elements another arrangement, in torch."""

from __future__ import annotations

import torch

reshape, broadcast_to, swapaxes, transpose = torch.reshape, torch.broadcast_to, torch.swapaxes, torch.permute
flip = torch.flip


def expand_dims(x, axis):
    for a in axis:
        x = torch.unsqueeze(x, a)
    return x


def squeeze(x, axis):
    return torch.squeeze(x, axis)


def roll(x, shift, axis):
    shift = [int(s) for s in shift]
    return torch.roll(x, shift, axis)
