"""Definitions and gradient rules of the matrix decompositions.

Gradients are for the real inner product Re(sum(conj(g) * dx)). H is the conjugate transpose.
"""

from __future__ import annotations

import numpy as np

from kcore import dtypes, ops
from kcore.backends.reference.tape import vjp
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.numerics import phase, signed_qr, signed_svd

_quiet = np.errstate(all="ignore")


def _h(x):
    return np.conj(np.swapaxes(x, -1, -2))


def _adjoint(x):
    return ops.conj(ops.swapaxes(x, -1, -2))


def _hermitian(x):
    return (x + _adjoint(x)) * 0.5


def _masked(x, mask):
    """x times a constant matrix of zeros and ones (or halves)."""
    return x * ops.cast(mask, dtypes.name_of(x.dtype))


def _strictly_lower(x):
    return _masked(x, np.tril(np.ones(x.shape[-2:]), -1))


def _upper(x):
    return _masked(x, np.triu(np.ones(x.shape[-2:])))


def _diagonal(x):
    """A vector as a diagonal matrix."""
    return ops.expand_dims(x, -1) * ops.eye(x.shape[-1], dtype=dtypes.name_of(x.dtype))


def _diagonal_of(x):
    return ops.diagonal(x, axis1=-2, axis2=-1)


def _inverse_gaps(x):
    """1 / (x[j] - x[i]) at (i, j), and 0 where they are equal."""
    gaps = ops.expand_dims(x, -2) - ops.expand_dims(x, -1)
    zero = gaps == 0
    return ops.where(zero, 0.0, 1.0 / ops.where(zero, 1.0, gaps))


# -- positive definite matrices ---------------------------------------------------------


@_quiet
def cholesky(x, upper):
    try:
        y = np.linalg.cholesky((x + _h(x)) / 2)
    except np.linalg.LinAlgError:
        raise ValueError("cholesky: a matrix is not positive definite.") from None
    return _h(y) if upper else y


@vjp(ops.cholesky)
def _(g, y, x, upper):
    g, lower = (_adjoint(g), _adjoint(y)) if upper else (g, y)
    # dL = L T(L^-1 dx L^-H), where T takes the lower triangle and half of the diagonal.
    half = np.tril(np.ones(x.shape[-2:])) - np.eye(x.shape[-1]) / 2
    inner = _masked(ops.matmul(_adjoint(lower), g), half)
    return _hermitian(_solve_right(ops.solve_triangular(_adjoint(lower), inner), lower, lower=True))


def _solve_right(b, a, lower):
    """b @ a**-1 for a triangular a."""
    return _adjoint(ops.solve_triangular(_adjoint(a), _adjoint(b), lower=not lower))


# -- determinants and inverses ----------------------------------------------------------

det = _quiet(lambda x: np.asarray(np.linalg.det(x)))


@private_op(rule=lambda x: Plan(x.shape, x.dtype))
def det_slope(x: Tensor):
    """conj(det(x)) * x**-H, which is finite for singular matrices: the conjugate of the cofactors."""
    u, s, vh = np.linalg.svd(x)
    others = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(s.shape[-1])], -1)
    phase = np.conj(np.linalg.det(u) * np.linalg.det(vh))
    return (phase[..., None, None] * (u * others[..., None, :]) @ vh).astype(x.dtype)


@vjp(ops.det)
def _(g, y, x):
    return _on_matrices(g) * det_slope(x) if x.shape[-1] else ops.zeros_like(x)


@vjp(det_slope)
def _(g, y, x):
    inverse = _adjoint(ops.inv(x))
    along = ops.sum(ops.conj(g) * inverse, (-2, -1), keepdims=True) * inverse
    scale = _on_matrices(ops.conj(ops.det(x)))
    return scale * (along - ops.matmul(ops.matmul(inverse, _adjoint(g)), inverse))


def _on_matrices(x):
    """A number for each matrix, to be broadcast over its elements."""
    return ops.expand_dims(x, (-2, -1))


slogdet = _quiet(lambda x: tuple(np.asarray(e) for e in np.linalg.slogdet(x)))


@vjp(ops.slogdet)
def _(g, y, x):
    # d logabsdet = Re tr(x^-1 dx), d sign = i sign Im tr(x^-1 dx)
    scale = _on_matrices(g[1])
    if dtypes.is_complex(dtypes.name_of(x.dtype)):
        scale = scale + _on_matrices(1j * ops.imag(ops.conj(y[0]) * g[0]))
    return scale * _adjoint(ops.inv(x))


@_quiet
def inv(x):
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        raise ValueError("inv: a matrix is singular.") from None


@vjp(ops.inv)
def _(g, y, x):
    return -ops.matmul(ops.matmul(_adjoint(y), g), _adjoint(y))


@_quiet
def solve(a, b):
    vectors = b.ndim < a.ndim
    try:
        y = np.linalg.solve(a, b[..., None] if vectors else b)
    except np.linalg.LinAlgError:
        raise ValueError("solve: a matrix is singular.") from None
    return y[..., 0] if vectors else y


