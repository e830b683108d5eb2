"""Records of the Fourier transforms."""

from __future__ import annotations

import functools

import numpy as np
import scipy.signal as signal

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import PRECISE, draw, whole

# Sums of n products, in the order of the framework's own algorithm.
SUMS = {"float64": 1e-14, "float32": 4e-6}
transformed = functools.partial(Case, tol=SUMS)


def pair(*shape):
    return draw(*shape), draw(*shape, seed=1)


def on_pair(transform):
    def formula(x):
        y = transform(x[0] + 1j * x[1])
        return y.real, y.imag

    return formula


LINES = [
    Sample(pair(8)),
    Sample(pair(7), why="an odd prime length"),
    Sample(pair(1), why="one element"),
    Sample(pair(2, 3, 6), why="a batch"),
    Sample((np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(4)), expect=([1.0] * 4, [0.0] * 4), why="an impulse"),
    Sample((whole(4), whole(4, seed=1)), why="integers become floats"),
]
NO_PAIR = [
    Bad((np.ones(3),), match="should be a pair"),
    Bad((np.ones(3), np.ones(4)), match=r"one shape, not \(3,\) and \(4,\)"),
    Bad((np.ones(3) * 1j, np.ones(3)), match="real numbers", error=TypeError),
]
transformed(
    ops.fft,
    on_pair(np.fft.fft),
    LINES,
    errors=[
        *NO_PAIR,
        Bad((np.ones(0), np.ones(0)), match="no elements to transform"),
        Bad((np.ones(()), np.ones(())), match="dimensions"),
    ],
)
PLANES = [
    Sample(pair(4, 6)),
    Sample(pair(3, 5), why="odd sizes"),
    Sample(pair(2, 3, 4), why="a batch"),
    Sample(pair(1, 4), why="one row"),
]
transformed(ops.fft2, on_pair(np.fft.fft2), PLANES, errors=[*NO_PAIR[:2], Bad(pair(3), match="dimensions")])
transformed(ops.ifft2, on_pair(np.fft.ifft2), PLANES, errors=[*NO_PAIR[:2], Bad(pair(3), match="dimensions")])


def rfft_formula(x, fft_length=None):
    y = np.fft.rfft(x, fft_length)
    return y.real, y.imag


transformed(
    ops.rfft,
    rfft_formula,
    samples=[
        Sample(draw(8)),
        Sample(draw(7), why="an odd length"),
        Sample(draw(2, 3, 6), why="a batch"),
        Sample(draw(3, 8), fft_length=5, why="cut"),
        Sample(draw(3, 8), fft_length=12, why="zeros added"),
        Sample(draw(3, 1), why="one element"),
        Sample(draw(3, 4), fft_length=1, why="one of several"),
        Sample(np.ones(4), expect=([4.0, 0.0, 0.0], [0.0] * 3), why="a constant"),
        Sample(whole(3, 4), why="integers become floats"),
    ],
    errors=[
        Bad(np.ones(4), fft_length=0, match="fft_length=0 should be a positive integer"),
        Bad(np.ones((3, 0)), match="no elements to transform"),
        Bad(np.ones(3) * 1j, match="real numbers", error=TypeError),
    ],
)
transformed(
    ops.irfft,
    lambda x, fft_length=None: np.fft.irfft(x[0] + 1j * x[1], fft_length),
    samples=[
        Sample(pair(5)),
        Sample(pair(2, 3, 4), why="a batch"),
        Sample(pair(5), fft_length=9, why="an odd length"),
        Sample(pair(3, 5), fft_length=6, why="cut"),
        Sample(pair(3, 4), fft_length=12, why="zeros added"),
        Sample(pair(4), fft_length=1, why="the mean alone"),
        Sample((np.array([4.0, 0.0, 0.0]), np.zeros(3)), expect=[1.0] * 4, why="a constant"),
    ],
    errors=[*NO_PAIR, Bad(pair(1), match="give fft_length"), Bad(pair(3), fft_length=-1, match="fft_length=-1")],
)

# -- over windows -----------------------------------------------------------------------


