"""Records of products and norms."""

from __future__ import annotations

import functools

import numpy as np
from numpy import inf, nan

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import AS_COMPLEX, FLOATS, arrays, complex_draw, draw, ints, whole

# Sums of a few products: each rounds, and their order is the framework's own.
PRODUCTS = {"float64": 4e-15, "float32": 1e-6}
product = functools.partial(Case, tol=PRODUCTS)


def widened(*xs):
    """int8 operands in int32, as matrix products sum them."""
    return [x.astype("int32") for x in xs] if all(x.dtype == np.int8 for x in xs) else list(xs)


def by_flattening(formula):
    """A formula of bools as one of integers: and-ed, or-ed."""

    def run(*xs, **kw):
        if all(x.dtype == bool for x in xs):
            return formula(*(x.astype(int) for x in xs), **kw) > 0
        return formula(*xs, **kw)

    return run


SMALL = ints([[100, 100], [1, 2]], [[100, 3], [100, 1]], why="int8 is summed in int32", dtype="int8")
NAN = arrays([1.0, np.nan], [2.0, 0.0], expect=np.nan, grad=False, why="nan is not lost")
WRAPPING = ints([[2**16, 2**16]], [[2**16], [1]], why="int32 wraps around")

product(
    ops.matmul,
    by_flattening(lambda x1, x2: np.matmul(*widened(x1, x2))),
    samples=[
        Sample(draw(3, 4), draw(4, 5, seed=1)),
        Sample(draw(4), draw(4, seed=1), why="two vectors"),
        Sample(draw(4), draw(2, 4, 3, seed=1), why="a row with a batch"),
        Sample(draw(2, 3, 4), draw(4, seed=1), why="a batch with a column"),
        Sample(draw(2, 1, 3, 4), draw(5, 4, 2, seed=1), why="batches broadcast"),
        Sample(draw(3, 4), draw(2, 4, 5, seed=1), why="one matrix with a batch"),
        Sample(draw(2, 3, 4), draw(4, 5, seed=1), why="a batch with one matrix"),
        Sample(np.zeros((3, 0)), np.zeros((0, 2)), expect=np.zeros((3, 2)), why="nothing adds up to 0"),
        Sample(np.zeros((0, 3)), draw(3, 2), why="no rows"),
        arrays([[1.0, nan], [inf, 1.0]], np.eye(2), grad=False, why="nan and infinities"),
        Sample(complex_draw(3, 4), complex_draw(4, 2, seed=3), **AS_COMPLEX),
        Sample(whole(3, 4), draw(4, 2), grad=["x2"], why="int32 with floats"),
        SMALL,
        WRAPPING,
    ],
    errors=[
        Bad(
            np.ones((3, 4)), np.ones((3, 4)), match=r"\(3, 4\) and \(3, 4\) don't multiply: the inner sizes are 4 and 3"
        ),
        Bad(np.ones((2, 3, 4)), np.ones((3, 4, 5)), match="don't broadcast"),
        Bad(np.ones(()), np.ones((3, 4)), match="a scalar has no matrix product"),
    ],
    dtypes=FLOATS,
)


def einsum_formula(subscripts, *operands):
    operands = widened(*operands)
    return by_flattening(lambda *xs: np.einsum(subscripts.replace(" ", ""), *xs))(*operands)


