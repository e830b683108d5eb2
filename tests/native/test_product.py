"""Products of matrices by convolution kernels, against NumPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore import _native

ORDERS = [(False, False), (False, True), (True, False)]


def matrices(rng, rows, sums, columns, dtype, turned):
    a, b = (rng.standard_normal(s).astype(dtype) for s in ((rows, sums), (sums, columns)))
    return [np.asfortranarray(x) if t else x for x, t in zip((a, b), turned, strict=True)]


def check(kernels, a, b, threads=1, **arguments):
    y = kernels.product(a, b, threads, **arguments)
    with np.errstate(all="ignore"):
        want = a.astype("longdouble") @ b.astype("longdouble")
    scale = np.abs(np.nan_to_num(want)).max(initial=1) + np.sqrt(a.shape[1])
    np.testing.assert_allclose(y, want.astype(a.dtype), atol=scale * (1e-5 if a.dtype == "float32" else 1e-13))
    return y


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turned", ORDERS)
@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1),
        (3, 70, 5),
        (40, 33, 65),
        (17, 520, 31),
        (9, 1040, 16),
        (64, 1024, 2),
        (5, 0, 3),
        (1, 100, 9000),
        (2, 19, 70),
    ],
)
def test_products_are_right_in_every_order(kernels, rng, shape, turned, dtype):
    a, b = matrices(rng, *shape, dtype, turned)
    y = check(kernels, a, b)
    for threads in (2, 3):
        np.testing.assert_array_equal(kernels.product(a, b, threads), y)
    bias = rng.standard_normal(shape[-1]).astype(dtype)
    ended = kernels.product(a, b, 2, ending=kernels.Ending(bias, activation="relu"))
    np.testing.assert_array_equal(ended, np.maximum(y + bias, 0))


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 40), st.integers(1, 700), st.integers(1, 70), st.sampled_from(ORDERS), st.sampled_from(["f4", "f8"]),
    st.integers(0, 99),
)  # fmt: skip
@pytest.mark.skipif(not _native.available, reason="no kernels")
def test_products_of_any_size(rows, sums, columns, turned, dtype, seed):
    a, b = matrices(np.random.default_rng(seed), rows, sums, columns, dtype, turned)
    a.flat[seed % a.size] = np.nan
    y = _native.kernels.product(a, b)
    if y is None:  # sums in rows of no good length
        assert turned[0]
        assert sums > 512
    else:
        assert np.isnan(y).any(axis=1).sum() == 1
        check(_native.kernels, a, b)


def test_packs_give_the_same_bits(kernels, rng):
    a, b = matrices(rng, 33, 300, 129, "float32", (False, False))
    y, packs = kernels.product(a, b), kernels.Packs()
    for _ in range(2):
        np.testing.assert_array_equal(kernels.product(a, b, packs=packs), y)
    assert packs.nbytes >= b.nbytes


def test_other_orders_are_left_to_others_and_what_does_not_fit_is_refused(kernels):
    a = np.ones((8, 6), "float32")
    assert kernels.product(a[:, ::2], np.ones((3, 4), "float32")) is None
    assert kernels.product(a, np.ones((6, 8), "float32")[:, ::2]) is None
    assert kernels.product(np.asfortranarray(a), np.ones((8, 6), "float32").T) is None
    assert kernels.product(np.ones((1031, 4), "float32").T, np.ones((1031, 4), "float32")) is None  # a prime
    with pytest.raises(ValueError, match="matrices that fit"):
        kernels.product(a, a)
    with pytest.raises(ValueError, match="matrices that fit"):
        kernels.product(a, np.ones(6, "float32"))
    with pytest.raises(TypeError, match="float64"):
        kernels.product(a, np.ones((6, 3)))
    with pytest.raises(TypeError, match="int64"):
        kernels.product(np.ones((2, 2), "int64"), np.ones((2, 2), "int64"))
