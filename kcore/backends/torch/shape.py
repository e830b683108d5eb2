"""Ops that give elements another arrangement, in torch."""

from __future__ import annotations

import torch

reshape, broadcast_to, swapaxes, transpose = torch.reshape, torch.broadcast_to, torch.swapaxes, torch.permute
flip, tile, concatenate, stack = torch.flip, torch.tile, torch.cat, torch.stack


def expand_dims(x, axis):
    for a in axis:
        x = torch.unsqueeze(x, a)
    return x


def squeeze(x, axis):
    return torch.squeeze(x, axis)


def roll(x, shift, axis):
    shift = [int(s) for s in shift]
    return torch.roll(x, shift, axis)


def split(x, indices_or_sections, axis):
    return list(torch.tensor_split(x, indices_or_sections, axis))


def unstack(x, num, axis):
    return list(torch.unbind(x, axis))


def repeat(x, repeats, axis):
    if not isinstance(repeats, int):
        repeats = torch.as_tensor(repeats, device=x.device)
    return torch.repeat_interleave(x, repeats, axis)


def constant_pad(x, pad_width, value):
    flat = [w for pair in reversed(pad_width) for w in pair]
    return torch.nn.functional.pad(x, flat, value=value)
