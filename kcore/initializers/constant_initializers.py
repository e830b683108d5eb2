"""Initializers that draw nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore.backends.host import to_array
from kcore.initializers.initializer import Initializer, as_tensor, checked


class Constant(Initializer):
    """One value everywhere, or values that broadcast to the shape.

    Args:
        value: A number, list or array.
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of that shape.

        Raises:
            ValueError: The value does not broadcast to `shape`.
        """
        sizes, name = checked(self, shape, dtype)
        value = to_array(self.value)
        try:
            return as_tensor(np.broadcast_to(value, sizes), name)
        except ValueError:
            raise ValueError(f"Constant: a value of shape {value.shape} does not broadcast to shape={sizes}.") from None

    def get_config(self) -> dict[str, Any]:
        from kcore import saving

        return {"value": saving.serialize_keras_object(self.value)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constant:
        from kcore import saving

        return cls(saving.deserialize_keras_object(config.get("value", 0.0)))


class Zeros(Initializer):
    """Zeros."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of that shape; any dtype."""
        sizes, name = checked(self, shape, dtype)
        return as_tensor(np.zeros(sizes), name)


class Ones(Initializer):
    """Ones."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of that shape; any dtype."""
        sizes, name = checked(self, shape, dtype)
        return as_tensor(np.ones(sizes), name)


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere.

    Args:
        gain: The factor.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of that shape; any dtype.

        Raises:
            ValueError: `shape` has not two dimensions.
        """
        sizes, name = checked(self, shape, dtype)
        if len(sizes) != 2:
            raise ValueError(f"Identity: shape={sizes} should have 2 dimensions.")
        return as_tensor(self.gain * np.eye(*sizes), name)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class STFT(Initializer):
    """The kernel of a convolution that computes the short-time Fourier transform.

    Entry (n, 0, k) of a kernel of shape (frames, 1, bins) is the window at n times the real or imaginary part of
    exp(-2i pi n k / (2 (bins - 1))).

    Args:
        side: "real" or "imag".
        window: The name of a window of `scipy.signal.get_window`, the window itself, or None for none.
        scaling: With a window: "density" divides by the root of the sum of its squares, "spectrum" by its sum, None by
            nothing.
        periodic: Whether a window by name is periodic, not symmetric.

    Raises:
        ValueError: `side` or `scaling` is none of these.
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"STFT: side={side!r} should be 'real' or 'imag'.")
        if scaling not in ("density", "spectrum", None):
            raise ValueError(f"STFT: scaling={scaling!r} should be 'density', 'spectrum' or None.")
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of shape (frames, channels, bins), the same for each channel.

        Raises:
            ValueError: `shape` has not three dimensions, or the window is unknown or not of length frames.
        """
        sizes, name = checked(self, shape, dtype)
        if len(sizes) != 3:
            raise ValueError(f"STFT: shape={sizes} should have 3 dimensions: frames, channels, bins.")
        frames, _, bins = sizes
        window = self._scaled_window(frames)
        # Whole turns are left out before the product with pi: large angles would lose digits.
        length = max(2 * (bins - 1), 1)
        angle = 2 * np.pi * (np.outer(np.arange(frames), np.arange(bins)) % length) / length
        wave = np.cos(angle) if self.side == "real" else -np.sin(angle)
        return as_tensor(np.broadcast_to((window[:, None] * wave)[:, None, :], sizes), name)

    def _scaled_window(self, frames: int) -> np.ndarray:
        if self.window is None:
            return np.ones(frames)
        if isinstance(self.window, str):
            from scipy.signal import get_window

            window = get_window(self.window, frames, fftbins=self.periodic)
        else:
            window = np.asarray(to_array(self.window), "float64")
            if window.shape != (frames,):
                raise ValueError(f"STFT: the window has shape {window.shape}, not ({frames},).")
        if self.scaling == "density":
            return window / np.sqrt(np.sum(window**2))
        return window / np.sum(window) if self.scaling == "spectrum" else window

    def get_config(self) -> dict[str, Any]:
        return {"side": self.side, "window": self.window, "periodic": self.periodic, "scaling": self.scaling}
