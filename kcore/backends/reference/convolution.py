"""Convolution over channels-last images: its NumPy definitions, and the kernels that compute the same.

A convolution is bilinear in images and kernel, so there are three maps: the result, and the
gradients by images and by kernel. The gradient of any one is the other two.

Padding is zeros in the definitions; most kernels leave out what it would be multiplied by. So only there do a weight or a
gradient that is not finite give other results: nan, as 0 times infinity, in the definitions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kcore import _native, config
from kcore._native.threads import threads_for
from kcore.backends.reference.ending import PLAIN, Ending, plain_end
from kcore.backends.reference.packs import packs_for
from kcore.ops.windows import spans


class How(NamedTuple):
    """What a convolution is told beside its tensors: a number, or a pair for padding, for each spatial axis."""

    strides: tuple
    padding: tuple
    dilation: tuple


# -- definitions ------------------------------------------------------------------------


def taps(size: tuple, counts: tuple, how: How) -> Iterator[tuple[tuple, tuple]]:
    """Each position in the kernel, with the index of what it meets in the padded images.

    Args:
        size: Of the kernel.
        counts: How many windows there are along each axis.
    """
    for tap in np.ndindex(*size):
        where = (
            slice(t * d, t * d + (n - 1) * s + 1, s) if n else slice(0, 0)
            for t, d, n, s in zip(tap, how.dilation, counts, how.strides, strict=True)
        )
        yield tap, (slice(None), *where)


def plain_conv(x: np.ndarray, w: np.ndarray, how: How) -> np.ndarray:
    """y[n, p, j] = sum over taps t and channels i of padded x[n, p * stride + t * dilation, i] * w[t, i, j]."""
    size, groups = w.shape[:-2], _groups(x, w)
    x = np.pad(x, ((0, 0), *how.padding, (0, 0)))
    span = spans(size, how.dilation)
    counts = tuple((n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], span, how.strides, strict=True))
    y = np.zeros((x.shape[0], *counts, w.shape[-1]), x.dtype)
    for tap, part in taps(size, counts, how):
        y += _mixed(x[part], w[tap], groups)
    return y


def plain_input_grad(g: np.ndarray, w: np.ndarray, shape: tuple, how: How) -> np.ndarray:
    """The gradient of sum(g * conv(x, w)) by x, of that shape: each tap gives g * w back to where it came from."""
    size, groups = w.shape[:-2], shape[-1] // w.shape[-2] if shape[-1] else 1
    sizes = tuple(n + before + after for n, (before, after) in zip(shape[1:-1], how.padding, strict=True))
    x = np.zeros((shape[0], *sizes, shape[-1]), g.dtype)
    for tap, part in taps(size, g.shape[1:-1], how):
        x[part] += _mixed(g, _turned(w[tap], groups), groups)
    inner = (slice(before, before + n) for n, (before, _) in zip(shape[1:-1], how.padding, strict=True))
    return x[(slice(None), *inner)]


def plain_kernel_grad(x: np.ndarray, g: np.ndarray, shape: tuple, how: How) -> np.ndarray:
    """The gradient of sum(g * conv(x, w)) by w, of that shape: what each tap met, times g, summed."""
    groups = x.shape[-1] // shape[-2] if x.shape[-1] else 1
    x = np.pad(x, ((0, 0), *how.padding, (0, 0)))
    w = np.zeros(shape, x.dtype)
    rows = math.prod(g.shape[:-1])
    g_rows = g.reshape(rows, groups, shape[-1] // groups)
    for tap, part in taps(shape[:-2], g.shape[1:-1], how):
        x_rows = x[part].reshape(rows, groups, shape[-2])
        w[tap] = np.matmul(x_rows.transpose(1, 2, 0), g_rows.swapaxes(0, 1)).swapaxes(0, 1).reshape(shape[-2:])
    return w


def _groups(x: np.ndarray, w: np.ndarray) -> int:
    return x.shape[-1] // w.shape[-2] if x.shape[-1] else 1


def _mixed(x: np.ndarray, w: np.ndarray, groups: int) -> np.ndarray:
    """x @ w over the last axis, each group of channels for itself; w is (inputs of a group, outputs of all)."""
    if groups == 1:
        return x @ w
    rows = x.reshape(-1, groups, w.shape[0]).swapaxes(0, 1)
    y = np.matmul(rows, w.reshape(w.shape[0], groups, -1).swapaxes(0, 1))
    return y.swapaxes(0, 1).reshape(*x.shape[:-1], w.shape[1])


def _turned(w: np.ndarray, groups: int) -> np.ndarray:
    """The transpose of each group's matrix, side by side again."""
    inputs, outputs = w.shape[0], w.shape[1] // groups
    return w.reshape(inputs, groups, outputs).transpose(2, 1, 0).reshape(outputs, groups * inputs)


# -- the three maps, on the compiled kernels where they fit ------------------------------


def conv(x: np.ndarray, w: np.ndarray, how: How, ending: Ending = PLAIN) -> np.ndarray:
    """`plain_conv`, with its sums ended."""
    if not _native_fits(x, w):
        return plain_end(plain_conv(x, w, how), ending)
    w = _kernel(w)
    threads = threads_for(math.prod(x.shape[:-1]) // math.prod(how.strides) * w.size)
    rest = _groups(x, w), threads, _fast(), packs_for(w), ending.compiled()
    return _narrowed(x, _native.kernels.conv(_image(x), w, *_widened(how), *rest))


def input_grad(g: np.ndarray, w: np.ndarray, shape: tuple, how: How, ending: Ending = PLAIN) -> np.ndarray:
    """`plain_input_grad`, with its sums ended."""
    if not _native_fits(g, w):
        return plain_end(plain_input_grad(g, w, shape, how), ending)
    groups = shape[-1] // w.shape[-2] if shape[-1] else 1
    threads = threads_for(g.size * math.prod(w.shape[:-1]))
    full = shape if g.ndim > 3 else (shape[0], 1, *shape[1:])
    rest = full, *_widened(how), groups, threads, _fast(), ending.compiled()
    return _narrowed(g, _native.kernels.conv_input_grad(_image(g), _kernel(w), *rest))


def kernel_grad(x: np.ndarray, g: np.ndarray, shape: tuple, how: How) -> np.ndarray:
    """`plain_kernel_grad`."""
    if not _native_fits(x, g):
        return plain_kernel_grad(x, g, shape, how)
    groups = x.shape[-1] // shape[-2] if x.shape[-1] else 1
    threads = threads_for(g.size * math.prod(shape[:-1]))
    full = shape if x.ndim > 3 else (1, *shape)
    w = _native.kernels.conv_kernel_grad(_image(x), _image(g), full, *_widened(how), groups, threads)
    return w.reshape(shape)


def _native_fits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the compiled kernels take these: float32 or float64."""
    return _native.available and a.dtype.char in "fd" and b.dtype.char in "fd"


def _fast() -> bool:
    return config.numerics() == "fast"


# The kernels work on two spatial axes or three; a single one is a row of height 1.


def _image(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x if x.ndim > 3 else x[:, None])


def _kernel(w: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(w if w.ndim > 3 else w[None])


def _widened(how: How) -> How:
    if len(how.strides) > 1:
        return how
    return How((1, *how.strides), ((0, 0), *how.padding), (1, *how.dilation))


def _narrowed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return y if x.ndim > 3 else y[:, 0]
