"""Products on the reference backend: those that kernels make, and those that are BLAS's."""

from __future__ import annotations

import numpy as np
import pytest

from kcore import _native, backends, config, ops
from kcore._native import threads
from kcore.backends.reference import packs
from kcore.backends.reference.ending import Ending, end
from kcore.backends.reference.product import product, product_by_kernels
from kcore.backends.reference.tensor import Storage

wide = pytest.mark.skipif(
    not _native.available or _native.simd != "avx512", reason="kernels make products on the widest level alone"
)
# rows, sums, columns
SHAPES = [
    (128, 128, 128),
    (32, 784, 128),
    (4, 1024, 513),
    (300, 77, 100),
    (1000, 130, 17),
    (257, 2048, 16),
    (129, 1021, 40),
    (32, 128, 10),
    (4, 1, 8),
    (5, 3, 9),
    (4, 0, 8),
    (1, 2048, 1000),
    (2, 77, 5000),
    (3, 1, 8),
]
ORDERS = [(False, False), (False, True), (True, False)]


def matrices(shape, turned, seed=0):
    rng = np.random.default_rng(seed)
    rows, sums, columns = shape
    a, b = (rng.standard_normal(s, "float32") for s in ((rows, sums), (sums, columns)))
    return [np.asfortranarray(x) if t else x for x, t in zip((a, b), turned, strict=True)]


def exact(a, b):
    with np.errstate(invalid="ignore"):
        return a.astype("float64") @ b.astype("float64")


@pytest.mark.parametrize("turned", ORDERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_product_is_right_and_the_same_on_any_number_of_threads(shape, turned):
    a, b = matrices(shape, turned)
    before = threads.get_threads()
    try:
        found = []
        for n in (1, 2, 3):
            threads.set_threads(n)
            found.append(product(a, b))
    finally:
        threads.set_threads(before)
    scale = np.sqrt(max(shape[1], 1))
    np.testing.assert_allclose(found[0] / scale, exact(a, b) / scale, atol=1e-5)
    if product_by_kernels(a, b) is not None:
        for y in found[1:]:
            np.testing.assert_array_equal(y, found[0])


@wide
@pytest.mark.parametrize("turned", ORDERS)
def test_kernels_make_large_products_and_what_is_not_finite_stays_in_its_row_and_column(turned):
    a, b = matrices((160, 200, 144), turned)
    a[3, 5], a[9, 7], b[11, 13] = np.nan, np.inf, -np.inf
    y, want = product_by_kernels(a, b), exact(a, b)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(want))
    finite = np.isfinite(want)
    np.testing.assert_allclose(y[finite], want[finite], atol=1e-4)


@wide
@pytest.mark.parametrize("turned", ORDERS)
def test_a_product_ends_as_it_is_told(turned):
    a, b = matrices((130, 256, 96), turned)
    rng = np.random.default_rng(1)
    bias, mean, factor, offset = rng.standard_normal((4, 96), "float32")
    beside = rng.standard_normal((130, 96), "float32")
    plain = product_by_kernels(a, b)
    for ending in (
        Ending(bias),
        Ending(bias, activation="relu"),
        Ending(None, mean, factor, offset, beside, "relu6"),
    ):
        np.testing.assert_array_equal(product_by_kernels(a, b, ending), end(plain, ending))


def test_products_of_few_columns_of_few_rows_by_a_transposed_matrix_and_of_other_types_are_blas_s():
    rng = np.random.default_rng(0)
    for shape, turned in (((3, 512, 512), (False, True)), ((2048, 2048, 1), (False, False))):
        assert product_by_kernels(*matrices(shape, turned)) is None
    a = rng.standard_normal((256, 256))
    for dtype in ("float64", "complex64", "int32"):
        assert product_by_kernels(a.astype(dtype), a.astype(dtype)) is None
    assert product_by_kernels(a.astype("float32")[:, ::2], a.astype("float32")[:128]) is None  # neither order
    sums = np.ones((1031, 128), "float32")  # a prime number of rows, to be summed over
    np.testing.assert_array_equal(product(sums.T, sums), np.full((128, 128), 1031))


@wide
def test_a_level_without_wide_vectors_leaves_products_to_blas():
    a, b = matrices((256, 256, 256), (False, False))
    assert product_by_kernels(a, b) is not None
    level = _native.kernels.get_simd()
    try:
        _native.kernels.set_simd("baseline")
        assert product_by_kernels(a, b) is None
    finally:
        _native.kernels.set_simd(level)


@pytest.mark.parametrize("shape", [(3, 4, 70), (2, 0, 70), (0, 4, 70), (2, 3, 64, 70)])
def test_leading_axes_are_rows_of_one_product(shape):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(shape), rng.standard_normal((70, 50))
    with backends.use("reference"):
        y = ops.matmul(a, b)
    np.testing.assert_allclose(y, np.matmul(a, b), atol=1e-12)
    assert y.shape == (*shape[:-1], 50)


@wide
def test_only_a_variable_s_weights_are_packed_to_be_kept():
    packs.forget()
    a, b = matrices((64, 256, 256), (False, False))
    for _ in range(4):
        y = product(a, b)
    assert packs.kept_bytes() == 0
    storage = Storage(b, b.dtype)
    w = storage.value.view(np.ndarray)
    for _ in range(4):
        np.testing.assert_array_equal(product(a, w), y)
    assert packs.kept_bytes() >= b.nbytes
    storage.changing()[3] = 0
    b[3] = 0
    for _ in range(4):
        np.testing.assert_array_equal(product(a, w), product(a, b))


@wide
@pytest.mark.parametrize("activation", ["linear", "relu", "gelu"])
def test_a_dense_layer_has_the_bits_of_its_parts(activation):
    a, b = matrices((64, 300, 128), (False, False))
    bias = np.random.default_rng(2).standard_normal(128, "float32")
    with backends.use("reference"), config.numerics_scope("standard"):
        y = ops.dense(a, b, bias, activation)
        parts = ops.add(ops.matmul(a, b), bias)
        parts = {"linear": lambda x: x, "relu": ops.relu, "gelu": lambda x: ops.gelu(x, False)}[activation](parts)
    np.testing.assert_array_equal(y, parts)
