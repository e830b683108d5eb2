"""Fourier transforms in TensorFlow."""

from __future__ import annotations

import tensorflow as tf


def _complex(x):
    return tf.complex(*(_wide(part) for part in x))


def _wide(x):
    return tf.cast(x, tf.float32) if x.dtype.size == 2 else x  # TensorFlow has no complex numbers of 16-bit floats


def _parts(y, dtype):
    return tf.cast(tf.math.real(y), dtype), tf.cast(tf.math.imag(y), dtype)


def _on_pair(transform):
    return lambda x: _parts(transform(_complex(x)), x[0].dtype)


fft, fft2, ifft2 = _on_pair(tf.signal.fft), _on_pair(tf.signal.fft2d), _on_pair(tf.signal.ifft2d)


def _fitted(x, n):
    """x cut to n elements along its last axis, or zeros added; TensorFlow's gradient of a cut has the wrong shape."""
    have = x.shape[-1]
    if n is None or have == n:
        return x
    x = x[..., :n]
    return tf.pad(x, [(0, 0)] * (x.shape.rank - 1) + [(0, tf.maximum(n - tf.shape(x)[-1], 0))])


def rfft(x, fft_length):
    x = _fitted(x, fft_length)
    if fft_length == 1:  # TensorFlow's gradient is wrong there
        return x, tf.zeros_like(x)
    return _parts(tf.signal.rfft(_wide(x)), x.dtype)


def irfft(x, fft_length):
    if fft_length is not None:
        x = [_fitted(part, fft_length // 2 + 1) for part in x]
    if fft_length == 1:  # as above
        return x[0]
    return tf.cast(tf.signal.irfft(_complex(x), None if fft_length is None else [fft_length]), x[0].dtype)
