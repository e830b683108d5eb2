"""Activations in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from kcore import ops

relu, relu6, sigmoid, softplus = tf.nn.relu, tf.nn.relu6, tf.math.sigmoid, tf.math.softplus


def silu(x):
    return tf.nn.silu(x)


def softmax(x, axis):
    if len(axis) == 1:
        return tf.nn.softmax(x, axis[0])
    return ops.softmax.op.body(x, axis)  # TensorFlow takes one axis


def log_softmax(x, axis):
    if len(axis) == 1:
        return tf.nn.log_softmax(x, axis[0])
    return ops.log_softmax.op.body(x, axis)
