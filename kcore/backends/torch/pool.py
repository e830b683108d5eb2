"""Pooling in torch. Images are taken as in conv.py: channels-first views with two or three spatial axes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as _F

from kcore import ops as _ops
from kcore.backends.torch.conv import _back, _first, _padded, _widened
from kcore.ops.windows import inside as _inside

_MAX = {2: _F.max_pool2d, 3: _F.max_pool3d}
_MEAN = {2: _F.avg_pool2d, 3: _F.avg_pool3d}
_ADAPTIVE_MAX = {2: _F.adaptive_max_pool2d, 3: _F.adaptive_max_pool3d}
_ADAPTIVE_MEAN = {2: _F.adaptive_avg_pool2d, 3: _F.adaptive_avg_pool3d}


def _native(sizes, size, steps, pads):
    """(padding, ceil_mode) with which torch finds the same windows; None if there are none.

    It pads both ends alike, and with ceil_mode lets the last window reach over the end.
    """
    begins = [before for before, _ in pads]
    if all(before == after for before, after in pads):
        return begins, False
    for n, k, s, (before, after) in zip(sizes, size, steps, pads, strict=True):
        count = -(-(n + 2 * before - k) // s) + 1
        if (count - 1) * s >= n + before:  # torch drops a window that would begin behind the image
            count -= 1
        if count != (n + before + after - k) // s + 1:
            return None
    return begins, True


def max_pool(inputs, pool_size, strides, padding, data_format):
    x = _first(inputs, data_format)
    if not x.is_floating_point() and x.element_size() < 4:  # torch would count elements in that dtype
        x = x.int()
    size, steps, pads = _widened(pool_size, 1), _widened(strides, 1), _widened(padding, (0, 0))
    how = _native(x.shape[2:], size, steps, pads)
    if how is None:
        lowest = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
        x, how = _padded(x, pads, lowest), (0, False)
    y = _MAX[len(size)](x, size, steps, how[0], ceil_mode=how[1])
    return _back(y.to(inputs.dtype), data_format, len(strides))


def average_pool(inputs, pool_size, strides, padding, data_format):
    x = _first(inputs, data_format)
    size, steps, pads = _widened(pool_size, 1), _widened(strides, 1), _widened(padding, (0, 0))
    how = _native(x.shape[2:], size, steps, pads)
    if how is not None:
        y = _MEAN[len(size)](x, size, steps, *how, count_include_pad=False)
    else:  # sums, by counts of our own
        counts = _inside(x.shape[2:], size, steps, pads)[..., 0]
        sums = _MEAN[len(size)](_padded(x, pads), size, steps, divisor_override=1)
        y = sums / torch.tensor(counts, dtype=x.dtype, device=x.device)
    return _back(y, data_format, len(strides))


def adaptive_max_pool(inputs, output_size, data_format):
    if not inputs.is_floating_point():  # torch has this for floats alone
        return _ops.adaptive_max_pool.op.body(inputs, output_size, data_format)
    size = _widened(output_size, 1)
    return _back(_ADAPTIVE_MAX[len(size)](_first(inputs, data_format), size), data_format, len(output_size))


def adaptive_average_pool(inputs, output_size, data_format):
    size = _widened(output_size, 1)
    return _back(_ADAPTIVE_MEAN[len(size)](_first(inputs, data_format), size), data_format, len(output_size))