product(
    ops.einsum,
    einsum_formula,
    samples=[
        Sample("ij,jk->ik", draw(3, 4), draw(4, 5, seed=1)),
        Sample("ij,jk", draw(3, 4), draw(4, 5, seed=1), why="no output: letters that occur once, sorted"),
        Sample("ba", draw(3, 4), why="no output: transposed"),
        Sample("ij->ji", draw(3, 4)),
        Sample("ij->", draw(3, 4), why="the sum of all"),
        Sample("ij->j", draw(3, 4), why="one operand's letter summed"),
        Sample("ii->i", draw(4, 4), why="the diagonal"),
        Sample("ii", draw(4, 4), why="the trace"),
        Sample("iij,jk->ik", draw(3, 3, 4), draw(4, 2, seed=1), why="a diagonal in a product"),
        Sample("i,j->ij", draw(3), draw(4, seed=1), why="nothing summed"),
        Sample("ij,ij->ij", draw(3, 4), draw(3, 4, seed=1), why="elementwise"),
        Sample("ij,kl->k", draw(3, 4), draw(2, 5, seed=1), why="letters that only one operand has"),
        Sample("btnh,bsnh->bnts", draw(2, 3, 2, 4), draw(2, 5, 2, 4, seed=1), why="attention"),
        Sample("abc,cd->abd", draw(2, 3, 4), draw(4, 5, seed=1), why="a dense layer"),
        Sample("...ij,jk->...ik", draw(2, 3, 4), draw(4, 5, seed=1), why="further axes"),
        Sample("i...,...j->...ij", draw(3, 2, 1), draw(4, 2, seed=1), why="further axes that broadcast"),
        Sample("...,...", draw(2, 1), draw(3, seed=1), why="further axes alone"),
        Sample("ij,jk,kl->il", draw(2, 3), draw(3, 4, seed=1), draw(4, 2, seed=2), why="three operands"),
        Sample("bi,bj,bk->ijk", draw(4, 2), draw(4, 3, seed=1), draw(4, 2, seed=2), why="three with a shared letter"),
        Sample(" i j , j k -> i k ", draw(3, 4), draw(4, 5, seed=1), why="spaces"),
        Sample("ij,jk->ik", np.zeros((3, 0)), np.zeros((0, 2)), expect=np.zeros((3, 2)), why="nothing adds up to 0"),
        Sample("ij,jk->ik", complex_draw(3, 4), complex_draw(4, 2, seed=3), **AS_COMPLEX),
        Sample("ij,jk->ik", whole(3, 4), draw(4, 2), grad=False, why="int32 with floats"),
        Sample("ij,jk->ik", *SMALL.args, why="int8 is summed in int32"),
        arrays("i,i", [1.0, nan], [1.0, 0.0], expect=nan, grad=False, why="nan"),
    ],
    errors=[
        Bad("ij,jk->ik", np.ones((3, 4)), match="names 2 operands, but there are 1"),
        Bad("ij,jk->ik", np.ones((3, 4)), np.ones((5, 2)), match="'j' is 4 in one place and 5 in another"),
        Bad("ijk->ik", np.ones((3, 4)), match=r"'ijk' does not fit an operand of shape \(3, 4\)"),
        Bad("ij->ik", np.ones((3, 4)), match="the output's 'k' is in no operand"),
        Bad("ij->ii", np.ones((3, 4)), match="the output has 'i' twice"),
        Bad("i1->i", np.ones((3, 4)), match="should have letters"),
        Bad("...i->i", np.ones((3, 4)), match="the output should keep the '...'"),
        Bad("ii->i", np.ones((3, 4)), match="'i' is 3 in one place and 4 in another"),
        Bad(3, np.ones((3, 4)), match="subscripts should be a string", error=TypeError),
    ],
    dtypes=FLOATS,
)
product(
    ops.tensordot,
    by_flattening(lambda x1, x2, axes=2: np.tensordot(x1, x2, axes)),
    samples=[
        Sample(draw(2, 3, 4), draw(3, 4, 5, seed=1)),
        Sample(draw(2, 3), draw(3, 4, seed=1), axes=1),
        Sample(draw(2, 3), draw(4, seed=1), axes=0, why="every product"),
        Sample(draw(2, 3, 4), draw(4, 5, 2, seed=1), axes=[[0, 2], [2, 0]], why="pairs in another order"),
        Sample(draw(2, 3), draw(2, 4, seed=1), axes=(0, 0), why="a pair of axes"),
        Sample(draw(2, 3), draw(2, 3, seed=1), axes=((-1, 0), (1, 0)), why="a number is left"),
        Sample(complex_draw(3, 4), complex_draw(4, 2, seed=3), axes=1, **AS_COMPLEX),
        Sample(*SMALL.args, axes=1, why="int8 wraps around"),
    ],
    errors=[
        Bad(np.ones((2, 3)), np.ones((2, 3)), axes=1, match="axis 1 of shape .* and axis 0 of shape .* differ in size"),
        Bad(np.ones((2, 3)), np.ones((2, 3)), axes=3, match="axes=3 should be from 0"),
        Bad(np.ones((2, 3)), np.ones((2, 3)), axes=((0, 1), (0,)), match="as many axes of x1 as of x2"),
        Bad(np.ones((2, 3)), np.ones((2, 3)), axes=(2, 0), match="axes=2 is out of range"),
    ],
)
product(
    ops.dot,
    by_flattening(lambda x1, x2: np.dot(x1, x2).astype(np.result_type(x1, x2))),
    samples=[
        Sample(draw(3, 4), draw(4, 5, seed=1)),
        Sample(draw(4), draw(4, seed=1), why="two vectors"),
        Sample(draw(2, 3, 4), draw(4, seed=1), why="with a vector"),
        Sample(draw(4), draw(2, 4, 3, seed=1), why="the last but one axis"),
        Sample(draw(2, 3, 4), draw(5, 4, 2, seed=1), why="axes are kept, not paired"),
        Sample(draw(2, 3), 2.5, grad=["x1"], why="a number"),
        Sample(draw(), draw(3, seed=1), why="a scalar"),
        NAN,
        WRAPPING,
    ],
    errors=[Bad(np.ones((2, 3)), np.ones((2, 3)), match="differ in size")],
)
product(
    ops.inner,
    by_flattening(lambda x1, x2: np.inner(x1, x2)),
    samples=[
        Sample(draw(3, 4), draw(5, 4, seed=1)),
        Sample(draw(4), draw(4, seed=1), why="two vectors"),
        Sample(draw(2, 3, 4), draw(4, seed=1), why="with a vector"),
        Sample(draw(), draw(3, seed=1), why="a scalar"),
        NAN,
    ],
    errors=[Bad(np.ones((2, 3)), np.ones((3, 2)), match="differ in size")],
)
product(
    ops.vdot,
    by_flattening(lambda x1, x2: np.vdot(x1, x2)),
    samples=[
        Sample(draw(4), draw(4, seed=1)),
        Sample(draw(3, 4), draw(3, 4, seed=1), why="flattened"),
        Sample(draw(3, 4), draw(12, seed=1), why="another shape of as many elements"),
        NAN,
        Sample(
            complex_draw(3), complex_draw(3, seed=3), grad=False, dtypes=("float64",), why="the conjugate of the first"
        ),
    ],
    errors=[Bad(np.ones((2, 3)), np.ones((5,)), match="have 6 and 5 elements")],
)
Case(
    ops.outer,
    lambda x1, x2: np.outer(x1, x2),
    samples=[
        Sample(draw(3), draw(4, seed=1)),
        Sample(draw(2, 3), draw(2, 2, seed=1), why="flattened"),
        Sample(draw(), draw(3, seed=1), why="a scalar"),
        Sample(np.zeros((0,)), draw(3), why="nothing"),
    ],
)
Case(
    ops.kron,
    lambda x1, x2: np.kron(x1, x2),
    samples=[
        Sample(draw(2, 3), draw(4, 2, seed=1)),
        Sample(draw(3), draw(2, seed=1), why="vectors"),
        Sample(draw(2, 3), draw(4, seed=1), why="fewer dimensions"),
        Sample(draw(2, 1, 3), draw(2, 2, 1, seed=1), why="three dimensions"),
        Sample(draw(), draw(3, seed=1), why="a scalar"),
    ],
)


