"""Fourier transforms in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def _on_pair(transform):
    def function(x):
        dtype = x[0].dtype
        y = transform(jax.lax.complex(*(_wide(part) for part in x)))
        return jnp.real(y).astype(dtype), jnp.imag(y).astype(dtype)

    return function


def _wide(x):
    return x.astype("float32") if x.dtype.itemsize == 2 else x  # JAX has no complex numbers of 16-bit floats


fft, fft2, ifft2 = _on_pair(jnp.fft.fft), _on_pair(jnp.fft.fft2), _on_pair(jnp.fft.ifft2)


def rfft(x, fft_length):
    y = jnp.fft.rfft(_wide(x), fft_length)
    return jnp.real(y).astype(x.dtype), jnp.imag(y).astype(x.dtype)


def irfft(x, fft_length):
    return jnp.fft.irfft(jax.lax.complex(*(_wide(part) for part in x)), fft_length).astype(x[0].dtype)
