"""Fourier transforms in torch."""

from __future__ import annotations

import torch


def _on_pair(transform):
    def function(x):
        if 0 in x[0].shape:  # MKL refuses to transform nothing
            return x[0].clone(), x[1].clone()
        dtype = x[0].dtype
        y = transform(torch.complex(*(_wide(part) for part in x)))
        return y.real.to(dtype), y.imag.to(dtype)

    return function


def _wide(x):
    return x.float() if x.element_size() == 2 else x  # torch transforms no 16-bit floats on CPUs


fft, fft2, ifft2 = _on_pair(torch.fft.fft), _on_pair(torch.fft.fft2), _on_pair(torch.fft.ifft2)


def rfft(x, fft_length):
    if 0 in x.shape:
        return x.new_zeros((*x.shape[:-1], fft_length // 2 + 1)), x.new_zeros((*x.shape[:-1], fft_length // 2 + 1))
    y = torch.fft.rfft(_wide(x), fft_length)
    return y.real.to(x.dtype), y.imag.to(x.dtype)


def irfft(x, fft_length):
    if 0 in x[0].shape:
        return x[0].new_zeros((*x[0].shape[:-1], fft_length))
    return torch.fft.irfft(torch.complex(*(_wide(part) for part in x)), fft_length).to(x[0].dtype)
