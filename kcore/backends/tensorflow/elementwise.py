"""Elementwise ops in TensorFlow."""

from __future__ import annotations

import math

import tensorflow as tf

add, subtract, multiply, divide = tf.add, tf.subtract, tf.multiply, tf.divide
negative, absolute, square, reciprocal = tf.negative, tf.abs, tf.square, tf.math.reciprocal
positive, sign = tf.identity, tf.sign

exp, expm1, log, log1p = tf.exp, tf.math.expm1, tf.math.log, tf.math.log1p
sqrt, rsqrt = tf.sqrt, tf.math.rsqrt
sin, cos, tan = tf.sin, tf.cos, tf.tan
arcsin, arccos, arctan = tf.asin, tf.acos, tf.atan
sinh, cosh, tanh = tf.sinh, tf.cosh, tf.tanh
arcsinh, arccosh, arctanh = tf.asinh, tf.acosh, tf.atanh

equal, not_equal = tf.equal, tf.not_equal
less, less_equal, greater, greater_equal = tf.less, tf.less_equal, tf.greater, tf.greater_equal
logical_and, logical_or, logical_xor, logical_not = tf.logical_and, tf.logical_or, tf.math.logical_xor, tf.logical_not


def _inexact(x):
    return x.dtype.is_floating or x.dtype.is_complex


def _fitted(g, x):
    """A gradient summed back to the shape of an operand that was broadcast."""
    axes = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(x), s1=tf.shape(g)).r0
    return tf.reshape(tf.reduce_sum(g, axes), tf.shape(x))


def _shared(meet, first):
    """The greater or the lesser: half of a tie's gradient for each, where TensorFlow gives x1 all."""

    @tf.custom_gradient
    def run(x1, x2):
        def gradient(g):
            half, ties = g / 2, x1 == x2
            g1, g2 = (tf.where(wins, g, tf.zeros_like(g)) for wins in (first(x1, x2), first(x2, x1)))
            return _fitted(tf.where(ties, half, g1), x1), _fitted(tf.where(ties, half, g2), x2)

        return meet(x1, x2), gradient

    return lambda x1, x2: (run if _inexact(x1) else meet)(x1, x2)


maximum, minimum = _shared(tf.maximum, tf.greater), _shared(tf.minimum, tf.less)


def exp2(x):
    return tf.pow(tf.constant(2, x.dtype), x)


def cbrt(x):
    y = tf.sign(x) * tf.pow(tf.abs(x), tf.constant(1 / 3, x.dtype))
    # 1 / 3 is rounded; a step of Newton's method makes up for it.
    usual = tf.math.is_finite(x) & (x != 0)
    z = tf.where(usual, y, tf.ones_like(y))
    return tf.where(usual, z - (z - x / (z * z)) / 3, y)


def _log_to(base):
    return lambda x: tf.math.log(x) / tf.constant(math.log(base), x.dtype)


log2, log10 = _log_to(2), _log_to(10)


def arctan2(x1, x2):
    # At the origin TensorFlow's gradient is nan; there it is taken where it is 0.
    origin = (x1 == 0) & (x2 == 0)
    safe = tf.atan2(tf.where(origin, tf.zeros_like(x1), x1), tf.where(origin, tf.ones_like(x2), x2))
    return tf.where(origin, tf.stop_gradient(tf.atan2(x1, x2)), safe)


def _whole_division(function, x1, x2):
    if _inexact(x1):
        return function(x1, x2)
    zero = x2 == 0  # TensorFlow raises
    y = function(x1, tf.where(zero, tf.ones_like(x2), x2))
    return tf.where(zero, tf.zeros_like(y), y)


def floor_divide(x1, x2):
    if not _inexact(x1):
        return _whole_division(tf.math.floordiv, x1, x2)
    # floor(x1 / x2) is one too many where the quotient is rounded up to a whole number: 1 // 0.1 is 9.
    rest = tf.truncatemod(x1, x2)
    y = tf.round((x1 - rest) / x2)
    y = tf.where((rest != 0) & ((rest < 0) != (x2 < 0)), y - 1, y)
    return tf.stop_gradient(tf.where(x2 == 0, x1 / x2, y))


def mod(x1, x2):
    return _whole_division(tf.math.floormod, x1, x2)


def fmod(x1, x2):
    @tf.custom_gradient
    def run(x1, x2):
        def gradient(g):  # TensorFlow has none
            return _fitted(g, x1), _fitted(-g * trunc(x1 / x2), x2)

        return tf.raw_ops.TruncateMod(x=x1, y=x2), gradient

    return run(x1, x2) if _inexact(x1) else _whole_division(tf.truncatemod, x1, x2)


