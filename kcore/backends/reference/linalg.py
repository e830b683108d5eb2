"""Definitions and gradient rules of products."""

from __future__ import annotations

import string

import numpy as np

from kcore import _native, dtypes, ops
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tape import conj, tracked, vjp
from kcore.ops.mechanism import Plan, Tensor, private_op

_LARGE = 1 << 18  # elements, from which on memory that has been used before is sooner had than fresh pages


def matmul(x1, x2):
    with quiet():
        return np.matmul(x1, x2, _room(x1, x2))


def _room(x1, x2):
    """Memory from the pool for a large product of matrices; None for others."""
    if x1.ndim != 2 or x2.ndim != 2 or x1.shape[0] * x2.shape[1] < _LARGE or not _native.available:
        return None
    if x1.dtype != x2.dtype or x1.dtype.char not in "fd":
        return None
    return _native.kernels.new_array((x1.shape[0], x2.shape[1]), x1.dtype.name)


def _adjoint(x):
    return (np.conj(x) if x.dtype.kind == "c" else x).T


@private_op(rule=lambda a, b: Plan((a.shape[0], b.shape[0]), a.dtype))
def times_adjoint(a: Tensor, b: Tensor):
    """a times the conjugate transpose of b, for matrices."""
    return matmul(a, _adjoint(b))


@private_op(rule=lambda a, b: Plan((a.shape[1], b.shape[1]), a.dtype))
def adjoint_times(a: Tensor, b: Tensor):
    """The conjugate transpose of a times b, for matrices."""
    return matmul(_adjoint(a), b)


@vjp(times_adjoint)
def _(g, y, a, b):
    return ops.matmul(g, b), adjoint_times(g, a)


@vjp(adjoint_times)
def _(g, y, a, b):
    return times_adjoint(b, g), ops.matmul(a, g)


@vjp(ops.matmul)
def _(g, y, x1, x2):
    if x1.ndim == 2 and x2.ndim == 2:  # what nobody wants, a gradient by a model's inputs say, is not computed
        dx1 = times_adjoint(g, x2) if tracked((x1,)) else None
        return dx1, adjoint_times(x1, g) if tracked((x2,)) else None
    # Vectors get the axis that the product took from them, so that one formula serves all.
    a = ops.reshape(x1, (1, *x1.shape)) if x1.ndim == 1 else x1
    b = ops.reshape(x2, (*x2.shape, 1)) if x2.ndim == 1 else x2
    shape = list(g.shape)
    if x1.ndim == 1:
        shape.insert(len(shape) - (x2.ndim > 1), 1)
    if x2.ndim == 1:
        shape.append(1)
    g = ops.reshape(g, shape)
    g1 = _left(g, x1, b)
    if b.ndim == 2:  # one matrix for the whole batch: its gradient is one product, not a sum of many
        rows, columns = a.shape[-1], g.shape[-1]
        g2 = _right(ops.reshape(g, (-1, columns)), ops.reshape(a, (-1, rows)), x2)
    else:
        g2 = _right(g, a, x2)
    if x1.ndim == 1 and g1 is not None:
        g1 = ops.reshape(g1, (*g1.shape[:-2], g1.shape[-1]))
    if x2.ndim == 1 and g2 is not None:
        g2 = ops.reshape(g2, g2.shape[:-1])
    return g1, g2


def _left(g, x1, b):
    """The gradient of the left operand, where somebody wants it: inputs of a model, say, don't."""
    return ops.matmul(g, ops.swapaxes(conj(b), -1, -2)) if tracked((x1,)) else None


def _right(g, a, x2):
    return ops.matmul(ops.swapaxes(conj(a), -1, -2), g) if tracked((x2,)) else None


# -- einsum -----------------------------------------------------------------------------


def einsum(subscripts, operands):
    terms, output, operands = _lettered(subscripts, operands, np.reshape)
    with quiet():
        x, term = operands[0], terms[0]
        for i in range(1, len(terms)):
            x, term = _contract(x, term, operands[i], terms[i], set(output).union(*terms[i + 1 :]))
        return _alone(x, term, output)


