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


def rfft(x, fft_length):
    return _parts(tf.signal.rfft(_wide(x), None if fft_length is None else [fft_length]), x.dtype)


def irfft(x, fft_length):
    return tf.cast(tf.signal.irfft(_complex(x), None if fft_length is None else [fft_length]), x[0].dtype)
