"""Linear algebra: products, norms, decompositions."""

from __future__ import annotations

from kcore import dtypes
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.symbolic import Spec


def product_dtype(x1: Spec, x2: Spec) -> str:
    """The dtype of a matrix product: what the operands meet in, int32 for two bools."""
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    return "int32" if dtype == "bool" else dtype


def _matmul(x1: Spec, x2: Spec) -> Plan:
    if not x1.ndim or not x2.ndim:
        raise ValueError(f"a scalar has no matrix product; the shapes are {x1.shape} and {x2.shape}.")
    inner1, inner2 = x1.shape[-1], x2.shape[-2 if x2.ndim > 1 else -1]
    if inner1 != inner2 and None not in (inner1, inner2):
        raise ValueError(f"shapes {x1.shape} and {x2.shape} don't multiply: the inner sizes are {inner1} and {inner2}.")
    batch = rules.broadcast(x1.shape[:-2], x2.shape[:-2])
    rows = x1.shape[-2:-1]
    columns = x2.shape[-1:] if x2.ndim > 1 else ()
    dtype = product_dtype(x1, x2)
    return Plan(batch + rows + columns, dtype, cast=dtype)


@op(rule=_matmul)
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """The matrix product of the last two axes; earlier ones broadcast. Vectors count as a row on the left, a column on the right.

    Args:
        x1: (..., n, k) or (k,).
        x2: (..., k, m) or (k,).

    Returns:
        (..., n, m), without the axes that a vector lacks. 16-bit floats are summed in float32.

    Raises:
        ValueError: The inner sizes differ, or an operand is a scalar.
    """
