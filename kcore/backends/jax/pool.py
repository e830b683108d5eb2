"""Pooling in JAX."""

from __future__ import annotations

import jax.numpy as _jnp
import numpy as _np
from jax import lax as _lax

from kcore.ops.windows import inside as _inside


def _everywhere(values, data_format, fill):
    """Per-axis arguments for all axes of an image."""
    return (fill, *values, fill) if data_format == "channels_last" else (fill, fill, *values)


def _folded(x, start, fold, pool_size, strides, padding, data_format):
    return _lax.reduce_window(
        x,
        start,
        fold,
        _everywhere(pool_size, data_format, 1),
        _everywhere(strides, data_format, 1),
        _everywhere(padding, data_format, (0, 0)),
    )


def max_pool(inputs, pool_size, strides, padding, data_format):
    if inputs.dtype == bool:
        lowest = False
    else:
        lowest = -_np.inf if _jnp.issubdtype(inputs.dtype, _jnp.floating) else _jnp.iinfo(inputs.dtype).min
    lowest = _np.asarray(lowest, inputs.dtype)
    return _folded(inputs, lowest, _lax.max, pool_size, strides, padding, data_format)


def average_pool(inputs, pool_size, strides, padding, data_format):
    x = inputs.astype("float32") if inputs.dtype.itemsize == 2 else inputs
    zero = _np.zeros((), x.dtype)
    sums = _folded(x, zero, _lax.add, pool_size, strides, padding, data_format)
    last = data_format == "channels_last"
    counts = _inside(x.shape[1:-1] if last else x.shape[2:], pool_size, strides, padding)
    y = sums / (counts if last else counts[..., 0]).astype(x.dtype)
    return y.astype(inputs.dtype)
