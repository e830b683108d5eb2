"""Records of the matrix decompositions."""

from __future__ import annotations

import functools

import numpy as np
import scipy.linalg
from numpy import inf, nan

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import AS_COMPLEX, FLOATS, PRECISE, arrays, complex_draw, draw, ints, whole

# Errors grow with the condition of the matrix, which is below ten here.
CONDITION = {"float64": 2e-14, "float32": 1e-5}
STEEP = 1e-5  # of gradients, by differences that are taken through an inverse
conditioned = functools.partial(Case, tol=CONDITION, grad_tol=STEEP)


def h(x):
    return np.conj(np.swapaxes(x, -1, -2))


def regular(*shape, seed=0):
    """Square matrices of a low condition, with no symmetry."""
    return draw(*shape, low=-0.5, high=0.5, seed=seed) + np.diag(np.arange(1.5, 1.5 + shape[-1]))


def definite(*shape, seed=0):
    """Symmetric positive definite matrices of a low condition."""
    x = draw(*shape, seed=seed)
    return x @ h(x) / shape[-1] + np.diag(np.arange(1.0, 1.0 + shape[-1]))


def hermitian_part(x):
    return (x + h(x)) / 2


NOT_SQUARE = Bad(np.ones((2, 3)), match=r"x should be square in its last two axes, not of shape \(2, 3\)")
NO_MATRIX = Bad(np.ones(3), match=r"x should be a matrix, or a batch of them, not of shape \(3,\)")
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])
INTEGERS = ints([[2, 1], [1, 3]], why="integers become floats")

# -- positive definite matrices ---------------------------------------------------------


def cholesky_formula(x, upper=False):
    y = np.linalg.cholesky(hermitian_part(x))
    return h(y) if upper else y


conditioned(
    ops.cholesky,
    cholesky_formula,
    samples=[
        Sample(definite(3, 3)),
        Sample(definite(4, 4), upper=True),
        Sample(definite(2, 3, 3), why="a batch"),
        arrays([[4.0]], expect=[[2.0]], why="one element"),
        arrays([[4.0, 1.0], [3.0, 5.0]], why="of a matrix that is not symmetric, the symmetric part"),
        arrays([[4, 1 + 1j], [1 - 1j, 3]], **AS_COMPLEX),
        INTEGERS,
    ],
    errors=[NOT_SQUARE, NO_MATRIX],
)


def cholesky_inverse_formula(x, upper=False):
    t = np.triu(x) if upper else np.tril(x)
    return np.linalg.inv(h(t) @ t if upper else t @ h(t))


conditioned(
    ops.cholesky_inverse,
    cholesky_inverse_formula,
    samples=[
        Sample(np.tril(regular(3, 3))),
        Sample(np.triu(regular(3, 3)), upper=True),
        Sample(regular(2, 3, 3), why="a batch, and the other triangle is not read"),
    ],
    errors=[NOT_SQUARE, NO_MATRIX],
)

# -- determinants and inverses ----------------------------------------------------------

