"""Convolutions with packed weights, with epilogues, and by Winograd's algorithm, against those without."""

import numpy as np
import pytest

SAME = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))
# x shape, w shape, strides, pads, dilation, groups
SHAPES = [
    ((2, 9, 11, 8), (3, 3, 8, 20), (1, 1), SAME, (1, 1), 1),
    ((3, 7, 7, 40), (3, 3, 40, 72), (1, 1), SAME, (1, 1), 1),
    ((1, 7, 7, 512), (3, 3, 512, 16), (1, 1), SAME, (1, 1), 1),
    ((2, 7, 7, 160), (3, 3, 160, 72), (1, 1), SAME, (1, 1), 1),
    ((2, 14, 14, 1100), (1, 1, 1100, 5), (1, 1), NONE, (1, 1), 1),
    ((1, 13, 6, 3), (5, 2, 3, 64), (2, 1), ((0, 2), (1, 0)), (1, 3), 1),
    ((2, 8, 8, 12), (3, 3, 4, 18), (1, 2), SAME, (1, 1), 3),
    ((2, 8, 8, 6), (3, 3, 1, 12), (1, 1), SAME, (1, 1), 6),
    ((1, 4, 4, 2), (1, 1, 2, 1), (1, 1), NONE, (1, 1), 1),
]
# x shape and output channels of 3x3 convolutions with stride 1, and their padding
TILED = [
    ((1, 28, 28, 32), 48, SAME),
    ((2, 14, 15, 17), 33, SAME),
    ((3, 7, 7, 128), 40, SAME),
    ((1, 30, 21, 16), 16, NONE),
    ((1, 30, 21, 16), 16, ((2, 2), (2, 2))),
    ((1, 29, 33, 1040), 16, ((0, 1), (2, 0))),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_packs_and_epilogues_leave_every_bit_of_the_sums(kernels, rng, shape, dtype):
    x_shape, w_shape, *how = shape
    x, w = (rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape))
    bias = rng.standard_normal(w_shape[-1]).astype(dtype)
    x.flat[0], bias[0] = np.nan, -np.inf
    plain = kernels.conv(x, w, *how)
    packs = kernels.Packs()
    for threads in (1, 3):
        for kept in (None, packs, packs):
            np.testing.assert_array_equal(kernels.conv(x, w, *how, threads, packs=kept), plain)
            added = kernels.conv(x, w, *how, threads, packs=kept, ending=kernels.Ending(bias))
            np.testing.assert_array_equal(added, plain + bias)
            ending = kernels.Ending(bias, activation="relu")
            rectified = kernels.conv(x, w, *how, threads, packs=kept, ending=ending)
            np.testing.assert_array_equal(rectified, np.maximum(plain + bias, 0))
            rectified = kernels.conv(x, w, *how, threads, packs=kept, ending=kernels.Ending(activation="relu"))
            np.testing.assert_array_equal(rectified, np.maximum(plain, 0))
            assert not np.signbit(rectified[rectified == 0]).any()


def test_packs_serve_inputs_of_different_sizes(kernels, rng):
    w = rng.standard_normal((3, 3, 16, 64)).astype("float32")
    packs = kernels.Packs()
    for size in (5, 9, 5, 30):
        x = rng.standard_normal((2, size, size, 16)).astype("float32")
        how = (1, 1), SAME, (1, 1)
        np.testing.assert_array_equal(kernels.conv(x, w, *how, packs=packs), kernels.conv(x, w, *how))
    assert packs.nbytes >= w.nbytes


def test_a_bias_of_another_size_or_dtype_raises(kernels):
    x, w = np.zeros((1, 4, 4, 3), "float32"), np.zeros((1, 1, 3, 5), "float32")
    for bias, error in ((np.zeros(4, "float32"), ValueError), (np.zeros(5, "float64"), TypeError)):
        with pytest.raises(error):
            kernels.conv(x, w, (1, 1), NONE, (1, 1), ending=kernels.Ending(bias))


@pytest.mark.parametrize("shape", TILED, ids=str)
def test_fast_convolutions_keep_their_wider_tolerance(kernels, rng, shape):
    x_shape, oc, pads = shape
    w_shape = (3, 3, x_shape[-1], oc)
    x, w = (rng.standard_normal(s).astype("float32") for s in (x_shape, w_shape))
    bias = rng.standard_normal(oc).astype("float32")
    how = (1, 1), pads, (1, 1), 1
    want = kernels.conv(x.astype("float64"), w.astype("float64"), *how)
    exact = kernels.conv(x, w, *how)
    g = rng.standard_normal(want.shape).astype("float32")
    want_dx = kernels.conv_input_grad(g.astype("float64"), w.astype("float64"), x_shape, *how)
    packs, results = kernels.Packs(), []
    for threads in (1, 3):
        y = kernels.conv(x, w, *how, threads, fast=True)
        np.testing.assert_array_equal(kernels.conv(x, w, *how, threads, fast=True, packs=packs), y)
        ending = kernels.Ending(bias, activation="relu")
        ended = kernels.conv(x, w, *how, threads, fast=True, packs=packs, ending=ending)
        np.testing.assert_array_equal(ended, np.maximum(y + bias, 0))
        results.append((y, kernels.conv_input_grad(g, w, x_shape, *how, threads, fast=True)))
    for one, three in zip(*results):
        np.testing.assert_array_equal(one, three)
    y, dx = results[0]
    assert not np.array_equal(y, exact)  # else these shapes test nothing
    np.testing.assert_allclose(y, want, rtol=0, atol=2e-4 * want.std())
    np.testing.assert_allclose(dx, want_dx, rtol=0, atol=2e-4 * want_dx.std())


