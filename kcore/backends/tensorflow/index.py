"""Ops that pick elements by position, in TensorFlow."""

from __future__ import annotations

import math

import tensorflow as tf

from kcore import backends, dtypes
from kcore.backends.tensorflow import backend
from kcore.ops.index import product_gradients


def basic_index(x, key):
    return x[key]


def _fill(x):
    return tf.constant(dtypes.missing(backend.dtype(x)), x.dtype)


def _from_zero(indices, size):
    """(indices from 0 on and in range, which of them were out of range)."""
    size = tf.cast(size, indices.dtype)
    i = tf.where(indices < 0, indices + size, indices)
    outside = (i < 0) | (i >= size)
    return tf.where(outside, tf.zeros_like(i), i), outside


def _never_empty(x, axis):
    """x, with one element along the axis where it has none: TensorFlow gathers nothing from nothing."""
    if x.shape[axis] is not None and x.shape[axis] > 0:
        return x
    lacking = tf.maximum(1 - tf.shape(x)[axis], 0)
    return tf.pad(x, [(0, lacking if a == axis else 0) for a in range(x.shape.rank)])


def take(x, indices, axis):
    if axis is None:
        x, axis = tf.reshape(x, (-1,)), 0
    i, outside = _from_zero(indices, tf.shape(x)[axis])
    y = tf.gather(_never_empty(x, axis), i, axis=axis)
    after = x.shape.rank - axis - 1
    return tf.where(tf.reshape(outside, tf.concat([tf.shape(outside), [1] * after], 0)), _fill(x), y)


def take_along_axis(x, indices, axis):
    if axis is None:
        return take(x, indices, None)
    ndim = x.shape.rank
    order = [a for a in range(ndim) if a != axis] + [axis]
    x, indices = tf.transpose(x, order), tf.transpose(indices, order)
    batch = tf.broadcast_dynamic_shape(tf.shape(x)[:-1], tf.shape(indices)[:-1])
    x, indices = (tf.broadcast_to(t, tf.concat([batch, tf.shape(t)[-1:]], 0)) for t in (x, indices))
    i, outside = _from_zero(indices, tf.shape(x)[-1])
    y = tf.where(outside, _fill(x), tf.gather(_never_empty(x, ndim - 1), i, axis=ndim - 1, batch_dims=ndim - 1))
    return tf.transpose(y, [order.index(a) for a in range(ndim)])


def _starts(inputs, start_indices, lengths):
    starts = tf.stack([tf.cast(s, tf.int32) for s in start_indices]) if start_indices else tf.zeros((0,), tf.int32)
    sizes = tf.shape(inputs)
    starts = tf.where(starts < 0, starts + sizes, starts)
    return tf.clip_by_value(starts, 0, sizes - lengths)


def slice(inputs, start_indices, shape):
    if not shape:
        return inputs
    if all(isinstance(s, int) and s >= 0 for s in start_indices):
        return tf.slice(inputs, start_indices, shape)
    return tf.slice(inputs, _starts(inputs, start_indices, tf.stack(shape)), shape)


def slice_update(inputs, start_indices, updates):
    if not start_indices:
        return updates
    lengths = tf.shape(updates)
    starts = _starts(inputs, start_indices, lengths)
    return tf.raw_ops.TensorStridedSliceUpdate(
        input=inputs, begin=starts, end=starts + lengths, strides=tf.ones_like(starts), value=updates
    )


@tf.custom_gradient
def _multiplied(x, indices, updates):
    """TensorFlow's own second gradient is nan where a factor is 0."""

    def gradient(g):
        with backends.use(backend):
            gx, gu = product_gradients(g, x, indices, updates)
        return gx, None, gu

    return x * tf.math.unsorted_segment_prod(updates, indices, tf.shape(x)[0]), gradient


def scatter_rows(x, indices, updates, reduction):
    if 0 in x.shape[1:]:  # TensorFlow scatters no rows of nothing
        return x
    n = tf.cast(tf.shape(x)[0], indices.dtype)
    i = tf.where(indices < 0, indices + n, indices)
    i = tf.where((i < 0) | (i >= n), n, i)
    # A row more at the end takes what is out of range.
    y = tf.pad(x, [[0, 1]] + [[0, 0]] * (x.shape.rank - 1))
    if reduction == "mul":
        y = _multiplied(y, i, updates)
    else:
        scattered = {
            None: tf.tensor_scatter_nd_update,
            "add": tf.tensor_scatter_nd_add,
            "max": tf.tensor_scatter_nd_max,
            "min": tf.tensor_scatter_nd_min,
        }[reduction]
        y = scattered(y, i[:, None], updates)
        if reduction in ("max", "min") and x.dtype.is_floating:  # TensorFlow leaves nan out
            absent = tf.cast(tf.math.is_nan(updates), x.dtype)
            absent = tf.tensor_scatter_nd_add(tf.zeros_like(y), i[:, None], absent)
            y = tf.where(absent > 0, tf.constant(math.nan, x.dtype), y)
    return y[:-1]
