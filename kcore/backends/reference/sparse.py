"""Ops on sparse tensors through SciPy: the product of a sparse and a dense matrix, and its gradients."""

from __future__ import annotations

import numpy as np

from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tape import vjp
from kcore.ops import stored
from kcore.ops.mechanism import Plan, Tensor, private_op


def matrix_product(x, y):
    if x.values.dtype.char not in "fd":  # SciPy has no 16-bit floats, and adds bools up
        return stored.matrix_product(x, y)
    return times(x.values, x.indices, y, x.shape[0])


def _matrix(values, indices, rows, columns):
    import scipy.sparse

    starts = np.searchsorted(indices[:, 0], np.arange(rows + 1))
    return scipy.sparse.csr_array((values, indices[:, 1], starts), (rows, columns))


@private_op(rule=lambda values, indices, y, rows: Plan((rows, y.shape[1]), y.dtype))
def times(values: Tensor, indices: Tensor, y: Tensor, rows):
    """A sparse matrix of so many rows times the dense y."""
    with quiet():
        return np.asarray(_matrix(values, indices, rows, len(y)) @ y)


@private_op(rule=lambda values, indices, y, columns: Plan((columns, y.shape[1]), y.dtype))
def transposed_times(values: Tensor, indices: Tensor, y: Tensor, columns):
    """The transpose of a sparse matrix of so many columns times the dense y."""
    with quiet():
        return np.asarray(_matrix(values, indices, len(y), columns).T @ y)


@private_op(rule=lambda a, b, indices: Plan((indices.shape[0],), a.dtype))
def sampled(a: Tensor, b: Tensor, indices: Tensor):
    """The elements of a @ b.T at these indices."""
    with quiet():
        return np.einsum("nm,nm->n", a[indices[:, 0]], b[indices[:, 1]])


@vjp(times)
def _(g, y, values, indices, dense, rows):
    return sampled(g, dense, indices), None, transposed_times(values, indices, g, dense.shape[0])


@vjp(transposed_times)
def _(g, y, values, indices, dense, columns):
    return sampled(dense, g, indices), None, times(values, indices, g, dense.shape[0])


@vjp(sampled)
def _(g, y, a, b, indices):
    return times(g, indices, b, a.shape[0]), transposed_times(g, indices, a, b.shape[0]), None
