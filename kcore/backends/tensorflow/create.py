"""Ops that make tensors, in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from kcore.backends.tensorflow import DTYPES as _DTYPES


def zeros(shape, dtype):
    return tf.zeros(shape, _DTYPES[dtype])


def ones(shape, dtype):
    return tf.ones(shape, _DTYPES[dtype])


def zeros_like(x, dtype):
    return tf.zeros_like(x, _DTYPES[dtype])


def ones_like(x, dtype):
    return tf.ones_like(x, _DTYPES[dtype])