def frames(x, length, stride):
    count = max(0, (x.shape[-1] - length) // stride + 1)
    starts = np.arange(count)[:, None] * stride + np.arange(length)
    return x[..., starts]


Case(
    ops.extract_sequences,
    lambda x, sequence_length, sequence_stride: frames(x, sequence_length, sequence_stride),
    samples=[
        Sample(draw(10), 4, 2),
        Sample(draw(2, 3, 11), 3, 3, why="elements left over"),
        Sample(draw(10), 2, 5, why="gaps between windows"),
        Sample(draw(10), 10, 1, why="one window"),
        Sample(draw(3, 4), 5, 1, expect=np.zeros((3, 0, 5)), why="too short for a window"),
        Sample(whole(10), 3, 2, why="integers"),
    ],
    errors=[
        Bad(np.ones(4), 0, 1, match="sequence_length=0 should be a positive"),
        Bad(np.ones(4), 2, 0, match="sequence_stride=0"),
    ],
)


def weights(window, sequence_length, fft_length):
    if window is None:
        w = np.ones(sequence_length)
    else:
        w = signal.get_window(window, sequence_length) if isinstance(window, str) else np.asarray(window, "float64")
    before = (fft_length - sequence_length) // 2
    return np.pad(w, (before, fft_length - sequence_length - before))


def stft_formula(x, sequence_length, sequence_stride, fft_length, window="hann", center=True):
    if center:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(fft_length // 2, fft_length // 2)], mode="reflect")
    return rfft_formula(frames(x, fft_length, sequence_stride) * weights(window, sequence_length, fft_length))


WEIGHTS = np.array([0.5, 1.0, 2.0, 1.0, 0.5, 0.25])
WINDOWS = [
    {"sequence_length": 8, "sequence_stride": 4, "fft_length": 8},
    {"sequence_length": 6, "sequence_stride": 4, "fft_length": 8, "center": False},
    {"sequence_length": 6, "sequence_stride": 3, "fft_length": 9, "window": "hamming"},
    {"sequence_length": 6, "sequence_stride": 2, "fft_length": 7, "window": None},
    {"sequence_length": 6, "sequence_stride": 5, "fft_length": 8, "window": WEIGHTS, "center": False},
]
NO_WINDOW = [
    (
        {"sequence_length": 8, "sequence_stride": 4, "fft_length": 6},
        "fft_length=6 should be at least sequence_length=8",
    ),
    ({"sequence_length": 8, "sequence_stride": 0, "fft_length": 8}, "sequence_stride=0 should be a positive"),
    (
        {"sequence_length": 8, "sequence_stride": 4, "fft_length": 8, "window": "foo"},
        "window='foo' should be one of 'hann', 'hamming'",
    ),
    ({"sequence_length": 8, "sequence_stride": 4, "fft_length": 8, "window": WEIGHTS}, r"window has shape \(6,\)"),
]
transformed(
    ops.stft,
    stft_formula,
    samples=[
        *(Sample(draw(20), **kw) for kw in WINDOWS),
        Sample(draw(2, 3, 15), 4, 2, 4, why="a batch"),
        Sample(draw(3), 4, 2, 4, center=False, grad=False, why="too short for a window"),
        Sample(whole(20), 8, 4, 8, why="integers become floats"),
    ],
    errors=[
        *(Bad(np.ones(20), match=text, **kw) for kw, text in NO_WINDOW),
        Bad(np.ones(3), 8, 4, 8, match="too short to be reflected"),
    ],
)


def istft_formula(x, sequence_length, sequence_stride, fft_length, length=None, window="hann", center=True):
    parts = np.fft.irfft(x[0] + 1j * x[1], fft_length)
    w = weights(window, sequence_length, fft_length)
    *lead, count, _ = parts.shape
    y, norm = (
        np.zeros((*lead, (count - 1) * sequence_stride + fft_length)),
        np.zeros((count - 1) * sequence_stride + fft_length),
    )
    for i in range(count):
        at = slice(i * sequence_stride, i * sequence_stride + fft_length)
        y[..., at] += parts[..., i, :] * w
        norm[at] += w**2
    y = np.where(norm < 1e-10, 0, y / np.where(norm < 1e-10, 1, norm))
    start = fft_length // 2 if center else 0
    if length is None:
        return y[..., start : y.shape[-1] - start]
    y = y[..., start : start + length]
    return np.pad(y, [(0, 0)] * (y.ndim - 1) + [(0, length - y.shape[-1])])


def spectrum(windows, bins, *batch):
    return pair(*batch, windows, bins)


def there_and_back(**kw):
    x = draw(24)
    found = stft_formula(x, **kw)
    return Sample(found, expect=x, length=24, grad=False, dtypes=PRECISE, why="what stft took apart", **kw)


transformed(
    ops.istft,
    istft_formula,
    samples=[
        Sample(spectrum(5, 5), **WINDOWS[0]),
        Sample(spectrum(4, 5), **WINDOWS[1]),
        Sample(spectrum(5, 5), **WINDOWS[2]),
        Sample(spectrum(6, 4), **WINDOWS[3]),
        Sample(spectrum(3, 5), **WINDOWS[4]),
        Sample(spectrum(4, 3, 2), 4, 2, 4, why="a batch"),
        Sample(spectrum(4, 3), 4, 6, 4, center=False, why="gaps between windows"),
        Sample(spectrum(4, 3), 4, 2, 4, length=5, why="cut"),
        Sample(spectrum(4, 3), 4, 2, 4, length=20, why="zeros added"),
        there_and_back(sequence_length=8, sequence_stride=4, fft_length=8),
        there_and_back(sequence_length=6, sequence_stride=3, fft_length=8, window="hamming"),
        there_and_back(sequence_length=6, sequence_stride=2, fft_length=6, window=None),
    ],
    errors=[
        *(Bad(spectrum(4, kw["fft_length"] // 2 + 1), match=text, **kw) for kw, text in NO_WINDOW),
        Bad(spectrum(4, 4), 8, 4, 8, match="should end with fft_length // 2 \\+ 1 = 5 elements"),
        Bad(spectrum(4, 5), 8, 4, 8, length=0, match="length=0 should be a positive"),
    ],
)
