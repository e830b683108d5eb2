"""Pooling in TensorFlow."""

from __future__ import annotations

import math

import tensorflow as _tf

from kcore.backends.tensorflow.conv import _back, _last, _named, _sizes


def _name(x, pool_size, strides, padding):
    return _named(padding, x.shape[1:-1].as_list(), pool_size, strides)


def max_pool(inputs, pool_size, strides, padding, data_format):
    x = _last(inputs, data_format)
    name = _name(x, pool_size, strides, padding)
    y = _max(x, pool_size, strides, name)
    if x.dtype.is_floating:
        y = _corrected(x, y, pool_size, strides, name)
    return _back(y, data_format)


def _max(x, size, strides, padding):
    if len(size) == 1:
        return _max(x[:, None], (1, *size), (1, *strides), padding)[:, 0]
    if len(size) == 2:
        return _tf.nn.max_pool2d(x, size, strides, padding)
    # TensorFlow's kernel for three axes gives each of several equal elements the whole gradient, the one
    # for two axes gives it to the first.
    return _over_three(_max, x, size, strides, padding)


def _over_three(fold, x, size, strides, padding):
    """A fold over the last two spatial axes, then over the first."""
    batch, depth, rows, columns, channels = _sizes(x)
    y = fold(_tf.reshape(x, [batch * depth, rows, columns, channels]), size[1:], strides[1:], padding)
    rows, columns = _sizes(y)[1:3]
    y = _tf.reshape(y, [batch, depth, rows * columns, channels])
    y = fold(y, (size[0], 1), (strides[0], 1), padding)
    return _tf.reshape(y, [batch, _sizes(y)[1], rows, columns, channels])


def _corrected(x, y, size, strides, padding):
    """y where windows hold nan or nothing but -inf: TensorFlow's CPU kernels pass over both."""

    def with_marks():
        low = _max(_tf.cast(x > -math.inf, x.dtype), size, strides, padding) < 1
        hit = _max(_tf.cast(_tf.math.is_nan(x), x.dtype), size, strides, padding) > 0
        z = _tf.where(low, _tf.constant(-math.inf, y.dtype), y)
        return _tf.where(hit, _tf.constant(math.nan, y.dtype), z)

    # One pass tells: a sum is finite only if all its elements are.
    return _tf.cond(_tf.math.is_finite(_tf.reduce_sum(x)), lambda: y, with_marks)


def average_pool(inputs, pool_size, strides, padding, data_format):
    x = _last(inputs, data_format)
    narrow = x.dtype.size == 2  # summed in float32
    y = _mean(_tf.cast(x, _tf.float32) if narrow else x, pool_size, strides, _name(x, pool_size, strides, padding))
    return _back(_tf.cast(y, x.dtype) if narrow else y, data_format)


def _mean(x, size, strides, padding):
    if len(size) == 1:
        return _mean(x[:, None], (1, *size), (1, *strides), padding)[:, 0]
    if len(size) == 2:
        return _tf.nn.avg_pool2d(x, size, strides, padding)
    return _over_three(_mean, x, size, strides, padding)  # TensorFlow's kernel for three axes lacks float64
