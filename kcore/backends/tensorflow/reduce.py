"""Reductions in TensorFlow."""

from __future__ import annotations

import tensorflow as tf


def _inexact(x):
    return x.dtype.is_floating or x.dtype.is_complex


def _summed_wide(fold, x, axis, keepdims):
    # TensorFlow adds up 16-bit floats in 16 bits: a sum of thousands loses digits, a mean of large numbers overflows.
    if x.dtype.is_floating and x.dtype.size == 2:
        return tf.cast(fold(tf.cast(x, tf.float32), axis, keepdims), x.dtype)
    return fold(x, axis, keepdims)


def sum(x, axis, keepdims):
    return _summed_wide(tf.reduce_sum, x, axis, keepdims)


def mean(x, axis, keepdims):
    return _summed_wide(tf.reduce_mean, x, axis, keepdims)


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


def max(x, axis, keepdims, initial):
    y = tf.reduce_max(x, axis, keepdims)
    return y if initial is None else _with_initial(tf.maximum, y, initial)


def min(x, axis, keepdims, initial):
    y = tf.reduce_min(x, axis, keepdims)
    return y if initial is None else _with_initial(tf.minimum, y, initial)


def _with_initial(meet, y, initial):
    initial = tf.constant(initial, y.dtype)
    # TensorFlow gives all of a tie's gradient to one side.
    return tf.where(y == initial, (y + initial) / 2, meet(y, initial)) if _inexact(y) else meet(y, initial)


def _first_peak(fold, x, axis, keepdims):
    """The first place of the peak; TensorFlow's argmax passes over nan, and promises no order of ties."""
    if axis is None:
        y = _first_peak(fold, tf.reshape(x, (-1,)), 0, False)
        return tf.reshape(y, (1,) * x.shape.rank) if keepdims else y
    hit = x == fold(x, axis, keepdims=True)
    if x.dtype.is_floating:
        hit = tf.logical_or(hit, tf.math.is_nan(x))
    size = tf.shape(x)[axis]
    places = tf.reshape(tf.range(size), [-1 if i == axis else 1 for i in range(x.shape.rank)])
    return tf.reduce_min(tf.where(hit, places, size), axis, keepdims)


def argmax(x, axis, keepdims):
    return _first_peak(tf.reduce_max, x, axis, keepdims)


def argmin(x, axis, keepdims):
    return _first_peak(tf.reduce_min, x, axis, keepdims)


# -- logic ------------------------------------------------------------------------------


def any(x, axis, keepdims):
    return tf.reduce_any(x, axis, keepdims)


def all(x, axis, keepdims):
    return tf.reduce_all(x, axis, keepdims)


# -- products and running folds ---------------------------------------------------------
# TensorFlow's gradients of products divide by the elements, the second of reduce_prod and
# both of cumprod; here they are written without division.


def prod(x, axis, keepdims, dtype):
    @tf.custom_gradient
    def run(x):
        def gradient(g):
            if not keepdims:
                for a in axis:
                    g = tf.expand_dims(g, a)
            return g * tf.math.conj(_others(x, axis))

        return tf.reduce_prod(x, axis, keepdims), gradient

    return run(x) if _inexact(x) else tf.reduce_prod(x, axis, keepdims)


def _others(x, axis):
    """For each element the product of all others over `axis`."""
    order = [i for i in range(x.shape.rank) if i not in axis] + list(axis)
    moved = tf.transpose(x, order)
    shape = tf.shape(moved)
    kept = x.shape.rank - len(axis)
    rows = tf.reshape(moved, (tf.reduce_prod(shape[:kept]), tf.reduce_prod(shape[kept:])))
    found = _before(rows, 1) * tf.reverse(_before(tf.reverse(rows, [1]), 1), [1])
    return tf.transpose(tf.reshape(found, shape), sorted(range(x.shape.rank), key=order.__getitem__))


def cumsum(x, axis, dtype):
    return tf.cumsum(tf.reshape(x, (-1,)) if axis is None else x, axis or 0)


def cumprod(x, axis, dtype):
    x, axis = (tf.reshape(x, (-1,)), 0) if axis is None else (x, axis)
    if not _inexact(x):
        return tf.math.cumprod(x, axis)

    @tf.custom_gradient
    def run(x):
        def gradient(g):
            # As on the reference backend: p[j] * r[j], r[j] = g[j] + x[j+1] * r[j+1].
            after = _shifted(tf.math.conj(x), 1, axis)
            return tf.math.conj(_before(x, axis)) * _recurrence(after, g, axis)

        return tf.math.cumprod(x, axis), gradient

    return run(x)


def _before(x, axis):
    """The product of the elements before each one."""
    y = cumprod(x, axis, None)
    one = tf.ones_like(_part(x, axis, None, 1))
    return tf.concat([one, _part(y, axis, None, -1)], axis)


def _part(x, axis, start, stop):
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _shifted(x, by, axis):
    """x[by:], with zeros at the end."""
    part = _part(x, axis, by, None)
    return tf.concat([part, tf.zeros_like(_part(x, axis, None, by))], axis)


def _recurrence(a, b, axis):
    """r[j] = b[j] + a[j] * r[j+1] along `axis`, from 0 at the end: log2(n) steps of doubling reach."""
    n = a.shape[axis]
    reach = 1
    while reach < (2**31 - 1 if n is None else n):  # past an unknown n a step changes nothing
        b = b + a * _shifted(b, reach, axis)
        a = a * _shifted(a, reach, axis)
        reach *= 2
    return b
