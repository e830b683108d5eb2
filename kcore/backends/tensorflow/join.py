"""Ops that join tensors, take them apart, repeat and pad them, in TensorFlow."""

from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf

from kcore.backends.tensorflow import backend

concatenate, stack, unstack, repeat = tf.concat, tf.stack, tf.unstack, tf.repeat


def split(x, indices_or_sections, axis):
    if isinstance(indices_or_sections, int):
        return tf.split(x, indices_or_sections, axis)
    edges = (0, *indices_or_sections)
    sizes = [b - a for a, b in itertools.pairwise(edges)]
    size = x.shape[axis]
    return tf.split(x, [*sizes, -1 if size is None else size - edges[-1]], axis)


def tile(x, repeats):
    x = tf.reshape(x, (1,) * (len(repeats) - x.shape.rank) + backend.sizes(x))
    return tf.tile(x, repeats)


def constant_pad(x, pad_width, value):
    if not pad_width:
        return x
    value = np.asarray(value).astype(x.dtype.as_numpy_dtype)  # an int tensor takes the whole part of a float
    return tf.pad(x, pad_width, constant_values=tf.constant(value))
