"""Ops that make tensors, in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from kcore import dtypes
from kcore.backends.host import float_range
from kcore.backends.tensorflow import DTYPES as _DTYPES


def _typed(make):
    """The function, whose last argument is a dtype, with the dtype by its name."""
    return lambda *given: make(*given[:-1], dtype=_DTYPES[given[-1]])


zeros, ones = _typed(tf.zeros), _typed(tf.ones)
zeros_like, ones_like = _typed(tf.zeros_like), _typed(tf.ones_like)


def arange(start, stop, step, dtype):
    if any(isinstance(v, tf.Tensor) for v in (start, stop, step)):
        wide = tf.int64 if dtypes.is_int(dtype) else tf.float64
        return tf.cast(tf.range(*(tf.cast(v, wide) for v in (start, stop, step))), _DTYPES[dtype])
    if dtypes.is_int(dtype) and all(isinstance(v, int) for v in (start, stop, step)):
        if (stop - start) * step < 0:  # TensorFlow refuses a range that ends before it starts
            stop = start
        return tf.cast(tf.range(start, stop, step, tf.int64), _DTYPES[dtype])
    return tf.constant(float_range(start, stop, step, dtype))
