"""Pooling and its gradients: the definitions against loops over windows, the kernels against the definitions."""

import itertools

import numpy as np
import pytest

from kcore.backends.reference import pooling
from kcore.backends.reference.pooling import Adaptive, Pool


def sliding(size, strides, *pads):
    return Pool(size, strides, pads)


def random_cases(count):
    """(x shape, pool) over one to three spatial axes, with windows that fit."""
    rng = np.random.default_rng(5)
    cases = []
    while len(cases) < count:
        rank = int(rng.integers(1, 4))
        sizes = tuple(rng.integers(1, (40, 14, 8)[rank - 1], rank).tolist())
        shape = (int(rng.integers(1, 4)), *sizes, int(rng.choice([1, 3, 16, 17, 64, 130])))
        if rng.random() < 0.3:
            cases.append((shape, Adaptive(tuple(rng.integers(1, 10, rank).tolist()))))
            continue
        size, strides = (tuple(rng.integers(1, 5, rank).tolist()) for _ in range(2))
        pads = tuple(tuple(int(p) for p in rng.integers(0, k, 2)) for k in size)
        room = [n + sum(p) - k for n, p, k in zip(sizes, pads, size)]
        if min(room) >= 0:
            cases.append((shape, Pool(size, strides, pads)))
    return cases


CASES = [
    ((2, 8, 8, 64), sliding((2, 2), (2, 2), (0, 0), (0, 0))),
    ((1, 9, 7, 5), sliding((3, 3), (2, 2), (1, 1), (1, 0))),
    ((1, 6, 6, 33), sliding((2, 2), (3, 3), (0, 0), (0, 0))),  # gaps between windows
    ((3, 5, 4, 1), sliding((5, 4), (1, 1), (0, 0), (0, 0))),  # one window for all
    ((1, 20, 21, 3), sliding((17, 19), (1, 1), (2, 0), (0, 3))),  # places above 255
    ((2, 1, 1, 16), sliding((3, 3), (1, 1), (1, 1), (1, 1))),
    ((1, 600, 18), sliding((3,), (2,), (1, 1))),  # rows of several tasks
    ((1, 515, 4), sliding((2,), (2,), (0, 0))),
    ((2, 3, 300, 5), Adaptive((2, 299))),
    ((0, 5, 5, 3), sliding((2, 2), (2, 2), (0, 0), (0, 0))),
    ((2, 5, 5, 0), sliding((2, 2), (2, 2), (0, 0), (0, 0))),
    *random_cases(60),
]
every_case = pytest.mark.parametrize(("shape", "pool"), CASES, ids=lambda case: str(case).replace(" ", ""))
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def windows(shape, bounds):
    """(place in the result, elements of the input as ranges, where the window starts) of each window."""
    for place in itertools.product(*(range(len(b)) for b in bounds)):
        spans = [b[i] for b, i in zip(bounds, place)]
        ranges = [slice(max(0, a), min(n, b)) for (a, b), n in zip(spans, shape[1:-1])]
        yield (slice(None), *place), (slice(None), *ranges), [int(a) for a, _ in spans]


def max_of_each_window(x, bounds):
    y = np.empty((len(x), *map(len, bounds), x.shape[-1]), x.dtype)
    places = np.empty(y.shape, int)
    box = [max(b[:, 1] - b[:, 0]) for b in bounds]
    for at, elements, starts in windows(x.shape, bounds):
        part = x[elements]
        rows = part.reshape(len(x), -1, x.shape[-1])
        first = rows.argmax(axis=1)  # the first largest, or the first nan
        y[at] = np.take_along_axis(rows, first[:, None], 1)[:, 0]
        inside = np.unravel_index(first, part.shape[1:-1])
        offsets = [i + e.start - s for i, e, s in zip(inside, elements[1:], starts)]
        places[at] = np.ravel_multi_index(offsets, box)
    return y, places


def means_of_each_window(x, bounds):
    y = np.empty((len(x), *map(len, bounds), x.shape[-1]))
    for at, elements, _ in windows(x.shape, bounds):
        y[at] = x[elements].mean(axis=tuple(range(1, x.ndim - 1)))
    return y