@vjp(ops.solve)
def _(g, y, a, b):
    gb = ops.solve(_adjoint(a), g)
    return -_outer(gb, y, a), gb


def _outer(gb, y, a):
    """gb @ y^H, for vectors too."""
    if y.ndim < a.ndim:
        gb, y = ops.expand_dims(gb, -1), ops.expand_dims(y, -1)
    return ops.matmul(gb, _adjoint(y))


@_quiet
def solve_triangular(a, b, lower):
    import scipy.linalg

    vectors = b.ndim < a.ndim
    b = b[..., None] if vectors else b
    if (np.diagonal(a, axis1=-2, axis2=-1) == 0).any():
        raise ValueError("solve_triangular: a diagonal element is 0.")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = np.empty(batch + b.shape[-2:], b.dtype)
    a, b = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, y.shape)
    for i in np.ndindex(*batch):
        y[i] = scipy.linalg.solve_triangular(a[i], b[i], lower=lower, check_finite=False) if b[i].size else b[i]
    return y[..., 0] if vectors else y


@vjp(ops.solve_triangular)
def _(g, y, a, b, lower):
    gb = ops.solve_triangular(_adjoint(a), g, lower=not lower)
    ones = np.ones(a.shape[-2:])
    return _masked(-_outer(gb, y, a), np.tril(ones) if lower else np.triu(ones)), gb


@_quiet
def pinv(x, rcond):
    if not x.size:
        return np.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    gone = s <= rcond * s.max(-1, keepdims=True)
    scale = np.where(gone, 0, 1 / np.where(gone, 1, s)).astype(x.dtype)
    return (_h(vh) * scale[..., None, :]) @ _h(u)


@vjp(ops.pinv)
def _(g, y, x, rcond):
    # G. H. Golub and V. Pereyra, "The differentiation of pseudo-inverses..." (1973), for constant rank.
    p, ph, gh = y, _adjoint(y), _adjoint(g)
    n, m = x.shape[-2:]
    left = ops.eye(n, dtype=dtypes.name_of(x.dtype)) - ops.matmul(x, p)
    right = ops.eye(m, dtype=dtypes.name_of(x.dtype)) - ops.matmul(p, x)
    return (
        ops.matmul(ops.matmul(left, gh), ops.matmul(p, ph))
        + ops.matmul(ops.matmul(ops.matmul(ph, p), gh), right)
        - ops.matmul(ops.matmul(ph, g), ph)
    )


# -- factors ----------------------------------------------------------------------------


@_quiet
def qr(x, mode):
    return signed_qr(*np.linalg.qr(x, mode))


@vjp(ops.qr)
def _(g, y, x, mode):
    n, m = x.shape[-2:]
    (gq, gr), (q, r) = g, y
    if n > m and mode == "complete":
        raise ValueError("qr: there is no gradient of a complete q with more rows than columns; use mode='reduced'.")
    if n >= m:
        return _qr_gradient(gq, gr, q, r)
    # The first columns are decomposed, r[:, n:] = q^H @ x[:, n:].
    gq = gq + ops.matmul(x[..., n:], _adjoint(gr[..., n:]))
    first = _qr_gradient(gq, gr[..., :n], q, r[..., :n])
    return ops.concatenate([first, ops.matmul(q, gr[..., n:])], -1)


def _qr_gradient(gq, gr, q, r):
    # S. F. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions" (2010)
    inner = _upper(ops.matmul(gr, _adjoint(r)) - ops.matmul(_adjoint(q), gq))
    inner = _masked(inner + _adjoint(inner), np.ones(inner.shape[-2:]) - np.eye(inner.shape[-1]) / 2)
    return _solve_right(gq + ops.matmul(q, inner), _adjoint(r), lower=True)


@_quiet
def svd(x, full_matrices, compute_uv):
    if not compute_uv:
        return np.linalg.svd(x, compute_uv=False)
    return signed_svd(*np.linalg.svd(x, full_matrices))


@vjp(ops.svd)
def _(g, y, x, full_matrices, compute_uv):
    if not compute_uv:
        u, _, vh = ops.svd(x, full_matrices=False)
        return ops.matmul(u * ops.expand_dims(ops.cast(g, u.dtype), -2), vh)
    k = y[1].shape[-1]
    if np.any(g[0][..., k:]) or np.any(g[2][..., k:, :]):
        raise ValueError(
            "svd: there is no gradient of the vectors that fill up full matrices; use full_matrices=False."
        )
    gu, gs, gvh = g[0][..., :k], g[1], g[2][..., :k, :]
    u, s, vh = y[0][..., :k], y[1], y[2][..., :k, :]
    return _svd_gradient(gu, gs, gvh, u, s, vh)


