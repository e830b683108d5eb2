"""How sums end: the kernel beside its definition, and convolutions that end theirs beside a pass of its own, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore import _native
from kcore.backends.reference.ending import Ending, plain_end

TOLERANCE = {"float32": 4e-7, "float64": 8e-16}  # of the largest number met on the way
SAME = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))
WHOLE = Ending("bias", "mean", "factor", "offset", "beside", "relu")
ENDINGS = [
    Ending(),
    Ending(bias="bias", activation="relu6"),
    Ending(mean="mean", factor="factor", activation="relu"),
    Ending(mean="mean", factor="factor", offset="offset"),
    Ending(beside="beside"),
    WHOLE,
    WHOLE._replace(activation="relu6"),
]
# x shape, w shape, strides, pads, dilation, groups
CONVOLUTIONS = [
    ((2, 15, 17, 8), (3, 3, 8, 64), (1, 1), SAME, (1, 1), 1),
    ((2, 7, 7, 40), (3, 3, 40, 72), (1, 1), SAME, (1, 1), 1),  # wide tiles, and one that is not full
    ((1, 5, 5, 1500), (3, 3, 1500, 20), (1, 1), SAME, (1, 1), 1),  # sums cut into several chains
    ((1, 14, 14, 512), (1, 1, 512, 40), (1, 1), NONE, (1, 1), 1),
    ((1, 13, 6, 3), (5, 2, 3, 33), (2, 3), ((0, 2), (1, 0)), (1, 2), 1),
    ((2, 9, 8, 12), (1, 1, 12, 18), (2, 2), NONE, (1, 1), 1),  # the gradient has pixels that no tap meets
    ((2, 8, 8, 12), (3, 3, 4, 18), (1, 2), SAME, (1, 1), 3),
    ((2, 8, 8, 32), (3, 3, 4, 32), (1, 2), SAME, (1, 1), 8),
    ((2, 12, 9, 37), (3, 3, 1, 37), (1, 1), SAME, (1, 1), 37),
    ((2, 12, 9, 6), (3, 3, 1, 12), (2, 2), SAME, (1, 1), 6),
    ((2, 4, 6, 5, 8), (3, 3, 2, 8, 20), (1, 1, 2), ((1, 1), (1, 1), (0, 1)), (1, 1, 1), 1),
    ((1, 4, 6, 5, 6), (2, 3, 3, 1, 6), (1, 1, 1), ((0, 1), (1, 1), (1, 1)), (1, 1, 1), 6),
]


def filled(rng, ending, shape, dtype):
    """The ending with arrays for results of that shape instead of their names."""
    arrays = [
        None if name is None else rng.standard_normal(shape if name == "beside" else shape[-1]).astype(dtype)
        for name in ending[:5]
    ]
    return Ending(*arrays, ending.activation)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("level", _native.kernels.simd_levels() if _native.available else [])
@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 9), max_size=3),
    st.integers(0, 70),
    st.sampled_from(ENDINGS),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_rows_end_as_the_definition_says(level, dtype, rows, columns, which, seed, odd):
    kernels, before = _native.kernels, _native.kernels.get_simd()
    rng = np.random.default_rng(seed)
    v = (rng.standard_normal((*rows, columns)) * 5).astype(dtype)
    ending = filled(rng, which, v.shape, dtype)
    if odd and v.size:
        v.flat[rng.integers(v.size, size=3)] = np.nan, np.inf, -np.inf
        if ending.factor is not None:
            ending.factor[0], ending.mean[-1] = np.inf, np.nan
    kernels.set_simd(level)
    try:
        got = kernels.end_rows(v, ending.compiled())
        np.testing.assert_array_equal(kernels.end_rows(v, ending.compiled(), 3), got)
        target = v.copy()
        assert kernels.end_rows(target, ending.compiled(), out=target) is target
        np.testing.assert_array_equal(target, got)
    finally:
        kernels.set_simd(before)
    want = plain_end(v, ending)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    np.testing.assert_allclose(got[finite], want[finite], rtol=TOLERANCE[dtype], atol=60 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", CONVOLUTIONS, ids=str)
def test_convolutions_end_their_sums_as_a_pass_of_its_own_does(kernels, rng, shape, dtype):
    x_shape, w_shape, *how = shape
    x, w = (rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape))
    x.flat[0] = np.nan
    y = kernels.conv(x, w, *how)
    dx = kernels.conv_input_grad(y, w, x_shape, *how)
    for which in ENDINGS:
        for_y, for_dx = (filled(rng, which, t.shape, dtype).compiled() for t in (y, dx))
        want_y, want_dx = kernels.end_rows(y, for_y), kernels.end_rows(dx, for_dx)
        for threads in (1, 3):
            np.testing.assert_array_equal(kernels.conv(x, w, *how, threads, ending=for_y), want_y)
            got = kernels.conv_input_grad(y, w, x_shape, *how, threads, ending=for_dx)
            np.testing.assert_array_equal(got, want_dx)


def test_fast_convolutions_end_their_sums_too(kernels, rng):
    x, w = (rng.standard_normal(s).astype("float32") for s in ((2, 22, 23, 32), (3, 3, 32, 40)))
    how = (1, 1), SAME, (1, 1), 1
    y = kernels.conv(x, w, *how, fast=True)
    dx = kernels.conv_input_grad(y, w, x.shape, *how, fast=True)
    for_y, for_dx = (filled(rng, WHOLE, t.shape, "float32").compiled() for t in (y, dx))
    np.testing.assert_array_equal(kernels.conv(x, w, *how, fast=True, ending=for_y), kernels.end_rows(y, for_y))
    got = kernels.conv_input_grad(y, w, x.shape, *how, fast=True, ending=for_dx)
    np.testing.assert_array_equal(got, kernels.end_rows(dx, for_dx))


def test_empty_sums_are_ended(kernels):
    bias = np.array([-1.0, 2.0], "float32")
    ending = kernels.Ending(bias, activation="relu")
    y = kernels.conv(np.zeros((1, 3, 3, 0), "f"), np.zeros((2, 2, 0, 2), "f"), (1, 1), NONE, (1, 1), ending=ending)
    np.testing.assert_array_equal(y, np.broadcast_to([0, 2], (1, 2, 2, 2)))


def test_an_ending_refuses_what_does_not_fit(kernels):
    x, three, four = np.zeros((2, 3), "float32"), np.zeros(3, "float32"), np.zeros(4, "float32")
    locked = x.copy()
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        kernels.end_rows(x, kernels.Ending(three), out=locked)
    with pytest.raises(ValueError, match="expected shape"):
        kernels.end_rows(x, kernels.Ending(three), out=np.zeros((3, 2), "float32"))
    with pytest.raises(ValueError, match="3 elements"):
        kernels.end_rows(x, kernels.Ending(four))
    with pytest.raises(ValueError, match="6 elements"):
        kernels.end_rows(x, kernels.Ending(beside=three))
    with pytest.raises(TypeError, match="one dtype"):
        kernels.end_rows(x, kernels.Ending(three.astype("float64")))
    with pytest.raises(ValueError, match="go together"):
        kernels.Ending(mean=three)
    with pytest.raises(ValueError, match="expected 'linear', 'relu' or 'relu6', got 'tanh'"):
        kernels.Ending(activation="tanh")
