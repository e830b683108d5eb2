"""Draws as functions of a key: the same key, the same numbers, wherever arithmetic is exact.

Each follows `jax.random` step by step, so that results agree with Keras on JAX. What is compared or
sorted is compared as integers, so masks, permutations and integers agree bit for bit.
"""

from __future__ import annotations

import math
from typing import Any

from kcore import backends, dtypes, ops
from kcore.backends import threefry
from kcore.ops import rules, sparsity
from kcore.ops.mechanism import Plan, Shape, Tensor, op
from kcore.ops.symbolic import Spec
from kcore.random.bits import keyed, random_bits, random_words, require_key, split

# Bits after the binary point, and so the spacing of uniform numbers.
MANTISSA = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}
_BELOW_ONE = {name: 1 - 2.0 ** -(places + 1) for name, places in MANTISSA.items()}


def float_dtype(dtype: Any) -> str:
    """The name of a float dtype; None is the default one.

    Raises:
        ValueError: It is no float dtype of at least 16 bits.
    """
    name = rules.dtype_or(dtype, "float")
    if name not in MANTISSA:
        raise ValueError(f"dtype={dtype!r} should be one of {', '.join(MANTISSA)}.")
    return name


def drawn(key: Spec, shape: Shape, dtype: Any, **parameters: Spec) -> Plan:
    """A draw of floats, by parameters that broadcast to its shape."""
    name = float_dtype(dtype)
    plan = keyed(key, shape, name)
    require_fit(plan.outputs.shape, **parameters)
    plan.cast = {"key": None} | dict.fromkeys(parameters, name)
    plan.arguments["dtype"] = name
    return plan


@op(rule=drawn)
def random_unit(key: Tensor, shape: Shape, dtype: Any = None) -> Tensor:
    """Evenly spread over [0, 1): whole multiples of 2**-23 for float32, of the last place at 1 for others.

    Args:
        key: uint32 of shape (2,).
        shape: Of the result.
        dtype: float16, bfloat16, float32 or float64; the default float for None.
    """
    spare = {"float16": 6, "bfloat16": 1, "float32": 9}
    places = MANTISSA[dtype]
    if dtype == "float64":
        words = random_words(key, shape)
        high = ops.multiply(ops.cast(words[..., 0], dtype), 2.0**-32)
        low = ops.multiply(ops.cast(ops.right_shift(words[..., 1], 12), dtype), 2.0**-places)
        return ops.add(high, low)
    bits = ops.right_shift(random_bits(key, shape), spare[dtype])
    if dtype != "float32":
        bits = ops.bitwise_and(bits, 2**places - 1)
    return ops.multiply(ops.cast(bits, dtype), 2.0**-places)


def require_fit(shape: tuple, **parameters: Spec) -> None:
    """Raises unless each parameter broadcasts to the shape of the draw."""
    for name, spec in parameters.items():
        own = (1,) * (len(shape) - len(spec.shape)) + spec.shape
        if len(own) > len(shape) or any(d not in (1, None, n) and n is not None for d, n in zip(own, shape)):
            raise ValueError(f"{name} of shape {spec.shape} does not broadcast to shape={shape}.")


@op(rule=drawn)
def random_uniform(key: Tensor, shape: Shape, minval: Tensor = 0.0, maxval: Tensor = 1.0, dtype: Any = None) -> Tensor:
    """Evenly spread over [minval, maxval); `minval` everywhere if the bounds cross.

    A number of `random_unit` is scaled and shifted, in float32 with one rounding: a compiler that has a fused
    multiply-add and one that has not give the same.

    Args:
        key: uint32 of shape (2,).
        shape: Of the result.
        minval, maxval: Bounds that broadcast to `shape`.
        dtype: A float dtype; the default float for None.
    """
    span = ops.subtract(maxval, minval)
    exact = "float64" if dtype == "float32" else dtype
    unit, span, low = (ops.cast(x, exact) for x in (random_unit(key, shape, dtype), span, minval))
    return ops.maximum(minval, ops.cast(ops.add(ops.multiply(unit, span), low), dtype))


