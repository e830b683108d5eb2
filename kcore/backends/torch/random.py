"""Random primitives in torch."""

from __future__ import annotations

import math

import torch
from torch.fx.experimental import proxy_tensor

from kcore.backends import threefry
from kcore.backends.threefry import COUNTERS, PARITY, ROTATIONS, ROUNDS


def random_bits(key, shape):
    values = _values(key)
    if values is not None:
        return torch.from_numpy(threefry.bits(values, shape))
    x0, x1 = _cipher(key, math.prod(shape))
    return x0.bitwise_xor(x1).view(torch.uint32).reshape(shape)


def random_words(key, shape):
    values = _values(key)
    if values is not None:
        return torch.from_numpy(threefry.words(values, shape))
    return torch.stack(_cipher(key, math.prod(shape)), -1).view(torch.uint32).reshape(*shape, 2)


def _values(key):
    """The key as an array where drawing on the host is right: a hundred small kernels take longer."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing() or proxy_tensor.get_proxy_mode() is not None
    if traced or key.device.type != "cpu":
        return None
    try:
        return key.numpy()
    except (RuntimeError, TypeError):  # inside vmap, or a tensor without values
        return None


def _cipher(key, count):
    """The two words for each counter, as int32: torch has no arithmetic on uint32, and int32 wraps alike."""
    key = key.view(torch.int32)
    keys = threefry.schedule(key[0], key[1], PARITY)
    counters = torch.arange(count, dtype=torch.int64, device=key.device)
    x0 = (counters // COUNTERS).to(torch.int32) + keys[0][0]
    x1 = counters.to(torch.int32) + keys[0][1]
    for i in range(ROUNDS):
        x0 = x0 + x1
        x1 = _rotated(x1, ROTATIONS[i % 8]) ^ x0
        if i % 4 == 3:
            turn = i // 4 + 1
            x0, x1 = x0 + keys[turn][0], x1 + keys[turn][1] + turn
    return x0, x1


def _rotated(x, by):
    # The right shift of a negative number brings ones in from the left.
    return (x << by) | ((x >> (32 - by)) & ((1 << by) - 1))
