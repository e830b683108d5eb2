"""Ops that are chains of others, so that a backend can run them as one kernel and differentiate them as one step.

Keras has no names for these; its layers call the chains.
"""

from __future__ import annotations

from kcore import dtypes, ops
from kcore.ops.linalg import _matmul
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.symbolic import Spec

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh")


def _dense(x: Spec, kernel: Spec, bias: Spec | None, activation: str = "linear") -> Plan:
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r} should be one of {', '.join(map(repr, ACTIVATIONS))}.")
    if kernel.ndim != 2 or not x.ndim:
        raise ValueError(f"x should be (..., k) and kernel (k, m), but their shapes are {x.shape} and {kernel.shape}.")
    product = _matmul(x, kernel)
    shape, dtype = product.outputs.shape, product.outputs.dtype
    if bias is not None:
        if bias.ndim != 1 or (bias.shape[0] != shape[-1] and None not in (bias.shape[0], shape[-1])):
            raise ValueError(f"bias should have shape ({shape[-1]},), not {bias.shape}.")
        dtype = dtypes.promote(dtype, bias.dtype)
    if not (dtypes.is_float(dtype) or (dtypes.is_complex(dtype) and activation == "linear")):
        raise TypeError(f"the operands should be floats (complex for 'linear'), but together they are {dtype}.")
    return Plan(shape, dtype, cast=dtype)


@op(rule=_dense)
def dense(x: Tensor, kernel: Tensor, bias: Tensor = None, activation: str = "linear") -> Tensor:
    """activation(x @ kernel + bias): what a dense layer computes.

    Args:
        x: (..., k).
        kernel: (k, m).
        bias: (m,), or None for none.
        activation: "linear", "relu", "sigmoid" or "tanh".

    Returns:
        (..., m), in the promoted dtype. 16-bit floats are summed in float32.

    Raises:
        ValueError: The shapes don't fit, or the activation is another.
        TypeError: The operands hold integers or bools, or complex numbers that are to be activated.

    >>> ops.dense([[1.0, -2.0]], [[1.0], [1.0]], [0.5], "relu")
    Tensor([[0.]], dtype=float32)
    """
    y = ops.matmul(x, kernel)
    if bias is not None:
        y = ops.add(y, bias)
    return y if activation == "linear" else getattr(ops, activation)(y)
