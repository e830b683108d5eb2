"""Reductions in TensorFlow."""

from __future__ import annotations

import tensorflow as tf


def sum(x, axis, keepdims):
    return tf.reduce_sum(x, axis, keepdims)


def max(x, axis, keepdims, initial):
    y = tf.reduce_max(x, axis, keepdims)
    return y if initial is None else tf.maximum(y, tf.constant(initial, x.dtype))


def mean(x, axis, keepdims):
    return tf.reduce_mean(x, axis, keepdims)
