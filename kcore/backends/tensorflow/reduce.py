"""Reductions in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from kcore import backends
from kcore.backends.tensorflow import backend
from kcore.ops.numerics import product_gradient, running_product_gradient


def _inexact(x):
    return x.dtype.is_floating or x.dtype.is_complex


def _summed_wide(fold):
    # TensorFlow adds up 16-bit floats in 16 bits: a sum of thousands loses digits, a mean of large numbers overflows.
    def folded(x, axis, keepdims):
        if x.dtype.is_floating and x.dtype.size == 2:
            return tf.cast(fold(tf.cast(x, tf.float32), axis, keepdims), x.dtype)
        return fold(x, axis, keepdims)

    return folded


sum, mean = _summed_wide(tf.reduce_sum), _summed_wide(tf.reduce_mean)


def moments(x, axes, keepdims, synchronized):
    dtype = x.dtype
    x = tf.cast(x, tf.float32) if dtype.size == 2 else x
    m = tf.reduce_mean(x, axes, True)
    m += tf.reduce_mean(x - m, axes, True)  # the mean of large numbers is off by its rounding
    v = tf.reduce_mean(_squared(x - m), axes, True)
    replica = tf.distribute.get_replica_context()
    if synchronized and replica is not None and replica.num_replicas_in_sync > 1:
        # Each replica has an equal part of the batch: the mean of their variances, and the variance of their means.
        own, mean_of = m, tf.distribute.ReduceOp.MEAN
        m = replica.all_reduce(mean_of, own)
        v = replica.all_reduce(mean_of, v + _squared(own - m))
    if not keepdims:
        m, v = tf.squeeze(m, axes), tf.squeeze(v, axes)
    return tf.cast(m, dtype), tf.cast(v, dtype.real_dtype)


def _squared(x):
    return tf.square(tf.math.real(x)) + tf.square(tf.math.imag(x)) if x.dtype.is_complex else tf.square(x)


# -- order ------------------------------------------------------------------------------


def _peak(fold, meet):
    def folded(x, axis, keepdims, initial):
        y = fold(x, axis, keepdims)
        if initial is None:
            return y
        initial = tf.constant(initial, y.dtype)
        # TensorFlow gives all of a tie's gradient to one side.
        return tf.where(y == initial, (y + initial) / 2, meet(y, initial)) if _inexact(y) else meet(y, initial)

    return folded


def _first_peak(fold):
    """The first place of the peak; TensorFlow's argmax passes over nan, and promises no order of ties."""

    def place(x, axis, keepdims):
        if axis is None:
            y = place(tf.reshape(x, (-1,)), 0, False)
            return tf.reshape(y, (1,) * x.shape.rank) if keepdims else y
        hit = x == fold(x, axis, keepdims=True)
        if x.dtype.is_floating:
            hit = tf.logical_or(hit, tf.math.is_nan(x))
        size = tf.shape(x)[axis]
        places = tf.reshape(tf.range(size), [-1 if i == axis else 1 for i in range(x.shape.rank)])
        return tf.reduce_min(tf.where(hit, places, size), axis, keepdims)

    return place


max, min = _peak(tf.reduce_max, tf.maximum), _peak(tf.reduce_min, tf.minimum)
argmax, argmin = _first_peak(tf.reduce_max), _first_peak(tf.reduce_min)


# -- logic ------------------------------------------------------------------------------


any, all = tf.reduce_any, tf.reduce_all

# -- products and running folds ---------------------------------------------------------
# TensorFlow's gradients of products divide by the elements, the second of reduce_prod and
# both of cumprod; those here do not.


def _multiplied(fold, gradient_of, x, *how):
    @tf.custom_gradient
    def run(x):
        def gradient(g):
            with backends.use(backend):
                return gradient_of(g, x, *how)

        return fold(x, *how), gradient

    return run(x) if _inexact(x) else fold(x, *how)


def prod(x, axis, keepdims, dtype):
    return _multiplied(tf.reduce_prod, product_gradient, x, axis, keepdims)


def cumsum(x, axis, dtype):
    return tf.cumsum(tf.reshape(x, (-1,)) if axis is None else x, axis or 0)


def cumprod(x, axis, dtype):
    x, axis = (tf.reshape(x, (-1,)), 0) if axis is None else (x, axis)
    return _multiplied(tf.math.cumprod, running_product_gradient, x, axis)
