"""Convolutions in TensorFlow.

Its CPU kernels take channels-last images only, and each lacks something: groups, dilation with
strides, or the gradient of these. Such calls are put together from what all of its devices have.
"""

from __future__ import annotations

import functools as _functools

import numpy as _np
import tensorflow as _tf

from kcore.ops.windows import same_pads as _same_pads
from kcore.ops.windows import spans as _spans


def _last(x, data_format):
    """Images as channels-last."""
    return x if data_format == "channels_last" else _tf.transpose(x, [0, *range(2, x.shape.rank), 1])


def _back(y, data_format):
    """The reverse of `_last`."""
    rank = y.shape.rank
    return y if data_format == "channels_last" else _tf.transpose(y, [0, rank - 1, *range(1, rank - 1)])


def _widened(values, fill):
    """Arguments for two spatial axes from those for one, which is a row of height 1."""
    return values if isinstance(values, str) or len(values) > 1 else (fill, *values)


def _named(padding, sizes, span, strides):
    """`padding` as "VALID" or "SAME" where it is that; these every kernel takes."""
    if padding == "same":
        return "SAME"
    if not any(p for pair in padding for p in pair):
        return "VALID"
    known = None not in sizes
    return "SAME" if known and padding == _same_pads(sizes, span, strides) else padding


def _around(pads):
    return [(0, 0), *pads, (0, 0)]


def _fixed(x, padding, sizes, span, strides):
    """(x, "VALID" or "SAME"), x padded beforehand if it must be."""
    name = _named(padding, sizes, span, strides)
    return (x, name) if isinstance(name, str) else (_tf.pad(x, _around(name)), "VALID")


def conv(inputs, kernel, strides, padding, data_format, dilation_rate):
    x, w = _last(inputs, data_format), kernel
    if len(strides) == 1:
        x, w = x[:, None], w[None]
    y = _conv(x, w, _widened(strides, 1), _widened(padding, (0, 0)), _widened(dilation_rate, 1))
    return _back(y[:, 0] if len(strides) == 1 else y, data_format)


def _conv(x, w, strides, padding, dilation):
    channels = x.shape[-1]
    groups = channels // w.shape[-2] if channels else 1
    if not x.dtype.is_floating:
        return _by_taps(x, w, groups, strides, padding, dilation)
    if groups > 1 or x.shape[0] == 0:  # oneDNN's kernel answers an empty batch with an unchanged shape
        return _compiled(tuple(w.shape), strides, padding, dilation)(x, w)
    return _evenly(lambda x, w: _ungrouped(x, w, strides, padding, dilation), x, w, w.shape[-1])


def _evenly(convolve, x, w, filters):
    """`convolve(x, w)`, which has that many channels; in 16 bits with even numbers of them.

    oneDNN multiplies those in pairs. The last of an odd number meets 0 times what lies behind it, which may be nan.
    """
    if x.dtype.size > 2:
        return convolve(x, w)
    y = convolve(_even(x, 1), _even(w, 2))
    return y[..., :filters] if filters is not None and filters % 2 else y


def _even(x, count):
    """x with zeros behind where one of its last `count` sizes is odd."""
    odd = [(n or 0) % 2 for n in x.shape[-count:]]
    return _tf.pad(x, [(0, 0)] * (x.shape.rank - count) + [(0, n) for n in odd]) if any(odd) else x


