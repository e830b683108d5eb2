"""Ops that give elements another arrangement, in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

reshape, broadcast_to, transpose = tf.reshape, tf.broadcast_to, tf.transpose
concatenate, stack = tf.concat, tf.stack


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


def split(x, indices_or_sections, axis):
    if isinstance(indices_or_sections, int):
        return tf.split(x, indices_or_sections, axis)
    edges = (0, *indices_or_sections)
    sizes = [b - a for a, b in zip(edges, edges[1:], strict=False)]
    size = x.shape[axis]
    return tf.split(x, [*sizes, -1 if size is None else size - edges[-1]], axis)


def unstack(x, num, axis):
    return tf.unstack(x, num, axis)


def tile(x, repeats):
    x = tf.reshape(x, (1,) * (len(repeats) - x.shape.rank) + _sizes(x))
    return tf.tile(x, repeats)


def _sizes(x):
    known = x.shape.as_list()
    return tuple(tf.shape(x)[i] if d is None else d for i, d in enumerate(known))


def repeat(x, repeats, axis):
    return tf.repeat(x, repeats, axis)


def constant_pad(x, pad_width, value):
    return tf.pad(x, pad_width, constant_values=tf.cast(value, x.dtype)) if pad_width else x