conditioned(
    ops.det,
    lambda x: np.linalg.det(x),
    samples=[
        Sample(regular(3, 3)),
        Sample(regular(2, 3, 3), why="a batch"),
        arrays([[3.0]], expect=3.0, why="one element"),
        Sample(
            SINGULAR,
            expect=0.0,
            gradient=[[4.0, -2.0], [-2.0, 1.0]],
            why="a singular matrix: the gradient is that of its cofactors",
        ),
        Sample(np.zeros((2, 2)), expect=0.0, gradient=np.zeros((2, 2)), why="rank 0"),
        Sample(complex_draw(3, 3), **AS_COMPLEX),
        INTEGERS,
    ],
    errors=[NOT_SQUARE, NO_MATRIX],
)
conditioned(
    ops.slogdet,
    lambda x: tuple(np.linalg.slogdet(x)),
    samples=[
        Sample(regular(3, 3)),
        Sample(-regular(3, 3), why="a negative determinant"),
        Sample(regular(2, 4, 4), why="a batch"),
        Sample(np.eye(40) * 1e-3, grad=False, why="a determinant that underflows"),
        Sample(np.zeros((2, 2)), expect=(0.0, -inf), grad=False, why="a singular matrix"),
        Sample(complex_draw(3, 3), **AS_COMPLEX),
    ],
    errors=[NOT_SQUARE, NO_MATRIX],
)
conditioned(
    ops.logdet,
    lambda x: 2 * np.sum(np.log(np.diagonal(cholesky_formula(x), axis1=-2, axis2=-1)), -1),
    samples=[
        Sample(definite(3, 3)),
        Sample(definite(2, 4, 4), why="a batch"),
        Sample(np.eye(40) * 1e-3, grad=False, why="a determinant that underflows"),
        INTEGERS,
    ],
    errors=[NOT_SQUARE, NO_MATRIX],
)
conditioned(
    ops.inv,
    lambda x: np.linalg.inv(x),
    samples=[
        Sample(regular(3, 3)),
        Sample(regular(2, 3, 3), why="a batch"),
        arrays([[0.0, 2.0], [4.0, 0.0]], expect=[[0.0, 0.25], [0.5, 0.0]], why="zeros on the diagonal"),
        Sample(complex_draw(3, 3), **AS_COMPLEX),
        INTEGERS,
    ],
    errors=[NOT_SQUARE, NO_MATRIX],
)


def pinv_formula(x, rcond=None):
    return np.linalg.pinv(x, max(x.shape[-2:]) * 2.0**-23 if rcond is None else rcond)


conditioned(
    ops.pinv,
    pinv_formula,
    samples=[
        Sample(draw(4, 3)),
        Sample(draw(2, 3), why="more columns than rows"),
        Sample(regular(3, 3), why="a square matrix"),
        Sample(draw(2, 4, 3), why="a batch"),
        Sample(np.eye(3)[:, :2], why="equal singular values"),
        Sample(np.outer([1.0, 2.0, 3.0], [1.0, -1.0]), grad=False, why="rank 1"),
        Sample(np.diag([1.0, 1e-3, 2.0]), rcond=1e-2, grad=False, why="a small singular value counts as 0"),
        Sample(complex_draw(3, 2), **AS_COMPLEX),
    ],
    errors=[NO_MATRIX],
)


def solve_formula(a, b):
    return np.linalg.solve(a, b[..., None])[..., 0] if b.ndim < a.ndim else np.linalg.solve(a, b)


NO_FIT = [
    Bad(np.ones((2, 3)), np.ones(3), match="a should be square"),
    Bad(np.eye(3), np.ones(2), match=r"a of shape \(3, 3\) has 3 rows; b of shape \(2,\)"),
    Bad(np.eye(3), np.ones((2, 3, 3)), match="as many dimensions as a"),
]
conditioned(
    ops.solve,
    solve_formula,
    samples=[
        Sample(regular(3, 3), draw(3, 2)),
        Sample(regular(3, 3), draw(3), why="a vector"),
        Sample(regular(2, 3, 3), draw(2, 3), why="a batch of vectors"),
        Sample(regular(2, 3, 3), draw(2, 3, 4), why="a batch"),
        Sample(regular(2, 3, 3), draw(1, 3, 4), why="batches broadcast"),
        Sample(complex_draw(3, 3), complex_draw(3, 2, seed=4), **AS_COMPLEX),
        ints([[2, 0], [0, 4]], [1, 1], expect=[0.5, 0.25], why="integers become floats"),
    ],
    errors=NO_FIT,
)


def solve_triangular_formula(a, b, lower=False):
    return solve_formula(np.tril(a) if lower else np.triu(a), b)


conditioned(
    ops.solve_triangular,
    solve_triangular_formula,
    samples=[
        Sample(regular(3, 3), draw(3, 2), why="the other triangle is not read"),
        Sample(regular(3, 3), draw(3), lower=True, why="a vector"),
        Sample(regular(2, 3, 3), draw(2, 3), lower=True, why="a batch of vectors"),
        Sample(regular(2, 3, 3), draw(2, 3, 4), why="a batch"),
        Sample(regular(2, 3, 3), draw(1, 3, 4), lower=True, why="batches broadcast"),
        Sample(regular(3, 3) + 1j * draw(3, 3), complex_draw(3, 2, seed=4), **AS_COMPLEX),
        arrays(
            [[2.0, 0.0], [1.0, 1.0]],
            [np.nan, 2.0],
            lower=True,
            expect=[np.nan, np.nan],
            grad=False,
            why="nan goes down",
        ),
    ],
    errors=NO_FIT,
)


