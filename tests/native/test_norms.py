"""Normalizations of rows and columns, and crossentropies, against NumPy in long doubles."""

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

LONG = np.longdouble
EPS = {"float32": 2.0**-24, "float64": 2.0**-53}
SHAPES = [(1, 1), (3, 2), (5, 10), (4, 16), (7, 33), (2, 1000), (64, 31), (65, 8), (200, 40), (1000, 3)]
every_shape = pytest.mark.parametrize("shape", SHAPES)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def made(rng, shape, dtype, shift=0.0):
    x = (rng.standard_normal(shape) + shift).astype(dtype)
    x.flags.writeable = False
    return x


def close(got, want, eps, units=60):
    scale = max(1.0, float(np.max(np.abs(want), initial=0)))
    np.testing.assert_allclose(got.astype(LONG), want, rtol=0, atol=units * eps * scale)


def normalized(x, gamma, beta, epsilon, centre):
    x = x.astype(LONG)
    mean = x.mean(1, keepdims=True) if centre else 0
    scale = 1 / np.sqrt(((x - mean) ** 2).mean(1, keepdims=True) + epsilon)
    h = (x - mean) * scale
    return h, scale, h * (1 if gamma is None else gamma) + (0 if beta is None else beta)


@both_dtypes
@every_shape
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("centre", [False, True])
def test_rows_are_normalized(kernels, rng, shape, centre, affine, dtype):
    x = made(rng, shape, dtype, shift=2)
    gamma, beta = (made(rng, shape[1:], dtype) if affine else None for _ in range(2))
    _, scale, want = normalized(x, gamma, beta, 1e-3, centre)
    y, mean, factor = kernels.normalize_rows(x, gamma, beta, 1e-3, centre)
    close(y, want, EPS[dtype], 200)
    close(factor, scale[:, 0], EPS[dtype])
    assert y.dtype == x.dtype
    if centre:
        close(mean, x.astype(LONG).mean(1), EPS[dtype])
    else:
        assert mean is None
    np.testing.assert_array_equal(y, kernels.normalize_rows(x, gamma, beta, 1e-3, centre, 2)[0])


@both_dtypes
@every_shape
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("centre", [False, True])
def test_the_gradients_of_normalized_rows(kernels, rng, shape, centre, affine, dtype):
    x, g = made(rng, shape, dtype, shift=2), made(rng, shape, dtype)
    gamma = made(rng, shape[1:], dtype) if affine else None
    _, mean, factor = kernels.normalize_rows(x, gamma, None, 1e-3, centre)
    h, scale, _ = normalized(x, None, None, 1e-3, centre)
    w = g.astype(LONG) * (1 if gamma is None else gamma)
    dx = w - h * (w * h).mean(1, keepdims=True) - (w.mean(1, keepdims=True) if centre else 0)
    wants = dx * scale, (g * h).sum(0), g.astype(LONG).sum(0)
    one, two = (kernels.normalize_rows_grad(g, x, gamma, mean, factor, threads) for threads in (1, 2))
    for got, again, want in zip(one, two, wants):
        close(got, want, EPS[dtype], 400)
        np.testing.assert_array_equal(got, again)


@both_dtypes
def test_a_row_far_from_zero_keeps_its_variance(kernels, rng, dtype):
    shift = 1e3 if dtype == "float32" else 1e6
    x = made(rng, (3, 500), dtype, shift)
    _, scale, _ = normalized(x, None, None, 0.0, True)
    np.testing.assert_allclose(kernels.normalize_rows(x, None, None, 0.0, True)[2], scale[:, 0], rtol=20 * EPS[dtype])


def test_constant_rows_and_rows_with_nan(kernels):
    x = np.full((3, 40), 7.0, "float32")
    x[1, 5], x[2, 5] = np.nan, np.inf
    y, _, _ = kernels.normalize_rows(x, None, np.full(40, 0.5, "float32"), 1e-3, True)
    np.testing.assert_array_equal(y[0], 0.5)
    assert np.isnan(y[1:]).all()