def shares_of_each_window(g, shape, bounds):
    dx = np.zeros(shape)
    for at, elements, _ in windows(shape, bounds):
        part = dx[elements]
        part += np.expand_dims(g[at], tuple(range(1, g.ndim - 1))) / np.prod(part.shape[1:-1])
    return dx


def readonly(array):
    array.flags.writeable = False
    return array


@every_case
def test_the_definitions_are_loops_over_windows(rng, shape, pool):
    bounds = pool.bounds(shape[1:-1])
    x = rng.integers(-9, 9, shape).astype("float64")  # ties in most windows
    if 0 not in shape:
        for got, want in zip(pooling.plain_max(x, bounds), max_of_each_window(x, bounds)):
            np.testing.assert_array_equal(got, want)
        np.testing.assert_allclose(pooling.plain_mean(x, bounds), means_of_each_window(x, bounds), rtol=1e-14)
    y, places = pooling.plain_max(x, bounds)
    assert places.dtype == pooling.place_dtype(bounds)
    np.testing.assert_array_equal(pooling.picked(x, places, bounds), y)
    g = rng.integers(-9, 9, y.shape).astype("float64")
    # A gradient is the transpose of what is linear.
    spread = pooling.plain_spread(g, places, shape, bounds)
    assert np.sum(spread * x) == np.sum(g * y)
    np.testing.assert_allclose(
        pooling.plain_mean_grad(g, shape, bounds), shares_of_each_window(g, shape, bounds), atol=1e-13
    )


@both_dtypes
@every_case
def test_max_pool_takes_the_first_largest_of_each_window(kernels, rng, shape, pool, dtype):
    bounds = pool.bounds(shape[1:-1])
    x = readonly(rng.integers(-9, 9, shape).astype(dtype))
    y, places = pooling.max_with_places(x, bounds)
    want, want_places = pooling.plain_max(x, bounds)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(places, want_places)
    np.testing.assert_array_equal(pooling.greatest(x, bounds), want)
    assert (y.dtype, places.dtype) == (x.dtype, want_places.dtype)

    g = readonly(rng.integers(-9, 9, y.shape).astype(dtype))
    dx = pooling.spread(g, places, shape, bounds)
    np.testing.assert_array_equal(dx, pooling.plain_spread(g, places, shape, bounds))
    assert dx.dtype == x.dtype


@both_dtypes
@every_case
def test_average_pool_divides_by_what_the_window_holds(kernels, rng, shape, pool, dtype):
    bounds = pool.bounds(shape[1:-1])
    x = readonly(rng.standard_normal(shape).astype(dtype))
    tolerance = {"rtol": 0, "atol": 1e-6 if dtype == "float32" else 2e-15}
    y = pooling.mean(x, bounds)
    np.testing.assert_allclose(y, pooling.plain_mean(x.astype("float64"), bounds), **tolerance)

    g = readonly(rng.standard_normal(y.shape).astype(dtype))
    dx = pooling.mean_grad(g, shape, bounds)
    want = pooling.plain_mean_grad(g.astype("float64"), shape, bounds)
    np.testing.assert_allclose(dx, want, rtol=0, atol=4 * tolerance["atol"])
    assert (y.dtype, dx.dtype) == (x.dtype, x.dtype)


@pytest.mark.parametrize(
    ("shape", "pool"),
    [
        ((2, 3, 9, 300, 5), Pool((2, 3, 3), (1, 2, 2), ((1, 0), (1, 1), (0, 1)))),
        ((1, 4, 6, 520, 17), Pool((2, 2, 2), (2, 2, 2), ((0, 0),) * 3)),
        ((1, 2, 3, 270, 3), Adaptive((2, 2, 100))),
    ],
)
def test_the_bits_do_not_depend_on_the_threads(kernels, rng, shape, pool):
    bounds = pool.bounds(shape[1:-1])
    x = rng.standard_normal(shape).astype("float32")

    def results(threads):
        y, places = kernels.max_pool(x, bounds, True, threads)
        mean = kernels.avg_pool(x, bounds, threads)
        spread = kernels.max_pool_grad(mean, places, shape, bounds, threads)
        return y, places, mean, spread, kernels.avg_pool_grad(mean, shape, bounds, threads)

    for more in (2, 3):
        for one, several in zip(results(1), results(more)):
            np.testing.assert_array_equal(one, several)