def cross_formula(x1, x2, axisa=-1, axisb=-1, axisc=-1, axis=None):
    if axis is not None:
        axisa = axisb = axisc = axis
    if x1.dtype == bool and x2.dtype == bool:
        x1, x2 = x1.astype("int32"), x2.astype("int32")
    a, b = np.moveaxis(x1, axisa, -1), np.moveaxis(x2, axisb, -1)
    flat = a.shape[-1] == b.shape[-1] == 2
    a, b = ([v[..., i] if i < v.shape[-1] else np.zeros_like(v[..., 0]) for i in range(3)] for v in (a, b))
    z = a[0] * b[1] - a[1] * b[0]
    if flat:
        return z
    return np.moveaxis(np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], z], -1), -1, axisc)


Case(
    ops.cross,
    cross_formula,
    samples=[
        Sample(draw(3), draw(3, seed=1)),
        Sample(draw(4, 3), draw(4, 3, seed=1)),
        Sample(draw(4, 2), draw(4, 2, seed=1), why="two components: the third of the result alone"),
        Sample(draw(4, 2), draw(4, 3, seed=1), why="two and three"),
        Sample(draw(2, 1, 3), draw(5, 3, seed=1), why="the rest broadcasts"),
        Sample(draw(3, 4), draw(4, 3, seed=1), axisa=0, axisc=0, why="components elsewhere"),
        Sample(draw(3, 4), draw(3, 4, seed=1), axis=0, why="one axis for all"),
        arrays([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], expect=[0.0, 0.0, 1.0], why="x, y, z"),
    ],
    errors=[
        Bad(np.ones((4, 3)), np.ones((4, 4)), match="should have 2 or 3 components"),
        Bad(np.ones(3), np.ones(3), axisa=1, match="axisa=1 is out of range"),
    ],
    tol={"float64": 2e-15, "float32": 1e-6},
)

