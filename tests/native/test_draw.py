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


def test_the_cipher_passes_the_authors_test(kernels):
    assert kernels.draw_words(0, 0, 1).tolist() == [[0x6B200159, 0x99BA4EFE]]


def test_sizes_and_words_out_of_range_are_refused(kernels):
    with pytest.raises(ValueError, match="size of at least 0"):
        kernels.draw_bits(0, 0, -1)
    with pytest.raises(OverflowError):
        kernels.draw_bits(2**32, 0, 1)