def power(x1, x2):
    @tf.custom_gradient
    def run(x1, x2):
        y = tf.pow(x1, x2)

        def gradient(g):  # TensorFlow's is nan at 0**0, and 0 in the exponent of negative numbers
            one, zero = tf.ones_like(x1), tf.zeros_like(y)
            lower = tf.where(x2 == 0, zero, power(x1, tf.where(x2 == 0, tf.ones_like(x2), x2 - 1)))
            log = tf.math.log(tf.where(x1 == 0, one, x1))
            g1, g2 = x2 * lower, tf.where(x1 == 0, zero, power(x1, x2) * log)
            return _fitted(g * tf.math.conj(g1), x1), _fitted(g * tf.math.conj(g2), x2)

        return y, gradient

    if _inexact(x1):
        return run(x1, x2)
    if x1.dtype.is_unsigned:
        return tf.pow(x1, x2)
    y = tf.pow(x1, tf.abs(x2))  # TensorFlow refuses negative integer exponents
    return tf.where((x2 >= 0) | (tf.abs(x1) == 1), y, tf.zeros_like(y))


floor, ceil = tf.floor, tf.math.ceil


def trunc(x):
    return tf.where(x < 0, tf.math.ceil(x), tf.floor(x)) if _inexact(x) else x


def round(x, decimals):
    if decimals == 0:
        return tf.round(x)
    if not _inexact(x):
        return (
            x if decimals > 0 else tf.cast(tf.round(tf.cast(x, tf.float64) * 10.0**decimals) / 10.0**decimals, x.dtype)
        )
    scale = tf.constant(10.0**decimals, x.dtype)
    return tf.round(x * scale) / scale


def isnan(x):
    return tf.math.is_nan(x) if x.dtype.is_floating else x != x


def isinf(x):
    if x.dtype.is_complex:
        return isinf(tf.math.real(x)) | isinf(tf.math.imag(x))
    return tf.math.is_inf(x) if x.dtype.is_floating else tf.zeros_like(x, tf.bool)


def isfinite(x):
    if x.dtype.is_complex:
        return isfinite(tf.math.real(x)) & isfinite(tf.math.imag(x))
    return tf.math.is_finite(x) if x.dtype.is_floating else tf.ones_like(x, tf.bool)


def signbit(x):
    if not x.dtype.is_floating:
        return x < tf.zeros_like(x)
    return tf.bitcast(x, {2: tf.int16, 4: tf.int32, 8: tf.int64}[x.dtype.size]) < 0


def _bits(on_bools, on_integers):
    return lambda x, *y: (on_bools if x.dtype == tf.bool else on_integers)(x, *y)


bitwise_and, bitwise_or = _bits(tf.logical_and, tf.bitwise.bitwise_and), _bits(tf.logical_or, tf.bitwise.bitwise_or)
bitwise_xor = _bits(tf.math.logical_xor, tf.bitwise.bitwise_xor)
bitwise_not = _bits(tf.logical_not, tf.bitwise.invert)


def left_shift(x, y):
    bits = tf.constant(x.dtype.size * 8, y.dtype)
    shifted = tf.bitwise.left_shift(x, tf.minimum(y, bits - 1))
    return tf.where(y >= bits, tf.zeros_like(x), shifted)  # undefined in C


def right_shift(x, y):
    return tf.bitwise.right_shift(x, tf.minimum(y, tf.constant(x.dtype.size * 8 - 1, y.dtype)))


def clip(x, x_min, x_max):
    if not _inexact(x):
        return tf.minimum(tf.maximum(x, x_min), x_max)
    # Not by minimum and maximum, which halve the gradient of x on a bound.
    y = tf.where((x >= x_min) | tf.math.is_nan(x), x, x_min)
    return tf.where((y <= x_max) | tf.math.is_nan(y), y, x_max)


def where(condition, x1, x2):
    if x1 is None:
        return tuple(tf.unstack(tf.cast(tf.where(condition), tf.int32), axis=1))
    return tf.where(condition, x1, x2)


def _of_parts(of_complex, of_real=lambda x: x):
    return lambda x: (of_complex if x.dtype.is_complex else of_real)(x)


conj, real = _of_parts(tf.math.conj), _of_parts(tf.math.real)
imag = _of_parts(tf.math.imag, tf.zeros_like)
