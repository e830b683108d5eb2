"""What ops do with sparse tensors: the table. An op that is not in it makes them dense, with a warning.

What an op gives for sparse operands is in words in each row, and by a rule of the op's arguments: a Spec for each
tensor, Python numbers as they are. The definitions are in `kcore/ops/stored.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kcore.ops import stored
from kcore.ops.mechanism import REGISTRY
from kcore.ops.sparsity import DENSE, MADE_DENSE, REFUSED, SPARSE, Entry

# -- rules ------------------------------------------------------------------------------


def _always(result: str) -> Callable:
    return lambda *_: result


def _both(x1: Any, x2: Any) -> str:
    return SPARSE if _sparse(x1) and _sparse(x2) else DENSE


def _sparse(x: Any) -> bool:
    return getattr(x, "sparse", False)


def _number(x: Any) -> bool:
    return isinstance(x, (bool, int, float))


def _numerator(x1: Any, x2: Any) -> str:
    return SPARSE if _sparse(x1) and not _sparse(x2) else MADE_DENSE


def _power(x1: Any, x2: Any) -> str:
    return SPARSE if _sparse(x1) and _number(x2) and x2 > 0 else MADE_DENSE


def _clipped(x: Any, x_min: Any, x_max: Any) -> str:
    return SPARSE if _sparse(x) and _number(x_min) and _number(x_max) and x_min <= 0 <= x_max else MADE_DENSE


def _product(x1: Any, x2: Any) -> str:
    if _sparse(x1) and _sparse(x2):
        return SPARSE if x1.ndim == x2.ndim == 2 else MADE_DENSE
    if _sparse(x1):
        return DENSE if x2.ndim <= 2 else MADE_DENSE
    return DENSE if x2.ndim == 2 else MADE_DENSE


def _dotted(x1: Any, x2: Any) -> str:
    return _product(x1, x2) if 0 not in (getattr(x1, "ndim", 0), getattr(x2, "ndim", 0)) else MADE_DENSE


def _layered(x: Any, kernel: Any, bias: Any, activation: str) -> str:
    return DENSE if _sparse(x) and not _sparse(kernel) and not _sparse(bias) else MADE_DENSE


def _by_indices(x: Any, indices: Any, axis: Any) -> str:
    return MADE_DENSE if _sparse(x) else DENSE


def _summed(x: Any, axis: Sequence[int], keepdims: bool) -> str:
    return SPARSE if keepdims or len(axis) < x.ndim else DENSE


def _reshaped(x: Any, newshape: Sequence[Any]) -> str:
    return SPARSE if len(newshape) else DENSE


def _squeezed(x: Any, axis: Sequence[int]) -> str:
    return SPARSE if len(axis) < x.ndim else DENSE


def _indexed(x: Any, key: Sequence[Any]) -> str:
    if any(hasattr(p, "dtype") for p in key):
        return MADE_DENSE
    bounds = [b for p in key if isinstance(p, slice) for b in (p.start, p.stop, p.step) if b is not None]
    if not all(isinstance(b, int) for b in bounds):
        return MADE_DENSE
    return SPARSE if any(not isinstance(p, int) for p in key) else DENSE


def _joined(xs: Sequence[Any], axis: int = 0) -> str:
    return SPARSE if all(_sparse(x) for x in xs) else DENSE


def _padded(x: Any, pad_width: Any, mode: str, constant_values: Any) -> str:
    return SPARSE if mode in ("constant", "empty") and _number(constant_values) and constant_values == 0 else MADE_DENSE


def _filled(x: Any, fill_value: Any, dtype: Any) -> str:
    return MADE_DENSE if _sparse(fill_value) else DENSE


def _split(x: Any, indices_or_sections: Any, axis: int) -> str:
    return SPARSE if x.shape[axis] is not None else MADE_DENSE


# Ops with f(0) = 0: the pattern stays, and the stored values are mapped.
# fmt: off
MAPS = (
    *("absolute", "fabs", "negative", "positive", "sign", "square", "sqrt", "cbrt", "expm1", "log1p", "deg2rad", "rad2deg"),
    *("sin", "tan", "arcsin", "arctan", "sinh", "tanh", "arcsinh", "arctanh", "erf", "erfinv"),
    *("floor", "ceil", "trunc", "round", "nan_to_num", "conj", "real", "imag", "isnan", "isinf", "isposinf", "isneginf"),
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "hard_silu", "softsign"),
    *("hard_tanh", "hard_shrink", "soft_shrink", "tanh_shrink"),
    *("cast", "saturate_cast", "copy", "stop_gradient"),
)
# fmt: on

# op -> (what the result is, the definition, that in words)
TABLE: dict[str, tuple[Callable[..., str], Callable, str]] = {
    **{name: (_always(SPARSE), stored.mapped(name), "sparse: the stored values are mapped") for name in MAPS},
    "clip": (_clipped, stored.clip, "sparse for numbers with x_min <= 0 <= x_max, else made dense"),
    "power": (_power, stored.power, "sparse for a number above 0 as exponent, else made dense"),
    "add": (_both, stored.add, "sparse for two sparse tensors, else dense"),
    "subtract": (_both, stored.subtract, "sparse for two sparse tensors, else dense"),
    "maximum": (_both, stored.extreme("maximum"), "sparse for two sparse tensors, else dense"),
    "minimum": (_both, stored.extreme("minimum"), "sparse for two sparse tensors, else dense"),
    "multiply": (_always(SPARSE), stored.multiply, "sparse, with whatever x is multiplied"),
    "divide": (_numerator, stored.quotient("divide"), "sparse if x1 alone is sparse (stored elements are divided), else made dense"),
    "floor_divide": (_numerator, stored.quotient("floor_divide"), "sparse if x1 alone is sparse (stored elements are divided), else made dense"),
    "divide_no_nan": (_numerator, stored.quotient("divide_no_nan"), "sparse if x1 alone is sparse (stored elements are divided), else made dense"),
    "matmul": (_product, stored.matmul, "dense; sparse for two sparse matrices; made dense where the dense operand has batch axes"),
    "dot": (_dotted, stored.matmul, "dense; sparse for two sparse matrices; made dense where the dense operand has batch axes"),
    "dense": (_layered, stored.body("dense"), "dense"),
    "take": (_by_indices, stored.take, "dense for sparse indices; a sparse x is made dense"),
    "sum": (_summed, stored.sum, "sparse; dense where it is a scalar"),
    "mean": (_summed, stored.mean, "sparse; dense where it is a scalar"),
    "max": (_always(DENSE), stored.peak("max"), "dense"),
    "min": (_always(DENSE), stored.peak("min"), "dense"),
    "amax": (_always(DENSE), stored.peak("max"), "dense"),
    "amin": (_always(DENSE), stored.peak("min"), "dense"),
    "any": (_always(DENSE), stored.any, "dense"),
    "count_nonzero": (_always(DENSE), stored.count_nonzero, "dense"),
    "softmax": (_always(SPARSE), stored.softmax, "sparse: over the stored elements alone"),
    "reshape": (_reshaped, stored.reshape, "sparse; dense where it is a scalar"),
    "ravel": (_always(SPARSE), stored.body("ravel"), "sparse"),
    "transpose": (_always(SPARSE), stored.transpose, "sparse"),
    "swapaxes": (_always(SPARSE), stored.swapaxes, "sparse"),
    "moveaxis": (_always(SPARSE), stored.body("moveaxis"), "sparse"),
    "expand_dims": (_always(SPARSE), stored.expand_dims, "sparse"),
    "squeeze": (_squeezed, stored.squeeze, "sparse; dense where it is a scalar"),
    "flip": (_always(SPARSE), stored.flip, "sparse"),
    "broadcast_to": (_always(SPARSE), stored.broadcast_to, "sparse"),
    "concatenate": (_joined, stored.concatenate, "sparse if all are, else dense"),
    "stack": (_joined, stored.stack, "sparse if all are, else dense"),
    "vstack": (_joined, stored.body("vstack"), "sparse if all are, else dense"),
    "hstack": (_joined, stored.body("hstack"), "sparse if all are, else dense"),
    "split": (_split, stored.split, "sparse"),
    "slice": (_always(SPARSE), stored.slice, "sparse"),
    "get_item": (_indexed, stored.body("get_item"), "sparse for slices, new axes and integers (an element alone is dense); made dense for arrays"),
    "basic_index": (_indexed, stored.basic_index, "sparse for slices, new axes and integers (an element alone is dense); made dense for arrays"),
    "pad": (_padded, stored.pad, "sparse for zeros, else made dense"),
    "array": (_always(DENSE), lambda x, dtype: stored.dense(x), "dense"),
    "zeros_like": (_always(DENSE), stored.like(0), "dense"),
    "ones_like": (_always(DENSE), stored.like(1), "dense"),
    "full_like": (_filled, stored.full_like, "dense"),
    "one_hot": (lambda *given: SPARSE if given[-1] else MADE_DENSE, stored.one_hot, "sparse for sparse=True"),
    "bincount": (lambda *given: SPARSE if given[-1] else MADE_DENSE, stored.bincount, "sparse for sparse=True"),
}  # fmt: skip

for _name, _entry in TABLE.items():
    REGISTRY[_name].sparse = Entry(*_entry)


def table() -> str:
    """The table in Markdown, as `docs/sparse.md` has it."""
    rows: dict[str, list[str]] = {}
    for name, op in sorted(REGISTRY.items()):
        if op.sparse is not None:
            rows.setdefault(op.sparse.says, []).append(f"`{name}`")
    lines = [f"| {' '.join(names)} | {says} |" for says, names in rows.items()]
    lines += [f"| `{name}` | refused: {reason} |" for name, reason in sorted(REFUSED.items())]
    return "\n".join(
        ["| op | result for sparse operands |", "|---|---|", *lines, "| any other | made dense, with one warning |"]
    )
