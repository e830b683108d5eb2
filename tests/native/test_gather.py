"""Rows picked by number and joined where numbers say, against NumPy."""

import numpy as np
import pytest

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
SHAPES = [
    (1, 1, 1),
    (5, 3, 7),
    (10, 16, 40),
    (9, 32, 50),
    (6, 64, 30),
    (7, 33, 200),
    (40, 1, 300),
    (3, 2, 0),
    (3, 0, 4),
    (0, 3, 4),
]
every_shape = pytest.mark.parametrize(("rows", "cols", "count"), SHAPES)


@both_dtypes
@every_shape
def test_rows_are_taken_and_missing_ones_are_nan(kernels, rng, rows, cols, count, dtype):
    x = rng.standard_normal((rows, cols)).astype(dtype)
    at = rng.integers(-rows - 1, rows + 1, count)  # negative ones count from the end; some are out of range
    inside = (at >= -rows) & (at < rows)
    want = np.full((count, cols), np.nan, dtype)
    want[inside] = x[at[inside]]
    for threads in (1, 2):
        np.testing.assert_array_equal(kernels.take_rows(x, at, threads), want)


FOLDS = {"add": (np.add, 0), "mul": (np.multiply, 1), "max": (np.maximum, -np.inf), "min": (np.minimum, np.inf)}


def joined(base, at, updates, how):
    """The definition: `base` with the updates joined, one by one, to the rows that there are."""
    want, rows = base.copy(), len(base)
    inside = (at >= -rows) & (at < rows)
    FOLDS[how][0].at(want, at[inside], updates[inside])
    return want


@both_dtypes
@every_shape
@pytest.mark.parametrize("how", FOLDS)
@pytest.mark.parametrize("with_base", [True, False])
def test_rows_are_joined_to_those_they_belong_to(kernels, rng, rows, cols, count, how, with_base, dtype):
    base = rng.standard_normal((rows, cols)).astype(dtype) if with_base else None
    start = base if with_base else np.full((rows, cols), FOLDS[how][1], dtype)
    updates = rng.standard_normal((count, cols)).astype(dtype)
    if updates.size:
        updates.flat[:: 7 + updates.size // 5] = np.nan
        updates.flat[3 :: 7 + updates.size // 5] = -np.inf
    updates.flags.writeable = False
    at = rng.integers(-rows - 1, rows + 1, count)  # negative ones count from the end; some are out of range
    for threads in (1, 2, 3):
        got = kernels.scatter_rows(base, rows, at, updates, how, threads)
        np.testing.assert_array_equal(got, joined(start, at, updates, how))


@both_dtypes
def test_sums_in_a_table_beyond_the_caches_are_those_of_a_small_one(kernels, rng, dtype):
    rows, cols = 40_000, 128 * 4 // np.dtype(dtype).itemsize
    updates = rng.standard_normal((300, cols)).astype(dtype)
    updates[:7, 3] = np.nan, np.inf, -np.inf, -0.0, -0.0, 0.0, -0.0
    at = rng.integers(-rows - 1, rows + 1, 300)
    at[100:200] = rng.integers(0, 20, 100)  # rows that several numbers name
    want = joined(np.zeros((rows, cols), dtype), at, updates, "add")
    for threads in (1, 2, 3):
        got = kernels.scatter_rows(None, rows, at, updates, "add", threads)
        np.testing.assert_array_equal(got, want)
        assert not np.signbit(got[got == 0]).any()  # 0 + -0 is 0


@both_dtypes
@every_shape
@pytest.mark.parametrize("how", FOLDS)
def test_negative_numbers_may_be_no_rows(kernels, rng, rows, cols, count, how, dtype):
    updates = rng.standard_normal((count, cols)).astype(dtype)
    at = rng.integers(-rows - 1, rows + 1, count)
    want = joined(np.full((rows, cols), FOLDS[how][1], dtype), at[at >= 0], updates[at >= 0], how)
    for threads in (1, 2):
        np.testing.assert_array_equal(kernels.scatter_rows(None, rows, at, updates, how, threads, False), want)


def test_numbers_and_shapes_that_do_not_fit_are_errors(kernels):
    x = np.zeros((3, 2), "float32")
    with pytest.raises(TypeError, match="int64"):
        kernels.take_rows(x, np.zeros(2, "int32"))
    with pytest.raises(ValueError, match="3 numbers"):
        kernels.scatter_rows(None, 5, np.zeros(2, "int64"), x)
    with pytest.raises(ValueError, match="expected shape"):
        kernels.scatter_rows(np.zeros((4, 2), "float32"), 5, np.zeros(3, "int64"), x)
    with pytest.raises(ValueError, match="at least 0"):
        kernels.scatter_rows(None, -1, np.zeros(3, "int64"), x)
