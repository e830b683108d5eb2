"""Definitions of the random primitives."""

from __future__ import annotations

from kcore.backends import threefry


def random_bits(key, shape):
    return threefry.bits(key, shape)


def random_words(key, shape):
    return threefry.words(key, shape)


def random_unit(key, shape, dtype):
    return threefry.units(key, shape, dtype)


def random_mask(key, shape, probability):
    return threefry.below(key, shape, threefry.threshold(probability))