@pytest.mark.parametrize(
    ("dtype", "w_shape", "how"),
    [
        ("float64", (3, 3, 32, 32), ((1, 1), SAME, (1, 1), 1)),
        ("float32", (3, 3, 32, 32), ((2, 1), SAME, (1, 1), 1)),
        ("float32", (3, 3, 32, 32), ((1, 1), SAME, (1, 2), 1)),
        ("float32", (3, 3, 16, 32), ((1, 1), SAME, (1, 1), 2)),
        ("float32", (5, 5, 32, 32), ((1, 1), SAME, (1, 1), 1)),
        ("float32", (1, 1, 32, 32), ((1, 1), NONE, (1, 1), 1)),
    ],
)
def test_fast_changes_nothing_else(kernels, rng, dtype, w_shape, how):
    x, w = (rng.standard_normal(s).astype(dtype) for s in ((2, 20, 20, 32), w_shape))
    np.testing.assert_array_equal(kernels.conv(x, w, *how, fast=True), kernels.conv(x, w, *how))


def test_fast_convolutions_have_nan_near_what_is_not_finite_and_nowhere_else(kernels, rng):
    x, w = (rng.standard_normal(s).astype("float32") for s in ((1, 24, 24, 16), (3, 3, 16, 16)))
    x[0, 10, 10, 3] = np.inf
    y = kernels.conv(x, w, (1, 1), SAME, (1, 1), fast=True)
    bad = ~np.isfinite(y)
    assert bad[0, 9:12, 9:12].all()
    assert not bad[0, :4].any()
    assert not bad[0, 16:].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [0, 1, 7, 128, 129, 5000, 70000, 1200001])
def test_a_fingerprint_changes_with_any_element_and_with_nothing_else(kernels, rng, size, dtype):
    a = rng.standard_normal(size).astype(dtype)
    first = kernels.fingerprint(a)
    assert kernels.fingerprint(a.copy(), 3) == first
    for place in {0, size // 3, size - 1} if size else ():
        b = a.copy()
        b[place] = np.nextafter(b[place], 9)
        assert kernels.fingerprint(b) != first
    if size:
        assert kernels.fingerprint(-a) != first
        assert kernels.fingerprint(2 * a) != first
    if size > 1:
        assert kernels.fingerprint(a[::-1].copy()) != first
        assert kernels.fingerprint(np.zeros(size, dtype)) != kernels.fingerprint(np.zeros(size - 1, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [5, 96, 1024, 1100])
@pytest.mark.parametrize("filters", [3, 72])
def test_what_lies_beside_sums_may_be_written_over(kernels, rng, channels, filters, dtype):
    how = (1, 1), NONE, (1, 1)
    x, w = (rng.standard_normal(s).astype(dtype) for s in ((2, 9, 7, channels), (1, 1, channels, filters)))
    beside = rng.standard_normal((2, 9, 7, filters)).astype(dtype)
    beside.flat[0] = np.nan
    ended = kernels.conv(x, w, *how, ending=kernels.Ending(beside=beside, activation="relu"))
    for threads in (1, 3):
        given = beside.copy()
        ending = kernels.Ending(beside=given, activation="relu", spent=True)
        y = kernels.conv(x, w, *how, 1, threads, ending=ending)
        np.testing.assert_array_equal(y, ended)
        assert np.shares_memory(y, given) == (channels <= 1024)  # longer sums are stored in parts


def test_only_what_can_be_written_is_spent(kernels, rng):
    x, w = np.ones((1, 3, 3, 2), "float32"), np.ones((3, 3, 2, 4), "float32")
    beside = np.ones((1, 3, 3, 4), "float32")
    y = kernels.conv(x, w, (1, 1), SAME, (1, 1), ending=kernels.Ending(beside=beside, spent=True))
    assert (beside == 1).all()  # a 3x3 kernel's sums are stored in parts
    assert y[0, 1, 1, 0] == 19
    beside.flags.writeable = False
    for given in (None, beside):
        with pytest.raises(ValueError, match="spent"):
            kernels.Ending(beside=given, spent=True)
    with pytest.raises(ValueError, match=r"reshape|shape"):
        kernels.conv(x, w[:1, :1], (1, 1), NONE, (1, 1), ending=kernels.Ending(beside=np.ones((1, 4)), spent=True))
