"""Convolutions in torch.

torch wants channels first and kernels as (filters, channels, *size). Both are permuted views:
images that are channels-last in memory stay so, which torch calls memory_format=channels_last. A
single spatial axis is a row of height 1, because torch keeps no such format for it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as _F

_CONV = {2: _F.conv2d, 3: _F.conv3d}
_TRANSPOSE = {2: _F.conv_transpose2d, 3: _F.conv_transpose3d}


def _first(x, data_format):
    """Images as channels-first, with two spatial axes at least; a view."""
    if data_format == "channels_last":
        x = x.movedim(-1, 1)
    return x.unsqueeze(2) if x.ndim == 3 else x


def _back(y, data_format, rank):
    """The reverse of `_first`."""
    if rank == 1:
        y = y.squeeze(2)
    return y.movedim(1, -1) if data_format == "channels_last" else y


def _kernel(w):
    w = w.permute(w.ndim - 1, w.ndim - 2, *range(w.ndim - 2))
    return w.unsqueeze(2) if w.ndim == 3 else w


def _widened(values, fill):
    return (fill, *values) if len(values) == 1 else values


def _padded(x, pads, value=0.0):
    """x with its spatial axes padded."""
    return _F.pad(x, [p for pair in reversed(pads) for p in pair], value=value)


def _inexact(x):
    return x.is_floating_point() or x.is_complex()


def _spread(x, steps):
    """x with zeros put in between along its spatial axes."""
    sizes = [(n - 1) * step + 1 for n, step in zip(x.shape[2:], steps, strict=True)]
    y = x.new_zeros((*x.shape[:2], *sizes))
    y[(..., *(slice(None, None, step) for step in steps))] = x
    return y


def _without_pairs(convolve, x, w, groups):
    """`convolve(x, w)`, in float32 where oneDNN's kernels for bfloat16 have a channel left over.

    They multiply channels in pairs, and the last of an odd number meets 0 times what lies behind it, which may be nan.
    """
    each = w.shape[0] // groups, w.shape[1]
    odd = any(n % 2 for n in each) and (groups == 1 or each != (1, 1))  # the kernel for depthwise ones has no pairs
    if odd and x.dtype is torch.bfloat16 and x.device.type == "cpu":
        return convolve(x.float(), w.float()).to(x.dtype)
    return convolve(x, w)


def conv(inputs, kernel, strides, padding, data_format, dilation_rate):
    x, w = _first(inputs, data_format), _kernel(kernel)
    groups = x.shape[1] // w.shape[1] if x.shape[1] else 1
    pads = _widened(padding, (0, 0))
    if any(before != after for before, after in pads):  # torch pads both ends alike
        x, pads = _padded(x, pads), ((0, 0),) * len(pads)
    dilation = _widened(dilation_rate, 1)
    if max(dilation) > 1 and not _inexact(x):  # torch dilates kernels of floats alone
        w, dilation = _spread(w, dilation), (1,) * len(pads)
    how = None, _widened(strides, 1), [before for before, _ in pads], dilation, groups
    y = _without_pairs(lambda x, w: _CONV[len(pads)](x, w, *how), x, w, groups)
    return _back(y, data_format, len(strides))


def conv_transpose(inputs, kernel, strides, padding, output_padding, data_format, dilation_rate):
    x, w = _first(inputs, data_format), _kernel(kernel)
    if x.dtype is torch.bfloat16 and x.device.type == "cpu":
        x = x.contiguous()  # else the kernel's gradient is of memory that nothing has been written to, on one thread
    strides, dilation = _widened(strides, 1), _widened(dilation_rate, 1)
    pads, extras = _widened(padding, (0, 0)), _widened(output_padding, 0)
    both = [min(pair) for pair in pads]  # torch cuts both ends alike
    near = [min(e, max(s, d) - 1) for e, s, d in zip(extras, strides, dilation, strict=True)]  # and adds no more
    transpose = _TRANSPOSE[len(pads)] if _inexact(x) else _of_integers
    y = _without_pairs(lambda x, w: transpose(x, w, None, strides, both, near, 1, dilation), x, w, 1)
    rest = [(b - before, b - after + e - n) for (before, after), b, e, n in zip(pads, both, extras, near, strict=True)]
    if any(r != (0, 0) for r in rest):
        y = _padded(y, rest)  # negative numbers cut
    return _back(y, data_format, len(output_padding))


def _of_integers(x, w, _, strides, pads, extras, groups, dilation):
    """A transposed convolution as a convolution of x with zeros in between: torch transposes that of floats alone."""
    ends = [(k - 1) * d - p for k, d, p in zip(w.shape[2:], dilation, pads, strict=True)]
    x = _padded(_spread(x, strides), [(end, end + extra) for end, extra in zip(ends, extras, strict=True)])
    turned = _spread(w, dilation).flip(tuple(range(2, w.ndim))).swapaxes(0, 1)
    return _CONV[len(strides)](x, turned, None, 1, 0, 1, groups)
