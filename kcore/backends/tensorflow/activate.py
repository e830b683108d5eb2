"""Activations in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from kcore import ops

relu, relu6, sigmoid, softplus = tf.nn.relu, tf.nn.relu6, tf.math.sigmoid, tf.math.softplus


def silu(x):
    return tf.nn.silu(x)


def _along(spread, body):
    return lambda x, axis: spread(x, axis[0]) if len(axis) == 1 else body(x, axis)  # TensorFlow takes one axis


softmax = _along(tf.nn.softmax, ops.softmax.op.body)
log_softmax = _along(tf.nn.log_softmax, ops.log_softmax.op.body)
