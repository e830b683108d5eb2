"""Ops that join tensors, take them apart, repeat and pad them, in torch."""

from __future__ import annotations

import torch

concatenate, stack, tile = torch.cat, torch.stack, torch.tile


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
