"""Random primitives in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from kcore.backends import threefry
from kcore.backends.threefry import COUNTERS, PARITY, ROTATIONS, ROUNDS
from kcore.ops.mechanism import REGISTRY


def random_bits(key, shape):
    values = _values(key)
    if values is not None:
        return tf.constant(threefry.bits(values, [int(d) for d in shape]))
    x0, x1 = _cipher(key, _size(shape))
    return tf.reshape(tf.bitwise.bitwise_xor(x0, x1), shape)


def random_words(key, shape):
    values = _values(key)
    if values is not None:
        return tf.constant(threefry.words(values, [int(d) for d in shape]))
    return tf.reshape(tf.stack(_cipher(key, _size(shape)), -1), [*shape, 2])


def random_unit(key, shape, dtype):
    values = _values(key)
    if values is None:
        return REGISTRY["random_unit"].body(key, shape, dtype)
    return tf.constant(threefry.units(values, [int(d) for d in shape], dtype))


def random_mask(key, shape, probability):
    values = _values(key)
    if values is None:
        return REGISTRY["random_mask"].body(key, shape, probability)
    return tf.constant(threefry.below(values, [int(d) for d in shape], threefry.threshold(probability)))


def _values(key):
    """The key as an array where drawing on the host is right: a hundred small kernels take longer."""
    return key.numpy() if tf.executing_eagerly() and key.device.endswith("CPU:0") else None


def _size(shape):
    """The number of elements; sizes may be tensors."""
    return tf.reduce_prod(tf.cast(tf.stack(shape), tf.int64)) if shape else tf.constant(1, tf.int64)


@tf.function
def _cipher(key, count):
    """The two words for each counter."""
    keys = threefry.schedule(key[0], key[1], tf.constant(PARITY, tf.uint32))
    counters = tf.range(count)
    x0 = tf.cast(counters // COUNTERS, tf.uint32) + keys[0][0]
    x1 = tf.cast(counters % COUNTERS, tf.uint32) + keys[0][1]
    for i in range(ROUNDS):
        x0 = x0 + x1
        x1 = tf.bitwise.bitwise_xor(_rotated(x1, ROTATIONS[i % 8]), x0)
        if i % 4 == 3:
            turn = i // 4 + 1
            x0, x1 = x0 + keys[turn][0], x1 + keys[turn][1] + tf.constant(turn, tf.uint32)
    return x0, x1


def _rotated(x, by):
    left, right = (tf.constant(n, tf.uint32) for n in (by, 32 - by))
    return tf.bitwise.bitwise_or(tf.bitwise.left_shift(x, left), tf.bitwise.right_shift(x, right))
