"""Ops that make tensors, in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from kcore import dtypes
from kcore.backends.host import float_range
from kcore.backends.tensorflow import DTYPES as _DTYPES


def zeros(shape, dtype):
    return tf.zeros(shape, _DTYPES[dtype])


def ones(shape, dtype):
    return tf.ones(shape, _DTYPES[dtype])


def zeros_like(x, dtype):
    return tf.zeros_like(x, _DTYPES[dtype])


def ones_like(x, dtype):
    return tf.ones_like(x, _DTYPES[dtype])


def arange(start, stop, step, dtype):
    if any(isinstance(v, tf.Tensor) for v in (start, stop, step)):
        wide = tf.int64 if dtypes.is_int(dtype) else tf.float64
        return tf.cast(tf.range(*(tf.cast(v, wide) for v in (start, stop, step))), _DTYPES[dtype])
    if dtypes.is_int(dtype) and all(isinstance(v, int) for v in (start, stop, step)):
        if (stop - start) * step < 0:  # TensorFlow refuses a range that ends before it starts
            stop = start
        return tf.cast(tf.range(start, stop, step, tf.int64), _DTYPES[dtype])
    return tf.constant(float_range(start, stop, step, dtype))
