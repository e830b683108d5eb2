"""Definitions and gradient rules of the Fourier transforms.

They are computed in complex128. A transform is linear; the gradient is its conjugate transpose.
"""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.backends.reference.tape import vjp, vjps


def _on_pair(transform):
    def function(x):
        real, imag = x
        with np.errstate(all="ignore"):
            y = transform(real.astype("float64") + 1j * imag.astype("float64"))
            return y.real.astype(real.dtype), y.imag.astype(real.dtype)

    return function


fft, fft2, ifft2 = _on_pair(np.fft.fft), _on_pair(np.fft.fft2), _on_pair(np.fft.ifft2)


def rfft(x, fft_length):
    with np.errstate(all="ignore"):
        y = np.fft.rfft(x.astype("float64"), fft_length)
        return y.real.astype(x.dtype), y.imag.astype(x.dtype)


def irfft(x, fft_length):
    real, imag = x
    with np.errstate(all="ignore"):
        return np.fft.irfft(real.astype("float64") + 1j * imag.astype("float64"), fft_length).astype(real.dtype)


def _conjugated(transform, g, scale=1):
    """conj(transform(conj(g))) * scale."""
    real, imag = transform((g[0], -g[1]))
    return [real * scale, -imag * scale]


vjps(
    fft=lambda g, y, x: (_conjugated(ops.fft, g),),
    fft2=lambda g, y, x: (_conjugated(ops.fft2, g),),
    ifft2=lambda g, y, x: (_conjugated(ops.ifft2, g),),
)


@vjp(ops.rfft)
def _(g, y, x, fft_length):
    # The real part of sum over k of g[k] exp(2 pi i jk / n), for the half of k that there is.
    full = [_fitted(t, fft_length) for t in (g[0], -g[1])]
    return _fitted(ops.fft(full)[0], x.shape[-1])


def _fitted(x, n):
    """x cut to n elements along its last axis, or zeros added."""
    if x.shape[-1] >= n:
        return x[..., :n]
    return ops.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, n - x.shape[-1])])


@vjp(ops.irfft)
def _(g, y, x, fft_length):
    # Each element but the first, and the last of an even length, stands for its mirror image too.
    half = fft_length // 2 + 1
    twice = np.full(half, 2.0 / fft_length)
    twice[0] = 1.0 / fft_length
    if fft_length % 2 == 0:
        twice[-1] = 1.0 / fft_length
    return ([_fitted(part * ops.cast(twice, part.dtype), x[0].shape[-1]) for part in ops.rfft(g)],)
