"""Convolutions in JAX."""

from __future__ import annotations

import jax.numpy as _jnp
from jax import lax as _lax

from kcore.ops.windows import spans as _spans

_AXES = "DHW"


def _dimensions(rank, data_format, kernel="IO"):
    spatial = _AXES[-rank:]
    images = f"N{spatial}C" if data_format == "channels_last" else f"NC{spatial}"
    return images, spatial + kernel, images


def conv(inputs, kernel, strides, padding, data_format, dilation_rate):
    channels = inputs.shape[-1 if data_format == "channels_last" else 1]
    return _lax.conv_general_dilated(
        inputs,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation_rate,
        dimension_numbers=_dimensions(len(strides), data_format),
        feature_group_count=channels // kernel.shape[-2] if channels else 1,
    )


def conv_transpose(inputs, kernel, strides, padding, output_padding, data_format, dilation_rate):
    # The inputs, set `strides` apart with zeros between, meet the kernel turned round.
    rank = len(strides)
    span = _spans(kernel.shape[:rank], dilation_rate)
    pads = [
        (k - 1 - before, k - 1 - after + extra)
        for k, (before, after), extra in zip(span, padding, output_padding, strict=True)
    ]
    return _lax.conv_general_dilated(
        inputs,
        _jnp.flip(kernel, range(rank)),
        (1,) * rank,
        pads,
        lhs_dilation=strides,
        rhs_dilation=dilation_rate,
        dimension_numbers=_dimensions(rank, data_format, "OI"),
    )
