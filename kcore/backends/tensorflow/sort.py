"""Ops that order elements, in TensorFlow."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def _key(x):
    """Signed integers in the order of x: TensorFlow's own sort leaves nan anywhere, and signed zeros apart."""
    if not x.dtype.is_floating:
        if x.dtype == tf.uint64:
            return tf.bitcast(x, tf.int64) ^ tf.int64.min
        return tf.cast(x, tf.int64 if x.dtype in (tf.int64, tf.uint32) else tf.int32)
    if x.dtype != tf.float64:
        x = tf.cast(x, tf.float32)
    x = tf.where(x == 0, tf.zeros_like(x), x)
    bits = tf.bitcast(x, tf.int64 if x.dtype == tf.float64 else tf.int32)
    most = tf.constant(np.iinfo(bits.dtype.as_numpy_dtype).max, bits.dtype)
    ordered = tf.where(bits < 0, tf.bitwise.bitwise_xor(bits, most), bits)
    return tf.where(tf.math.is_nan(x), tf.fill(tf.shape(x), most), ordered)


def argsort(x, axis):
    if axis is None:
        x, axis = tf.reshape(x, (-1,)), 0
    ndim = x.shape.rank
    order = [a for a in range(ndim) if a != axis] + [axis]
    key = tf.bitwise.invert(_key(tf.transpose(x, order)))  # top_k is descending
    found = tf.math.top_k(key, tf.shape(key)[-1]).indices
    return tf.transpose(found, [order.index(a) for a in range(ndim)])


def top_k(x, k, sorted):
    indices = tf.math.top_k(_key(x), k).indices
    return tf.gather(x, indices, axis=-1, batch_dims=x.shape.rank - 1), indices


def searchsorted(sorted_sequence, values, side):
    # Integers have an order without exceptions.
    found = tf.raw_ops.LowerBound if side == "left" else tf.raw_ops.UpperBound
    y = found(sorted_inputs=_key(sorted_sequence)[None], values=tf.reshape(_key(values), (1, tf.size(values))))
    return tf.reshape(y, tf.shape(values))
