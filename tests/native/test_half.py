"""16-bit floats as float32 and back, every bit pattern of them, against ml_dtypes and NumPy."""

import ml_dtypes
import numpy as np
import pytest

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
both_halves = pytest.mark.parametrize("dtype", [BFLOAT16, np.dtype("float16")], ids=str)
ALL_BITS = np.arange(1 << 16, dtype="uint16")


def same_values(got, want):
    """Bit by bit, but for what else a nan says."""
    width = f"uint{8 * want.dtype.itemsize}"
    nan = np.isnan(want)
    np.testing.assert_array_equal(np.isnan(got), nan)
    np.testing.assert_array_equal(got.view(width)[~nan], want.view(width)[~nan])


@both_halves
@pytest.mark.parametrize("threads", [1, 3])
def test_every_number_is_widened_as_it_is(kernels, dtype, threads):
    same_values(kernels.widen(ALL_BITS, dtype == BFLOAT16, threads), ALL_BITS.view(dtype).astype("float32"))


@both_halves
@pytest.mark.parametrize("threads", [1, 3])
def test_floats_are_rounded_to_the_nearest_and_ties_to_even(kernels, rng, dtype, threads):
    exact = ALL_BITS.view(dtype).astype("float32")
    steps = np.arange(-3, 4)
    with np.errstate(all="ignore"):
        ties = (exact[:-1].astype("float64") + exact[1:]) / 2
        ties = ties.astype("float32")
    near = (ties.view("int32")[:, None] + steps).astype("int32").view("float32").ravel()
    drawn = rng.integers(0, 1 << 32, 50_000, dtype=np.uint64).astype("uint32").view("float32")
    ends = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 65504, 65519.996, 65520, 3.4e38, 1e-45, -1e-40], "float32")
    x = np.concatenate([exact, near, drawn, ends])
    with np.errstate(all="ignore"):
        want = x.astype(dtype)
    same_values(kernels.narrow(x, dtype == BFLOAT16, threads).view(dtype), want)


@both_halves
@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (3, 5), (2, 0, 3), (33,), (4, 16, 17)], ids=str)
def test_shapes_are_kept(kernels, rng, dtype, shape):
    x = rng.standard_normal(shape).astype("float32")
    x.flags.writeable = False
    bits = kernels.narrow(x, dtype == BFLOAT16)
    assert bits.shape == shape
    np.testing.assert_array_equal(bits.view(dtype), x.astype(dtype))
    np.testing.assert_array_equal(kernels.widen(bits, dtype == BFLOAT16), x.astype(dtype).astype("float32"))


def test_other_arrays_raise(kernels):
    with pytest.raises(TypeError, match="uint16 bits"):
        kernels.widen(np.zeros(3, "int16"), True)
    with pytest.raises(TypeError, match="uint16 bits"):
        kernels.widen(np.zeros((4, 4), "uint16").T[1:], True)
    with pytest.raises(TypeError, match="one dtype"):
        kernels.narrow(np.zeros(3), True)
