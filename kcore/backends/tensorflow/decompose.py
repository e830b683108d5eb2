"""Matrix decompositions in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from kcore.ops.numerics import phase, signed_qr, signed_svd


def _checked(name, problem, function):
    """The function, with TensorFlow's error about a matrix as the ValueError that others raise."""

    def run(*args):
        try:
            return function(*args)
        except tf.errors.InvalidArgumentError as error:
            if not any(s in error.message for s in ("not successful", "not invertible")):
                raise
            raise ValueError(f"{name}: a matrix is {problem}.") from None

    return run


def _h(x):
    return tf.linalg.adjoint(x)


def _cholesky(x, upper):
    y = tf.linalg.cholesky((x + _h(x)) / 2)
    return _h(y) if upper else y


cholesky = _checked("cholesky", "not positive definite", _cholesky)
inv = _checked("inv", "singular", tf.linalg.inv)


def det(x):
    @tf.custom_gradient
    def run(x):
        def gradient(g):
            return g[..., None, None] * _det_slope(x)  # TensorFlow divides by the determinant

        return tf.linalg.det(x), gradient

    return run(x)


def _det_slope(x):
    """conj(det(x)) * x**-H, which is finite for singular matrices."""
    s, u, v = tf.linalg.svd(x)
    k = s.shape[-1]
    others = [tf.reduce_prod(tf.concat([s[..., :i], s[..., i + 1 :]], -1), -1) for i in range(k)]
    others = tf.cast(tf.stack(others, -1) if others else s, x.dtype)
    phase = tf.math.conj(tf.linalg.det(u)) * tf.linalg.det(v)
    return phase[..., None, None] * tf.matmul(u * others[..., None, :], v, adjoint_b=True)


def slogdet(x):
    sign, logabs = tf.linalg.slogdet(x)
    return sign, tf.math.real(logabs)


def pinv(x, rcond):
    if rcond is None:
        eps = tf.experimental.numpy.finfo(x.dtype.real_dtype.as_numpy_dtype).eps
        rcond = tf.cast(tf.reduce_max(tf.shape(x)[-2:]), x.dtype.real_dtype) * eps

    @tf.custom_gradient
    def run(x):
        def gradient(g):
            # As on the reference backend; TensorFlow's goes through the singular vectors, which may be undetermined.
            p = pinv(x, rcond)
            ph, gh = _h(p), _h(g)
            left = tf.eye(tf.shape(x)[-2], dtype=x.dtype) - x @ p
            right = tf.eye(tf.shape(x)[-1], dtype=x.dtype) - p @ x
            return left @ gh @ p @ ph + ph @ p @ gh @ right - ph @ g @ ph

        s, u, v = tf.linalg.svd(x)
        gone = s <= rcond * tf.reduce_max(s, -1, keepdims=True)
        scale = tf.where(gone, tf.zeros_like(s), 1 / tf.where(gone, tf.ones_like(s), s))
        return tf.matmul(v * tf.cast(scale, x.dtype)[..., None, :], u, adjoint_b=True), gradient

    return run(x)


def _on_matrices(solved):
    """The function of a and b, with vectors b as matrices, and both of one batch shape."""

    def run(a, b, *rest):
        vectors = b.shape.rank < a.shape.rank
        b = b[..., None] if vectors else b
        if a.shape[:-2] != b.shape[:-2] or not a.shape.is_fully_defined():
            batch = tf.broadcast_dynamic_shape(tf.shape(a)[:-2], tf.shape(b)[:-2])
            a = tf.broadcast_to(a, tf.concat([batch, tf.shape(a)[-2:]], 0))
            b = tf.broadcast_to(b, tf.concat([batch, tf.shape(b)[-2:]], 0))
        y = solved(a, b, *rest)
        return y[..., 0] if vectors else y

    return run


solve = _checked("solve", "singular", _on_matrices(tf.linalg.solve))
solve_triangular = _checked("solve_triangular", "singular", _on_matrices(tf.linalg.triangular_solve))


def qr(x, mode):
    return signed_qr(*tf.linalg.qr(x, full_matrices=mode == "complete"))


def svd(x, full_matrices, compute_uv):
    if not compute_uv:
        return tf.linalg.svd(x, compute_uv=False)
    s, u, v = tf.linalg.svd(x, full_matrices=full_matrices)
    return signed_svd(u, s, _h(v))


def eigh(x):
    w, v = tf.linalg.eigh((x + _h(x)) / 2)
    return tf.math.real(w), v * phase(v)


def eig(x):
    w, v = tf.linalg.eig(tf.cast(x, tf.float32) if x.dtype.size == 2 else x)
    return w, v * phase(v)


def lu_factor(x):
    # Gauss's elimination, step by step: TensorFlow's own takes regular square matrices only, and has no gradient.
    n, m = x.shape[-2:]
    rows = tf.range(n)[:, None]
    pivots = []
    for i in range(min(n, m)):
        size = tf.where(rows[:, 0] >= i, _size(x[..., i]), -1)
        j = tf.argmax(size, -1, tf.int32)[..., None, None]
        pivots.append(j[..., 0])
        here, there = x[..., i : i + 1, :], tf.gather(x, j[..., 0], axis=-2, batch_dims=x.shape.rank - 2)
        x = tf.where(rows == i, there, tf.where(rows == j, here, x))
        pivot = x[..., i : i + 1, i : i + 1]
        zero = pivot == 0
        factor = tf.where(zero, tf.zeros_like(pivot), x[..., i : i + 1] / tf.where(zero, tf.ones_like(pivot), pivot))
        factor = tf.where(rows > i, factor, tf.zeros_like(factor))
        below = x[..., i + 1 :] - factor * x[..., i : i + 1, i + 1 :]
        column = tf.where(rows > i, factor, x[..., i : i + 1])
        x = tf.concat([x[..., :i], column, below], -1)
    return x, tf.concat(pivots, -1)


def _size(x):
    """|x|, for complex numbers |real| + |imag|, as LAPACK compares them."""
    return tf.abs(tf.math.real(x)) + tf.abs(tf.math.imag(x)) if x.dtype.is_complex else tf.abs(x)
