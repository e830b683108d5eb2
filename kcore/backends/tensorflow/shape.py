"""Ops that give elements another arrangement, in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

reshape, broadcast_to, transpose = tf.reshape, tf.broadcast_to, tf.transpose


def swapaxes(x, axis1, axis2):
    order = list(range(x.shape.rank))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return tf.transpose(x, order)


def expand_dims(x, axis):
    for a in axis:
        x = tf.expand_dims(x, a)
    return x


def squeeze(x, axis):
    return tf.squeeze(x, axis) if axis else x  # TensorFlow squeezes every axis for an empty list


def flip(x, axis):
    return tf.reverse(x, axis)


def roll(x, shift, axis):
    if axis is None:
        return tf.reshape(tf.roll(tf.reshape(x, (-1,)), shift[0], 0), tf.shape(x))
    return tf.roll(x, shift, axis)
