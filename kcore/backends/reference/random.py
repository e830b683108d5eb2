"""Definitions of the random primitives."""

from __future__ import annotations

from kcore.backends import threefry


def random_bits(key, shape):
    return threefry.bits(key, shape)


def random_words(key, shape):
    return threefry.words(key, shape)