@both_dtypes
@pytest.mark.parametrize("channels", [1, 19, 64, 100])
def test_nan_wins_a_max_and_padding_never_does(kernels, rng, dtype, channels):
    x = rng.standard_normal((1, 6, 6, channels)).astype(dtype)
    x[0, 2, 3, :7] = np.nan
    x[0, 3, 2, 3:9] = np.nan
    x[0, 0, 0] = x[0, 0, 1] = x[0, 1, 0] = x[0, 1, 1] = -np.inf
    x[0, 5, 5, channels // 2] = np.inf
    bounds = Pool((3, 3), (1, 1), ((1, 1), (1, 1))).bounds((6, 6))
    want, want_places = max_of_each_window(x, bounds)
    y, places = pooling.max_with_places(x, bounds)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(places, want_places)
    np.testing.assert_array_equal(pooling.greatest(x, bounds), want)
    assert np.isneginf(y[0, 0, 0]).all()


@pytest.mark.parametrize("place", [0, 8, 200])
def test_places_that_no_pooling_gives_stay_inside_the_image(kernels, rng, place):
    # What the sanitizers would see, too: a write beside the image.
    shape, bounds = (2, 1, 5, 5, 3), bounds_of([(0, 1)], [(-1, 2), (2, 5)], [(-1, 2), (3, 6)])
    g = rng.integers(1, 9, (2, 1, 2, 2, 3)).astype("float32")
    dx = kernels.max_pool_grad(g, np.full(g.shape, place, "uint8"), shape, bounds)
    assert np.isin(dx[dx != 0], g).all()
    assert dx.sum() <= g.sum()


def test_a_window_of_more_than_65536_elements_has_int32_places(kernels):
    x = np.zeros((1, 260, 260, 2), "float32")
    x[0, 259, 258, 1] = 1
    y, places = pooling.max_with_places(x, Pool((260, 260), (1, 1), ((0, 0), (0, 0))).bounds((260, 260)))
    assert places.dtype == np.int32
    np.testing.assert_array_equal(y.ravel(), [0, 1])
    np.testing.assert_array_equal(places.ravel(), [0, 259 * 260 + 258])


def test_a_large_window_is_summed_row_by_row(kernels, rng):
    x = rng.uniform(1, 2, (1, 300, 300, 4)).astype("float32")
    y = pooling.mean(x, Pool((300, 300), (1, 1), ((0, 0), (0, 0))).bounds((300, 300)))
    np.testing.assert_allclose(y.ravel(), x.astype("float64").mean(axis=(0, 1, 2)), rtol=5e-6)


def bounds_of(*axes):
    return tuple(np.array(axis, "int64").reshape(-1, 2) for axis in axes)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([(4, 6)], "meet 4 elements"),
        ([(-2, 0)], "meet 4 elements"),
        ([(1, 1)], "meet 4 elements"),
        ([(1, 3), (0, 3)], "ascend"),
        ([(0, 3), (1, 2)], "ascend"),
        ([(-(2**20), 2**40)], "too large"),
    ],
)
def test_windows_that_do_not_fit_raise(kernels, columns, message):
    x = np.zeros((1, 1, 1, 4, 3), "float32")
    with pytest.raises(ValueError, match=message):
        kernels.max_pool(x, bounds_of([(0, 1)], [(0, 1)], columns))


def test_arguments_that_do_not_fit_raise(kernels):
    x = np.zeros((1, 1, 4, 4, 3), "float32")
    bounds = bounds_of([(0, 1)], [(0, 2), (2, 4)], [(0, 2), (2, 4)])
    y, places = kernels.max_pool(x, bounds)
    with pytest.raises(ValueError, match="expected shape"):
        kernels.max_pool_grad(y[:, :, :1].copy(), places, x.shape, bounds)
    with pytest.raises(TypeError, match="places"):
        kernels.max_pool_grad(y, places.astype(int), x.shape, bounds)
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.avg_pool(x.astype(int), bounds)
    with pytest.raises(TypeError, match="int64"):
        kernels.avg_pool(x, tuple(b.astype("int32") for b in bounds))
    with pytest.raises(ValueError, match="three axes"):
        kernels.avg_pool(x, bounds[:2])
