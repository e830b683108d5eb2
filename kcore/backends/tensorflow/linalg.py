"""Products in TensorFlow."""

from __future__ import annotations

import tensorflow as tf


def matmul(x1, x2):
    if x1.shape.rank == 1 and x2.shape.rank == 1:
        return tf.reduce_sum(x1 * x2)
    if x1.shape.rank == 1:
        return tf.squeeze(tf.matmul(x1[None], x2), -2)
    if x2.shape.rank == 1:
        return tf.squeeze(tf.matmul(x1, x2[:, None]), -1)
    return tf.matmul(x1, x2)


def einsum(subscripts, operands):
    return tf.einsum(subscripts, *operands)