def lstsq_formula(a, b, rcond=None):
    return np.linalg.pinv(a, max(a.shape[-2:]) * 2.0**-23 if rcond is None else rcond) @ b


conditioned(
    ops.lstsq,
    lambda a, b, rcond=None: (
        lstsq_formula(a, b[..., None], rcond)[..., 0] if b.ndim < a.ndim else lstsq_formula(a, b, rcond)
    ),
    samples=[
        Sample(draw(4, 3), draw(4, seed=1)),
        Sample(draw(4, 3), draw(4, 2, seed=1), why="several right sides"),
        Sample(draw(2, 4), draw(2, seed=1), why="more unknowns than equations: the solution of least norm"),
        Sample(draw(2, 4, 3), draw(2, 4, 2, seed=1), why="a batch"),
        arrays(np.outer([1.0, 2.0, 3.0], [1.0, -1.0]), [1.0, 2.0, 3.0], expect=[0.5, -0.5], grad=False, why="rank 1"),
        Sample(draw(4, 3), draw(4, 2, seed=1) * [1, nan], grad=False, why="nan, in one of the right sides"),
    ],
    errors=[
        Bad(np.ones((3, 2)), np.ones(2), match=r"a of shape \(3, 2\) has 3 rows"),
        Bad(np.ones(3), np.ones(3), match="a should be a matrix"),
        Bad(np.ones((2, 3, 2)), np.ones(3), match="as many dimensions as a"),
    ],
)

# -- factors ----------------------------------------------------------------------------


def qr_formula(x, mode="reduced"):
    q, r = np.linalg.qr(x, mode)
    k = min(x.shape[-2:])
    sign = np.where(np.diagonal(r, axis1=-2, axis2=-1).real < 0, -1, 1)
    q, r = q.copy(), r.copy()
    q[..., :k] *= sign[..., None, :]
    r[..., :k, :] *= sign[..., :, None]
    return q, r


def alike_but_for_fill(got, want, tol):
    """Compares, but takes the columns of a complete q that fill up the space for what they are: any."""
    assert got.shape == want.shape, f"shape {got.shape} instead of {want.shape}"
    wide = got.astype("complex128")
    if got.shape[-1] == got.shape[-2] > FILLED:
        gap = np.abs(h(wide) @ wide - np.eye(got.shape[-1])).max()
        assert gap <= tol, f"columns are orthonormal but for {gap:.2g}"
        wide, want = wide[..., :FILLED], want[..., :FILLED]
    gap = np.abs(wide - want).max() if want.size else 0.0
    assert gap <= tol * max(1.0, np.abs(want).max(initial=0)), f"off by {gap:.2g}"


FILLED = 3  # the columns of the matrices whose q is filled up
conditioned(
    ops.qr,
    qr_formula,
    samples=[
        Sample(draw(4, 3)),
        Sample(regular(3, 3), why="a square matrix"),
        Sample(draw(2, 3), why="more columns than rows"),
        Sample(draw(2, 4, 3), why="a batch"),
        Sample(draw(5, 3), mode="complete", grad=False, why="q is filled up"),
        Sample(draw(2, 3), mode="complete", why="nothing to fill up"),
        Sample(complex_draw(3, 2), **AS_COMPLEX),
    ],
    errors=[NO_MATRIX, Bad(np.ones((2, 2)), mode="raw", match="mode='raw' should be one of 'reduced', 'complete'")],
    compare=alike_but_for_fill,
)


def positive(u):
    """What to multiply each column by, so that the first of its large elements is positive."""
    size = np.abs(u)
    first = np.argmax(size >= 0.37 * size.max(-2, keepdims=True), -2, keepdims=True)
    element = np.take_along_axis(u, first, -2)
    return np.conj(element) / np.abs(element)


