"""Images in either layout as channels-last ones, and back; views all."""

from __future__ import annotations

import numpy as np


def to_last(x: np.ndarray, layout: str) -> np.ndarray:
    """Images as channels-last; a view."""
    return x if layout == "channels_last" else np.moveaxis(x, 1, -1)


def from_last(y: np.ndarray, layout: str) -> np.ndarray:
    """Channels-last images in that layout; a view."""
    return y if layout == "channels_last" else np.moveaxis(y, -1, 1)


def shape_to_last(shape: tuple, layout: str) -> tuple:
    """The shape that `to_last` gives."""
    return shape if layout == "channels_last" else (shape[0], *shape[2:], shape[1])
