"""Definitions and gradient rules of the convolutions."""

from __future__ import annotations

import numpy as np

from kcore import ops
from kcore.backends.reference import convolution
from kcore.backends.reference.convolution import How
from kcore.backends.reference.ending import PLAIN, end
from kcore.backends.reference.layouts import from_last, shape_to_last, to_last
from kcore.backends.reference.tape import tracked, vjp
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.windows import spans


def conv(inputs, kernel, strides, padding, data_format, dilation_rate):
    how = How(strides, padding, dilation_rate)
    return from_last(convolution.conv(to_last(inputs, data_format), kernel, how), data_format)


@private_op(rule=lambda g, kernel, shape, strides, padding, data_format, dilation_rate: Plan(shape, g.dtype))
def conv_input_grad(g: Tensor, kernel: Tensor, shape, strides, padding, data_format, dilation_rate):
    """The gradient of sum(g * conv(inputs, kernel, ...)) by inputs of `shape`."""
    how = How(strides, padding, dilation_rate)
    x = convolution.input_grad(to_last(g, data_format), kernel, shape_to_last(shape, data_format), how)
    return from_last(x, data_format)


@private_op(rule=lambda inputs, g, shape, strides, padding, data_format, dilation_rate: Plan(shape, g.dtype))
def conv_kernel_grad(inputs: Tensor, g: Tensor, shape, strides, padding, data_format, dilation_rate):
    """The gradient of sum(g * conv(inputs, kernel, ...)) by a kernel of `shape`."""
    how = How(strides, padding, dilation_rate)
    return convolution.kernel_grad(to_last(inputs, data_format), to_last(g, data_format), shape, how)


@vjp(ops.conv)
def _(g, y, inputs, kernel, strides, padding, data_format, dilation_rate):
    how = strides, padding, data_format, dilation_rate
    return (
        conv_input_grad(g, kernel, inputs.shape, *how) if tracked((inputs,)) else None,
        conv_kernel_grad(inputs, g, kernel.shape, *how) if tracked((kernel,)) else None,
    )


@vjp(conv_input_grad)
def _(gg, y, g, kernel, shape, strides, padding, data_format, dilation_rate):
    how = strides, padding, data_format, dilation_rate
    return ops.conv(gg, kernel, *how), conv_kernel_grad(gg, g, kernel.shape, *how)


@vjp(conv_kernel_grad)
def _(gg, y, inputs, g, shape, strides, padding, data_format, dilation_rate):
    how = strides, padding, data_format, dilation_rate
    return conv_input_grad(g, gg, inputs.shape, *how), ops.conv(inputs, gg, *how)


def conv_transpose(inputs, kernel, strides, padding, output_padding, data_format, dilation_rate):
    how = How(strides, padding, dilation_rate)
    return from_last(_transposed(to_last(inputs, data_format), kernel, how, output_padding), data_format)


def _transposed(x, kernel, how, output_padding, ending=PLAIN):
    """`conv_transpose` of images whose channels come last, with its sums ended."""
    sizes, beyond = _reach(x.shape[1:-1], kernel.shape, how, output_padding)
    shape = x.shape[0], *sizes, kernel.shape[-2]
    if not any(beyond):
        return convolution.input_grad(x, kernel, shape, how, ending)
    y = convolution.input_grad(x, kernel, shape, how)
    return end(np.pad(y, ((0, 0), *((0, b) for b in beyond), (0, 0))), ending)


def _reach(sizes, kernel_shape, how, output_padding):
    """The result's spatial sizes as far as a convolution back would look, and how much there is beyond."""
    span = spans(kernel_shape[:-2], how.dilation)
    # With up to stride - 1 positions more, the convolution finds the same windows.
    near = [min(e, s - 1) for e, s in zip(output_padding, how.strides, strict=True)]
    reached = tuple(
        (n - 1) * s + k - before - after + e
        for n, s, k, (before, after), e in zip(sizes, how.strides, span, how.padding, near, strict=True)
    )
    return reached, tuple(e - n for e, n in zip(output_padding, near, strict=True))


@vjp(ops.conv_transpose)
def _(g, y, inputs, kernel, strides, padding, output_padding, data_format, dilation_rate):
    beyond = [max(e - s + 1, 0) for e, s in zip(output_padding, strides, strict=True)]
    if any(beyond):
        inner = [slice(0, n - b) for n, b in zip(shape_to_last(g.shape, data_format)[1:-1], beyond, strict=True)]
        g = g[(slice(None), *inner)] if data_format == "channels_last" else g[(slice(None), slice(None), *inner)]
    how = strides, padding, data_format, dilation_rate
    return (
        ops.conv(g, kernel, *how) if tracked((inputs,)) else None,
        conv_kernel_grad(g, inputs, kernel.shape, *how) if tracked((kernel,)) else None,
    )
