"""Ops that make tensors of other dtypes, in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from kcore.backends.tensorflow import DTYPES as _DTYPES
from kcore.backends.tensorflow import backend

copy = tf.identity


def view(x, dtype):
    target = _DTYPES[dtype]
    if x.dtype == target:
        return x
    if x.dtype == tf.bool:
        x = tf.cast(x, tf.uint8)
    if target == tf.bool:
        return tf.cast(view(x, "uint8"), tf.bool)
    # A narrower dtype makes a new axis, a wider one eats one: both are folded into the last.
    sizes = backend.sizes(x)
    if target.size < x.dtype.size:
        y = tf.bitcast(x, target)
        return tf.reshape(y, (*sizes[:-1], sizes[-1] * (x.dtype.size // target.size)))
    if target.size > x.dtype.size:
        ratio = target.size // x.dtype.size
        x = tf.reshape(x, (*sizes[:-1], sizes[-1] // ratio, ratio))
    return tf.bitcast(x, target)


def view_as_complex(x):
    return tf.complex(x[..., 0], x[..., 1])
