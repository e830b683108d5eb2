"""`kcore.random`: draws by a seed. The same seed gives the same numbers on every backend."""

from __future__ import annotations

from typing import Any

from kcore import dtypes, ops
from kcore.ops.mechanism import Shape, Tensor
from kcore.random import keyed, rejection
from kcore.random.seed_generator import SeedGenerator, draw_key

Seed = int | SeedGenerator | None


def uniform(shape: Shape, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Seed = None) -> Tensor:
    """Numbers evenly spread over [minval, maxval).

    Args:
        shape: Of the result.
        minval, maxval: Bounds that broadcast to `shape`; minval everywhere if they cross.
        dtype: A float dtype; the default float for None.
        seed: An int, a SeedGenerator, which advances, or None for the global generator.

    Raises:
        ValueError: `dtype` is no float dtype, or `seed` or `shape` is none.
    """
    if _is(minval, 0) and _is(maxval, 1):
        return keyed.random_unit(draw_key(seed), _hashable(shape), dtype)
    return keyed.random_uniform(draw_key(seed), _hashable(shape), minval, maxval, dtype)


def normal(shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Seed = None) -> Tensor:
    """Normally distributed numbers.

    Args:
        shape: Of the result.
        mean, stddev: Broadcast to `shape`.
        dtype: A float dtype; the default float for None.
        seed: An int, a SeedGenerator, which advances, or None for the global generator.

    Raises:
        ValueError: `dtype` is no float dtype, or `seed` or `shape` is none.
    """
    return keyed.random_normal(draw_key(seed), _hashable(shape), mean, stddev, dtype)


def truncated_normal(shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Seed = None) -> Tensor:
    """Normally distributed numbers, of which only those within two standard deviations are taken.

    Args:
        shape: Of the result.
        mean, stddev: Broadcast to `shape`.
        dtype: A float dtype; the default float for None.
        seed: An int, a SeedGenerator, which advances, or None for the global generator.

    Raises:
        ValueError: `dtype` is no float dtype, or `seed` or `shape` is none.
    """
    return keyed.random_truncated_normal(draw_key(seed), _hashable(shape), mean, stddev, dtype)


def randint(shape: Shape, minval: Any, maxval: Any, dtype: Any = "int32", seed: Seed = None) -> Tensor:
    """Whole numbers from minval to maxval - 1.

    Args:
        shape: Of the result.
        minval, maxval: Bounds that broadcast to `shape`, cut to whole numbers; minval everywhere if they cross.
        dtype: An integer dtype. Where the bounds are Python numbers that fit int32, it does not change what is drawn.
        seed: An int, a SeedGenerator, which advances, or None for the global generator.

    Raises:
        ValueError: `dtype` is no integer dtype, or `seed` or `shape` is none.
    """
    name = dtypes.name_of(dtype)
    if name in ("int64", "uint64") and all(_fits_int32(bound) for bound in (minval, maxval)):
        # 64-bit arithmetic modulo the span is slow where the framework has no uint64.
        return ops.cast(keyed.random_integers(draw_key(seed), _hashable(shape), minval, maxval, "int32"), name)
    return keyed.random_integers(draw_key(seed), _hashable(shape), minval, maxval, name)


def categorical(logits: Tensor, num_samples: int, dtype: Any = "int32", seed: Seed = None) -> Tensor:
    """Classes drawn with probabilities softmax(logits).

    Args:
        logits: (batch, classes), unnormalized log-probabilities.
        num_samples: Draws for each row.
        dtype: An integer dtype.
        seed: An int, a SeedGenerator, which advances, or None for the global generator.

    Returns:
        (batch, num_samples), class numbers.

    Raises:
        ValueError: `logits` has not two dimensions, `dtype` is no integer dtype, or `seed` is none.
    """
    return keyed.random_categorical(logits, draw_key(seed), num_samples, dtype)


def shuffle(x: Tensor, axis: int = 0, seed: Seed = None) -> Tensor:
    """The slices of `x` along an axis in random order; what is inside a slice stays together.

    Args:
        x: At least one dimension.
        axis: Where the slices are taken.
        seed: An int, a SeedGenerator, which advances, or None for the global generator.

    Raises:
        ValueError: `axis` is out of range, or `seed` is none.
    """
    return keyed.random_shuffle(x, draw_key(seed), axis)


def dropout(inputs: Tensor, rate: float, noise_shape: Any = None, seed: Seed = None) -> Tensor:
    """`inputs` with elements zeroed at that rate, and the others divided by 1 - rate.

    Args:
        inputs: Any shape; integers are taken as the default float.
        rate: From 0 (nothing is zeroed) to 1 (everything).
        noise_shape: The shape of the mask, which broadcasts to that of `inputs`: None in it is
            the input's size, 1 drops along that axis as one. None for a mask of inputs' shape.
        seed: An int, a SeedGenerator, which advances, or None for the global generator.

    Raises:
        ValueError: `rate` is not from 0 to 1, `noise_shape` does not fit, or `seed` is none.
    """
    return keyed.random_dropout(inputs, draw_key(seed), rate, noise_shape)


def gamma(shape: Shape, alpha: Any, dtype: Any = None, seed: Seed = None) -> Tensor:
    """Gamma distributed numbers, with scale 1. On different backends they agree to rounding.

    Args:
        shape: Of the result.
        alpha: The shape parameter, broadcasts to `shape`; 0 gives 0, less gives nan. No gradient flows to it.
        dtype: A float dtype; the default float for None.
        seed: An int, a SeedGenerator, which advances, or None for the global generator.

    Raises:
        ValueError: `dtype` is no float dtype, or `seed` or `shape` is none.
    """
    return rejection.random_gamma(draw_key(seed), _hashable(shape), alpha, dtype)


def beta(shape: Shape, alpha: Any, beta: Any, dtype: Any = None, seed: Seed = None) -> Tensor:
    """Beta distributed numbers. On different backends they agree to rounding.

    Args:
        shape: Of the result.
        alpha, beta: The parameters, broadcast to `shape`; nan where one is not positive. No gradient flows to them.
        dtype: A float dtype; the default float for None.
        seed: An int, a SeedGenerator, which advances, or None for the global generator.

    Raises:
        ValueError: `dtype` is no float dtype, or `seed` or `shape` is none.
    """
    return rejection.random_beta(draw_key(seed), _hashable(shape), alpha, beta, dtype)


def binomial(shape: Shape, counts: Any, probabilities: Any, dtype: Any = None, seed: Seed = None) -> Tensor:
    """How many of `counts` trials succeed, each with that probability.

    Args:
        shape: Of the result.
        counts: Whole numbers, broadcast to `shape`; nan where one is negative.
        probabilities: From 0 to 1, broadcast to `shape`; nan where one is not. No gradient flows to them.
        dtype: A float dtype; the default float for None.
        seed: An int, a SeedGenerator, which advances, or None for the global generator.

    Raises:
        ValueError: `dtype` is no float dtype, or `seed` or `shape` is none.
    """
    return rejection.random_binomial(draw_key(seed), _hashable(shape), counts, probabilities, dtype)


def _hashable(shape: Any) -> Any:
    """A list of sizes as a tuple: plans of ops are remembered by their arguments."""
    return tuple(shape) if isinstance(shape, list) else shape


def _is(value: Any, number: int) -> bool:
    return type(value) in (int, float) and value == number


def _fits_int32(bound: Any) -> bool:
    return type(bound) in (int, float) and -(2**31) <= bound < 2**31
