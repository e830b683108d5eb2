"""Threefry 2x32 with 20 rounds on the host: the numbers that every backend's generator must give.

Word i of a draw is the cipher of the counter i under the key, as in J. K. Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3" (SC 2011), and as `jax.random` counts with
`jax_threefry_partitionable`: so a draw's numbers do not depend on how it is split over threads or devices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kcore import dtypes
from kcore._native import kernels
from kcore._native.threads import threads_for

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
    n = math.prod(shape)
    if kernels is not None:
        return kernels.draw_words(*words_of(key), n, threads_for(n)).reshape(*shape, 2)
    y = np.empty((n, 2), np.uint32)
    for at, x0, x1 in _blocks(key, n):
        y[at, 0] = x0
        y[at, 1] = x1
    return y.reshape(*shape, 2)


def bits(key: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """One word for each counter, the two xored: uint32 of `shape`."""
    n = math.prod(shape)
    if kernels is not None:
        return kernels.draw_bits(*words_of(key), n, threads_for(n)).reshape(shape)
    y = np.empty(n, np.uint32)
    for at, x0, x1 in _blocks(key, n):
        np.bitwise_xor(x0, x1, out=y[at])
    return y.reshape(shape)


# How far a word is shifted for `units`, and how many of its bits count then.
SPARE = {"float32": (9, 23), "float16": (6, 10), "bfloat16": (1, 7)}


def units(key: np.ndarray, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Evenly spread over [0, 1): multiples of 2**-52, 2**-23, 2**-10 and 2**-7 for floats of 64, 32 and 16 bits."""
    n = math.prod(shape)
    if dtype == "float32" and kernels is not None:
        return kernels.draw_units(*words_of(key), n, threads_for(n)).reshape(shape)
    if dtype == "float64":
        drawn = words(key, shape)
        return drawn[..., 0] * 2.0**-32 + (drawn[..., 1] >> np.uint32(12)) * 2.0**-52
    spare, places = SPARE[dtype]
    drawn = bits(key, shape) >> np.uint32(spare) & np.uint32(2**places - 1)
    return (drawn * np.float32(2.0**-places)).astype(dtypes.to_numpy(dtype), copy=False)


def below(key: np.ndarray, shape: Sequence[int], threshold: int) -> np.ndarray:
    """Whether `bits` are below the threshold."""
    n = math.prod(shape)
    if kernels is not None and threshold < 2**32:
        return kernels.draw_below(*words_of(key), n, threshold, threads_for(n)).reshape(shape)
    return bits(key, shape) < threshold


def threshold(probability: float) -> int:
    """What a word must be below to be chosen with that probability: float32 units below it, as integers."""
    return math.ceil(float(np.float32(probability)) * 2**23) << 9


def words_of(key: np.ndarray) -> tuple[int, int]:
    return int(key[0]), int(key[1])


def _blocks(key: np.ndarray, count: int):
    """(where, first words, second words) of one block of counters after the other."""
    keys = schedule(*words_of(key))
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
