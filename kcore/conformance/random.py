"""Records of the draws by a key.

The formulas are the definitions once more, on NumPy's uint64: the cipher, and what each draw makes of its words.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special as special

from kcore import dtypes
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import draw
from kcore.random import keyed
from kcore.random.bits import random_bits, random_words

WORD = 2**32 - 1
KEY = np.array([1234, 5], "uint32")
HIGH = np.array([WORD, WORD - 1], "uint32")


def cipher(key: Any, count: int) -> np.ndarray:
    """Threefry 2x32-20 of 0 to count - 1, as (count, 2) uint64s below 2**32."""
    k = [int(key[0]), int(key[1])]
    k.append(k[0] ^ k[1] ^ 0x1BD11BDA)
    x = np.zeros(count, "uint64") + np.uint64(k[0])
    y = np.arange(count, dtype="uint64") + np.uint64(k[1]) & np.uint64(WORD)
    for r in range(20):
        by = ((13, 15, 26, 6), (17, 29, 16, 24))[r // 4 % 2][r % 4]
        x = x + y & np.uint64(WORD)
        y = (y << np.uint64(by) | y >> np.uint64(32 - by)) & np.uint64(WORD) ^ x
        if r % 4 == 3:
            s = r // 4 + 1
            x = x + np.uint64(k[s % 3]) & np.uint64(WORD)
            y = y + np.uint64(k[(s + 1) % 3] + s) & np.uint64(WORD)
    return np.stack([x, y], 1)


def words(key, shape):
    return cipher(key, math.prod(shape)).reshape(*shape, 2).astype("uint32")


def bits(key, shape):
    found = words(key, shape)
    return found[..., 0] ^ found[..., 1]


def unit(key, shape, dtype="float32"):
    name = dtypes.name_of(dtype)
    if name == "float64":
        found = words(key, shape).astype("uint64")
        return ((found[..., 0] << np.uint64(32) | found[..., 1]) >> np.uint64(12)) / 2.0**52
    taken, places = {"float32": (32, 23), "float16": (16, 10), "bfloat16": (8, 7)}[name]
    kept = (bits(key, shape) & np.uint32(2**taken - 1)) >> np.uint32(taken - places)
    return (kept / 2.0**places).astype(dtypes.to_numpy(name))


def uniform(key, shape, minval=0.0, maxval=1.0, dtype="float32"):
    kind = dtypes.to_numpy(dtypes.name_of(dtype))
    low, high = np.asarray(minval).astype(kind), np.asarray(maxval).astype(kind)
    exact = (high - low).astype("float64") * unit(key, shape, dtype).astype("float64") + low.astype("float64")
    return np.maximum(exact.astype(kind), low)


def normal(key, shape, mean=0.0, stddev=1.0, dtype="float32"):
    kind = dtypes.to_numpy(dtypes.name_of(dtype))
    below_one = float(np.nextafter(*np.array([1, 0], kind)))
    u = np.maximum(2 * unit(key, shape, dtype).astype("float64") - below_one, -below_one)
    return np.sqrt(2) * special.erfinv(u) * stddev + mean


def truncated(key, shape, mean=0.0, stddev=1.0, dtype="float32"):
    edge = math.erf(math.sqrt(2))
    u = uniform(key, shape, -edge, edge, dtype).astype("float64")
    return np.clip(np.sqrt(2) * special.erfinv(u), -2, 2) * stddev + mean


def integers(key, shape, minval, maxval, dtype="int32"):
    """Each from one draw of twice as many bits, modulo the span, in Python's integers."""
    name = dtypes.name_of(dtype)
    size = 64 if name.endswith("64") else 32

    def one(upper: int, lower: int, low: int, high: int) -> int:
        span = high - low if high > low else 1
        factor = (2 ** (size // 2) % span) ** 2 % 2**size % span
        return low + (upper % span * factor + lower % span) % 2**size % span

    def drawn(k: Any) -> np.ndarray:
        if size == 32:
            return bits(k, shape)
        found = words(k, shape).astype("uint64")
        return found[..., 0] << np.uint64(32) | found[..., 1]

    given = [*(drawn(k) for k in words(key, (2,))), minval, maxval]
    found = np.frompyfunc(one, 4, 1)(*(np.asarray(x).astype(object) for x in given))
    return np.asarray(found).astype(dtypes.to_numpy(name))


def mask(key, shape, probability):
    return unit(key, shape) < np.float32(probability)


def dropout(inputs, key, rate, noise_shape=None):
    noise = [d if n is None else n for n, d in zip(noise_shape or [None] * inputs.ndim, inputs.shape, strict=True)]
    if rate == 1:
        return np.zeros_like(inputs)
    return np.where(mask(key, noise, 1 - rate), inputs / (1 - rate), 0)


SHAPES = ((), (5,), (3, 7), (2, 0), (0,), (2, 3, 5))
BAD_KEYS = [
    Bad(np.array([1, 2, 3], "uint32"), (2,), match=r"a key is of shape \(2,\) and dtype uint32, not \(3,\)"),
    Bad(np.array([1, 2], "int32"), (2,), match="not .* int32"),
    Bad(KEY, (2, -1), match=r"shape=\(2, -1\) has a negative size"),
    Bad(KEY, (2, None), match=r"shape=\(2, None\) should be integers"),
]
FLOATS = [
    *(Sample(KEY, shape) for shape in SHAPES),
    Sample(HIGH, (40000,), why="more than one block; the key words wrap around"),
    Sample(KEY, (33,), dtype="float64"),
    Sample(KEY, (33,), dtype="float16"),
    Sample(KEY, (33,), dtype="bfloat16"),
]
BAD_FLOATS = [*BAD_KEYS, Bad(KEY, (2,), dtype="int32", match="dtype='int32' should be one of float64")]

Case(
    random_bits,
    bits,
    samples=[
        *(Sample(key, shape) for key in (KEY, HIGH) for shape in SHAPES),
        Sample(KEY, (40000,), why="more than one block"),
        Sample(
            np.array([0x13198A2E, 0x03707344], "uint32"),
            (3,),
            expect=np.array([2416971891, 3421809153, 1892174999], "uint32"),
            why="as jax.random.bits has them",
        ),
    ],
    errors=BAD_KEYS,
    dtypes=("uint32",),
    grad=False,
)
Case(
    random_words,
    words,
    samples=[
        *(Sample(key, shape) for key in (KEY, HIGH) for shape in SHAPES),
        Sample(
            np.zeros(2, "uint32"), (1,), expect=np.array([[0x6B200159, 0x99BA4EFE]], "uint32"), why="the authors' test"
        ),
    ],
    errors=BAD_KEYS,
    dtypes=("uint32",),
    grad=False,
)
Case(keyed.random_unit, unit, samples=FLOATS, errors=BAD_FLOATS, tol={}, dtypes=("float32",), grad=False)
Case(
    keyed.random_uniform,
    uniform,
    samples=[
        *FLOATS,
        Sample(KEY, (4, 33), -2.0, 5.0),
        Sample(KEY, (4, 33), -0.1, 0.1),
        Sample(KEY, (4, 33), -2.0, 5.0, "float64"),
        Sample(KEY, (4, 3), np.array([[-1.0], [0.0], [1.0], [2.0]]), np.array([2.0, 3.0, 4.0])),
        Sample(KEY, (4,), 3.0, 1.0, expect=np.full(4, 3.0, "float32"), why="the bounds cross"),
    ],
    errors=[
        *BAD_FLOATS,
        Bad(KEY, (2,), np.zeros(3), match=r"minval of shape \(3,\) does not broadcast to shape=\(2,\)"),
    ],
    tol={"float32": 0.0, "float64": 1e-15},
    dtypes=("float32",),
    grad=False,
)
Case(
    keyed.random_normal,
    normal,
    samples=[
        *FLOATS,
        Sample(KEY, (4, 33), 3.0, 0.5),
        Sample(KEY, (4, 3), np.array([[-1.0], [0.0], [1.0], [2.0]]), np.array([2.0, 3.0, 4.0])),
        Sample(KEY, (3,), 1.5, 0.0, expect=np.full(3, 1.5, "float32")),
    ],
    errors=[*BAD_FLOATS, Bad(KEY, (2,), np.zeros(3), match=r"mean of shape \(3,\) does not broadcast to shape=\(2,\)")],
    # 40000 numbers reach 4 standard deviations, where x**2 in float32 is all the error; see random_erfinv.
    tol={"float32": 1e-4, "float64": 1e-13},
    dtypes=("float32",),
    grad=False,
)
Case(
    keyed.random_truncated_normal,
    truncated,
    samples=[*FLOATS, Sample(KEY, (4, 33), 3.0, 0.5)],
    errors=BAD_FLOATS,
    tol={"float32": 2e-6, "float64": 1e-13},
    dtypes=("float32",),
    grad=False,
)
Case(
    keyed.random_erfinv,
    special.erfinv,
    samples=[
        Sample(draw(5, low=-0.99, high=0.99)),
        Sample(draw(3, 7, low=-0.99, high=0.99)),
        Sample(draw(2, 3, low=0.999, high=0.9999), why="the polynomial of the tails", dtypes=("float32",)),
        Sample(np.array([0.0]), expect=[0.0]),
    ],
    tol={"float32": 2e-5, "float64": 1e-13, "float16": 2e-3, "bfloat16": 2e-2},
    dtypes=("float32", "float64"),
    grad_tol=1e-5,
)
Case(
    keyed.random_integers,
    integers,
    samples=[
        *(Sample(KEY, shape, -7, 100) for shape in SHAPES),
        Sample(KEY, (50,), -(2**31), 2**31 - 1, why="all of int32 but one"),
        Sample(KEY, (50,), np.array(0, "uint32"), np.array(WORD, "uint32"), "uint32"),
        Sample(KEY, (50,), 0, 200, "uint8"),
        Sample(KEY, (50,), -5, 9, "int8"),
        Sample(KEY, (50,), 0, 60000, "uint16"),
        Sample(KEY, (50,), np.array(-5), np.array(2**40), "int64"),
        Sample(KEY, (50,), np.array(0, "uint64"), np.array(2**63 + 11, "uint64"), "uint64"),
        Sample(KEY, (4,), 5, 5, expect=np.full(4, 5), why="nothing between the bounds"),
        Sample(KEY, (4,), 5, 2, expect=np.full(4, 5), why="the bounds cross"),
        Sample(KEY, (2, 3), np.array([0, 10, 100]), np.array([[1], [200]]), why="bounds for each, some crossed"),
    ],
    errors=[
        *(Bad(*b.args, 0, 5, match=b.match) for b in BAD_KEYS),
        Bad(KEY, (2,), 0, 1, "float32", match="dtype='float32'"),
    ],
    dtypes=("float32",),
    grad=False,
)
Case(
    keyed.random_mask,
    mask,
    samples=[
        *(Sample(KEY, shape, 0.7) for shape in SHAPES),
        Sample(KEY, (300,), 1e-3),
        Sample(KEY, (4,), 0.0, expect=[False] * 4),
        Sample(KEY, (4,), 1.0, expect=[True] * 4),
    ],
    errors=[Bad(KEY, (2,), 1.5, match=r"probability=1.5 should be from 0 to 1")],
    dtypes=("float32",),
    grad=False,
)
Case(
    keyed.random_dropout,
    dropout,
    samples=[
        Sample(draw(5), KEY, 0.3),
        Sample(draw(3, 7), KEY, 0.5),
        Sample(draw(3, 7), KEY, 0.5, (None, 1)),
        Sample(draw(2, 3, 4), KEY, 0.25, (1, None, 4)),
        Sample(draw(0, 3), KEY, 0.5),
        Sample(draw(4), KEY, 0.0, expect=draw(4), dtypes=("float64",)),
        Sample(np.array([1.0, np.inf, np.nan]), KEY, 1.0, expect=[0.0] * 3, grad=False, why="all is dropped"),
    ],
    errors=[
        Bad(draw(3), KEY, -0.1, match="rate=-0.1 should be from 0 to 1"),
        Bad(draw(3, 4), KEY, 0.5, (2, 4), match=r"noise_shape=\(2, 4\) does not broadcast to inputs of shape \(3, 4\)"),
        Bad(draw(3, 4), KEY, 0.5, (4,), match=r"noise_shape=\(4,\) does not broadcast"),
    ],
)