# M. Giles, "Approximating the erfinv function" (GPU Computing Gems, 2011): polynomials in w - 2.5 for
# w = -log(1 - x**2) below 5, in sqrt(w) - 3 above.
ERFINV_MIDDLE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
ERFINV_TAILS = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
    -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip


def _inside(x: Spec) -> Plan:
    if not dtypes.is_float(x.dtype):
        raise TypeError(f"x should be of a float dtype, not {x.dtype}.")
    return rules.same(x)


@op(rule=_inside)
def random_erfinv(x: Tensor) -> Tensor:
    """The inverse error function of -1 < x < 1, as draws use it: in float32 and narrower one formula everywhere.

    Frameworks' own differ by 1e-4 in the tails. This one rounds x**2, which is the larger part of its error
    there; that moves a normal number of four standard deviations by 1e-4, and all backends' alike.
    """
    dtype = backends.active().dtype(x)
    if dtype == "float64":
        return ops.erfinv(x)
    x = ops.cast(x, "float32")
    w = ops.negative(ops.log1p(ops.negative(ops.multiply(x, x))))
    middle = _polynomial(ERFINV_MIDDLE, ops.subtract(w, 2.5))
    root = ops.sqrt(ops.maximum(w, 5.0))  # the gradient of sqrt at 0 would spoil that of the middle
    tails = _polynomial(ERFINV_TAILS, ops.subtract(root, 3.0))
    return ops.cast(ops.multiply(ops.where(ops.less(w, 5.0), middle, tails), x), dtype)


def _polynomial(coefficients: tuple, x: Any) -> Any:
    y = ops.add(ops.multiply(x, coefficients[0]), coefficients[1])
    for c in coefficients[2:]:
        y = ops.add(ops.multiply(y, x), c)
    return y


@op(rule=drawn)
def random_normal(key: Tensor, shape: Shape, mean: Tensor = 0.0, stddev: Tensor = 1.0, dtype: Any = None) -> Tensor:
    """Normally distributed: sqrt(2) * erfinv of a uniform number in (-1, 1), scaled and shifted.

    Args:
        key: uint32 of shape (2,).
        shape: Of the result.
        mean, stddev: Broadcast to `shape`.
        dtype: A float dtype; the default float for None.
    """
    lowest = -_BELOW_ONE[dtype]
    # One rounding either way: the span of 2 makes the product exact.
    u = ops.maximum(lowest, ops.add(ops.multiply(random_unit(key, shape, dtype), 2.0), lowest))
    return ops.add(ops.multiply(ops.multiply(random_erfinv(u), math.sqrt(2)), stddev), mean)


@op(rule=drawn)
def random_truncated_normal(
    key: Tensor, shape: Shape, mean: Tensor = 0.0, stddev: Tensor = 1.0, dtype: Any = None
) -> Tensor:
    """As `random_normal`, but only what lies within two standard deviations.

    Args:
        key: uint32 of shape (2,).
        shape: Of the result.
        mean, stddev: Broadcast to `shape`.
        dtype: A float dtype; the default float for None.
    """
    edge = math.erf(math.sqrt(2))
    u = random_uniform(key, shape, -edge, edge, dtype)
    inside = 2 * _BELOW_ONE[dtype]
    standard = ops.clip(ops.multiply(random_erfinv(u), math.sqrt(2)), -inside, inside)
    return ops.add(ops.multiply(standard, stddev), mean)


def _integers(key: Spec, shape: Shape, minval: Spec, maxval: Spec, dtype: Any) -> Plan:
    name = dtypes.name_of(dtype)
    if name not in dtypes.INTEGERS:
        raise ValueError(f"dtype={dtype!r} should be one of {', '.join(dtypes.INTEGERS)}.")
    plan = keyed(key, shape, name)
    require_fit(plan.outputs.shape, minval=minval, maxval=maxval)
    wide = "int64" if name == "int64" else "uint64" if name == "uint64" else "uint32" if name == "uint32" else "int32"
    plan.cast = {"key": None, "minval": wide, "maxval": wide}
    plan.arguments["dtype"] = name
    return plan