def _svd_gradient(gu, gs, gvh, u, s, vh):
    # J. Townsend, "Differentiating the singular value decomposition" (2016), for complex matrices too
    dtype = dtypes.name_of(u.dtype)
    v, gv = _adjoint(vh), _adjoint(gvh)
    ugu, vgv = ops.matmul(_adjoint(u), gu), ops.matmul(vh, gv)
    gaps = ops.cast(_inverse_gaps(ops.square(s)), dtype)
    values = ops.cast(s, dtype)
    inner = (ugu - _adjoint(ugu)) * gaps * ops.expand_dims(values, -2)
    inner = inner + ops.expand_dims(values, -1) * ((vgv - _adjoint(vgv)) * gaps)
    inner = inner + _diagonal(ops.cast(gs, dtype))
    zero = s == 0
    inverse = ops.cast(ops.where(zero, 0.0, 1.0 / ops.where(zero, 1.0, s)), dtype)
    if dtypes.is_complex(dtype):
        inner = inner + _diagonal(1j * ops.imag(_diagonal_of(ugu)) * inverse)
    found = ops.matmul(ops.matmul(u, inner), vh)
    across = ops.expand_dims(inverse, -2)
    found = found + ops.matmul((gu - ops.matmul(u, ugu)) * across, vh)
    return found + ops.matmul(u * across, _adjoint(gv - ops.matmul(v, vgv)))


@_quiet
def eigh(x):
    w, v = np.linalg.eigh((x + _h(x)) / 2)
    return w, v * phase(v)


@vjp(ops.eigh)
def _(g, y, x):
    (gw, gv), (w, v) = g, y
    dtype = dtypes.name_of(v.dtype)
    inner = ops.matmul(_adjoint(v), gv) * ops.cast(_inverse_gaps(w), dtype) + _diagonal(ops.cast(gw, dtype))
    return _hermitian(ops.matmul(ops.matmul(v, inner), _adjoint(v)))


@_quiet
def eig(x):
    w, v = np.linalg.eig(x)
    dtype = "complex128" if x.dtype.itemsize == 16 or x.dtype == np.float64 else "complex64"
    return w.astype(dtype), np.asarray(v * phase(v)).astype(dtype)


@vjp(ops.eig)
def _(g, y, x):
    (gw, gv), (w, v) = g, y
    adjoint = _adjoint(v)
    vgv = ops.matmul(adjoint, gv)
    own = ops.expand_dims(ops.cast(ops.real(_diagonal_of(vgv)), v.dtype), -2)
    inner = (vgv - ops.matmul(adjoint, v) * own) * ops.conj(_inverse_gaps(w)) + _diagonal(gw)
    return ops.solve(adjoint, ops.matmul(inner, adjoint))


@_quiet
def lu_factor(x):
    import scipy.linalg

    lu, pivots = np.empty(x.shape, x.dtype), np.empty((*x.shape[:-2], min(x.shape[-2:])), "int32")
    for i in np.ndindex(*x.shape[:-2]):
        lu[i], found = scipy.linalg.lapack.get_lapack_funcs(("getrf",), (x[i],))[0](x[i])[:2]
        pivots[i] = found
    return lu, pivots


@vjp(ops.lu_factor)
def _(g, y, x):
    g, (lu, pivots) = g[0], y
    n, m = x.shape[-2:]
    k = min(n, m)
    lower = _strictly_lower(lu[..., :k]) + ops.eye(n, k, dtype=dtypes.name_of(x.dtype))
    upper = _upper(lu[..., :k, :])
    gl, gu = _strictly_lower(g[..., :k]), _upper(g[..., :k, :])
    head, body = lower[..., :k, :], upper[..., :k]
    rest = None
    if n > m:  # x[m:] = lower[m:] @ upper
        rest = _solve_right(gl[..., k:, :], _adjoint(body), lower=True)
        gu = gu - ops.matmul(_adjoint(lower[..., k:, :]), rest)
    elif n < m:  # x[:, n:] = lower @ upper[:, n:]
        rest = ops.solve_triangular(_adjoint(head), gu[..., k:])
        gl = gl - ops.matmul(rest, _adjoint(upper[..., k:]))
    inner = _strictly_lower(ops.matmul(_adjoint(head), gl[..., :k, :]))
    inner = inner + _upper(ops.matmul(gu[..., :k], _adjoint(body)))
    found = _solve_right(ops.solve_triangular(_adjoint(head), inner), _adjoint(body), lower=True)
    if rest is not None:
        found = ops.concatenate([found, rest], -2 if n > m else -1)
    order = np.argsort(_permutation(np.asarray(pivots), n), -1)
    return ops.take_along_axis(found, order[..., None].astype("int32"), -2)


def _permutation(pivots, n):
    """The order of rows that the exchanges lead to."""
    order = np.broadcast_to(np.arange(n), (*pivots.shape[:-1], n)).copy()
    for i in range(pivots.shape[-1]):
        j = pivots[..., i, None]
        here, there = order[..., i, None].copy(), np.take_along_axis(order, j, -1)
        np.put_along_axis(order, j, here, -1)
        order[..., i, None] = there
    return order
