"""Random numbers against the NumPy cipher, at every SIMD level."""

import numpy as np
import pytest

from kcore.backends import threefry

KEYS = [(0, 0), (123, 456), (2**32 - 1, 2**32 - 2)]
SIZES = [0, 1, 7, 100, 1024, 16384, 40001]


@pytest.fixture
def ciphers(monkeypatch):
    """The words of a key, without the extension."""
    monkeypatch.setattr(threefry, "kernels", None)
    return lambda key, size: threefry.words(np.array(key, "uint32"), (size,))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("size", SIZES)
def test_draws_match_the_cipher(kernels, ciphers, key, size):
    words = ciphers(key, size)
    bits = words[:, 0] ^ words[:, 1]
    for threads in (1, 2):
        np.testing.assert_array_equal(kernels.draw_words(*key, size, threads), words)
        np.testing.assert_array_equal(kernels.draw_bits(*key, size, threads), bits)
        units = kernels.draw_units(*key, size, threads)
        assert units.dtype == "float32"
        np.testing.assert_array_equal(units, (bits >> np.uint32(9)) / 2.0**23)
        for threshold in (0, 1, 2**31 + 5, 2**32 - 1):
            below = kernels.draw_below(*key, size, threshold, threads)
            assert below.dtype == "bool"
            np.testing.assert_array_equal(below, bits < threshold)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_dropout_keeps_what_the_cipher_has_below_the_threshold(kernels, ciphers, rng, size, dtype):
    words = ciphers(KEYS[1], size)
    x = rng.standard_normal(size).astype(dtype)
    x[2::7], x[3::11] = np.nan, np.inf
    x.flags.writeable = False
    for threshold in (0, 3 * 2**30 + 5, 2**32 - 1):
        kept = words[:, 0] ^ words[:, 1] < threshold
        want = np.where(kept, x / 0.7, 0).astype(dtype)
        for threads in (1, 2):
            y, bits = kernels.dropout(*KEYS[1], x, threshold, 0.7, threads)
            np.testing.assert_array_equal(bits, np.packbits(kept, bitorder="little"))
            dx = kernels.dropout_grad(x, bits, 0.7, threads)
            for got in (y, dx):
                assert got.dtype == dtype
                np.testing.assert_array_equal(got, want)


def test_large_dropout_that_goes_past_the_caches_is_the_same(kernels, rng):
    x = rng.standard_normal(8_400_001, "float32")
    y, bits = kernels.dropout(1, 2, x, 2**31, 0.5)
    np.testing.assert_array_equal(y, np.where(kernels.draw_below(1, 2, x.size, 2**31), x / np.float32(0.5), 0))
    np.testing.assert_array_equal(kernels.dropout_grad(x, bits, 0.5), y)


def test_arrays_that_do_not_fit_are_refused(kernels):
    x = np.zeros(20, "float32")
    with pytest.raises(ValueError, match="bits for 20 elements, got 16"):
        kernels.dropout_grad(x, np.zeros(2, "uint8"), 0.5)
    with pytest.raises(TypeError, match="uint8"):
        kernels.dropout_grad(x, np.zeros(3, "int32"), 0.5)
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.dropout(0, 1, np.zeros(4, "float16"), 5, 0.5)


def test_the_cipher_passes_the_authors_test(kernels):
    assert kernels.draw_words(0, 0, 1).tolist() == [[0x6B200159, 0x99BA4EFE]]


def test_sizes_and_words_out_of_range_are_refused(kernels):
    with pytest.raises(ValueError, match="size of at least 0"):
        kernels.draw_bits(0, 0, -1)
    with pytest.raises(OverflowError):
        kernels.draw_bits(2**32, 0, 1)