def svd_formula(x, full_matrices=True, compute_uv=True):
    if not compute_uv:
        return np.linalg.svd(x, compute_uv=False)
    u, s, vh = np.linalg.svd(x, full_matrices=full_matrices)
    k = s.shape[-1]
    sign = positive(u[..., :k])
    u, vh = u.copy(), vh.copy()
    u[..., :k] *= sign
    vh[..., :k, :] *= h(sign)
    return u, s, vh


def spread(*shape, seed=0):
    """Matrices whose singular values are far from each other."""
    u, _, vh = np.linalg.svd(draw(*shape, seed=seed), full_matrices=False)
    return (u * np.arange(4.0, 4.0 - u.shape[-1], -1)) @ vh


conditioned(
    ops.svd,
    svd_formula,
    samples=[
        Sample(spread(4, 3), full_matrices=False),
        Sample(spread(3, 3), why="a square matrix"),
        Sample(spread(2, 3), full_matrices=False, why="more columns than rows"),
        Sample(spread(2, 4, 3), full_matrices=False, why="a batch"),
        Sample(spread(4, 3), compute_uv=False, why="the values alone"),
        Sample(spread(2, 3), compute_uv=False, why="the values alone"),
        arrays(
            [[2.0, 1.0], [1.0, 2.0]],
            expect=(np.array([[1, 1], [1, -1]]) / 2**0.5, [3.0, 1.0], np.array([[1, 1], [1, -1]]) / 2**0.5),
            why="vectors whose elements are equally large",
        ),
        Sample(complex_draw(3, 2), full_matrices=False, **AS_COMPLEX),
    ],
    errors=[NO_MATRIX, Bad(np.ones((0, 3)), match="empty matrices")],
)


def eigh_formula(x):
    w, v = np.linalg.eigh(hermitian_part(x))
    return w, v * positive(v)


conditioned(
    ops.eigh,
    eigh_formula,
    samples=[
        arrays([[3.0, 1.0, -1.0], [1.0, 2.0, 0.5], [-1.0, 0.5, 1.0]]),
        Sample(definite(2, 4, 4), why="a batch"),
        arrays(
            [[2.0, 1.0], [1.0, 2.0]],
            expect=([1.0, 3.0], np.array([[1, 1], [-1, 1]]) / 2**0.5),
            why="vectors whose elements are equally large",
        ),
        arrays([[2.0, 5.0], [1.0, -1.0]], why="of a matrix that is not symmetric, the symmetric part"),
        Sample(hermitian_part(complex_draw(3, 3)), **AS_COMPLEX),
        INTEGERS,
    ],
    errors=[NOT_SQUARE, NO_MATRIX, Bad(np.ones((0, 0)), match="empty matrices")],
)


def in_order(got, want, tol):
    """Compares eigenvalues, or vectors, that may come in another order."""
    assert got.shape == want.shape, f"shape {got.shape} instead of {want.shape}"
    vectors = want.ndim > 1 and want.shape[-1] == want.shape[-2]
    columns = [
        np.swapaxes(a.reshape(-1, *a.shape[-2:]), 1, 2) if vectors else a.reshape(-1, a.shape[-1], 1)
        for a in (got, want)
    ]
    for g, w in zip(*columns, strict=True):
        gaps = np.abs(g[:, None] - w[None]).max(-1)
        nearest = gaps.argmin(1)
        assert len(set(nearest)) == len(nearest), "two results are nearest to one that is wanted"
        assert gaps.min(1).max() <= tol * max(1.0, np.abs(w).max()), f"off by {gaps.min(1).max():.2g}"


def eig_formula(x):
    w, v = np.linalg.eig(x)
    return w, v * positive(v)


