"""Pooling and its gradients against loops over windows."""

import numpy as np
import pytest

CASES = [  # x_shape, size, strides, pads
    ((2, 8, 8, 64), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((1, 9, 7, 5), (3, 3), (2, 2), ((1, 1), (1, 0))),
    ((2, 7, 9, 17), (3, 2), (1, 2), ((0, 2), (1, 1))),
    ((1, 6, 6, 33), (2, 2), (3, 3), ((0, 0), (0, 0))),  # gaps between windows
    ((3, 5, 4, 1), (5, 4), (1, 1), ((0, 0), (0, 0))),  # one window for all
    ((1, 20, 21, 3), (17, 19), (1, 1), ((2, 0), (0, 3))),  # places above 255
    ((2, 1, 1, 16), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((0, 5, 5, 3), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((2, 5, 5, 0), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((2, 1, 5, 3), (2, 2), (2, 2), ((0, 0), (0, 0))),  # no window fits
]
every_case = pytest.mark.parametrize(("shape", "size", "strides", "pads"), CASES)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def windows(shape, size, strides, pads):
    """(row, column) of each output, and its window as ranges of input rows and columns."""
    outs = [max(0, (n + sum(p) - k) // s + 1) for n, p, k, s in zip(shape[1:3], pads, size, strides)]
    for r in range(outs[0]):
        for q in range(outs[1]):
            starts = [i * s - p[0] for i, s, p in zip((r, q), strides, pads)]
            rows, cols = (np.arange(max(0, a), min(n, a + k)) for a, n, k in zip(starts, shape[1:3], size))
            yield (r, q), starts, rows, cols


def out_shape(shape, size, strides, pads):
    outs = [max(0, (n + sum(p) - k) // s + 1) for n, p, k, s in zip(shape[1:3], pads, size, strides)]
    return (shape[0], *outs, shape[3])


def max_pool(x, size, strides, pads):
    y = np.empty(out_shape(x.shape, size, strides, pads), x.dtype)
    places = np.empty(y.shape, int)
    for (r, q), (top, left), rows, cols in windows(x.shape, size, strides, pads):
        part = x[:, rows][:, :, cols].reshape(len(x), len(rows) * len(cols), x.shape[3])
        first = part.argmax(axis=1)  # the first largest, or the first nan
        y[:, r, q] = np.take_along_axis(part, first[:, None], 1)[:, 0]
        places[:, r, q] = (rows[first // len(cols)] - top) * size[1] + cols[first % len(cols)] - left
    return y, places


def max_pool_grad(g, places, shape, size, strides, pads):
    dx = np.zeros(shape)
    for (r, q), (top, left), _, _ in windows(shape, size, strides, pads):
        n, c = np.indices((shape[0], shape[3]))
        a, b = np.divmod(places[:, r, q].astype(int), size[1])
        np.add.at(dx, (n, top + a, left + b, c), g[:, r, q])
    return dx


def avg_pool(x, size, strides, pads, count_pads):
    y = np.empty(out_shape(x.shape, size, strides, pads))
    for (r, q), _, rows, cols in windows(x.shape, size, strides, pads):
        count = size[0] * size[1] if count_pads else len(rows) * len(cols)
        y[:, r, q] = x[:, rows][:, :, cols].sum(axis=(1, 2)) / count
    return y


def avg_pool_grad(g, shape, size, strides, pads, count_pads):
    dx = np.zeros(shape)
    for (r, q), _, rows, cols in windows(shape, size, strides, pads):
        count = size[0] * size[1] if count_pads else len(rows) * len(cols)
        dx[:, rows[:, None], cols] += g[:, r, q][:, None, None] / count
    return dx


def readonly(array):
    array.flags.writeable = False
    return array


@both_dtypes
@every_case
def test_max_pool_takes_the_first_largest_of_each_window(kernels, rng, shape, size, strides, pads, dtype):
    x = readonly(rng.integers(-9, 9, shape).astype(dtype))  # ties in most windows
    want, want_places = max_pool(x, size, strides, pads)
    y, places = kernels.max_pool2d(x, size, strides, pads)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(places, want_places)
    assert y.dtype == x.dtype
    assert places.dtype == (np.uint8 if size[0] * size[1] <= 256 else np.uint16)

    g = readonly(rng.integers(-9, 9, y.shape).astype(dtype))
    dx = kernels.max_pool2d_grad(g, places, shape, size, strides, pads)
    np.testing.assert_array_equal(dx, max_pool_grad(g, places, shape, size, strides, pads))
    assert dx.dtype == x.dtype
    for threads in (2, 3):
        for one, more in zip((y, places), kernels.max_pool2d(x, size, strides, pads, threads)):
            np.testing.assert_array_equal(one, more)
        again = kernels.max_pool2d_grad(g, places, shape, size, strides, pads, threads)
        np.testing.assert_array_equal(dx, again)


@both_dtypes
@pytest.mark.parametrize("count_pads", [False, True])
@every_case
def test_avg_pool_divides_by_what_the_window_holds(kernels, rng, shape, size, strides, pads, count_pads, dtype):
    x = readonly(rng.standard_normal(shape).astype(dtype))
    tolerance = {"rtol": 0, "atol": 1e-6 if dtype == "float32" else 1e-14}
    y = kernels.avg_pool2d(x, size, strides, pads, count_pads)
    want = avg_pool(x.astype("float64"), size, strides, pads, count_pads)
    np.testing.assert_allclose(y, want, **tolerance)

    g = readonly(rng.standard_normal(y.shape).astype(dtype))
    dx = kernels.avg_pool2d_grad(g, shape, size, strides, pads, count_pads)
    want = avg_pool_grad(g.astype("float64"), shape, size, strides, pads, count_pads)
    np.testing.assert_allclose(dx, want, **tolerance)
    assert (y.dtype, dx.dtype) == (x.dtype, x.dtype)
    for threads in (2, 3):
        again = kernels.avg_pool2d(x, size, strides, pads, count_pads, threads)
        np.testing.assert_array_equal(y, again)
        again = kernels.avg_pool2d_grad(g, shape, size, strides, pads, count_pads, threads)
        np.testing.assert_array_equal(dx, again)


@both_dtypes
def test_nan_wins_a_max_and_padding_never_does(kernels, rng, dtype):
    x = rng.standard_normal((1, 6, 6, 19)).astype(dtype)
    x[0, 2, 3, :7] = np.nan
    x[0, 3, 2, 3:9] = np.nan
    x[0, 0, 0, :] = x[0, 0, 1, :] = x[0, 1, 0, :] = x[0, 1, 1, :] = -np.inf
    x[0, 5, 5, 4] = np.inf
    how = ((3, 3), (1, 1), ((1, 1), (1, 1)))
    want, want_places = max_pool(x, *how)
    y, places = kernels.max_pool2d(x, *how)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(places, want_places)
    assert np.isneginf(y[0, 0, 0]).all()


def test_a_window_of_more_than_65536_elements_has_int32_places(kernels):
    x = np.zeros((1, 260, 260, 2), "float32")
    x[0, 259, 258, 1] = 1
    y, places = kernels.max_pool2d(x, (260, 260), (1, 1), ((0, 0), (0, 0)))
    assert places.dtype == np.int32
    np.testing.assert_array_equal(y.ravel(), [0, 1])
    np.testing.assert_array_equal(places.ravel(), [0, 259 * 260 + 258])


def test_a_large_window_is_summed_row_by_row(kernels, rng):
    x = rng.uniform(1, 2, (1, 300, 300, 4)).astype("float32")
    y = kernels.avg_pool2d(x, (300, 300), (1, 1), ((0, 0), (0, 0)))
    np.testing.assert_allclose(y.ravel(), x.astype("float64").mean(axis=(0, 1, 2)), rtol=5e-6)


def test_arguments_that_do_not_fit_raise(kernels):
    x = np.zeros((1, 4, 4, 3), "float32")
    y, places = kernels.max_pool2d(x, (2, 2), (2, 2), ((0, 0), (0, 0)))
    with pytest.raises(ValueError, match="smaller than the window"):
        kernels.max_pool2d(x, (2, 2), (2, 2), ((2, 0), (0, 0)))
    with pytest.raises(ValueError, match="expected shape"):
        kernels.max_pool2d_grad(y, places, (1, 6, 4, 3), (2, 2), (2, 2), ((0, 0), (0, 0)))
    with pytest.raises(TypeError, match="argmax"):
        kernels.max_pool2d_grad(y, places.astype(int), x.shape, (2, 2), (2, 2), ((0, 0), (0, 0)))
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.avg_pool2d(x.astype(int), (2, 2), (2, 2), ((0, 0), (0, 0)))
