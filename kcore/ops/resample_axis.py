"""How an axis of pixels is resampled: the filters, their weights, and both ways to apply them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import dtypes, ops
from kcore.ops.mechanism import Tensor

# -- by a matrix ------------------------------------------------------------------------


def _triangle(xp: Any, x: Any) -> Any:
    return xp.maximum(1 - x, 0.0)


def _cubic(xp: Any, x: Any) -> Any:
    """Keys' cubic with a = -1/2."""
    near = ((1.5 * x - 2.5) * x) * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return xp.where(x < 1, near, xp.where(x < 2, far, 0.0))


def _lanczos(radius: int, xp: Any, x: Any) -> Any:
    return xp.where(x < radius, xp.sinc(x) * xp.sinc(x / radius), 0.0)


FILTERS: dict[str, Callable[[Any, Any], Any]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": functools.partial(_lanczos, 3),
    "lanczos5": functools.partial(_lanczos, 5),
}


def filter_weights(xp: Any, places: Any, pixels: Any, last: Any, spread: Any, method: str) -> Any:
    """How much each pixel of an axis counts for each place on it: (places, pixels), rows that sum to 1.

    A place outside the image, before -1/2 or after `last` + 1/2, gets nothing.

    Args:
        xp: numpy, or kcore.ops where numbers are only known when it runs.
        places: Coordinates, of shape (places, 1).
        pixels: 0 to `last`, of shape (1, pixels).
        spread: How much wider than a pixel the filter is.
    """
    w = FILTERS[method](xp, xp.absolute(places - pixels) / spread)
    total = xp.sum(w, axis=1, keepdims=True)
    whole = xp.absolute(total) > 1000 * np.finfo("float32").eps  # else nothing of the filter met a pixel
    w = xp.where(whole, w / xp.where(whole, total, 1.0), 0.0)
    return xp.where((places >= -0.5) & (places <= last + 0.5), w, 0.0)


def _area_weights(xp: Any, i: Any, j: Any, step: Any) -> Any:
    """What part of the stretch from i * step to (i + 1) * step pixel j covers."""
    covered = xp.minimum((i + 1) * step, j + 1) - xp.maximum(i * step, j)
    return xp.maximum(covered, 0.0) / step


@functools.lru_cache(maxsize=256)
def known_weights(n: int, out: int, method: str, dtype: str) -> np.ndarray:
    i, j = np.arange(out, dtype="float64")[:, None], np.arange(n, dtype="float64")[None]
    return _constant(_resize_weights(np, i, j, n / out, n, method), dtype)


def _resize_weights(xp: Any, i: Any, j: Any, step: Any, n: Any, method: str) -> Any:
    if method == "area":
        return _area_weights(xp, i, j, step)
    return filter_weights(xp, (i + 0.5) * step - 0.5, j, n - 1, xp.maximum(step, 1.0), method)


def _weights(n: Any, out: int, method: str, dtype: str) -> Any:
    """The matrix (out, n) that resizes an axis of n pixels by a filter that widens; n may be a tensor."""
    if isinstance(n, int):
        return known_weights(n, out, method, dtype)
    i, j = ops.arange(out, dtype=dtype)[:, None], ops.arange(n, dtype="int32")[None]
    n = ops.cast(n, dtype)
    return _resize_weights(ops, i, ops.cast(j, dtype), n / out, n, method)


def _constant(x: np.ndarray, dtype: str) -> np.ndarray:
    """x to be shared: in its dtype, and read-only."""
    x = x.astype(dtype)
    x.setflags(write=False)
    return x


def mixed(x: Tensor, weights: Any, axis: int) -> Tensor:
    """x with each vector v along `axis` replaced by weights @ v."""
    sizes = ops.shape(x)
    axis %= len(sizes)
    if axis == len(sizes) - 1:
        return ops.matmul(x, ops.swapaxes(weights, 0, 1))
    flat = ops.reshape(x, (*sizes[: axis + 1], math.prod(sizes[axis + 1 :])))
    return ops.reshape(ops.matmul(weights, flat), (*sizes[:axis], weights.shape[0], *sizes[axis + 1 :]))


# -- by the few pixels around each place ------------------------------------------------

REACH = {"bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}


@functools.lru_cache(maxsize=256)
def known_neighbours(n: int, out: int, method: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    index, weights = _around(np, np.arange(out, dtype="float64")[:, None], n / out, n - 1, method)
    return _constant(index, "int32"), _constant(weights, dtype)


def _around(xp: Any, i: Any, step: Any, last: Any, method: str) -> tuple[Any, Any]:
    places = (i + 0.5) * step - 0.5
    reach = REACH[method]
    pixels = xp.floor(places) + np.arange(1 - reach, reach + 1)
    w = FILTERS[method](xp, xp.absolute(places - pixels))
    w = xp.where((pixels >= 0) & (pixels <= last), w, 0.0)
    return xp.clip(pixels, 0, last), w / xp.sum(w, axis=1, keepdims=True)


def _neighbours(n: Any, out: int, method: str, dtype: str) -> tuple[Any, Any]:
    """For each of `out` new pixels on an axis of n: which pixels count, and how much, (out, neighbours) both."""
    if isinstance(n, int):
        return known_neighbours(n, out, method, dtype)
    size = ops.cast(n, dtype)
    index, weights = _around(ops, ops.arange(out, dtype=dtype)[:, None], size / out, size - 1, method)
    return ops.cast(index, "int32"), weights


def _interpolated(x: Tensor, axis: int, index: Any, weights: Any) -> Tensor:
    """For each row of `index`, the sum of those elements along the axis times the weights."""
    spread = (-1, *(1,) * (-axis - 1))
    total: Any = None
    for k in range(index.shape[1]):
        part = ops.take(x, index[:, k], axis) * ops.reshape(weights[:, k], spread)
        total = part if total is None else total + part
    return total


# -- either -----------------------------------------------------------------------------


def growth(n: Any, out: int) -> float:
    """How many times longer an axis gets; taken as shrinking where its size is not known yet."""
    return out / n if isinstance(n, int) else 0.0


def by_matrix(n: Any, out: int, interpolation: str, antialias: bool) -> bool:
    """Whether a new pixel may take in many: areas, and filters that widen. Else it has a fixed number around it."""
    return interpolation == "area" or (antialias and growth(n, out) < 1)


def resized_axes(x: Tensor, pairs: Sequence[tuple[int, int]], interpolation: str, antialias: bool) -> Tensor:
    """x with each axis of (axis, out) resized by a filter, one after the other."""
    for axis, out in pairs:
        x = _resized_axis(x, axis, out, interpolation, antialias)
    return x


def _resized_axis(x: Tensor, axis: int, out: int, interpolation: str, antialias: bool) -> Tensor:
    n, dtype = ops.shape(x)[axis], dtypes.name_of(x.dtype)
    if by_matrix(n, out, interpolation, antialias):
        return mixed(x, _weights(n, out, interpolation, dtype), axis)
    return _interpolated(x, axis, *_neighbours(n, out, interpolation, dtype))
