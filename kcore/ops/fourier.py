"""Fourier transforms. Complex signals are pairs (real part, imaginary part), as in the Keras API."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.ops import rules
from kcore.ops.elementwise import require_real
from kcore.ops.mechanism import Plan, Tensor, Tensors, op
from kcore.ops.numerics import wide
from kcore.ops.symbolic import Spec


def _pair(x: Sequence[Spec], least: int) -> tuple[Spec, str]:
    """The spec of both parts, and their float dtype."""
    if len(x) != 2:
        raise ValueError(f"x should be a pair, (real part, imaginary part), not {len(x)} tensors.")
    real, imag = x
    if not rules.agree(real.shape, imag.shape):
        raise ValueError(f"the real and imaginary parts should have one shape, not {real.shape} and {imag.shape}.")
    require_real(*x)
    rules.require_ndim(real, (least, 32), "each part of x")
    return real, dtypes.float_of(dtypes.promote(real.dtype, imag.dtype))


def _transformed(least: int) -> Any:
    def rule(x: Sequence[Spec]) -> Plan:
        spec, dtype = _pair(x, least)
        if 0 in spec.shape[spec.ndim - least :]:
            raise ValueError(f"x of shape {spec.shape} has no elements to transform.")
        return Plan.many((Spec(spec.shape, dtype), Spec(spec.shape, dtype)), cast=dtype)

    return rule


@op(rule=_transformed(1))
def fft(x: Tensors) -> tuple[Tensor, Tensor]:
    """The discrete Fourier transform along the last axis: y[k] = sum over j of x[j] exp(-2 pi i jk / n).

    Args:
        x: The pair (real part, imaginary part), of one shape. Integers are taken as the default float.

    Returns:
        The pair (real part, imaginary part) of the result.

    Raises:
        ValueError: x is no such pair, or its last axis is empty.

    >>> ops.fft((ops.array([1.0, 2.0]), ops.array([0.0, 0.0])))
    (Tensor([ 3., -1.], dtype=float32), Tensor([0., 0.], dtype=float32))
    """


@op(rule=_transformed(2))
def fft2(x: Tensors) -> tuple[Tensor, Tensor]:
    """The discrete Fourier transform along the last two axes.

    Args:
        x: The pair (real part, imaginary part), of one shape. Integers are taken as the default float.

    Returns:
        The pair (real part, imaginary part) of the result.

    Raises:
        ValueError: x is no such pair, or one of the axes is empty.

    >>> ops.fft2((ops.ones((2, 2)), ops.zeros((2, 2))))[0]
    Tensor([[4., 0.],
           [0., 0.]], dtype=float32)
    """


@op(rule=_transformed(2))
def ifft2(x: Tensors) -> tuple[Tensor, Tensor]:
    """The inverse of `fft2`.

    Args:
        x: The pair (real part, imaginary part), of one shape. Integers are taken as the default float.

    Returns:
        The pair (real part, imaginary part) of the result.

    Raises:
        ValueError: x is no such pair, or one of the axes is empty.

    >>> ops.ifft2((ops.array([[4.0, 0.0], [0.0, 0.0]]), ops.zeros((2, 2))))[0]
    Tensor([[1., 1.],
           [1., 1.]], dtype=float32)
    """


def _halved(x: Spec, fft_length: int | None) -> Plan:
    require_real(x)
    rules.require_ndim(x, (1, 32))
    n = x.shape[-1] if fft_length is None else _positive(fft_length, "fft_length")
    if n == 0:
        raise ValueError(f"x of shape {x.shape} has no elements to transform.")
    dtype = dtypes.float_of(x.dtype)
    spec = Spec((*x.shape[:-1], None if n is None else n // 2 + 1), dtype)
    return Plan.many((spec, spec), cast=dtype, fft_length=n)


@op(rule=_halved)
def rfft(x: Tensor, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """The discrete Fourier transform of real numbers along the last axis, without its redundant half.

    Args:
        x: Any shape but (). Integers are taken as the default float.
        fft_length: How many elements to transform: x is cut there, or zeros are added. None takes all.

    Returns:
        The pair (real part, imaginary part), with fft_length // 2 + 1 elements along the last axis.

    Raises:
        ValueError: x has no elements, or `fft_length` is not positive.

    >>> ops.rfft(ops.array([1.0, 2.0, 3.0, 4.0]))
    (Tensor([10., -2., -2.], dtype=float32), Tensor([0., 2., 0.], dtype=float32))
    """


def _doubled(x: Sequence[Spec], fft_length: int | None) -> Plan:
    spec, dtype = _pair(x, 1)
    last = spec.shape[-1]
    n = (None if last is None else 2 * (last - 1)) if fft_length is None else _positive(fft_length, "fft_length")
    if n is not None and (n < 1 or last == 0):
        raise ValueError(f"x of shape {spec.shape} has too few elements to tell the length from; give fft_length.")
    return Plan((*spec.shape[:-1], n), dtype, cast=dtype, fft_length=n)


@op(rule=_doubled)
def irfft(x: Tensors, fft_length: int | None = None) -> Tensor:
    """The inverse of `rfft`: the real signal of that transform.

    Imaginary parts that no real signal has, of the first element and of the last for an even
    length, count as 0.

    Args:
        x: The pair (real part, imaginary part), of one shape.
        fft_length: The length of the result; x is cut to its fft_length // 2 + 1 first elements, or zeros are
            added. None is 2 * (n - 1) for n elements.

    Raises:
        ValueError: x is no such pair or too short, or `fft_length` is not positive.

    >>> ops.irfft((ops.array([10.0, -2.0, -2.0]), ops.array([0.0, 2.0, 0.0])))
    Tensor([1., 2., 3., 4.], dtype=float32)
    """


# -- over windows -----------------------------------------------------------------------


def _positive(value: Any, name: str) -> int:
    if not hasattr(value, "__index__") or int(value) < 1:
        raise ValueError(f"{name}={value!r} should be a positive integer.")
    return int(value)


def _sequences(x: Spec, sequence_length: int, sequence_stride: int) -> Plan:
    rules.require_ndim(x, (1, 32))
    length, stride = _positive(sequence_length, "sequence_length"), _positive(sequence_stride, "sequence_stride")
    n = x.shape[-1]
    count = None if n is None else max(0, (n - length) // stride + 1)
    return Plan(
        (*x.shape[:-1], count, length), dtypes.concrete(x.dtype), sequence_length=length, sequence_stride=stride
    )


@op(rule=_sequences)
def extract_sequences(x: Tensor, sequence_length: int, sequence_stride: int) -> Tensor:
    """Windows of `sequence_length` elements along the last axis, one every `sequence_stride` elements.

    Args:
        x: (..., n).
        sequence_length: The elements of a window.
        sequence_stride: From the start of one window to that of the next.

    Returns:
        (..., windows, sequence_length); elements at the end that fill no window are left out.

    Raises:
        ValueError: A length is not positive.

    >>> ops.extract_sequences(ops.arange(6), sequence_length=3, sequence_stride=2)
    Tensor([[0, 1, 2],
           [2, 3, 4]], dtype=int32)
    """
    n = x.shape[-1]
    if n is not None:
        starts = np.arange(max(0, (n - sequence_length) // sequence_stride + 1), dtype="int32") * sequence_stride
    else:
        count = ops.maximum((ops.shape(x)[-1] - sequence_length) // sequence_stride + 1, 0)
        starts = ops.arange(0, count * sequence_stride, sequence_stride, dtype="int32")
    places = ops.add(ops.expand_dims(starts, 1), np.arange(sequence_length, dtype="int32"))
    return ops.take(x, places, -1)


def _window(window: Any, sequence_length: int, fft_length: int, dtype: str) -> Any:
    """The window's values, with zeros on both sides up to `fft_length`."""
    if window is None:
        values: Any = np.ones(sequence_length)
    elif isinstance(window, str):
        wave = np.cos(2 * math.pi * np.arange(sequence_length) / sequence_length)  # periodic, not symmetric
        values = 0.5 - 0.5 * wave if window == "hann" else 0.54 - 0.46 * wave
    else:
        values = window
    before = (fft_length - sequence_length) // 2
    padded = ops.pad(ops.cast(values, dtype), ((before, fft_length - sequence_length - before),))
    return padded


