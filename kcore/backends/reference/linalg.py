"""Definitions and gradient rules of products."""

from __future__ import annotations

import functools
import math
import string
from typing import Any, NamedTuple

import numpy as np

from kcore import dtypes, ops
from kcore.backends.reference.product import product
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.tape import conj, tracked, vjp
from kcore.ops.mechanism import Plan, Tensor, private_op


def matmul(x1, x2):
    return product(x1, x2)


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
    shapes, steps, last = _recipe(subscripts, tuple([x.shape for x in operands]))
    operands = [x if s is None else x.reshape(s) for x, s in zip(operands, shapes, strict=True)]
    with quiet():
        x = operands[0]
        for step, other in zip(steps, operands[1:], strict=True):
            x = step.contracted(x, other)
        return _rearranged(x, last)


class _Contraction(NamedTuple):
    """How two operands become their product, summed over the letters that only they have: as batched matrices.

    Attributes:
        left, right: How each is rearranged (see `_rearrangement`), and its shape as matrices.
        sums: Whether there are letters to sum over.
        shape: Of the result.
    """

    left: tuple[Any, tuple]
    right: tuple[Any, tuple]
    sums: bool
    shape: tuple

    def contracted(self, a, b):
        a, b = (_rearranged(x, how).reshape(shape) for x, (how, shape) in ((a, self.left), (b, self.right)))
        return (product(a, b) if self.sums else a * b).reshape(self.shape)


@functools.lru_cache(maxsize=1024)
def _recipe(subscripts, shapes):
    """(shape of each operand to start from, or None; the contractions; the last rearrangement)."""
    sizes = [np.broadcast_to(0, s) for s in shapes]
    terms, output, found = _lettered(subscripts, sizes, np.reshape)
    starts = [None if x is given else x.shape for x, given in zip(found, sizes, strict=True)]
    steps, term, shape = [], terms[0], found[0].shape
    for i in range(1, len(terms)):
        needed = set(output).union(*terms[i + 1 :])
        step, term = _contraction(term, shape, terms[i], found[i].shape, needed)
        steps.append(step)
        shape = step.shape
    return starts, steps, _rearrangement(term, output)


def _rearrangement(term, output):
    """What leads from one term to another: None if nothing, the order of the axes, or an einsum: the diagonals of
    letters that come twice, and the sums of those that the output lacks."""
    if term == output:
        return None
    if len(set(term)) == len(term) == len(output):
        return tuple([term.index(c) for c in output])
    return f"{term}->{output}"


def _rearranged(x, how):
    if how is None:
        return x
    return x.transpose(how) if how.__class__ is tuple else np.einsum(how, x)


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


def _contraction(term_a, shape_a, term_b, shape_b, needed):
    """(the contraction of two operands, the term of its result)."""
    both = [c for c in dict.fromkeys(term_a) if c in term_b]
    batch, inner = [c for c in both if c in needed], [c for c in both if c not in needed]
    rows = [c for c in dict.fromkeys(term_a) if c not in both and c in needed]
    columns = [c for c in dict.fromkeys(term_b) if c not in both and c in needed]
    sizes = dict(zip(term_a + term_b, shape_a + shape_b, strict=True))

    def size(letters):
        return math.prod(sizes[c] for c in letters)

    lead = tuple([sizes[c] for c in batch])
    left = _rearrangement(term_a, "".join(batch + rows + inner)), (*lead, size(rows), size(inner))
    right = _rearrangement(term_b, "".join(batch + inner + columns)), (*lead, size(inner), size(columns))
    term = batch + rows + columns
    return _Contraction(left, right, bool(inner), tuple([sizes[c] for c in term])), "".join(term)


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
