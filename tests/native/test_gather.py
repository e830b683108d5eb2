"""Rows picked by number and joined where numbers say, against NumPy."""

import numpy as np
import pytest

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
SHAPES = [(1, 1, 1), (5, 3, 7), (10, 16, 40), (7, 33, 200), (40, 1, 300), (3, 2, 0), (3, 0, 4), (0, 3, 4)]
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


@both_dtypes
@every_shape
@pytest.mark.parametrize("how", [None, "add", "mul", "max", "min"])
def test_rows_are_joined_to_those_they_belong_to(kernels, rng, rows, cols, count, how, dtype):
    base = rng.standard_normal((rows, cols)).astype(dtype) if how else None
    updates = rng.standard_normal((count, cols)).astype(dtype)
    if updates.size:
        updates.flat[:: 7 + updates.size // 5] = np.nan
        updates.flat[3 :: 7 + updates.size // 5] = -np.inf
    updates.flags.writeable = False
    at = rng.integers(-rows - 1, rows + 1, count)  # negative ones count from the end; some are out of range
    inside = (at >= -rows) & (at < rows)
    want = np.zeros((rows, cols), dtype) if base is None else base.copy()
    how = how or "add"
    function = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[how]
    function.at(want, at[inside], updates[inside])
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(kernels.scatter_rows(base, rows, at, updates, how, threads), want)


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