Case(
    ops.eig,
    eig_formula,
    samples=[
        arrays([[3.0, 1.0, -1.0], [-2.0, 2.0, 0.5], [1.0, -0.5, 1.0]]),
        Sample(regular(2, 4, 4), why="a batch"),
        arrays([[0.0, 1.0], [-1.0, 0.5]], why="a pair of complex eigenvalues"),
        Sample(np.diag([3.0, 1.0]), why="a diagonal matrix"),
        Sample(complex_draw(3, 3), dtypes=("float64",), why="complex numbers"),
    ],
    errors=[NOT_SQUARE, NO_MATRIX],
    tol=CONDITION,
    compare=in_order,
    grad=False,
)


def lu_formula(x):
    found = [
        scipy.linalg.lapack.dgetrf(m) if x.dtype.kind != "c" else scipy.linalg.lapack.zgetrf(m)
        for m in x.reshape(-1, *x.shape[-2:])
    ]
    return np.stack([f[0] for f in found]).reshape(x.shape), np.stack([f[1] for f in found]).reshape(*x.shape[:-2], -1)


conditioned(
    ops.lu_factor,
    lu_formula,
    samples=[
        Sample(regular(3, 3)),
        Sample(regular(3, 3)[::-1].copy(), why="rows are exchanged"),
        Sample(draw(4, 4), why="rows are exchanged, several times"),
        Sample(draw(4, 3), why="more rows than columns"),
        Sample(draw(2, 4), why="more columns than rows"),
        Sample(draw(2, 4, 4), why="a batch"),
        Sample(draw(2, 4, 3), why="a batch of tall ones"),
        Sample(complex_draw(3, 3), **AS_COMPLEX),
    ],
    errors=[NO_MATRIX, Bad(np.ones((0, 3)), match="empty matrices")],
)


def rank_formula(x, tol=None):
    s = np.linalg.svd(x, compute_uv=False)
    limit = s.max(-1, keepdims=True) * max(x.shape[-2:]) * 2.0**-23 if tol is None else tol
    return (s > limit).sum(-1)


Case(
    ops.matrix_rank,
    rank_formula,
    samples=[
        Sample(draw(4, 3), expect=3),
        Sample(np.outer([1.0, 2.0, 3.0], [1.0, -1.0]), expect=1, why="rank 1"),
        Sample(np.zeros((2, 3)), expect=0, why="rank 0"),
        Sample(np.stack([np.eye(3), np.diag([1.0, 0.0, 2.0])]), expect=[3, 2], why="a batch"),
        Sample(np.diag([1.0, 1e-2, 2.0]), tol=0.1, expect=2, why="a tolerance"),
    ],
    errors=[NO_MATRIX],
    grad=False,
)

# -- distances --------------------------------------------------------------------------

Case(
    ops.cdist,
    lambda x, y: np.sqrt(np.sum(np.abs(x[..., :, None, :] - y[..., None, :, :]) ** 2, -1)),
    samples=[
        Sample(draw(3, 2), draw(4, 2, seed=1)),
        Sample(draw(2, 3, 5), draw(2, 4, 5, seed=1), why="a batch"),
        Sample(draw(3, 2), draw(2, 4, 2, seed=1), why="batches broadcast"),
        arrays(
            [[1.0, 2.0]],
            [[1.0, 2.0], [4.0, 6.0]],
            expect=[[0.0, 5.0]],
            gradient=([[-0.6, -0.8]], [[0.0, 0.0], [0.6, 0.8]]),
            why="the distance 0",
        ),
        arrays(
            [[1e4, 1e4]], [[1e4 + 1, 1e4]], expect=[[1.0]], grad=False, dtypes=PRECISE, why="near points far from 0"
        ),
        arrays([[300.0, 0.0]], [[0.0, 400.0]], expect=[[500.0]], grad=False, why="squares overflow float16"),
        arrays([[nan, 1.0], [inf, 1.0]], [[1.0, 1.0]], expect=[[nan], [inf]], grad=False, why="nan and infinities"),
        Sample(whole(3, 2), whole(4, 2, seed=1), why="integers become floats"),
    ],
    errors=[
        Bad(np.ones((3, 2)), np.ones((4, 3)), match="have 2 and 3 coordinates"),
        Bad(np.ones(3), np.ones((4, 3)), match="x should have"),
    ],
    dtypes=FLOATS,
    tol={"float64": 2e-15, "float32": 1e-6},
)