@op(rule=_integers)
def random_integers(key: Tensor, shape: Shape, minval: Tensor, maxval: Tensor, dtype: Any = "int32") -> Tensor:
    """Whole numbers from minval to maxval - 1, all alike in probability up to one in 2**32 (2**64 for 64-bit dtypes).

    Args:
        key: uint32 of shape (2,).
        shape: Of the result.
        minval, maxval: Bounds that broadcast to `shape`; where they meet or cross the result is minval.
        dtype: An integer dtype.
    """
    wide = dtype in ("int64", "uint64")
    unsigned = "uint64" if wide else "uint32"
    upper, lower = ((_bits64 if wide else random_bits)(k, shape) for k in split(key))
    span = ops.cast(ops.subtract(maxval, minval), unsigned)
    span = ops.where(ops.less_equal(maxval, minval), ops.ones_like(span), span)
    # upper * 2**bits + lower, modulo span, in pieces that fit
    half = 2**32 if wide else 2**16
    factor = ops.mod(half, span)
    factor = ops.mod(ops.multiply(factor, factor), span)
    offset = ops.mod(ops.add(ops.multiply(ops.mod(upper, span), factor), ops.mod(lower, span)), span)
    signed = backends.active().dtype(minval)
    return ops.cast(ops.add(minval, ops.cast(offset, signed)), dtype)


def _bits64(key: Any, shape: Any) -> Any:
    words = ops.cast(random_words(key, shape), "uint64")
    return ops.bitwise_or(ops.left_shift(words[..., 0], 32), words[..., 1])


# -- choices ----------------------------------------------------------------------------


def _mask(key: Spec, shape: Shape, probability: float) -> Plan:
    if not 0 <= probability <= 1:
        raise ValueError(f"probability={probability!r} should be from 0 to 1.")
    return keyed(key, shape, "bool")


@op(rule=_mask)
def random_mask(key: Tensor, shape: Shape, probability: float) -> Tensor:
    """True with that probability, rounded up to a multiple of 2**-23: where `random_unit` is below it in float32.

    Args:
        key: uint32 of shape (2,).
        shape: Of the result.
        probability: A Python number from 0 to 1.
    """
    threshold = threefry.threshold(probability)
    if threshold == 2**32:
        return ops.ones(shape, "bool")
    return ops.less(random_bits(key, shape), threshold)


def _dropped(inputs: Spec, key: Spec, rate: float, noise_shape: Any) -> Plan:
    require_key(key)
    if not 0 <= rate <= 1:
        raise ValueError(f"rate={rate!r} should be from 0 to 1.")
    noise: Any = None
    if noise_shape is not None:
        noise = tuple(noise_shape)
        if len(noise) != inputs.ndim or any(
            n not in (None, 1) and None not in (n, d) and n != d for n, d in zip(noise, inputs.shape)
        ):
            raise ValueError(f"noise_shape={noise_shape!r} does not broadcast to inputs of shape {inputs.shape}.")
    dtype = dtypes.float_of(inputs.dtype)
    return Plan(inputs.shape, dtype, cast={"inputs": dtype, "key": None}, noise_shape=noise)


@op(rule=_dropped)
def random_dropout(inputs: Tensor, key: Tensor, rate: float, noise_shape: Any = None) -> Tensor:
    """`inputs` with elements zeroed at that rate, the others divided by 1 - rate.

    Args:
        inputs: Any shape; integers are taken as the default float.
        key: uint32 of shape (2,).
        rate: A Python number from 0 (nothing is zeroed) to 1 (everything).
        noise_shape: The shape of the mask, which broadcasts to that of `inputs`: None in it is
            the input's size, 1 drops along that axis as one. None for a mask of inputs' shape.

    The gradient is that of the same scaling and zeroing.
    """
    if rate == 0:
        return inputs
    if rate == 1:
        return ops.zeros_like(inputs)
    sizes = backends.active().sizes(inputs)
    if noise_shape is not None:
        sizes = tuple(d if n is None else n for n, d in zip(noise_shape, sizes))
    kept = random_mask(key, sizes, 1 - rate)
    scaled = ops.divide(inputs, 1 - rate)
    return ops.where(kept, scaled, ops.zeros_like(scaled))


