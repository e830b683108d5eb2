"""Matrix decompositions in JAX."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from kcore.ops.numerics import phase, signed_qr, signed_svd


def _wide(function):
    """The function with 16-bit floats computed in float32: JAX decomposes none."""

    @functools.wraps(function)
    def run(x, *rest):
        if x.dtype.itemsize != 2:
            return function(x, *rest)
        rest = [a.astype("float32") if isinstance(a, jax.Array) else a for a in rest]
        y = function(x.astype("float32"), *rest)
        return jax.tree.map(lambda e: e.astype(x.dtype) if e.dtype == jnp.float32 else e, y)

    return run


@_wide
def cholesky(x, upper):
    y = jnp.linalg.cholesky((x + _h(x)) / 2, upper=upper, symmetrize_input=False)
    # In compiled code nobody can look; elsewhere a nan that x did not have tells.
    if not isinstance(y, jax.core.Tracer) and jnp.isnan(y).any() and not jnp.isnan(x).any():
        raise ValueError("cholesky: a matrix is not positive definite.")
    return y


def _h(x):
    return jnp.conj(jnp.swapaxes(x, -1, -2))


det = _wide(jnp.linalg.det)
slogdet = _wide(lambda x: tuple(jnp.linalg.slogdet(x)))
inv = _wide(jnp.linalg.inv)


@_wide
def pinv(x, rcond):
    return jnp.linalg.pinv(x, rtol=rcond)


@_wide
def solve(a, b):
    y = jnp.linalg.solve(a, b[..., None] if b.ndim < a.ndim else b)
    return y[..., 0] if b.ndim < a.ndim else y


@_wide
def solve_triangular(a, b, lower):
    vectors = b.ndim < a.ndim
    b = b[..., None] if vectors else b
    batch = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = jnp.broadcast_to(a, batch + a.shape[-2:]), jnp.broadcast_to(b, batch + b.shape[-2:])
    y = jax.lax.linalg.triangular_solve(a, b, left_side=True, lower=lower)
    return y[..., 0] if vectors else y


@_wide
def qr(x, mode):
    return signed_qr(*jnp.linalg.qr(x, mode))


@_wide
def svd(x, full_matrices, compute_uv):
    if not compute_uv:
        return jnp.linalg.svd(x, full_matrices=False, compute_uv=False)
    return signed_svd(*jnp.linalg.svd(x, full_matrices=full_matrices))


@_wide
def eigh(x):
    w, v = jnp.linalg.eigh((x + _h(x)) / 2, symmetrize_input=False)
    return w, v * phase(v)


@_wide
def eig(x):
    w, v = jnp.linalg.eig(x)
    return w, v * phase(v)


@_wide
def lu_factor(x):
    lu, pivots, _ = jax.lax.linalg.lu(x)
    return lu, pivots
