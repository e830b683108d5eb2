"""Random primitives in torch."""

from __future__ import annotations

import math

import numpy as np
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


def random_unit(key, shape, dtype):
    values = _values(key)
    if values is not None:
        return _tensor(threefry.units(values, shape, dtype))
    # On signed words: torch would try the uint32 kernels that it lacks, and leave that in a graph it traces.
    x0, x1 = _cipher(key, math.prod(shape))
    kind = getattr(torch, dtype)
    if dtype == "float64":
        high, low = (x0.to(torch.int64) & (COUNTERS - 1)), (x1 >> 12) & (2**20 - 1)
        return (high.to(kind) * 2.0**-32 + low.to(kind) * 2.0**-52).reshape(shape)
    spare, places = threefry.SPARE[dtype]
    bits = ((x0 ^ x1) >> spare) & (2**places - 1)
    return (bits.to(kind) * 2.0**-places).reshape(shape)


def random_mask(key, shape, probability):
    limit, values = threefry.threshold(probability), _values(key)
    if values is not None:
        return torch.from_numpy(threefry.below(values, shape, limit))
    x0, x1 = _cipher(key, math.prod(shape))
    return (((x0 ^ x1).to(torch.int64) & (COUNTERS - 1)) < limit).reshape(shape)


def _tensor(x):
    from kcore.backends.torch import backend

    x = np.asarray(x)  # a scalar of shape () is no array to torch
    return backend.convert(x) if x.dtype.itemsize == 2 else torch.from_numpy(x)  # it reads no bfloat16 from NumPy


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
