"""Threefry 2x32 with 20 rounds on the host: the numbers that every backend's generator must give.

Word i of a draw is the cipher of the counter i under the key, as in J. K. Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3" (SC 2011), and as `jax.random` counts with
`jax_threefry_partitionable`: so a draw's numbers do not depend on how it is split over threads or devices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# By how much the second word is rotated in each of eight rounds; then they start again.
ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
ROUNDS = 20
# The third key word is the two others and this, xored.
PARITY = 0x1BD11BDA
# So many counters share their high word.
COUNTERS = 1 << 32

# Counters done at a time: three arrays of this many words stay in a core's second-level cache.
_BLOCK = 1 << 14


def schedule(k0, k1, parity=PARITY):
    """The key words by their turn: one is added to each word before the rounds and after each four.

    Works on anything with `^`: arrays, tensors, ints below 2**32.
    """
    words = (k0, k1, k0 ^ k1 ^ parity)
    return [(words[i % 3], words[(i + 1) % 3]) for i in range(ROUNDS // 4 + 1)]


def words(key: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The cipher's two words for each counter: uint32 of `shape` + (2,)."""
    y = np.empty((math.prod(shape), 2), np.uint32)
    for at, x0, x1 in _blocks(key, len(y)):
        y[at, 0] = x0
        y[at, 1] = x1
    return y.reshape(*shape, 2)


def bits(key: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """One word for each counter, the two xored: uint32 of `shape`."""
    y = np.empty(math.prod(shape), np.uint32)
    for at, x0, x1 in _blocks(key, len(y)):
        np.bitwise_xor(x0, x1, out=y[at])
    return y.reshape(shape)


def _blocks(key: np.ndarray, count: int):
    """(where, first words, second words) of one block of counters after the other."""
    keys = schedule(int(key[0]), int(key[1]))
    size = min(_BLOCK, count)
    offsets = np.arange(size, dtype=np.uint32)
    buffers = [np.empty(size, np.uint32) for _ in range(3)]
    for start in range(0, count, _BLOCK):
        n = min(_BLOCK, count - start)
        x0, x1, spare = (b[:n] for b in buffers)
        x0.fill((keys[0][0] + start // COUNTERS) % COUNTERS)
        np.add(offsets[:n], np.uint32((keys[0][1] + start) % COUNTERS), out=x1)
        _rounds(x0, x1, spare, keys)
        yield slice(start, start + n), x0, x1


def _rounds(x0: np.ndarray, x1: np.ndarray, spare: np.ndarray, keys: list[tuple[int, int]]) -> None:
    """The cipher in place, from counters that have the first key words added."""
    for i in range(ROUNDS):
        by = ROTATIONS[i % 8]
        np.add(x0, x1, out=x0)
        np.left_shift(x1, np.uint32(by), out=spare)
        np.right_shift(x1, np.uint32(32 - by), out=x1)
        np.bitwise_or(x1, spare, out=x1)
        np.bitwise_xor(x1, x0, out=x1)
        if i % 4 == 3:
            turn = i // 4 + 1
            k0, k1 = keys[turn]
            np.add(x0, np.uint32(k0), out=x0)
            np.add(x1, np.uint32((k1 + turn) % COUNTERS), out=x1)
