"""Kernels over the rows and columns of a matrix against NumPy in float64."""

import numpy as np
import pytest

SHAPES = [(1, 1), (3, 2), (5, 10), (4, 16), (7, 33), (2, 1000), (1, 5000), (64, 31), (0, 4), (4, 0)]
every_shape = pytest.mark.parametrize("shape", SHAPES)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
EPS = {"float32": 2.0**-24, "float64": 2.0**-53}  # half a unit in the last place of 1


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=1, keepdims=True)


def log_softmax(x):
    z = x - x.max(axis=1, keepdims=True, initial=-np.inf)
    with np.errstate(divide="ignore"):  # a row without columns sums to 0
        return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def wide(x):
    """The same numbers, precise enough to judge float64 by."""
    return x.astype(np.longdouble)


def made(rng, shape, dtype, scale=3.0):
    x = (rng.standard_normal(shape) * scale).astype(dtype)
    x.flags.writeable = False
    return x


@both_dtypes
@every_shape
def test_softmax_is_within_a_few_ulp(kernels, rng, shape, dtype):
    x = made(rng, shape, dtype)
    y = kernels.softmax_rows(x)
    assert y.dtype == x.dtype
    below_peak = x - x.max(axis=1, keepdims=True, initial=-np.inf)  # rounded, as the kernel's
    np.testing.assert_allclose(wide(y), softmax(wide(below_peak)), rtol=8 * EPS[dtype])
    np.testing.assert_array_equal(y, kernels.softmax_rows(x, 2))


@both_dtypes
@every_shape
def test_log_softmax_is_within_a_few_ulp_of_its_inputs(kernels, rng, shape, dtype):
    x = made(rng, shape, dtype)
    y = kernels.log_softmax_rows(x)
    np.testing.assert_allclose(wide(y), log_softmax(wide(x)), rtol=0, atol=100 * EPS[dtype])
    np.testing.assert_array_equal(y, kernels.log_softmax_rows(x, 2))


@both_dtypes
@every_shape
def test_softmax_gradients_match_their_formulas(kernels, rng, shape, dtype):
    x, g = made(rng, shape, dtype), made(rng, shape, dtype)
    y = kernels.softmax_rows(x)
    want = wide(y) * (wide(g) - (wide(g) * wide(y)).sum(axis=1, keepdims=True))
    for threads in (1, 2):
        got = kernels.softmax_rows_grad(g, y, threads)
        np.testing.assert_allclose(wide(got), want, rtol=0, atol=100 * EPS[dtype])
    y = kernels.log_softmax_rows(x)
    want = wide(g) - np.exp(wide(y)) * wide(g).sum(axis=1, keepdims=True)
    for threads in (1, 2):
        got = kernels.log_softmax_rows_grad(g, y, threads)
        np.testing.assert_allclose(wide(got), want, rtol=1e3 * EPS[dtype], atol=1e3 * EPS[dtype])


@both_dtypes
def test_exp_is_within_two_ulp_down_to_the_subnormals(kernels, dtype):
    low = -104 if dtype == "float32" else -746
    x = np.linspace(low, 0, 200_001).astype(dtype)
    # exp(x) beside exp(0): the second column of a row whose sum is 1 + exp(x).
    rows = np.stack([np.zeros_like(x), x], axis=1)
    far = x < -40  # there the sum rounds to 1, and softmax is exp itself
    got, want = kernels.softmax_rows(rows)[far, 1], np.exp(wide(x[far]))
    ulp = np.spacing(want.astype(dtype))
    assert np.max(abs(wide(got) - want) / ulp) <= 2


@both_dtypes
def test_rows_that_have_no_distribution_are_nan_throughout(kernels, dtype):
    inf, nan = np.inf, np.nan
    specials = [[1, inf], [inf, inf], [-inf, -inf], [nan, 1], [nan, -inf], [nan, inf]]
    x = np.array([[*row, *[0.0] * 20] for row in specials], dtype)
    x[2] = -inf
    assert np.isnan(kernels.softmax_rows(x)[[0, 1, 2, 3, 4, 5]]).all()
    finite = np.array([[0.0, -inf, 0.0]], dtype)
    np.testing.assert_array_equal(kernels.softmax_rows(finite), [[0.5, 0, 0.5]])
    y = kernels.log_softmax_rows(finite)
    np.testing.assert_allclose(y, [[-np.log(2), -inf, -np.log(2)]], rtol=1e-6)
    with np.errstate(invalid="ignore"):
        want = log_softmax(x)
    np.testing.assert_array_equal(np.isnan(kernels.log_softmax_rows(x)), np.isnan(want))


@both_dtypes
def test_large_numbers_do_not_overflow(kernels, dtype):
    x = np.array([[1e4, 1e4, -1e4], [1e30, -1e30, 0]], dtype)
    np.testing.assert_array_equal(kernels.softmax_rows(x), [[0.5, 0.5, 0], [1, 0, 0]])