def _by_taps(x, w, groups, strides, padding, dilation):
    """The sum of what each kernel element gives: TensorFlow convolves few integers, but multiplies matrices of most."""
    rank = len(strides)
    span = _spans(w.shape[:rank], dilation)
    x = _tf.pad(x, _around(_numbers(x, padding, span, strides)))
    counts = [(n - k) // s + 1 for n, k, s in zip(_sizes(x)[1:-1], span, strides, strict=True)]
    batch, depth, filters = _sizes(x)[0], w.shape[-2], w.shape[-1]
    y = _tf.zeros([batch, *counts, groups, 1, filters // groups], x.dtype)
    for tap in _np.ndindex(*w.shape[:rank]):
        starts = [t * d for t, d in zip(tap, dilation, strict=True)]
        where = (slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, counts, strides, strict=True))
        part = _tf.reshape(x[(slice(None), *where)], [batch, *counts, groups, 1, depth])
        y += part @ _tf.transpose(_tf.reshape(w[tap], [depth, groups, filters // groups]), [1, 0, 2])
    return _tf.reshape(y, [batch, *counts, filters])


def _sizes(x):
    """The sizes, as tensors where they are only known when it runs."""
    return [n if n is not None else _tf.shape(x)[i] for i, n in enumerate(x.shape)]


@_functools.lru_cache(maxsize=512)
def _compiled(kernel_shape, strides, padding, dilation):
    """The convolution through XLA, which has groups and their gradients on every device."""

    def run(x, w):
        return _ungrouped(x, _tf.ensure_shape(w, kernel_shape), strides, padding, dilation)

    return _tf.function(run, jit_compile=True, reduce_retracing=True)


def _ungrouped(x, w, strides, padding, dilation):
    sizes, rank = x.shape[1:-1].as_list(), len(strides)
    span = _spans(w.shape[:rank], dilation)
    if max(dilation) == 1:
        x, name = _fixed(x, padding, sizes, span, strides)
        function = _tf.nn.conv2d if rank == 2 else _tf.nn.conv3d
        return function(x, w, (1, *strides, 1), name)
    if max(strides) == 1:
        x, name = _fixed(x, padding, sizes, span, strides)
        return _tf.nn.convolution(x, w, strides, name, dilations=dilation)
    # Dilation and strides together: every window, and then the ones that are wanted.
    x = _tf.pad(x, _around(_numbers(x, padding, span, strides)))
    y = _tf.nn.convolution(x, w, (1,) * rank, "VALID", dilations=dilation)
    return y[(slice(None), *(slice(None, None, s) for s in strides))]


def _numbers(x, padding, span, strides):
    """`padding` as pairs; of tensors, where the sizes are only known when it runs."""
    if padding != "same":
        return padding
    pads = []
    for axis, (k, s) in enumerate(zip(span, strides, strict=True), 1):
        size = _tf.shape(x)[axis]
        total = _tf.maximum((-(-size // s) - 1) * s + k - size, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def depthwise_conv(inputs, kernel, strides, padding, data_format, dilation_rate):
    rank = len(strides)
    uneven = len(set(strides)) > 1 or (max(strides) > 1 and max(dilation_rate) > 1)
    if rank == 3 or uneven or not inputs.dtype.is_floating or inputs.shape[0] == 0:  # what its own kernel lacks
        w = _tf.reshape(kernel, (*kernel.shape[:rank], 1, kernel.shape[-2] * kernel.shape[-1]))
        return conv(inputs, w, strides, padding, data_format, dilation_rate)
    x, w = _last(inputs, data_format), kernel
    if rank == 1:
        x, w = x[:, None], w[None]
    stride = strides[0]
    dilation, pads = _widened(dilation_rate, 1), _widened(padding, (0, 0))
    x, name = _fixed(x, pads, x.shape[1:-1].as_list(), _spans(w.shape[:2], dilation), (stride, stride))
    y = _tf.nn.depthwise_conv2d(x, w, (1, stride, stride, 1), name, dilations=dilation)
    return _back(y[:, 0] if rank == 1 else y, data_format)


def conv_transpose(inputs, kernel, strides, padding, output_padding, data_format, dilation_rate):
    x, w = _last(inputs, data_format), kernel
    rank = len(strides)
    if rank == 1:
        x, w = x[:, None], w[None]
    how = (_widened(strides, 1), _widened(padding, (0, 0)), _widened(output_padding, 0), _widened(dilation_rate, 1))
    plain = max(dilation_rate) == 1 and x.dtype.is_floating and x.shape[0] != 0
    if plain:
        y = _evenly(lambda x, w: _transposed(x, w, *how), x, w, w.shape[-2])
    else:
        y = _spread(x, w, *how)
    return _back(y[:, 0] if rank == 1 else y, data_format)


def _transposed(x, w, strides, padding, output_padding, dilation):
    """The gradient of a convolution by its inputs, and what it lacks at the ends."""
    rank = len(strides)
    shape = _tf.shape(x)
    near = [min(e, s - 1) for e, s in zip(output_padding, strides, strict=True)]
    full = [(shape[i + 1] - 1) * s + w.shape[i] + e for i, (s, e) in enumerate(zip(strides, near, strict=True))]
    function = _tf.nn.conv2d_transpose if rank == 2 else _tf.nn.conv3d_transpose
    y = function(x, w, _tf.stack([shape[0], *full, w.shape[-2]]), (1, *strides, 1), "VALID")
    inner = [slice(before, n - after) for n, (before, after) in zip(full, padding, strict=True)]
    if any(p for pair in padding for p in pair):
        y = y[(slice(None), *inner)]
    beyond = [(0, e - n) for e, n in zip(output_padding, near, strict=True)]
    return _tf.pad(y, _around(beyond)) if any(b for _, b in beyond) else y


def _spread(x, w, strides, padding, output_padding, dilation):
    """The same as a convolution: inputs with zeros between them meet the kernel turned round."""
    rank = len(strides)
    span = _spans(w.shape[:rank], dilation)
    for axis, s in enumerate(strides, 1):
        if s > 1:
            sizes = _sizes(x)
            x = _tf.pad(_tf.expand_dims(x, axis + 1), [(0, s - 1 if a == axis + 1 else 0) for a in range(rank + 3)])
            x = _tf.reshape(x, [n * s if a == axis else n for a, n in enumerate(sizes)])
    ends = [
        (k - 1 - before, k - 1 - after + extra - (s - 1))
        for k, (before, after), extra, s in zip(span, padding, output_padding, strides, strict=True)
    ]
    x = x[(slice(None), *(slice(None, end if end < 0 else None) for _, end in ends))]
    x = _tf.pad(x, _around([(begin, max(end, 0)) for begin, end in ends]))
    w = _tf.reverse(w, list(range(rank)))
    w = _tf.transpose(w, [*range(rank), rank + 1, rank])
    return _conv(x, w, (1,) * rank, ((0, 0),) * rank, dilation)
