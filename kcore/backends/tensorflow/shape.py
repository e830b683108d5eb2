"""Ops that move elements about, in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

reshape, broadcast_to = tf.reshape, tf.broadcast_to


def swapaxes(x, axis1, axis2):
    order = list(range(x.shape.rank))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return tf.transpose(x, order)
