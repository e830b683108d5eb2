"""Reductions of the middle axis of x[outer, fold, inner] against NumPy in long doubles."""

import numpy as np
import pytest

import kcore
from kcore import ops

LONG = np.longdouble
EPS = {"float32": 2.0**-24, "float64": 2.0**-53}
SIZES = [
    (1, 1, 1),
    (3, 2, 1),
    (40, 10, 1),  # short rows, several at a time
    (17, 128, 1),
    (16, 129, 1),
    (5, 1000, 1),
    (2, 70000, 1),  # rows in several blocks
    (1, 1, 5),
    (1, 3000, 3),  # several rows as one
    (1, 66000, 5),
    (1, 700, 130),
    (2, 65, 33),
    (70, 9, 20),
    (1, 10, 5000),  # columns in several pieces
    (3, 64, 64),
]
every_size = pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "x".join(map(str, s)))
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def made(rng, sizes, dtype, shift=0.0):
    x = (rng.standard_normal(sizes) + shift).astype(dtype)
    x.flags.writeable = False
    return x


def same_for_every_team(kernel, *arguments, **options):
    """The kernel's result, which three threads give as well."""
    one, three = kernel(*arguments, **options, threads=1), kernel(*arguments, **options, threads=3)
    for a, b in zip(one, three, strict=True) if isinstance(one, tuple) else [(one, three)]:
        np.testing.assert_array_equal(a, b)
    return one


@both_dtypes
@every_size
@pytest.mark.parametrize("squares", [False, True])
def test_sums_are_nearly_exact(kernels, rng, sizes, squares, dtype):
    x = made(rng, sizes, dtype)
    got = same_for_every_team(kernels.sums, x, *sizes, squares=squares, divisor=3.0)
    terms = x.astype(LONG) ** (2 if squares else 1) / 3
    assert got.dtype == dtype
    # At most 64 additions in a chain, 4 more by halves, and the products' own roundings.
    assert np.all(abs(got - terms.sum(1)) <= 12 * EPS[dtype] * abs(terms).sum(1))


@pytest.mark.parametrize("sizes", [(1, 1_000_000, 1), (50, 1000, 1), (1, 20000, 40), (1, 200_000, 3)], ids=str)
def test_sums_of_float32_are_no_worse_than_numpy(kernels, rng, sizes):
    x = rng.random(sizes, "float32")
    want = x.astype("float64").sum(1)
    own, numpys = (np.max(abs(y - want) / want) for y in (kernels.sums(x, *sizes), np.add.reduce(x, 1)))
    assert own <= max(numpys, 2 * EPS["float32"])


@both_dtypes
@every_size
@pytest.mark.parametrize("least", [False, True])
def test_peaks_and_their_places(kernels, rng, sizes, least, dtype):
    x = made(rng, sizes, dtype).round(1)  # with ties
    x[rng.random(sizes) < 1 / x.size] = np.nan
    infinite = rng.random(sizes) < 0.01
    x[infinite] = rng.choice([-np.inf, np.inf], infinite.sum())
    fold, place = (np.min, np.argmin) if least else (np.max, np.argmax)
    np.testing.assert_array_equal(same_for_every_team(kernels.peaks, x, *sizes, least=least), fold(x, 1))
    if sizes[2] > 1 or sizes[1] <= 64:
        got = same_for_every_team(kernels.peak_places, x, *sizes, least=least)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, place(x, 1))


