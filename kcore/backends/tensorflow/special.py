"""Special functions in TensorFlow."""

from __future__ import annotations

import math

import tensorflow as tf

from kcore.backends.tensorflow.elementwise import _fitted
from kcore.ops.numerics import next_of_16_bits

erfc, erfinv = tf.math.erfc, tf.math.erfinv


@tf.custom_gradient
def _i0(x):
    return tf.math.bessel_i0(x), lambda g: g * _i1(x)


@tf.custom_gradient
def _i1(x):
    def gradient(g):
        zero = x == 0  # where TensorFlow has 1 for i1(x) / x, not 1/2
        return g * (_i0(x) - tf.where(zero, tf.constant(0.5, x.dtype), _i1(x) / tf.where(zero, tf.ones_like(x), x)))

    return tf.math.bessel_i1(x), gradient


def i0(x):
    return _i0(x)


def erf(x):
    far = tf.math.is_inf(x)  # TensorFlow has nan there
    return tf.where(far, tf.sign(x), tf.math.erf(tf.where(far, tf.zeros_like(x), x)))


@tf.custom_gradient
def _log_add_exp(x1, x2):
    ties = x1 == x2  # infinities among them
    low, high = tf.minimum(x1, x2), tf.maximum(x1, x2)
    y = tf.where(ties, x1 + tf.constant(math.log(2), x1.dtype), high + tf.math.log1p(tf.exp(low - high)))

    def gradient(g):
        # Not exp(x - y), which has y's rounding error: at 1000 that is 1e-4 in float32.
        same = ties & tf.math.is_inf(x1)
        gap = tf.where(same, tf.zeros_like(y), x1 - x2)
        return _fitted(g * tf.sigmoid(gap), x1), _fitted(g * tf.sigmoid(-gap), x2)

    return y, gradient


def logaddexp(x1, x2):
    return _log_add_exp(x1, x2)


def gcd(x1, x2):
    shape = tf.broadcast_dynamic_shape(tf.shape(x1), tf.shape(x2))
    a, b = tf.broadcast_to(x1, shape), tf.broadcast_to(x2, shape)

    def step(a, b):
        done = b == 0
        remainder = tf.math.floormod(a, tf.where(done, tf.ones_like(b), b))
        return tf.where(done, a, b), tf.where(done, b, remainder)

    a, _ = tf.while_loop(lambda a, b: tf.reduce_any(b != 0), step, (a, b))
    return a if a.dtype.is_unsigned else tf.abs(a)


def nextafter(x1, x2):
    if x1.dtype.size > 2:
        return tf.math.nextafter(x1, x2)
    return next_of_16_bits(x1, x2)
