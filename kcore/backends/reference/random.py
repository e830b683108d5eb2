"""Definitions of the random primitives, and dropout with its gradient rule."""

from __future__ import annotations

import math

import numpy as np

from kcore import _native
from kcore._native.threads import threads_for
from kcore.backends import threefry
from kcore.backends.reference.layouts import contiguous
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tape import recorded_as, vjp
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.symbolic import Spec
from kcore.random import keyed


def random_bits(key, shape):
    return threefry.bits(key, shape)


def random_words(key, shape):
    return threefry.words(key, shape)


def random_unit(key, shape, dtype):
    return threefry.units(key, shape, dtype)


def random_mask(key, shape, probability):
    return threefry.below(key, shape, threefry.threshold(probability))


# -- dropout ----------------------------------------------------------------------------


def random_dropout(inputs, key, rate, noise_shape):
    if rate == 0:
        return inputs
    if rate == 1:
        return np.zeros_like(inputs)
    if _is_whole(inputs, noise_shape):
        return _dropped(inputs, key, rate)[0]
    kept = random_mask(key, [d if n is None else n for n, d in zip(noise_shape, inputs.shape)], 1 - rate)
    return _kept(inputs, kept, rate)


def _is_whole(inputs, noise_shape) -> bool:
    """Whether each element of the inputs has its own draw."""
    return noise_shape is None or all(n in (None, d) for n, d in zip(noise_shape, inputs.shape))


def _kept(x, kept, rate):
    with quiet():
        return np.where(kept, x / (1 - rate), np.zeros((), x.dtype))


def _dropped(x, key, rate):
    """(x after dropout, which elements were kept: a bit for each)."""
    threshold = threefry.threshold(1 - rate)
    if _native.available and x.dtype.char in "fd" and threshold < threefry.COUNTERS:
        x = contiguous(x)
        return _native.kernels.dropout(*threefry.words_of(key), x, threshold, 1 - rate, threads_for(x.size))
    kept = threefry.below(key, x.shape, threshold)
    return _kept(x, kept, rate), np.packbits(kept, bitorder="little")


@private_op(
    rule=lambda inputs, key, rate: Plan.many(
        (Spec(inputs.shape, inputs.dtype), Spec(((math.prod(inputs.shape) + 7) // 8,), "uint8"))
    )
)
def dropped(inputs: Tensor, key: Tensor, rate):
    """`random_dropout` with a draw for each element, and which were kept: a bit for each, the lowest first."""
    return _dropped(inputs, key, rate)


@private_op(rule=lambda g, kept, rate: Plan(g.shape, g.dtype))
def dropped_grad(g: Tensor, kept: Tensor, rate):
    """The gradient of `dropped` by its inputs: what it made of them, it makes of g. To draw anew takes eight times as long."""
    if _native.available and g.dtype.char in "fd":
        return _native.kernels.dropout_grad(contiguous(g), kept, 1 - rate, threads_for(g.size))
    return _kept(g, np.unpackbits(kept, count=g.size, bitorder="little").reshape(g.shape).astype(bool), rate)


@recorded_as(keyed.random_dropout)
def _(inputs, key, rate, noise_shape):
    if 0 < rate < 1 and _is_whole(inputs, noise_shape):
        return dropped(inputs, key, rate)[0]
    return keyed.random_dropout.op.body(inputs, key, rate, noise_shape)


@vjp(dropped)
def _(gs, ys, inputs, key, rate):
    return dropped_grad(gs[0], ys[1], rate), None


@vjp(dropped_grad)
def _(h, dx, g, kept, rate):
    return dropped_grad(h, kept, rate), None