@both_dtypes
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (3, 64), (2, 200), (40, 33), (1, 5000)], ids=str)
def test_the_greatest_of_a_row_come_in_order(kernels, rng, shape, dtype):
    few = rng.integers(0, 9, shape)  # with ties
    for x in (rng.standard_normal(shape), few, np.sort(rng.standard_normal(shape)), np.zeros(shape)):
        x = x.astype(dtype)
        x[rng.random(shape) < 0.02] = np.nan
        x[rng.random(shape) < 0.02] = -np.inf
        order = shape[1] - 1 - np.argsort(x[:, ::-1], 1, kind="stable")[:, ::-1]
        for k in {1, min(5, shape[1]), shape[1] // 2 or 1, shape[1]}:
            values, places = same_for_every_team(kernels.top, x, k)
            np.testing.assert_array_equal(places, order[:, :k])
            np.testing.assert_array_equal(values, np.take_along_axis(x, order[:, :k], 1))
    for k in (0, shape[1] + 1):
        with pytest.raises(ValueError, match="expected 1 <= k"):
            kernels.top(x, k)


@both_dtypes
@every_size
def test_moments_of_numbers_far_from_zero(kernels, rng, sizes, dtype):
    x = made(rng, sizes, dtype, shift=30)
    mean, variance = same_for_every_team(kernels.moments, x, *sizes)
    wide = x.astype(LONG)
    np.testing.assert_allclose(mean.astype(LONG), wide.mean(1), rtol=20 * EPS[dtype])
    np.testing.assert_allclose(variance.astype(LONG), wide.var(1), rtol=100 * EPS[dtype], atol=1e4 * EPS[dtype] ** 2)


@both_dtypes
@pytest.mark.parametrize("sizes", [(1, 1000, 5), (3, 1000, 1), (40, 60, 1)], ids=str)
def test_an_offset_does_not_cost_the_variance_its_digits(kernels, rng, sizes, dtype):
    x = made(rng, sizes, dtype, 1e4 if dtype == "float32" else 1e8)
    want = x.astype(LONG).var(1)
    np.testing.assert_allclose(kernels.moments(x, *sizes)[1].astype(LONG), want, rtol=1e3 * EPS[dtype])
    x = x.copy()
    x[:, 0] = 0  # nor does the first element matter
    np.testing.assert_allclose(kernels.moments(x, *sizes)[1], x.astype(LONG).var(1), rtol=1e3 * EPS[dtype])


@both_dtypes
@every_size
def test_logsumexps_of_small_and_large_numbers(kernels, rng, sizes, dtype):
    for scale, shift in ((1, 0), (100, 0), (1, 5000), (3, -5000)):
        x = (rng.standard_normal(sizes) * scale + shift).astype(dtype)
        wide = x.astype(LONG)
        peak = wide.max(1, keepdims=True)
        want = np.log(np.exp(wide - peak).sum(1)) + peak[:, 0]
        got = same_for_every_team(kernels.logsumexps, x, *sizes)
        np.testing.assert_allclose(got.astype(LONG), want, rtol=8 * EPS[dtype], atol=8 * EPS[dtype])


@both_dtypes
@every_size
def test_running_sums_are_rounded_once(kernels, rng, sizes, dtype):
    x = made(rng, sizes, dtype)
    got = same_for_every_team(kernels.running, x, *sizes)
    want = np.cumsum(x.astype(LONG), 1)
    bound = np.cumsum(abs(x.astype(LONG)), 1) * sizes[1] * EPS["float64"] + abs(want) * EPS[dtype] * 1.01
    assert np.all(abs(got - want) <= bound)


@both_dtypes
@every_size
def test_products_and_running_products_are_rounded_once(kernels, rng, sizes, dtype):
    x = np.exp(rng.standard_normal(sizes) / sizes[1] ** 0.5) * rng.choice([-1, 1], sizes)
    x = x.astype(dtype)
    want = np.cumprod(x.astype(LONG), 1)
    bound = sizes[1] * EPS["float64"] + EPS[dtype] * 1.01
    got = same_for_every_team(kernels.running, x, *sizes, products=True)
    assert np.all(abs(got - want) <= bound * abs(want))
    got = same_for_every_team(kernels.products, x, *sizes)
    assert np.all(abs(got - want[:, -1]) <= bound * abs(want[:, -1]))


@both_dtypes
@pytest.mark.parametrize("sizes", [(40, 20, 1), (3, 3000, 1), (2, 200, 7), (1, 70, 40)], ids=str)
def test_infinities_and_nan_come_through_as_in_numpy(kernels, rng, sizes, dtype):
    x = made(rng, sizes, dtype).copy()
    x[0, 3, 0], x[-1, 5, -1] = np.inf, np.nan
    if sizes[0] > 2:
        x[1] = -np.inf
        x[2, 4], x[2, 7] = np.inf, -np.inf
    signs = np.where(np.isfinite(x), np.sign(x), x)  # of which no part of a product overflows
    with np.errstate(all="ignore"):
        for got, want in (
            (kernels.sums(x, *sizes), np.sum(x, 1)),
            (kernels.peaks(x, *sizes), np.max(x, 1)),
            (kernels.peaks(x, *sizes, least=True), np.min(x, 1)),
            (kernels.moments(x, *sizes)[0], np.mean(x, 1)),
            (kernels.moments(x, *sizes)[1], np.var(x, 1)),
            (kernels.logsumexps(x, *sizes), np.logaddexp.reduce(x, 1)),
            (kernels.running(x, *sizes), np.cumsum(x.astype("float64"), 1).astype(dtype)),
            (kernels.running(signs, *sizes, products=True), np.cumprod(signs, 1)),
            (kernels.products(signs, *sizes), np.prod(signs, 1)),
        ):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_arguments_that_do_not_fit_are_errors(kernels):
    x = np.zeros((3, 4), "float32")
    for kernel in (
        kernels.sums,
        kernels.peaks,
        kernels.peak_places,
        kernels.moments,
        kernels.logsumexps,
        kernels.running,
    ):
        with pytest.raises(ValueError, match="expected 15 elements"):
            kernel(x, 3, 5, 1)
        with pytest.raises(ValueError, match="at least 1"):
            kernel(np.zeros((3, 0), "float32"), 3, 0, 1)
        with pytest.raises(TypeError, match="float32 or float64"):
            kernel(x.astype("int32"), 3, 4, 1)
        with pytest.raises(ValueError, match="C-contiguous"):
            kernel(x.T, 4, 3, 1)
    with pytest.raises(ValueError, match="shorter axis, got 65"):
        kernels.peak_places(np.zeros((3, 65), "float32"), 3, 65, 1)


# -- the ops ----------------------------------------------------------------------------

AXES = [None, 0, 1, 2, 3, (0, 1), (1, 2), (2, 3), (0, 2), (0, 3), (1, 3), (0, 1, 2), (0, 2, 3), (1, 2, 3)]


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_ops_fold_any_axes(rng, axis, keepdims):
    x = rng.standard_normal((3, 4, 1, 5))
    for name in ("sum", "mean", "max", "min", "var", "std"):
        got = getattr(ops, name)(x, axis=axis, keepdims=keepdims)
        want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-13)
    if axis is None or isinstance(axis, int) or len(axis) == 2:
        want = np.sqrt(np.sum(x**2, axis=axis, keepdims=keepdims))
        np.testing.assert_allclose(ops.norm(x, axis=axis, keepdims=keepdims), want, rtol=1e-13)
    got = ops.logsumexp(x, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(got, np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("axis", [0, 1, 2, (0, 1), None], ids=str)
def test_logsumexp_by_a_kernel_has_the_gradients_of_its_body(rng, axis):
    x = rng.standard_normal((3, 5, 2))

    def gradients(folded):
        first = kcore.grad(lambda x: ops.sum(ops.sin(folded(x))))
        return first(x), kcore.grad(lambda x: ops.sum(ops.square(first(x))))(x)

    folded = axis if isinstance(axis, tuple) else (0, 1, 2) if axis is None else (axis,)
    kernel, body = (
        gradients(lambda x: ops.logsumexp(x, axis)),
        gradients(lambda x: ops.logsumexp.op.body(x, folded, False)),
    )
    for got, want in zip(kernel, body, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)
