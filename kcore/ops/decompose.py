"""Matrix decompositions and what is computed from them: inverses, solutions, determinants, distances.

Matrices are the last two axes; earlier ones are a batch. float16 and bfloat16 are computed in float32.
A decomposition is unique only up to signs; here the signs are chosen, so that backends agree.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes

from kcore import dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.numerics import real_dtype, root, squared, wide
from kcore.ops.symbolic import Spec

# -- rules of this family ---------------------------------------------------------------


def _matrices(x: Spec, name: str = "x") -> str:
    """Checks that x holds matrices; their float dtype."""
    if x.ndim < 2:
        raise ValueError(f"{name} should be a matrix, or a batch of them, not of shape {x.shape}.")
    return dtypes.float_of(x.dtype)


def _square(x: Spec, name: str = "x") -> str:
    """Checks that x holds square matrices; their float dtype."""
    dtype = _matrices(x, name)
    if x.shape[-1] != x.shape[-2] and None not in x.shape[-2:]:
        raise ValueError(f"{name} should be square in its last two axes, not of shape {x.shape}.")
    return dtype


def _filled(x: Spec) -> None:
    if 0 in x.shape[-2:]:
        raise ValueError(f"x of shape {x.shape} holds empty matrices.")


def _squared_away(x: Spec) -> Plan:
    """Square matrices to ones of the same shape."""
    dtype = _square(x)
    return Plan(x.shape, dtype, cast=dtype)


def _to_number(x: Spec) -> Plan:
    """Square matrices to a number each."""
    dtype = _square(x)
    return Plan(x.shape[:-2], dtype, cast=dtype)


def _least(a: int | None, b: int | None) -> int | None:
    return None if None in (a, b) else min(a, b)  # type: ignore[type-var]


# -- positive definite matrices ---------------------------------------------------------


@op(rule=lambda x, upper: _squared_away(x))
def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    """The triangular matrix L with positive diagonal and L @ L^H = x; with `upper`, U with U^H @ U = x.

    Args:
        x: (..., n, n), Hermitian and positive definite; of other matrices the Hermitian part is taken.
        upper: Whether the upper triangle is wanted.

    Raises:
        ValueError: x is not square, or a matrix is not positive definite (in compiled code, where that can't
            be seen, the result is nan).

    >>> ops.cholesky([[4.0, 2.0], [2.0, 5.0]])
    Tensor([[2., 0.],
           [1., 2.]], dtype=float32)
    """


@op(rule=lambda x, upper: _squared_away(x))
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose Cholesky factor is x: of x @ x^H, or with `upper` of x^H @ x.

    Only that triangle of x is read.

    Raises:
        ValueError: x is not square, or a diagonal element is 0 (JAX gives infinities).

    >>> ops.cholesky_inverse([[2.0, 0.0], [0.0, 4.0]])
    Tensor([[0.25  , 0.    ],
           [0.    , 0.0625]], dtype=float32)
    """
    n = x.shape[-1]
    eye = ops.reshape(ops.eye(n, dtype=dtypes.name_of(x.dtype)), [1] * (len(x.shape) - 2) + [n, n])
    inverse = solve_triangular(x, eye, lower=not upper)
    adjoint = ops.conj(ops.swapaxes(inverse, -1, -2))
    return ops.matmul(inverse, adjoint) if upper else ops.matmul(adjoint, inverse)


# -- determinants and inverses ----------------------------------------------------------


@op(rule=_to_number)
def det(x: Tensor) -> Tensor:
    """The determinant; 1 of an empty matrix. First gradients are right for singular matrices too.

    Raises:
        ValueError: x is not square.

    >>> ops.det([[1.0, 2.0], [3.0, 4.0]])
    Tensor(-2., dtype=float32)
    """


def _signed_log(x: Spec) -> Plan:
    dtype = _square(x)
    return Plan.many((Spec(x.shape[:-2], dtype), Spec(x.shape[:-2], dtypes.real_of(dtype))), cast=dtype)


