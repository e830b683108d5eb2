"""Windows that slide over images: where they lie, and how many there are. For conv, pool and image rules.

A window of `size` elements, `dilation` apart, spans (size - 1) * dilation + 1 positions and
moves by `stride`. Images are (batch, *spatial, channels), or (batch, channels, *spatial) for
data_format="channels_first".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kcore import config
from kcore.ops import rules
from kcore.ops.symbolic import Shape, Spec

Pads = tuple[tuple[int, int], ...]


def layout_of(data_format: str | None) -> str:
    """The layout, or the default for None.

    Raises:
        ValueError: It is neither of the two.
    """
    if data_format is None:
        return config.image_data_format()
    return rules.one_of(data_format, ("channels_last", "channels_first"), "data_format")


def spatial_of(shape: Shape, layout: str) -> Shape:
    """The spatial sizes."""
    return shape[1:-1] if layout == "channels_last" else shape[2:]


def channels_of(shape: Shape, layout: str) -> int | None:
    """The number of channels."""
    return shape[-1] if layout == "channels_last" else shape[1]


def image_shape(batch: int | None, spatial: Shape, channels: int | None, layout: str) -> Shape:
    """The three put together."""
    return (batch, *spatial, channels) if layout == "channels_last" else (batch, channels, *spatial)


def spatial_rank(inputs: Spec, name: str = "inputs") -> int:
    """How many spatial axes there are: 1, 2 or 3.

    Raises:
        ValueError: Another number of them.
    """
    rules.require_ndim(inputs, (3, 5), name)
    return inputs.ndim - 2


def spans(size: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """How many positions a window reaches over, along each axis."""
    return tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))


def same_pads(sizes: Sequence[int], span: Sequence[int], strides: Sequence[int]) -> Pads:
    """The padding with which ceil(size / stride) windows fit; an odd one has its extra at the end."""
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(sizes, span, strides, strict=True)]
    return tuple((t // 2, t - t // 2) for t in totals)


def placed(sizes: Shape, span: Sequence[int], strides: Sequence[int], padding: Any) -> tuple[Shape, Pads | str]:
    """How many windows there are along each axis, and the padding as (before, after) pairs.

    Where "same" meets a size that is not known yet, so is its padding, which then stays "same".

    Args:
        padding: "valid", "same", or (before, after) for each axis.

    Raises:
        ValueError: `padding` is none of these, or not one window fits.
    """
    if padding == "same":
        counts = tuple(None if n is None else -(-n // s) for n, s in zip(sizes, strides, strict=True))
        return counts, "same" if None in sizes else same_pads(sizes, span, strides)  # type: ignore[arg-type]
    pads = ((0, 0),) * len(sizes) if padding == "valid" else _pairs(padding, len(sizes))
    counts = []
    for n, k, s, (before, after) in zip(sizes, span, strides, pads, strict=True):
        if n is not None and n + before + after < k:
            raise ValueError(
                f"a window that spans {tuple(span)} does not fit spatial sizes {sizes} with padding={padding!r}."
            )
        counts.append(None if n is None else (n + before + after - k) // s + 1)
    return tuple(counts), pads


def inside(sizes: Sequence[int], size: Sequence[int], strides: Sequence[int], pads: Pads) -> np.ndarray:
    """How many elements of each window are inside the image, of shape (*windows, 1)."""
    counts = np.ones((), "int64")
    for n, k, s, (before, after) in zip(sizes, size, strides, pads, strict=True):
        start = np.arange((n + before + after - k) // s + 1) * s - before
        counts = counts[..., None] * (np.minimum(start + k, n) - np.maximum(start, 0))
    return counts[..., None]


def _pairs(padding: Any, count: int) -> Pads:
    try:
        pads = tuple((int(before), int(after)) for before, after in padding)
    except (TypeError, ValueError):
        pads = ()
    if isinstance(padding, str) or len(pads) != count or any(p < 0 for pair in pads for p in pair):
        raise ValueError(
            f"padding={padding!r} should be 'valid', 'same', or (before, after) for each of {count} spatial axes."
        )
    return pads
