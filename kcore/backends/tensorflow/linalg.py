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
    if 0 in (x1.shape[-1], x2.shape[-1]):
        # In a graph, oneDNN's kernel for such a product and a bias ends the process.
        return tf.reduce_sum(x1[..., None] * x2[..., None, :, :], -2)
    return tf.matmul(x1, x2)


def einsum(subscripts, operands):
    return tf.einsum(subscripts, *operands)