@op(rule=_signed_log)
def slogdet(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sign of the determinant and the logarithm of its absolute value; (0, -inf) for a singular matrix.

    Raises:
        ValueError: x is not square.

    >>> ops.slogdet([[0.0, 1.0], [1.0, 0.0]])
    (Tensor(-1., dtype=float32), Tensor(0., dtype=float32))
    """


@op(rule=lambda x: Plan(x.shape[:-2], dtypes.real_of(_square(x)), cast=_square(x)))
def logdet(x: Tensor) -> Tensor:
    """The logarithm of the determinant of a Hermitian, positive definite matrix, by its Cholesky factor.

    Raises:
        ValueError: x is not square or not positive definite, as for `cholesky`.

    >>> ops.logdet([[2.0, 0.0], [0.0, 3.0]])
    Tensor(1.7918, dtype=float32)
    """
    dtype = real_dtype(x)
    diagonal = ops.real(ops.diagonal(cholesky(wide(x)), axis1=-2, axis2=-1))
    return ops.cast(2 * ops.sum(ops.log(diagonal), -1), dtype)


@op(rule=_squared_away)
def inv(x: Tensor) -> Tensor:
    """The inverse.

    Raises:
        ValueError: x is not square, or a matrix is singular (JAX gives infinities or nan).

    >>> ops.inv([[2.0, 0.0], [0.0, 4.0]])
    Tensor([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """


def _fitted(a: Spec, b: Spec, rcond: float | None = None) -> Plan:
    """The x of a @ x = b, for matrices or, with one dimension less, vectors b."""
    _matrices(a, "a")
    dtype = dtypes.float_of(dtypes.promote(a.dtype, b.dtype))
    vectors = b.ndim == a.ndim - 1
    if not vectors and b.ndim != a.ndim:
        raise ValueError(f"b of shape {b.shape} should have as many dimensions as a of shape {a.shape}, or one less.")
    n = b.shape[-1 if vectors else -2]
    if None not in (n, a.shape[-2]) and n != a.shape[-2]:
        raise ValueError(f"a of shape {a.shape} has {a.shape[-2]} rows; b of shape {b.shape} should have as many.")
    batch = rules.broadcast(a.shape[:-2], b.shape[: a.ndim - 2])
    return Plan((*batch, a.shape[-1], *(() if vectors else b.shape[-1:])), dtype, cast=dtype)


def _solved(a: Spec, b: Spec, lower: bool = False) -> Plan:
    _square(a, "a")
    return _fitted(a, b)


@op(rule=_solved)
def solve(a: Tensor, b: Tensor) -> Tensor:
    """The x with a @ x = b.

    Args:
        a: (..., n, n).
        b: (..., n, m), or (..., n) for vectors, with one dimension less than a.

    Returns:
        The shape of b; batches broadcast.

    Raises:
        ValueError: The shapes don't fit, or a matrix is singular (JAX gives infinities or nan).

    >>> ops.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0])
    Tensor([1. , 0.5], dtype=float32)
    """


@op(rule=_solved)
def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Tensor:
    """The x with a @ x = b for a triangular a, whose other triangle is not read.

    Args:
        a: (..., n, n).
        b: (..., n, m), or (..., n) for vectors, with one dimension less than a.
        lower: Whether a is lower triangular.

    Returns:
        The shape of b; batches broadcast.

    Raises:
        ValueError: The shapes don't fit, or a diagonal element is 0 (frameworks give infinities or nan).

    >>> ops.solve_triangular([[2.0, 0.0], [1.0, 1.0]], [2.0, 3.0], lower=True)
    Tensor([1., 2.], dtype=float32)
    """


def _inverted(x: Spec, rcond: float | None) -> Plan:
    dtype = _matrices(x)
    if rcond is None:
        rcond = _roundoff(x.shape, dtype)
    return Plan((*x.shape[:-2], x.shape[-1], x.shape[-2]), dtype, cast=dtype, rcond=rcond)


def _roundoff(shape: Any, dtype: str) -> float | None:
    """The relative size below which a singular value is rounding error; None while a size is not known."""
    eps = float(ml_dtypes.finfo(dtypes.to_numpy(dtypes.accumulator(dtypes.real_of(dtype)))).eps)
    return None if None in shape[-2:] else max(1, *shape[-2:]) * eps


@op(rule=_inverted)
def pinv(x: Tensor, rcond: float | None = None) -> Tensor:
    """The Moore-Penrose pseudo-inverse.

    Args:
        x: (..., n, m).
        rcond: Singular values up to `rcond` times the greatest one count as 0. None is max(n, m) times the
            dtype's epsilon.

    Returns:
        (..., m, n). The gradient takes the rank for constant.

    Raises:
        ValueError: x is no matrix.

    >>> ops.pinv([[3.0], [4.0]])
    Tensor([[0.12, 0.16]], dtype=float32)
    """


@op(rule=_fitted)
def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Tensor:
    """The x of least norm among those with the least |a @ x - b|.

    Args:
        a: (..., n, k).
        b: (..., n, m), or (..., n) for vectors, with one dimension less than a.
        rcond: As for `pinv`.

    Returns:
        (..., k, m) or (..., k); where b has nan, its column is nan.

    Raises:
        ValueError: The shapes don't fit.

    >>> ops.lstsq([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 3.0, 5.0])
    Tensor([1., 2.], dtype=float32)
    """
    inverse = pinv(a, rcond)
    if len(b.shape) == len(a.shape):
        return ops.matmul(inverse, b)
    return ops.squeeze(ops.matmul(inverse, ops.expand_dims(b, -1)), -1)


# -- factors ----------------------------------------------------------------------------


def _orthogonal(x: Spec, mode: str) -> Plan:
    rules.one_of(mode, ("reduced", "complete"), "mode")
    dtype = _matrices(x)
    *batch, n, m = x.shape
    k = n if mode == "complete" else _least(n, m)
    return Plan.many((Spec((*batch, n, k), dtype), Spec((*batch, k, m), dtype)), cast=dtype)


@op(rule=_orthogonal)
def qr(x: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """(q, r): q with orthonormal columns, r upper triangular with no negative number on its diagonal, q @ r = x.

    Args:
        x: (..., n, m).
        mode: With "reduced" q is (..., n, k) and r (..., k, m) for k = min(n, m); with "complete" k is n. The columns of
            a complete q beyond m are any that fill up the space.

    There is a gradient where the first min(n, m) columns of x are independent, but none for a complete q with n > m.

    Raises:
        ValueError: x is no matrix, or `mode` is neither.

    >>> q, r = ops.qr([[3.0, 1.0], [4.0, 2.0]])
    >>> ops.matmul(q, r)
    Tensor([[3., 1.],
           [4., 2.]], dtype=float32)
    """


def _singular(x: Spec, full_matrices: bool, compute_uv: bool) -> Plan:
    dtype = _matrices(x)
    _filled(x)
    *batch, n, m = x.shape
    k = _least(n, m)
    s = Spec((*batch, k), dtypes.real_of(dtype))
    if not compute_uv:
        return Plan(s.shape, s.dtype, cast=dtype)
    u = Spec((*batch, n, n if full_matrices else k), dtype)
    vh = Spec((*batch, m if full_matrices else k, m), dtype)
    return Plan.many((u, s, vh), cast=dtype)


@op(rule=_singular)
def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular value decomposition (u, s, vh): x = u @ diag(s) @ vh, with s in descending order.

    Args:
        x: (..., n, m).
        full_matrices: u is (..., n, n) and vh (..., m, m); otherwise k = min(n, m) of their columns and rows are
            given.
        compute_uv: False gives s alone, (..., k).

    The signs are those that make the element of greatest absolute value in each of u's first k columns positive (for
    complex numbers: real and positive). Gradients of u and vh need full_matrices=False unless x is square, and are
    0 between equal singular values; those of complex u and vh are of functions that don't depend on the phase.

    Raises:
        ValueError: x is no matrix, or an empty one.

    >>> ops.svd([[3.0, 0.0], [0.0, -4.0]], compute_uv=False)
    Tensor([4., 3.], dtype=float32)
    """


def _own(x: Spec, dtype_of: Any) -> Plan:
    dtype = _square(x)
    _filled(x)
    values, vectors = dtype_of(dtype)
    return Plan.many((Spec(x.shape[:-1], values), Spec(x.shape, vectors)), cast=dtype)


@op(rule=lambda x: _own(x, lambda dtype: (dtypes.real_of(dtype), dtype)))
def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues (ascending) and the orthonormal eigenvectors (columns) of a Hermitian matrix.

    Args:
        x: (..., n, n); of matrices that are not Hermitian, the Hermitian part is taken.

    The signs are those that make the element of greatest absolute value in each column positive. Gradients of
    vectors are 0 between equal eigenvalues; complex ones are of functions that don't depend on the phase.

    Raises:
        ValueError: x is not square, or empty.

    >>> values, vectors = ops.eigh([[2.0, 1.0], [1.0, 2.0]])
    >>> values
    Tensor([1., 3.], dtype=float32)
    """


def _complex(dtype: str) -> tuple[str, str]:
    found = "complex128" if dtypes.real_of(dtype) == "float64" else "complex64"
    return found, found


@op(rule=lambda x: _own(x, _complex))
def eig(x: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues and eigenvectors (columns of norm 1) of a square matrix, always complex, in no set order.

    The phases are those that make the element of greatest absolute value in each column real and positive.
    Gradients of vectors are of functions that don't depend on the phase; JAX has them for the values alone.

    Raises:
        ValueError: x is not square, or empty.

    >>> values, vectors = ops.eig([[0.0, -1.0], [1.0, 0.0]])
    >>> ops.absolute(values)
    Tensor([1., 1.], dtype=float32)
    """


def _factored(x: Spec) -> Plan:
    dtype = _matrices(x)
    _filled(x)
    pivots = Spec((*x.shape[:-2], _least(*x.shape[-2:])), "int32")
    return Plan.many((Spec(x.shape, dtype), pivots), cast=dtype)


@op(rule=_factored)
def lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    """The LU decomposition with partial pivoting, as (lu, pivots).

    Args:
        x: (..., n, m).

    Returns:
        lu: U in the upper triangle, L below it without its diagonal of ones; P @ x = L @ U.
        pivots: int32, (..., min(n, m)): row i was exchanged with row pivots[i], one after the other, from 0.

    Raises:
        ValueError: x is no matrix, or an empty one.

    >>> lu, pivots = ops.lu_factor([[1.0, 2.0], [4.0, 2.0]])
    >>> lu
    Tensor([[4.  , 2.  ],
           [0.25, 1.5 ]], dtype=float32)
    >>> pivots
    Tensor([1, 1], dtype=int32)
    """


def _ranked(x: Spec, tol: float | None) -> Plan:
    dtype = _matrices(x)
    _filled(x)
    return Plan(x.shape[:-2], "int32", cast=dtype)


@op(rule=_ranked)
def matrix_rank(x: Tensor, tol: float | None = None) -> Tensor:
    """The number of singular values above `tol`, in int32.

    Args:
        x: (..., n, m).
        tol: None is the greatest singular value times max(n, m) times the dtype's epsilon.

    Raises:
        ValueError: x is no matrix, or an empty one.

    >>> ops.matrix_rank([[1.0, 2.0], [2.0, 4.0]])
    Tensor(1, dtype=int32)
    """
    s = svd(wide(x), compute_uv=False)
    if tol is None:
        tol = ops.max(s, -1, keepdims=True) * _roundoff(x.shape, dtypes.name_of(x.dtype))
    return ops.count_nonzero(ops.greater(s, tol), -1)


# -- distances --------------------------------------------------------------------------


def _distanced(x: Spec, y: Spec) -> Plan:
    for t, name in ((x, "x"), (y, "y")):
        rules.require_ndim(t, (2, 32), name)
    if x.shape[-1] != y.shape[-1] and None not in (x.shape[-1], y.shape[-1]):
        raise ValueError(f"points of shapes {x.shape} and {y.shape} have {x.shape[-1]} and {y.shape[-1]} coordinates.")
    dtype = dtypes.float_of(dtypes.promote(x.dtype, y.dtype))
    shape = (*rules.broadcast(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-2])
    return Plan(shape, dtypes.real_of(dtype), cast=dtype)


@op(rule=_distanced)
def cdist(x: Tensor, y: Tensor) -> Tensor:
    """The Euclidean distance of every point of x from every point of y.

    From differences of coordinates, so that near points keep their distance. Its gradient at 0 is 0.

    Args:
        x: (..., n, d).
        y: (..., m, d); batches broadcast.

    Returns:
        (..., n, m).

    Raises:
        ValueError: The numbers of coordinates differ.

    >>> ops.cdist([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]])
    Tensor([[5., 1.]], dtype=float32)
    """
    dtype = real_dtype(x)
    gaps = ops.expand_dims(wide(x), -2) - ops.expand_dims(wide(y), -3)
    return ops.cast(root(ops.sum(squared(gaps), -1)), dtype)
