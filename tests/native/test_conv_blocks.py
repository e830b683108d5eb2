"""3x3 kernels of single channels and small groups, which are done in blocks of outputs, against their definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore import _native
from kcore.backends.reference.convolution import How, plain_conv, plain_input_grad, plain_kernel_grad

LEVELS = _native.kernels.simd_levels() if _native.available else ()
pytestmark = pytest.mark.skipif(not LEVELS, reason=str(_native.reason))
TOLERANCE = 2e-6  # times the sum of absolute products
SAME = ((1, 1), (1, 1))

sizes = st.integers(1, 20)
pads = st.tuples(st.integers(0, 4), st.integers(0, 4))


@st.composite
def convolutions(draw):
    """(x shape, w shape, how) with windows that fit."""
    width = draw(st.sampled_from([1, 1, 1, 2, 4, 8]))
    channels = width * draw(st.integers(2, 40 // width))
    size = draw(st.tuples(sizes, sizes))
    padding = draw(st.tuples(pads, pads))
    padding = tuple((before, after + max(0, 3 - n - before - after)) for n, (before, after) in zip(size, padding))
    step = draw(st.sampled_from([1, 2]))
    x = (draw(st.integers(1, 3)), *size, channels)
    return x, (3, 3, width, channels), How((step, step), padding, (1, 1))


def maps(kernels, x, w, g, how, threads=1):
    """The result and both gradients."""
    groups = x.shape[-1] // w.shape[-2]
    return (
        kernels.conv(x, w, *how, groups, threads),
        kernels.conv_input_grad(g, w, x.shape, *how, groups, threads),
        kernels.conv_kernel_grad(x, g, w.shape, *how, groups, threads),
    )


def plain_maps(x, w, g, how):
    return plain_conv(x, w, how), plain_input_grad(g, w, x.shape, how), plain_kernel_grad(x, g, w.shape, how)


@pytest.mark.parametrize("level", LEVELS)
@given(case=convolutions(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_blocks_match_the_definition_whatever_the_threads(level, case, seed):
    x_shape, w_shape, how = case
    rng = np.random.default_rng(seed)
    x, w = (rng.standard_normal(s).astype("float32") for s in (x_shape, w_shape))
    g = rng.standard_normal(plain_conv(x, w, how).shape).astype("float32")
    before = _native.kernels.get_simd()
    _native.kernels.set_simd(level)
    try:
        one, three = (maps(_native.kernels, x, w, g, how, threads) for threads in (1, 3))
    finally:
        _native.kernels.set_simd(before)
    wide = [a.astype("float64") for a in (x, w, g)]
    wants, scales = plain_maps(*wide, how), plain_maps(*map(abs, wide), how)
    for got, same, want, scale in zip(one, three, wants, scales):
        np.testing.assert_array_equal(got, same)
        assert np.all(abs(got - want) <= TOLERANCE * scale)


@pytest.mark.parametrize("step", [1, 2])
def test_nan_and_infinity_reach_what_reads_them_and_nothing_else(kernels, rng, step):
    how = How((step, step), SAME, (1, 1))
    x, w = (rng.standard_normal(s).astype("float32") for s in ((2, 17, 19, 21), (3, 3, 1, 21)))
    g = rng.standard_normal(plain_conv(x, w, how).shape).astype("float32")
    x[0, 4, 5, 1], x[1, 0, 0, 20], x[1, 16, 18, 3] = np.nan, np.inf, -np.inf
    g[0, 4, 5, 1], g[1, -1, -1, 20], g[0, 0, 0, 7] = -np.inf, np.nan, np.inf
    with np.errstate(invalid="ignore"):
        # Padding multiplies nothing in the kernels; in the definition it is 0, which times infinity is nan.
        wants = plain_conv(x, w, how), plain_input_grad(g, w, x.shape, how)
    for got, want in zip(maps(kernels, x, w, g, how), wants):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    dw = kernels.conv_kernel_grad(x, g, w.shape, *how, 21)
    bad = ~np.isfinite(dw).all((0, 1, 2))
    assert set(np.flatnonzero(bad)) == {1, 3, 7, 20}


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("channels", [32, 31])  # whole vectors go past the caches
def test_results_larger_than_the_caches_are_those_of_single_images(kernels, rng, channels, step):
    how = How((step, step), SAME, (1, 1))
    size = 100 * step
    x = rng.standard_normal((24 // step**2, size, size, channels), "float32")
    w = rng.standard_normal((3, 3, 1, channels), "float32")
    g = rng.standard_normal((len(x), 100, 100, channels), "float32")
    assert x.nbytes + g.nbytes > 32 << 20
    y, dx, dw = maps(kernels, x, w, g, how, 2)
    total = np.zeros(dw.shape)
    for i in range(len(x)):
        one_y, one_dx, one_dw = maps(kernels, x[i : i + 1], w, g[i : i + 1], how)
        np.testing.assert_array_equal(y[i : i + 1], one_y)
        np.testing.assert_array_equal(dx[i : i + 1], one_dx)
        total += one_dw
    np.testing.assert_allclose(dw, total, rtol=0, atol=1e-5 * abs(total).max())