def grouped(x, groups):
    """x[o, r, c] as [o, r, group, c within it], in long doubles."""
    return x.astype(LONG).reshape(*x.shape[:2], groups, x.shape[2] // groups)


def group_gradients(g, x, gamma, g_mean, g_variance, groups, epsilon):
    """What `normalize_columns_grad` should give."""
    g, x, whole = grouped(g, groups), grouped(x, groups), x.shape
    count = x[0, :, 0].size
    away = x - x.mean((1, 3), keepdims=True)
    scale = 1 / np.sqrt((away**2).mean((1, 3), keepdims=True) + epsilon)
    h = away * scale
    w = g * (1 if gamma is None else gamma.reshape(x.shape[2:]))
    dx = (w - w.mean((1, 3), keepdims=True) - h * (w * h).mean((1, 3), keepdims=True)) * scale
    if g_mean is not None:
        dx += (g_mean[:, None, :, None] + 2 * away * g_variance[:, None, :, None]) / count
    return dx.reshape(whole), (g * h).sum((0, 1)).reshape(-1), g.sum((0, 1)).reshape(-1)


# (samples, rows, columns, groups)
GROUPED = st.tuples(st.integers(1, 3), st.integers(1, 150), st.integers(1, 12), st.sampled_from([1, 2, 3, 8, 17, 40]))


@both_dtypes
@given(sizes=GROUPED, one_each=st.booleans(), affine=st.booleans(), threads=st.integers(2, 4), seed=st.integers(0, 99))
@example(sizes=(2, 130, 64, 1), one_each=False, affine=True, threads=3, seed=0)
@example(sizes=(1, 300, 80, 1), one_each=True, affine=True, threads=2, seed=0)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_groups_of_columns_are_normalized_and_differentiated(kernels, dtype, sizes, one_each, affine, threads, seed):
    samples, rows, groups, size = sizes
    shape = samples, rows, groups * size
    groups = shape[2] if one_each else groups
    rng = np.random.default_rng(seed)
    x, g = made(rng, shape, dtype, shift=3), made(rng, shape, dtype)
    gamma, beta = (made(rng, shape[2:], dtype) if affine else None for _ in range(2))
    g_mean, g_variance = (made(rng, (samples, groups), dtype) if affine else None for _ in range(2))
    results = kernels.normalize_columns(x, gamma, beta, groups, 1e-2)
    wide = grouped(x, groups)
    mean, variance = wide.mean((1, 3)), wide.var((1, 3))
    h = ((wide - mean[:, None, :, None]) / np.sqrt(variance + LONG(1e-2))[:, None, :, None]).reshape(shape)
    wants = h * (1 if gamma is None else gamma) + (0 if beta is None else beta), mean, variance
    for got, want in zip(results, wants, strict=True):
        assert got.dtype == x.dtype
        close(got, want, EPS[dtype], 200)
    given = g, x, gamma, *results[1:], g_mean, g_variance, groups, 1e-2
    gradients = kernels.normalize_columns_grad(*given)
    wants = group_gradients(g, x, gamma, g_mean, g_variance, groups, LONG(1e-2))
    for got, want in zip(gradients, wants, strict=True):
        close(got, want, EPS[dtype], 600)
    again = (
        *kernels.normalize_columns(x, gamma, beta, groups, 1e-2, threads),
        *kernels.normalize_columns_grad(*given, threads),
    )
    for one, more in zip((*results, *gradients), again, strict=True):
        np.testing.assert_array_equal(one, more)


@both_dtypes
def test_a_group_far_from_zero_keeps_its_variance(kernels, rng, dtype):
    x = made(rng, (2, 300, 6), dtype, 1e3 if dtype == "float32" else 1e6)
    variance = kernels.normalize_columns(x, None, None, 3, 0.0)[2]
    np.testing.assert_allclose(variance, grouped(x, 3).var((1, 3)).astype(dtype), rtol=60 * EPS[dtype])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_group_that_is_not_finite_is_nan_alone(kernels, bad):
    x = np.arange(2 * 70 * 40, dtype="float32").reshape(2, 70, 40) % 7
    x[1, 65, 7] = bad
    y = kernels.normalize_columns(x, None, None, 5, 1e-3)[0]
    assert np.isnan(y[1, :, :8]).all()
    assert np.isfinite(y[0]).all()
    assert np.isfinite(y[1, :, 8:]).all()
    flat = np.full((1, 9, 4), 3.0, "float32")
    np.testing.assert_array_equal(kernels.normalize_columns(flat, None, np.full(4, 0.5, "float32"), 2, 1e-3)[0], 0.5)


# -- crossentropies ---------------------------------------------------------------------


def log_softmax(x):
    z = x - x.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


@both_dtypes
@every_shape
def test_sparse_crossentropy_of_rows(kernels, rng, shape, dtype):
    rows, cols = shape
    x, g = made(rng, shape, dtype), made(rng, rows, dtype)
    target = rng.integers(-1, cols + 1, rows)  # some are no class
    inside = (target >= 0) & (target < cols)
    log_p = log_softmax(x.astype(LONG))
    at = np.where(inside, target, 0)
    want = np.where(inside, -log_p[np.arange(rows), at], 0)
    hot = (np.arange(cols) == target[:, None]).astype(LONG)
    for threads in (1, 2):
        loss, *kept = kernels.sparse_crossentropy_rows(x, target, True, threads)
        close(loss, want, EPS[dtype])
        np.testing.assert_array_equal(loss, kernels.sparse_crossentropy_rows(x, target, False, threads)[0])
        dx = kernels.sparse_crossentropy_rows_grad(g, target, *kept, threads)
        close(dx, np.where(inside, g, 0)[:, None] * (np.exp(log_p) - hot), EPS[dtype])


@both_dtypes
@every_shape
def test_picked_crossentropy_of_rows(kernels, rng, shape, dtype):
    rows, cols = shape
    p, g = abs(made(rng, shape, dtype)), made(rng, rows, dtype)
    target = rng.integers(-1, cols + 1, rows)  # some are no class
    inside = (target >= 0) & (target < cols)
    number, at = np.arange(rows), np.where(inside, target, 0)
    p[number[::3], at[::3]] = 0  # some are clipped
    wide = p.astype(LONG)
    total = wide.sum(1)
    with np.errstate(all="ignore"):
        q = wide[number, at] / total
        want = np.where(inside, -np.log(np.clip(q, 1e-7, 1 - 1e-7)), 0)
        clipped = ~(inside & (q >= 1e-7) & (q <= 1 - 1e-7))
        hot = np.arange(cols) == target[:, None]
        slope = g[:, None] * (1 / total[:, None] - np.where(hot, 1 / wide, 0))
    slope[clipped] = 0
    for threads in (1, 2):
        loss = kernels.picked_crossentropy_rows(p, target, 1e-7, threads)
        # The nan of a row of zeros is compared apart: `close` looks at numbers.
        np.testing.assert_array_equal(np.isnan(loss), np.isnan(want))
        close(loss[~np.isnan(want)], want[~np.isnan(want)], EPS[dtype])
        close(kernels.picked_crossentropy_rows_grad(g, p, target, 1e-7, threads), slope, EPS[dtype])


def test_picked_crossentropy_of_a_class_without_probability_has_no_gradient(kernels):
    p, target = np.array([[0.0, 1.0], [1.0, 0.0], [np.nan, 1.0]], "float32"), np.zeros(3, "int64")
    np.testing.assert_array_equal(kernels.picked_crossentropy_rows_grad(np.ones(3, "float32"), p, target, 1e-7), 0)
    loss = kernels.picked_crossentropy_rows(p, target, 1e-7)
    np.testing.assert_allclose(loss, [-np.log(1e-7), 1e-7, np.nan], rtol=1e-6)


@both_dtypes
@every_shape
def test_crossentropy_of_rows(kernels, rng, shape, dtype):
    x, target, g = made(rng, shape, dtype), abs(made(rng, shape, dtype)), made(rng, shape[:1], dtype)
    log_p = log_softmax(x.astype(LONG))
    for threads in (1, 2):
        loss, *kept = kernels.crossentropy_rows(x, target, threads)
        close(loss, -(target * log_p).sum(1), EPS[dtype], 200)
        dx = kernels.crossentropy_rows_grad(g, x, target, *kept, threads)
        want = g[:, None] * (np.exp(log_p) * target.astype(LONG).sum(1, keepdims=True) - target)
        close(dx, want, EPS[dtype], 200)


def test_crossentropies_of_rows_without_a_distribution_are_nan(kernels):
    x = np.array([[0.0, np.inf], [np.nan, 0.0], [-np.inf, -np.inf]], "float32")
    target, g = np.zeros(3, "int64"), np.ones(3, "float32")
    loss, *kept = kernels.sparse_crossentropy_rows(x, target, True)
    assert np.isnan(loss).all()
    assert np.isnan(kernels.sparse_crossentropy_rows_grad(g, target, *kept)).all()
    loss, *kept = kernels.crossentropy_rows(x, np.ones_like(x))
    assert np.isnan(loss).all()
    assert np.isnan(kernels.crossentropy_rows_grad(g, x, np.ones_like(x), *kept)).all()
    far = np.array([[0.0, -np.inf]], "float32")
    np.testing.assert_array_equal(kernels.sparse_crossentropy_rows(far, np.array([0]))[0], [0])
    np.testing.assert_array_equal(kernels.sparse_crossentropy_rows(far, np.array([1]))[0], [np.inf])


def test_arguments_that_do_not_fit_are_errors(kernels):
    x = np.zeros((3, 4), "float32")
    with pytest.raises(ValueError, match="4 elements"):
        kernels.normalize_rows(x, np.zeros(3, "float32"), None, 1e-3, True)
    with pytest.raises(ValueError, match="3 elements"):
        kernels.normalize_rows_grad(x, x, None, None, np.zeros(4, "float32"))
    for groups in (0, 3):
        with pytest.raises(ValueError, match="divide 4 columns"):
            kernels.normalize_columns(x[None], None, None, groups, 1e-3)
    with pytest.raises(ValueError, match="2 elements"):
        kernels.normalize_columns_grad(x[None], x[None], None, x[0, :2], x[0, :3], None, None, 2, 1e-3)
    with pytest.raises(TypeError, match="int64"):
        kernels.sparse_crossentropy_rows(x, np.zeros(3, "int32"))
    with pytest.raises(ValueError, match="3 numbers"):
        kernels.sparse_crossentropy_rows(x, np.zeros(4, "int64"))
    with pytest.raises(ValueError, match="expected shape"):
        kernels.crossentropy_rows(x, np.zeros((4, 3), "float32"))