def _check_windows(sequence_length: Any, sequence_stride: Any, fft_length: Any, window: Any) -> tuple[int, int, int]:
    length, stride = _positive(sequence_length, "sequence_length"), _positive(sequence_stride, "sequence_stride")
    whole = _positive(fft_length, "fft_length")
    if whole < length:
        raise ValueError(f"fft_length={whole} should be at least sequence_length={length}.")
    if isinstance(window, str):
        rules.one_of(window, ("hann", "hamming"), "window")
    elif window is not None and tuple(np.shape(window)) != (length,):
        raise ValueError(
            f"window has shape {tuple(np.shape(window))}; it should be ({length},), as sequence_length says."
        )
    return length, stride, whole


def _windowed(x: Spec, sequence_length: int, sequence_stride: int, fft_length: int, window: Any, center: bool) -> Plan:
    require_real(x)
    rules.require_ndim(x, (1, 32))
    _, stride, whole = _check_windows(sequence_length, sequence_stride, fft_length, window)
    n = x.shape[-1]
    if center and n is not None and n <= whole // 2:
        raise ValueError(
            f"x of shape {x.shape} is too short to be reflected by {whole // 2} elements; use center=False."
        )
    dtype = dtypes.float_of(x.dtype)
    if n is not None:
        n = max(0, (n + (whole // 2 * 2 if center else 0) - whole) // stride + 1)
    spec = Spec((*x.shape[:-1], n, whole // 2 + 1), dtype)
    return Plan.many((spec, spec), cast=dtype)


@op(rule=_windowed)
def stft(
    x: Tensor, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
) -> tuple[Tensor, Tensor]:
    """The short-time Fourier transform: `rfft` of windows along the last axis.

    Args:
        x: (..., n). Integers are taken as the default float.
        sequence_length: The elements that a window weighs.
        sequence_stride: From one window to the next.
        fft_length: The elements transformed at a time; the window stands in their middle, with zeros around.
        window: "hann" or "hamming" (both periodic), a vector of `sequence_length` weights, or None for ones.
        center: Whether windows are centred at multiples of the stride: x is then reflected at both ends
            by fft_length // 2 elements.

    Returns:
        The pair (real part, imaginary part), each (..., windows, fft_length // 2 + 1).

    Raises:
        ValueError: A length is not positive, fft_length is below sequence_length, `window` is none of
            those, or x is too short to be reflected.

    >>> signal = ops.sin(ops.arange(64.0))
    >>> real, imag = ops.stft(signal, sequence_length=16, sequence_stride=8, fft_length=16)
    >>> real.shape  # (frames, frequencies)
    (9, 9)
    """
    if center:
        x = ops.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(fft_length // 2, fft_length // 2)], mode="reflect")
    frames = extract_sequences(x, fft_length, sequence_stride)
    weights = _window(window, sequence_length, fft_length, dtypes.name_of(x.dtype))
    return rfft(ops.multiply(frames, weights))


def _rejoined(
    x: Sequence[Spec], fft_length: int, sequence_stride: int, length: int | None, center: bool, **rest: Any
) -> Plan:
    spec, dtype = _pair(x, 2)
    _, stride, whole = _check_windows(sequence_stride=sequence_stride, fft_length=fft_length, **rest)
    if spec.shape[-1] not in (None, whole // 2 + 1):
        raise ValueError(f"x of shape {spec.shape} should end with fft_length // 2 + 1 = {whole // 2 + 1} elements.")
    if spec.shape[-2] == 0:
        raise ValueError(f"x of shape {spec.shape} has no windows.")
    n = None if spec.shape[-2] is None else whole + stride * (spec.shape[-2] - 1)
    if length is not None:
        n = _positive(length, "length")
    elif n is not None and center:
        n -= whole // 2 * 2
    return Plan((*spec.shape[:-2], n), dtype, cast=dtype)


@op(rule=_rejoined)
def istft(
    x: Tensors,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Tensor:
    """The inverse of `stft`: windows transformed back, weighed, added up and divided by the sum of the squared weights.

    Args:
        x: The pair (real part, imaginary part), each (..., windows, fft_length // 2 + 1).
        sequence_length, sequence_stride, fft_length, window, center: As they were given to `stft`.
        length: The elements of the result: it is cut there, or zeros are added. None is what the windows cover,
            less the reflected ends if `center`.

    Returns:
        (..., length). Where all weights are 0, so is the result.

    Raises:
        ValueError: A length is not positive, or the shape of x does not fit `fft_length`.

    >>> signal = ops.sin(ops.arange(64.0))
    >>> parts = ops.stft(signal, 16, 8, 16)
    >>> ops.max(ops.absolute(ops.istft(parts, 16, 8, 16) - signal)) < 1e-5
    Tensor(True)
    """
    frames = irfft(x, fft_length)
    dtype, frames = dtypes.name_of(frames.dtype), wide(frames)
    weights = _window(window, sequence_length, fft_length, dtypes.name_of(frames.dtype))
    total = _overlap_add(ops.multiply(frames, weights), sequence_stride)
    ones = ops.ones((*[1] * (len(frames.shape) - 2), 1, 1), dtypes.name_of(frames.dtype))
    squares = ops.broadcast_to(ops.multiply(ops.square(weights), ones), ops.shape(frames))
    norm = _overlap_add(squares, sequence_stride)
    zero = ops.less(norm, 1e-10)
    y = ops.cast(ops.where(zero, 0, ops.divide(total, ops.where(zero, 1, norm))), dtype)
    start = fft_length // 2 if center else 0
    if length is None:
        return y[..., start : ops.shape(y)[-1] - start]
    y = ops.pad(y, [(0, 0)] * (len(y.shape) - 1) + [(0, length)])
    return y[..., start : start + length]


def _overlap_add(frames: Tensor, stride: int) -> Tensor:
    """(..., windows, length) added up at their places: (..., (windows - 1) * stride + length)."""
    *lead, count, length = ops.shape(frames)
    pieces = -(-length // stride)
    ndim = len(frames.shape)
    padded = ops.pad(frames, [(0, 0)] * (ndim - 1) + [(0, pieces * stride - length)])
    # Each window is cut into pieces of one stride; piece i of window j belongs at i + j.
    parts = ops.reshape(padded, (*lead, count, pieces, stride))
    rows = None
    for i in range(pieces):
        moved = ops.pad(parts[..., i, :], [(0, 0)] * (ndim - 2) + [(i, pieces - 1 - i), (0, 0)])
        rows = moved if rows is None else rows + moved
    joined = ops.reshape(rows, (*lead, (count + pieces - 1) * stride))
    return joined[..., : (count - 1) * stride + length]
