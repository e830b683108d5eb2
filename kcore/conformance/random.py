"""Records of the draws by a key.

The formulas are the definitions once more, on NumPy's uint64: the cipher, and what each draw makes of its words.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import scipy.special as special
import scipy.stats as stats

from kcore import dtypes
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import PRECISE, arrays, draw, ints
from kcore.random import keyed, rejection
from kcore.random.bits import random_bits, random_words

random_record = functools.partial(Case, dtypes=("float32",), grad=False)
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


def categorical(logits, key, num_samples, dtype="int32"):
    u = uniform(key, (*logits.shape, num_samples), float(np.finfo("float32").tiny), 1.0).astype("float64")
    return np.argmax(logits[..., None] - np.log(-np.log(u)), 1).astype(dtypes.to_numpy(dtypes.name_of(dtype)))


def shuffle(x, key, axis=0):
    n = x.shape[axis]
    order = np.arange(n)
    for _ in range(math.ceil(3 * math.log(max(n, 1)) / math.log(WORD))):
        key, here = words(key, (2,))
        order = order[np.argsort(bits(here, (n,)), kind="stable")]
    return np.take(x, order, axis)


def proposals(key, shape, propose, count=40):
    """For each element the first proposal that is accepted."""
    y, done = np.full(shape, np.nan), np.zeros(shape, bool)
    for k1, k2 in words(key, (128, 2))[:count]:
        accepted, value = propose(k1, k2)
        y = np.where(accepted & ~done, value, y)
        done |= accepted
    return y


def log_gamma(key, shape, alpha, dtype):
    boost, tries = words(key, (2,))
    d = np.where(alpha < 1, alpha + 1, alpha) - 1 / 3

    def propose(k1, k2):
        x = normal(k1, shape, dtype=dtype)
        v = (1 + x / np.sqrt(9 * d)) ** 3
        with np.errstate(all="ignore"):
            return (v > 0) & (np.log1p(-unit(k2, shape, dtype)) < x * x / 2 + d - d * v + d * np.log(v)), d * v

    y = np.log(proposals(tries, shape, propose))
    with np.errstate(all="ignore"):
        return np.where(alpha < 1, y + np.log1p(-unit(boost, shape, dtype)) / alpha, y)


def gamma(key, shape, alpha, dtype="float32"):
    alpha = np.broadcast_to(np.asarray(alpha, "float64"), shape)
    y = np.exp(log_gamma(key, shape, np.where(alpha > 0, alpha, 1), exact(dtype)))
    return np.where(alpha > 0, y, np.where(alpha == 0, 0, np.nan))


def beta(key, shape, alpha, beta, dtype="float32"):
    alpha, beta = (np.broadcast_to(np.asarray(a, "float64"), shape) for a in (alpha, beta))
    x, y = (log_gamma(k, shape, a, exact(dtype)) for k, a in zip(words(key, (2,)), (alpha, beta), strict=True))
    return 1 / (1 + np.exp(y - x))


def exact(dtype):
    return "float64" if dtypes.name_of(dtype) == "float64" else "float32"


def binomial(key, shape, counts, probabilities, dtype="float32"):
    n, p = (np.broadcast_to(np.asarray(a, "float64"), shape) for a in (counts, probabilities))
    rare = np.minimum(p, 1 - p)
    k1, k2 = words(key, (2,))
    passed, few = np.zeros(shape), np.zeros(shape)
    with np.errstate(all="ignore"):
        for k in words(k1, (128,)):
            passed = passed + np.maximum(np.ceil(np.log1p(-unit(k, shape, "float64")) / np.log1p(-rare)), 1)
            few += passed <= n

    def propose(k1, k2):
        u, v = unit(k1, shape, "float64") - 0.5, 1 - unit(k2, shape, "float64")
        spread, us = np.sqrt(n * rare * (1 - rare)), 0.5 - np.abs(u)
        b = 1.15 + 2.53 * spread
        a = -0.0873 + 0.0248 * b + 0.01 * rare
        k = np.floor((2 * a / us + b) * u + n * rare + 0.5)
        density = stats.binom.pmf(k, n, rare) / stats.binom.pmf(np.floor((n + 1) * rare), n, rare)
        below = v * (2.83 + 5.1 / b) * spread / (a / us**2 + b) <= density
        return (k >= 0) & (k <= n) & (((us >= 0.07) & (v <= 0.92 - 4.2 / b)) | below), k

    with np.errstate(all="ignore"):
        y = np.where(n * rare < 10, few, proposals(k2, shape, propose))
    return np.where(p > 0.5, n - y, y)


SHAPES = ((), (5,), (3, 7), (2, 0), (0,), (2, 3, 5))
BAD_KEYS = [
    Bad(np.array([1, 2, 3], "uint32"), (2,), match=r"a key is of shape \(2,\) and dtype uint32, not \(3,\)"),
    Bad(np.array([1, 2], "int32"), (2,), match="not .* int32"),
    Bad(KEY, (2, -1), match=r"shape=\(2, -1\) has a negative size"),
    Bad(KEY, (2, 1.5), match=r"shape=\(2, 1.5\) should be integers"),
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
        ints(
            [0x13198A2E, 0x03707344],
            (3,),
            expect=np.array([2416971891, 3421809153, 1892174999], "uint32"),
            why="as jax.random.bits has them",
            dtype="uint32",
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
random_record(keyed.random_unit, unit, samples=FLOATS, errors=BAD_FLOATS, tol={})
random_record(
    keyed.random_uniform,
    uniform,
    samples=[
        *FLOATS,
        Sample(KEY, (4, 33), -2.0, 5.0),
        Sample(KEY, (4, 33), -0.1, 0.1),
        Sample(KEY, (4, 33), -2.0, 5.0, "float64"),
        arrays(KEY, (4, 3), [[-1.0], [0.0], [1.0], [2.0]], [2.0, 3.0, 4.0]),
        Sample(KEY, (4,), 3.0, 1.0, expect=np.full(4, 3.0, "float32"), why="the bounds cross"),
    ],
    errors=[
        *BAD_FLOATS,
        Bad(KEY, (2,), np.zeros(3), match=r"minval of shape \(3,\) does not broadcast to shape=\(2,\)"),
    ],
    tol={"float32": 0.0, "float64": 1e-15},
)
random_record(
    keyed.random_normal,
    normal,
    samples=[
        *FLOATS,
        Sample(KEY, (4, 33), 3.0, 0.5),
        arrays(KEY, (4, 3), [[-1.0], [0.0], [1.0], [2.0]], [2.0, 3.0, 4.0]),
        Sample(KEY, (3,), 1.5, 0.0, expect=np.full(3, 1.5, "float32")),
    ],
    errors=[*BAD_FLOATS, Bad(KEY, (2,), np.zeros(3), match=r"mean of shape \(3,\) does not broadcast to shape=\(2,\)")],
    # 40000 numbers reach 4 standard deviations, where x**2 in float32 is all the error; see random_erfinv.
    tol={"float32": 1e-4, "float64": 1e-13},
)
random_record(
    keyed.random_truncated_normal,
    truncated,
    samples=[
        *FLOATS,
        Sample(KEY, (4, 33), 3.0, 0.5),
        Sample(KEY, (2, 3), draw(3), draw(2, 1, low=0.5, high=2.0), why="arrays that broadcast"),
    ],
    errors=BAD_FLOATS,
    tol={"float32": 2e-6, "float64": 1e-13},
)
Case(
    keyed.random_erfinv,
    special.erfinv,
    samples=[
        Sample(draw(5, low=-0.99, high=0.99)),
        Sample(draw(3, 7, low=-0.99, high=0.99)),
        Sample(draw(2, 3, low=0.999, high=0.9999), why="the polynomial of the tails", dtypes=("float32",)),
        arrays([0.0], expect=[0.0]),
    ],
    tol={"float32": 2e-5, "float64": 1e-13, "float16": 2e-3, "bfloat16": 2e-2},
    dtypes=PRECISE,
    grad_tol=1e-5,
)
random_record(
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
        arrays(KEY, (2, 3), [0, 10, 100], [[1], [200]], why="bounds for each, some crossed"),
    ],
    errors=[
        *(Bad(*b.args, 0, 5, match=b.match) for b in BAD_KEYS),
        Bad(KEY, (2,), 0, 1, "float32", match="dtype='float32'"),
    ],
)
random_record(
    keyed.random_mask,
    mask,
    samples=[
        *(Sample(KEY, shape, 0.7) for shape in SHAPES),
        Sample(KEY, (300,), 1e-3),
        Sample(KEY, (4,), 0.0, expect=[False] * 4),
        Sample(KEY, (4,), 1.0, expect=[True] * 4),
    ],
    errors=[Bad(KEY, (2,), 1.5, match=r"probability=1.5 should be from 0 to 1")],
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
        arrays([1.0, np.inf, np.nan], KEY, 1.0, expect=[0.0] * 3, grad=False, why="all is dropped"),
    ],
    errors=[
        Bad(draw(3), KEY, -0.1, match="rate=-0.1 should be from 0 to 1"),
        Bad(draw(3, 4), KEY, 0.5, (2, 4), match=r"noise_shape=\(2, 4\) does not broadcast to inputs of shape \(3, 4\)"),
        Bad(draw(3, 4), KEY, 0.5, (4,), match=r"noise_shape=\(4,\) does not broadcast"),
    ],
)
CHANCES = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]))
Case(
    keyed.random_categorical,
    categorical,
    samples=[
        Sample(draw(3, 5), KEY, 7),
        Sample(CHANCES, KEY, 40),
        Sample(CHANCES, KEY, 4, "int64"),
        Sample(draw(3, 5), KEY, 0),
        arrays([[0.0, -np.inf], [-np.inf, 0.0]], KEY, 5, expect=[[0] * 5, [1] * 5], why="certain"),
    ],
    errors=[
        Bad(draw(3), KEY, 2, match=r"logits should have 2 dimensions, not shape \(3,\)"),
        Bad(draw(3, 2), KEY, 2, "float32", match="dtype='float32' should be one of"),
        Bad(draw(3, 2), KEY, -1, match="num_samples=-1"),
    ],
    grad=False,
)
Case(
    keyed.random_shuffle,
    shuffle,
    samples=[
        *(Sample(draw(*shape), KEY) for shape in ((5,), (1,), (0,), (6, 2), (30, 2, 3))),
        Sample(draw(3, 7), KEY, 1),
        Sample(draw(3, 7), KEY, -1),
        Sample(draw(2000), KEY, why="so many are sorted twice"),
    ],
    errors=[
        Bad(draw(2, 2), KEY, 2, match=r"axis=2 is out of range"),
        Bad(np.float64(1), KEY, match=r"axis=0 is out of range"),
    ],
)
REJECTED = {"float32": 2e-5, "float64": 1e-12, "float16": 4e-3, "bfloat16": 3e-2}
random_record(
    rejection.random_gamma,
    gamma,
    samples=[
        *(Sample(KEY, shape, 2.5) for shape in SHAPES),
        Sample(KEY, (50,), np.linspace(0.2, 30, 50)),
        arrays(KEY, (5, 3), [0.5, 1.0, 7.0], "float64"),
        arrays(KEY, (3,), [0.0, -1.0, np.nan], expect=[0.0, np.nan, np.nan], why="no such distribution"),
    ],
    errors=[*(Bad(*b.args, 1.0, match=b.match) for b in BAD_KEYS), Bad(KEY, (2,), 1.0, "int32", match="dtype='int32'")],
    tol=REJECTED,
)
random_record(
    rejection.random_beta,
    beta,
    samples=[
        *(Sample(KEY, shape, 2.5, 0.5) for shape in SHAPES),
        Sample(KEY, (50,), np.linspace(0.2, 30, 50), 3.0),
        Sample(KEY, (20,), 0.01, 0.02, why="gamma draws of so little underflow"),
    ],
    errors=[Bad(KEY, (2,), np.ones(3), 1.0, match=r"alpha of shape \(3,\) does not broadcast to shape=\(2,\)")],
    tol=REJECTED,
)
random_record(
    rejection.random_binomial,
    binomial,
    samples=[
        *(Sample(KEY, shape, 20.0, 0.25) for shape in SHAPES),
        Sample(KEY, (60,), np.arange(60.0), 0.7, dtypes=PRECISE, why="counted one by one, and by rejection"),
        Sample(KEY, (60,), 1e6, np.linspace(0.0, 1.0, 60), why="counts that narrow dtypes do not hold"),
        arrays(KEY, (3,), 7.0, [0.0, 1.0, 1.0], expect=[0.0, 7.0, 7.0], why="certain"),
    ],
    errors=[Bad(KEY, (2,), np.ones(3), 1.0, match=r"counts of shape \(3,\) does not broadcast to shape=\(2,\)")],
    tol={"float32": 0.0},
)
