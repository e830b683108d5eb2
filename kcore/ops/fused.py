"""Ops that are chains of others, so that a backend can run them as one kernel and differentiate them as one step.

Keras has no names for these; its layers call the chains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kcore import dtypes, ops
from kcore.ops.conv import _conv
from kcore.ops.linalg import _matmul
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.symbolic import Spec

# Activations whose slope follows from their result, and all that `dense` does.
BY_RESULT = ("linear", "relu", "sigmoid", "tanh")
ACTIVATIONS = (*BY_RESULT, "silu", "gelu", "gelu_tanh")


def activated(x: Tensor, activation: str) -> Tensor:
    """The activation of that name among `ACTIVATIONS`: "gelu" is the exact one."""
    if activation.startswith("gelu"):
        return ops.gelu(x, activation == "gelu_tanh")
    return x if activation == "linear" else getattr(ops, activation)(x)


def _finished(size: int | None, dtype: str, bias: Spec | None, activation: str, known: Sequence[str]) -> str:
    """The dtype of sums of `dtype` after a bias, which should have that size, and an activation of the known ones."""
    if activation not in known:
        raise ValueError(f"activation={activation!r} should be one of {', '.join(map(repr, known))}.")
    if bias is not None:
        if bias.ndim != 1 or (bias.shape[0] != size and None not in (bias.shape[0], size)):
            raise ValueError(f"bias should have shape ({size},), not {bias.shape}.")
        dtype = dtypes.promote(dtype, bias.dtype)
    if not (dtypes.is_float(dtype) or (dtypes.is_complex(dtype) and activation == "linear")):
        raise TypeError(f"the operands should be floats (complex for 'linear'), but together they are {dtype}.")
    return dtype


def _dense(x: Spec, kernel: Spec, bias: Spec | None, activation: str = "linear") -> Plan:
    if kernel.ndim != 2 or not x.ndim:
        raise ValueError(f"x should be (..., k) and kernel (k, m), but their shapes are {x.shape} and {kernel.shape}.")
    product = _matmul(x, kernel)
    shape = product.outputs.shape
    dtype = _finished(shape[-1], product.outputs.dtype, bias, activation, ACTIVATIONS)
    return Plan(shape, dtype, cast=dtype)


@op(rule=_dense)
def dense(x: Tensor, kernel: Tensor, bias: Tensor = None, activation: str = "linear") -> Tensor:
    """activation(x @ kernel + bias): what a dense layer computes.

    Args:
        x: (..., k).
        kernel: (k, m).
        bias: (m,), or None for none.
        activation: "linear", "relu", "sigmoid", "tanh", "silu", "gelu", or "gelu_tanh" for the approximate one.

    Returns:
        (..., m), in the promoted dtype. 16-bit floats are summed in float32.

    Raises:
        ValueError: The shapes don't fit, or the activation is another.
        TypeError: The operands hold integers or bools, or complex numbers that are to be activated.

    >>> ops.dense([[1.0, -2.0]], [[1.0], [1.0]], [0.5], "relu")
    Tensor([[0.]], dtype=float32)
    """
    y = ops.matmul(x, kernel)
    return activated(y if bias is None else ops.add(y, bias), activation)


def _activated_conv(inputs: Spec, kernel: Spec, bias: Spec | None, activation: str, **how: Any) -> Plan:
    sums = _conv(inputs, kernel, **how)
    dtype = _finished(kernel.shape[-1], sums.outputs.dtype, bias, activation, BY_RESULT)
    return Plan(sums.outputs.shape, dtype, cast=dtype, **sums.arguments)


@op(rule=_activated_conv)
def activated_conv(
    inputs: Tensor,
    kernel: Tensor,
    bias: Tensor = None,
    strides: int | Sequence[int] = 1,
    padding: str | Sequence[tuple[int, int]] = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
    activation: str = "linear",
) -> Tensor:
    """activation(conv(inputs, kernel) + bias): what a convolution layer computes.

    Args:
        inputs, kernel: As in `conv`.
        bias: (filters,), or None for none.
        strides, padding, data_format, dilation_rate: As in `conv`.
        activation: "linear", "relu", "sigmoid" or "tanh".

    Returns:
        The shape of `conv`'s result, in the promoted dtype.

    Raises:
        ValueError: The shapes don't fit, no window fits the images, or the activation is another.
        TypeError: The operands hold integers or bools, or complex numbers that are to be activated.

    >>> signal = ops.reshape([1.0, 2.0, 4.0, 7.0], (1, 4, 1))
    >>> differences = ops.reshape([-1.0, 1.0], (2, 1, 1))
    >>> ops.ravel(ops.activated_conv(signal, differences, [-2.0], activation="relu"))
    Tensor([0., 0., 1.], dtype=float32)
    """
    y = ops.conv(inputs, kernel, strides, padding, data_format, dilation_rate)
    if bias is not None:
        per_channel = bias if data_format == "channels_last" else ops.reshape(bias, (-1, *(1,) * (y.ndim - 2)))
        y = ops.add(y, per_channel)
    return activated(y, activation)