# -- norms ------------------------------------------------------------------------------


def norm_formula(x, ord=None, axis=None, keepdims=False):
    return np.linalg.norm(x, ord, axis, keepdims)


Case(
    ops.norm,
    norm_formula,
    samples=[
        *(Sample(draw(3, 4), axis=a) for a in (None, 0, -1, (0, 1))),
        Sample(draw(2, 3, 4), why="flattened"),
        Sample(draw(2, 3, 4), keepdims=True),
        *(Sample(draw(3, 4), o, 1) for o in (1, 2, 3, 2.5, inf, -inf, -1, -2, 0.5)),
        arrays([[0.0, 3.0], [0.0, 0.0]], 0, 1, grad=False, expect=[1.0, 0.0], why="how many are not 0"),
        *(Sample(draw(3, 4), o) for o in ("fro", "nuc", 1, -1, 2, -2, inf, -inf)),
        *(Sample(draw(2, 4, 3), o, (2, 0), True) for o in ("fro", "nuc", 1, 2, inf)),
        Sample(draw(5), 3, why="a vector without an axis"),
        Sample(np.zeros((2, 3)), axis=1, expect=[0.0] * 2, gradient=np.zeros((2, 3)), why="the kink at 0"),
        Sample(np.zeros(3), 3, expect=0.0, gradient=np.zeros(3), why="the kink at 0"),
        Sample(np.zeros(3), 1, expect=0.0, gradient=np.zeros(3), why="the kink at 0"),
        arrays([0.0, 2.0], 0.5, expect=2.0, gradient=[0.0, 1.0], why="a zero among others"),
        arrays([0.0, 2.0], -1, expect=0.0, gradient=[0.0, 0.0], grad=False, why="a negative order at 0"),
        arrays([[3.0, nan], [inf, 4.0]], axis=1, expect=[nan, inf], grad=False, why="nan and infinities"),
        arrays([[0.0, nan], [inf, 4.0]], 0, 1, expect=[1.0, 2.0], grad=False, why="nan is not 0"),
        arrays([300.0, 400.0], expect=500.0, grad=False, dtypes=("float16", "float32"), why="squares overflow float16"),
        Sample(complex_draw(3, 4), axis=1, **AS_COMPLEX),
        Sample(whole(3, 4), axis=1, why="integers become floats"),
    ],
    errors=[
        Bad(np.ones((2, 3)), 0, match="ord=0 should be one of"),
        Bad(np.ones((2, 3)), "fro", 0, match="ord='fro' should be None or a number"),
        Bad(np.ones((2, 3, 4)), 2, match="is of vectors and matrices"),
        Bad(np.ones((2, 3, 4)), axis=(0, 1, 2), match="should be one axis, for vectors, or two"),
        Bad(np.ones((2, 3)), axis=2, match="axis=2 is out of range"),
    ],
    tol={"float64": 4e-15, "float32": 2e-6},
)
