"""Banded resampling against dense matrices, and resize by kernels against its portable body."""

import numpy as np
import pytest

import kcore
from kcore import ops

EPS = {"float32": 2.0**-24, "float64": 2.0**-53}
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@both_dtypes
@pytest.mark.parametrize("inner", [1, 2, 3, 4, 16, 33, 200])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 6, 11])
def test_a_band_is_a_matrix(kernels, rng, inner, most, dtype):
    outer, n, out = rng.integers(1, [5, 40, 50])
    spans = np.zeros((out, 2), "int32")
    spans[:, 1] = np.minimum(rng.integers(0, most + 1, out), n)
    spans[:, 0] = rng.integers(0, n - spans[:, 1] + 1)
    weights, x = rng.standard_normal((out, most)).astype(dtype), rng.standard_normal((outer, n, inner)).astype(dtype)
    matrix = np.zeros((out, n), np.longdouble)
    for i, (start, count) in enumerate(spans):
        matrix[i, start : start + count] = weights[i, :count]
    got = kernels.banded(x, outer, inner, spans, weights)
    want = np.einsum("in,onj->oij", matrix, x.astype(np.longdouble))
    np.testing.assert_allclose(got.astype(np.longdouble), want, rtol=0, atol=60 * EPS[dtype])
    np.testing.assert_array_equal(got, kernels.banded(x, outer, inner, spans, weights, 3))


def drawn_band(rng, n, most, dtype):
    """Spans and weights, some of which leave an element as it is."""
    out = int(rng.integers(1, 50))
    spans = np.zeros((out, 2), "int32")
    spans[:, 1] = np.minimum(rng.integers(0, most + 1, out), n)
    spans[:, 0] = rng.integers(0, n - spans[:, 1] + 1)
    weights = rng.standard_normal((out, most)).astype(dtype)
    weights[::3] = 1
    return spans, weights


@both_dtypes
@pytest.mark.parametrize("inner", [1, 3, 4, 33, 200])
@pytest.mark.parametrize("most", [1, 2, 5])
def test_two_axes_at_once_are_one_after_the_other(kernels, rng, inner, most, dtype):
    outer, n, m = (int(d) for d in rng.integers(1, [5, 40, 50]))
    first, second = drawn_band(rng, n, most, dtype), drawn_band(rng, m, most, dtype)
    x = rng.standard_normal((outer, n, m, inner)).astype(dtype)
    x[0, n // 2, m // 2] = np.nan
    between = kernels.banded(x, outer, m * inner, *first)
    want = kernels.banded(between, outer * len(first[0]), inner, *second)
    for threads in (1, 3):
        got = kernels.banded_planes(x, n, m, inner, *first, *second, threads)
        np.testing.assert_array_equal(got.reshape(want.shape), want)


@both_dtypes
def test_a_result_beyond_the_caches_is_that_of_one_axis_after_the_other(kernels, rng, dtype):
    n, m, inner = 300, 400, 8 if dtype == "float64" else 16
    spans, weights = (
        (np.arange(600)[:, None] // [2, 600] + [0, 1]).astype("int32"),
        rng.standard_normal((600, 1)).astype(dtype),
    )
    x = rng.standard_normal((1, n, m, inner)).astype(dtype)
    next_spans = np.concatenate([spans[:400] * [2, 1]] * 2).astype("int32")  # all even pixels, twice
    next_weights = np.concatenate([weights[:400]] * 2)
    between = kernels.banded(x, 1, m * inner, spans, weights)
    want = kernels.banded(between, 600, inner, next_spans, next_weights)
    for threads in (1, 2):
        got = kernels.banded_planes(x, n, m, inner, spans, weights, next_spans, next_weights, threads)
        np.testing.assert_array_equal(got.reshape(want.shape), want)


def test_rows_cut_into_pieces_give_the_same(kernels, rng):
    x, out = rng.standard_normal((2, 50, 900), "float32"), 120
    spans = np.stack([np.arange(out) * 48 // out, np.full(out, 2)], 1).astype("int32")
    weights = rng.standard_normal((out, 2), "float32")
    want = np.stack([x[:, s] * a + x[:, s + 1] * b for (s, _), (a, b) in zip(spans, weights, strict=True)], 1)
    for threads in (1, 3):
        np.testing.assert_allclose(kernels.banded(x, 2, 900, spans, weights, threads), want, rtol=1e-5, atol=1e-6)


def test_spans_that_leave_the_axis_are_errors(kernels):
    x, weights = np.zeros((1, 4, 2), "float32"), np.zeros((1, 2), "float32")
    for span in ([3, 2], [-1, 1], [0, 3], [0, -1]):
        with pytest.raises(ValueError, match="row 0 has the span"):
            kernels.banded(x, 1, 2, np.array([span], "int32"), weights)
    with pytest.raises(TypeError, match="int32 spans"):
        kernels.banded(x, 1, 2, np.array([[0, 1]]), weights)
    one = np.array([[0, 1]], "int32"), weights
    with pytest.raises(ValueError, match="sizes that x"):
        kernels.banded(x, 3, 2, *one)
    with pytest.raises(ValueError, match="sizes that x"):
        kernels.banded_planes(x, 3, 2, 1, *one, *one)
    with pytest.raises(ValueError, match="of 2 elements"):
        kernels.banded_planes(x, 4, 2, 1, *one, np.array([[1, 2]], "int32"), weights)


SIZES = [((5, 7), (9, 7)), ((8, 6), (3, 11)), ((1, 3), (4, 1)), ((6, 6), (6, 6)), ((12, 5), (4, 15))]
METHODS = ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area"]


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_resize_and_its_gradients_are_those_of_the_body(rng, sizes, method, antialias, layout):
    (h, w), size = sizes
    x = rng.standard_normal((2, h, w, 3) if layout == "channels_last" else (2, 3, h, w))

    def results(resize):
        def loss(x):
            return ops.sum(ops.sin(resize(x)))

        def norm(x):
            return ops.sum(ops.square(kcore.grad(loss)(x)))

        return resize(ops.convert_to_tensor(x)), kcore.grad(loss)(x), kcore.grad(norm)(x)

    kernel = results(lambda x: ops.image.resize(x, size, method, antialias, data_format=layout))
    body = results(
        lambda x: ops.image.resize.op.body(x, size, method, antialias, False, False, "constant", 0.0, layout)
    )
    for got, want in zip(kernel, body, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32"])
def test_resize_keeps_dtypes_and_ratios(rng, dtype):
    x = (rng.random((2, 6, 9, 3)) * 255).astype(dtype)
    for options in ({"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True, "fill_value": 7.0}):
        got = ops.image.resize(x, (5, 5), **options)
        flags = (options.get("crop_to_aspect_ratio", False), options.get("pad_to_aspect_ratio", False))
        tensor = ops.convert_to_tensor(x)
        want = ops.image.resize.op.body(
            tensor, (5, 5), "bilinear", False, *flags, "constant", options.get("fill_value", 0.0), "channels_last"
        )
        assert got.dtype == dtype
        np.testing.assert_allclose(np.asarray(got, "float64"), want, rtol=2e-3 if dtype == "float16" else 1e-5, atol=1)