def _sparse_dropout(inputs: Any, key: Tensor, rate: float, noise_shape: Any = None) -> Any:
    """The same elements are dropped as of a dense tensor."""
    if rate == 0:
        return inputs
    kept = random_dropout(ops.ones(ops.shape(inputs), inputs.dtype), key, rate, noise_shape)
    return ops.multiply(ops.divide(inputs, 1 - rate) if rate < 1 else inputs, ops.sign(kept))


def _dropped_sparsely(inputs: Spec, key: Spec, rate: float, noise_shape: Any) -> str:
    return sparsity.MADE_DENSE if key.sparse else sparsity.SPARSE


random_dropout.op.sparse = sparsity.Entry(_dropped_sparsely, _sparse_dropout, "sparse")  # type: ignore[attr-defined]

_TINY = 2.0**-126  # the smallest normal float32


def _categories(logits: Spec, key: Spec, num_samples: int, dtype: Any) -> Plan:
    require_key(key)
    rules.require_ndim(logits, 2, "logits")
    (count,) = rules.integers(num_samples, 1, "num_samples", least=0)
    name = dtypes.name_of(dtype)
    if name not in dtypes.INTEGERS:
        raise ValueError(f"dtype={dtype!r} should be one of {', '.join(dtypes.INTEGERS)}.")
    float_of = dtypes.float_of(logits.dtype)
    return Plan((logits.shape[0], count), name, cast={"logits": float_of, "key": None}, num_samples=count, dtype=name)


@op(rule=_categories)
def random_categorical(logits: Tensor, key: Tensor, num_samples: int, dtype: Any = "int32") -> Tensor:
    """Classes drawn with probabilities softmax(logits): the greatest logit after Gumbel noise, which is float32.

    Args:
        logits: (batch, classes), unnormalized log-probabilities.
        key: uint32 of shape (2,).
        num_samples: Draws for each row.
        dtype: An integer dtype.

    Returns:
        (batch, num_samples), class numbers.
    """
    sizes = backends.active().sizes(logits)
    u = random_uniform(key, (*sizes, num_samples), _TINY, 1.0, "float32")
    gumbel = ops.negative(ops.log(ops.negative(ops.log(u))))
    return ops.cast(ops.argmax(ops.add(gumbel, logits[..., None]), 1), dtype)


def _shuffled(x: Spec, key: Spec, axis: int) -> Plan:
    require_key(key)
    return Plan(x.shape, dtypes.concrete(x.dtype), axis=rules.normalize_axis(axis, x.ndim, x.shape))


@op(rule=_shuffled)
def random_shuffle(x: Tensor, key: Tensor, axis: int = 0) -> Tensor:
    """The slices of `x` along an axis in random order; what is inside a slice stays together.

    Args:
        x: At least one dimension.
        key: uint32 of shape (2,).
        axis: Where the slices are taken.
    """
    return ops.take(x, random_permutation(key, backends.active().sizes(x)[axis]), axis)


# So many elements can be sorted by 32 random bits with hardly a tie, once, or twice over.
_ONE_ROUND, _TWO_ROUNDS = (math.floor((2**32 - 1) ** (rounds / 3)) for rounds in (1, 2))


def random_permutation(key: Any, count: Any) -> Any:
    """0 to count - 1 in random order, int32: sorted by random bits, several times where ties are likely."""
    y = ops.arange(count, dtype="int32")
    rounds = []
    known = isinstance(count, int)
    for _ in range(3 if not known else 1 if count <= _ONE_ROUND else 2 if count <= _TWO_ROUNDS else 3):
        key, here = split(key)
        y = ops.take(y, ops.argsort(random_bits(here, (count,))), 0)
        rounds.append(y)
    if known:
        return y
    return ops.where(
        ops.less_equal(count, _ONE_ROUND),
        rounds[0],
        ops.where(ops.less_equal(count, _TWO_ROUNDS), rounds[1], rounds[2]),
    )