def _lettered(subscripts, operands, reshape):
    """(terms, output, operands) with letters for "...", and without axes that an operand only broadcasts there."""
    inputs, _, output = subscripts.partition("->")
    terms = inputs.split(",")
    spare = [c for c in string.ascii_letters if c not in subscripts]
    ndims = [x.ndim - len(t.replace("...", "")) for t, x in zip(terms, operands, strict=True)]
    dots = spare[: max(ndims)]
    sizes = [1] * len(dots)
    for x, t, n in zip(operands, terms, ndims, strict=True):
        before = t.partition("...")[0]
        for i in range(n):
            at = len(dots) - n + i
            sizes[at] = x.shape[len(before) + i] if sizes[at] == 1 else sizes[at]
    found_terms, found = [], []
    for x, t, n in zip(operands, terms, ndims, strict=True):
        before, _, after = t.partition("...")
        middle = range(len(dots) - n, len(dots))
        shape = x.shape[len(before) : len(before) + n]
        keep = [i for i, size in zip(middle, shape, strict=True) if size == sizes[i]]
        found_terms.append(before + "".join(dots[i] for i in keep) + after)
        found.append(
            x
            if len(keep) == n
            else reshape(x, (*x.shape[: len(before)], *(sizes[i] for i in keep), *x.shape[len(before) + n :]))
        )
    return found_terms, output.replace("...", "".join(dots)), found


def _alone(x, term, output):
    """One operand: its diagonals, the sums of letters that the output lacks, its axes in the output's order."""
    return np.einsum(f"{term}->{output}", x)


def _contract(a, term_a, b, term_b, needed):
    """The product of two operands, summed over the letters that only they have: a batched matrix product."""
    both = [c for c in dict.fromkeys(term_a) if c in term_b]
    batch, inner = [c for c in both if c in needed], [c for c in both if c not in needed]
    rows = [c for c in dict.fromkeys(term_a) if c not in both and c in needed]
    columns = [c for c in dict.fromkeys(term_b) if c not in both and c in needed]
    sizes = dict(zip(term_a + term_b, a.shape + b.shape, strict=True))
    a = _alone(a, term_a, "".join(batch + rows + inner))
    b = _alone(b, term_b, "".join(batch + inner + columns))

    def size(letters):
        return int(np.prod([sizes[c] for c in letters], dtype=np.int64))

    a = a.reshape(*(sizes[c] for c in batch), size(rows), size(inner))
    b = b.reshape(*(sizes[c] for c in batch), size(inner), size(columns))
    y = np.matmul(a, b) if inner else a * b
    term = batch + rows + columns
    return y.reshape([sizes[c] for c in term]), "".join(term)


@vjp(ops.einsum)
def _(g, y, subscripts, operands):
    terms, output, reduced = _lettered(subscripts, operands, ops.reshape)
    found = []
    for k, x in enumerate(operands):
        others = [(t, ops.conj(o)) for i, (t, o) in enumerate(zip(terms, reduced, strict=True)) if i != k]
        found.append(ops.reshape(_einsum_gradient(g, output, others, terms[k], reduced[k].shape), x.shape))
    return (found,)


def _einsum_gradient(g, output, others, term, shape):
    """The gradient of the operand `term`: the einsum of g and the other operands that has its letters."""
    inputs, tensors = [output, *(t for t, _ in others)], [g, *(o for _, o in others)]
    spare = [c for c in string.ascii_letters if c not in "".join([*inputs, term])]
    letters: list[str] = []
    for c, size in zip(term, shape, strict=True):
        if c in letters:  # a diagonal: the gradient is 0 off it
            double = spare.pop()
            inputs.append(c + double)
            tensors.append(ops.eye(size, dtype=dtypes.name_of(g.dtype)))
            c = double
        elif not any(c in t for t in inputs):  # summed over in this operand alone: all get the same
            inputs.append(c)
            tensors.append(ops.ones((size,), dtypes.name_of(g.dtype)))
        letters.append(c)
    return ops.einsum(f"{','.join(inputs)}->{''.join(letters)}", *tensors)
