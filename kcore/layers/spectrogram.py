"""Layers from waves to spectrograms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kcore import config, ops
from kcore.layers.arguments import config_of, positive
from kcore.layers.layer import Layer
from kcore.layers.preprocess import DataLayer
from kcore.ops.symbolic import KerasTensor


class MelSpectrogram(DataLayer):
    """The power of a wave in bands of the mel scale, over time.

    Args:
        fft_length: The elements transformed at a time.
        sequence_stride: From one window to the next.
        sequence_length: The elements that a window weighs; fft_length unless given.
        window: "hann", "hamming", or a vector of weights.
        sampling_rate: Elements a second.
        num_mel_bins: The number of bands.
        min_freq, max_freq: The lowest and highest frequency, in Hz; half the sampling rate unless given.
        power_to_db: Whether the result is in decibels.
        top_db: How far below the greatest value the others reach at most.
        mag_exp: The power that magnitudes are raised to: 1 for energy, 2 for power.
        min_power: What counts as the least power.
        ref_power: The power of 0 decibels.

    Input: (batch, time), or (time,). Output: (batch, bands, windows), or (bands, windows).

    Raises:
        ValueError: A length is not positive, or the wave is too short for a window.
    """

    _names = (
        *("fft_length", "sequence_stride", "sequence_length", "window", "sampling_rate", "num_mel_bins", "min_freq"),
        *("max_freq", "power_to_db", "top_db", "mag_exp", "min_power", "ref_power"),
    )

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fft_length = positive(self, fft_length, "fft_length")
        self.sequence_stride = positive(self, sequence_stride, "sequence_stride")
        self.sequence_length = self.fft_length if sequence_length is None else sequence_length
        self.num_mel_bins = positive(self, num_mel_bins, "num_mel_bins")
        self.window, self.sampling_rate = window, sampling_rate
        self.min_freq = min_freq
        self.max_freq = int(sampling_rate / 2) if max_freq is None else max_freq
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, self.compute_dtype)
        real, imag = ops.stft(x, self.sequence_length, self.sequence_stride, self.fft_length, self.window)
        magnitude = ops.sqrt(ops.add(ops.square(real), ops.square(imag)))
        matrix = self.linear_to_mel_weight_matrix(
            self.num_mel_bins, self.fft_length // 2 + 1, self.sampling_rate, self.min_freq, self.max_freq
        )
        bands = ops.matmul(ops.power(magnitude, self.mag_exp), ops.cast(matrix, self.compute_dtype))
        made = self._in_decibels(bands) if self.power_to_db else bands
        return ops.swapaxes(made, -1, -2)

    def _in_decibels(self, power: Any) -> Any:
        def decibels(x: Any) -> Any:
            return ops.multiply(ops.log10(ops.maximum(x, self.min_power)), 10.0)

        found = decibels(power)
        found = ops.subtract(found, 10 * math.log10(max(self.ref_power, self.min_power)))
        return ops.maximum(found, ops.subtract(ops.max(found), self.top_db))

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: int = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float = 3800.0,
        dtype: str = "float32",
    ) -> Any:
        """(num_spectrogram_bins, num_mel_bins): triangles of height 1, evenly spaced on the mel scale."""

        def mel(hertz: Any) -> Any:
            return 1127.0 * np.log1p(np.asarray(hertz, "float64") / 700.0)

        bins = mel(np.linspace(0.0, sampling_rate / 2, num_spectrogram_bins)[1:, None])  # without that of frequency 0
        edges = np.linspace(mel(lower_edge_hertz), mel(upper_edge_hertz), num_mel_bins + 2)
        lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
        with np.errstate(all="ignore"):
            slopes = np.minimum((bins - lower) / (center - lower), (upper - bins) / (upper - center))
        return ops.convert_to_tensor(np.pad(np.maximum(slopes, 0.0), ((1, 0), (0, 0))), dtype)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        *lead, n = input_shape
        return (*lead, self.num_mel_bins, None if n is None else n // self.sequence_stride + 1)

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, *self._names)


class STFTSpectrogram(Layer):
    """The short-time Fourier transform of waves, as a convolution whose kernels start as sines and cosines.

    Args:
        mode: What becomes of real and imaginary part: "log" (of the magnitude), "magnitude", "psd" (its square, twice
            that for frequencies that stand for two), "real", "imag", "angle", or "stft" for both parts.
        frame_length: The elements of a frame.
        frame_step: From one frame to the next; half the frame unless given.
        fft_length: The elements transformed, frame_length unless given: zeros follow the frames.
        window: The name of a window of scipy.signal, a tuple of a name and parameters, a vector, or None for ones.
        periodic: Whether the window is periodic; else symmetric.
        scaling: "density" divides by the root of the sum of the squared window, "spectrum" by its sum, None by 1.
        padding: "valid" or "same".
        expand_dims: Whether frequencies have an axis of their own, in front of the channels.
        data_format: "channels_last": (batch, time, channels), or "channels_first".

    Output: (batch, frames, frequencies * channels), each channel's frequencies together; twice as many for "stft".

    Raises:
        ValueError: An argument is off.
    """

    _names = (
        *("mode", "frame_length", "frame_step", "fft_length", "window", "periodic", "scaling", "padding"),
        *("data_format", "expand_dims"),
    )
    _MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for what, value, allowed in (
            ("mode", mode, self._MODES),
            ("scaling", scaling, ("density", "spectrum", None)),
            ("padding", padding, ("valid", "same")),
        ):
            if value not in allowed:
                raise ValueError(f"{self.name}: {what}={value!r} should be one of {', '.join(map(str, allowed))}.")
        self.mode, self.scaling, self.padding = mode, scaling, padding
        self.frame_length = positive(self, frame_length, "frame_length")
        self.frame_step = None if frame_step is None else positive(self, frame_step, "frame_step")
        self.fft_length = None if fft_length is None else positive(self, fft_length, "fft_length")
        if self.fft_length is not None and self.fft_length < self.frame_length:
            raise ValueError(f"{self.name}: {fft_length=} should be at least {frame_length=}.")
        self.window, self.periodic, self.expand_dims = window, periodic, expand_dims
        self.data_format = config.standardize_data_format(data_format)
        self._window_weights()  # an unknown window is an error here

    def _window_weights(self) -> np.ndarray:
        if self.window is None:
            return np.ones(self.frame_length)
        if isinstance(self.window, (str, tuple)):
            from scipy import signal

            try:
                return signal.get_window(self.window, self.frame_length, fftbins=self.periodic)
            except ValueError as error:
                raise ValueError(f"{self.name}: {error}") from None
        weights = np.asarray(self.window, "float64")
        if weights.shape != (self.frame_length,):
            raise ValueError(
                f"{self.name}: the window has shape {weights.shape}; it should have ({self.frame_length},)."
            )
        return weights

    def build(self, input_shape: Any) -> None:
        weights = self._window_weights()
        if self.scaling is not None:
            total = np.sqrt((weights**2).sum()) if self.scaling == "density" else abs(weights.sum())
            weights = weights / total
        whole = self.fft_length or self.frame_length
        turns = 2 * np.pi * np.outer(np.arange(self.frame_length), np.arange(whole // 2 + 1)) / whole
        shape = (self.frame_length, 1, whole // 2 + 1)
        for name, values in (("real", np.cos(turns)), ("imag", -np.sin(turns))):
            if self.mode in ("real", "imag") and name != self.mode:
                continue
            kernel = (weights[:, None] * values)[:, None]
            weight = self.add_weight(
                name=f"{name}_kernel", shape=shape, initializer=lambda _, dtype=None, k=kernel: ops.cast(k, dtype)
            )
            setattr(self, f"{name}_kernel", weight)

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, self.compute_dtype)
        if self.data_format == "channels_first":
            x = ops.swapaxes(x, 1, 2)
        _, time, channels = ops.shape(x)
        alone = ops.reshape(ops.swapaxes(x, 1, 2), (-1, time, 1))
        step = self.frame_step or self.frame_length // 2 or 1
        parts = {
            name: ops.conv(alone, getattr(self, f"{name}_kernel"), step, self.padding, "channels_last")
            for name in ("real", "imag")
            if self.mode not in ("real", "imag") or name == self.mode
        }
        y = self._as_mode(**parts)
        _, frames, frequencies = ops.shape(y)
        y = ops.reshape(y, (-1, channels, frames, frequencies))
        if self.data_format == "channels_first":
            if self.expand_dims:
                return y
            return ops.reshape(ops.swapaxes(y, 2, 3), (-1, channels * frequencies, frames))
        if self.expand_dims:
            return ops.transpose(y, (0, 2, 3, 1))
        return ops.reshape(ops.swapaxes(y, 1, 2), (-1, frames, channels * frequencies))

    def _as_mode(self, real: Any = None, imag: Any = None) -> Any:
        if self.mode in ("real", "imag"):
            return real if imag is None else imag
        if self.mode == "stft":
            return ops.concatenate([real, imag], -1)
        if self.mode == "angle":
            return ops.arctan2(imag, real)
        power = ops.add(ops.square(real), ops.square(imag))
        if self.mode == "psd":
            count = (self.fft_length or self.frame_length) // 2 + 1
            twice = np.full(count, 2.0)
            twice[0] = 1.0
            if (self.fft_length or self.frame_length) % 2 == 0:
                twice[-1] = 1.0  # the highest frequency stands for itself alone
            return ops.multiply(power, ops.cast(twice, power.dtype))
        # Away from 0, where the root has no gradient.
        magnitude = ops.sqrt(ops.maximum(power, config.epsilon() ** 2))
        return ops.log(magnitude) if self.mode == "log" else magnitude

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, *self._names)
