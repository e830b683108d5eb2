"""Ops on sparse tensors, where TensorFlow has a function for them."""

from __future__ import annotations

import tensorflow as tf

from kcore.ops import stored

_KERNELS = (tf.float32, tf.float64, tf.complex64, tf.complex128)


def matrix_product(x, y):
    if x.dtype not in _KERNELS:
        return stored.matrix_product(x, y)
    return tf.sparse.sparse_dense_matmul(x, y)
