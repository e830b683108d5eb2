"""Elementwise kernels and optimizer steps against NumPy."""

import numpy as np
import pytest

SIZES = [0, 1, 7, 16, 100, 40_000]
every_size = pytest.mark.parametrize("size", SIZES)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
CLOSE = {"float32": {"rtol": 1e-6, "atol": 1e-6}, "float64": {"rtol": 1e-14, "atol": 1e-15}}


def made(rng, size, dtype):
    return rng.standard_normal(size).astype(dtype)


@both_dtypes
@every_size
def test_relu_and_its_gradient(kernels, rng, size, dtype):
    x, g = made(rng, size, dtype), made(rng, size, dtype)
    x.flags.writeable = g.flags.writeable = False
    for threads in (1, 2):
        y = kernels.relu(x, threads)
        np.testing.assert_array_equal(y, np.maximum(x, 0))
        np.testing.assert_array_equal(kernels.relu_grad(g, y, threads), np.where(y > 0, g, 0))
    assert y.dtype == x.dtype


@both_dtypes
def test_relu_keeps_the_shape_passes_nan_and_has_no_negative_zero(kernels, dtype):
    x = np.array([[np.nan, -0.0, 0.0, np.inf, -np.inf, 5e-324, -5e-324, 1.0]] * 3, dtype)
    y = kernels.relu(x)
    np.testing.assert_array_equal(y, np.where(x > 0, x, np.where(np.isnan(x), x, 0)))
    assert not np.signbit(y[:, 1:]).any()
    g = np.full_like(x, 2)
    g[0, 4] = np.nan
    np.testing.assert_array_equal(kernels.relu_grad(g, y), np.where((y > 0) | np.isnan(y), g, 0))
    np.testing.assert_array_equal(kernels.relu_bits_grad(g, kernels.relu_with_bits(x)[1]), kernels.relu_grad(g, y))


@both_dtypes
@pytest.mark.parametrize("size", [*SIZES, 8, 8_199, 16_401])
def test_relu_with_bits_is_relu_and_a_bit_for_what_is_not_0(kernels, rng, size, dtype):
    x, g = made(rng, size, dtype), made(rng, size, dtype)
    x[::7] = np.nan
    x[3::11] = -0.0
    x.flags.writeable = g.flags.writeable = False
    for threads in (1, 2):
        y, bits = kernels.relu_with_bits(x, threads)
        np.testing.assert_array_equal(y, kernels.relu(x))
        assert not np.signbit(y[~np.isnan(y)]).any()
        np.testing.assert_array_equal(bits, np.packbits(y != 0, bitorder="little"))
        np.testing.assert_array_equal(kernels.relu_bits_grad(g, bits, threads), kernels.relu_grad(g, y))


def test_bits_that_do_not_fit_are_errors(kernels):
    g = np.zeros(9, "float32")
    with pytest.raises(ValueError, match="bits for 9 elements"):
        kernels.relu_bits_grad(g, np.zeros(1, "uint8"))
    with pytest.raises(TypeError, match="uint8"):
        kernels.relu_bits_grad(g, np.zeros(2, "int8"))


@both_dtypes
@every_size
@pytest.mark.parametrize("decay", [0.0, 1e-3])
def test_adam_step_matches_its_formula(kernels, rng, size, decay, dtype):
    grad = made(rng, size, dtype)
    grad.flags.writeable = False
    start = [made(rng, size, dtype), made(rng, size, dtype), abs(made(rng, size, dtype))]
    p, m, v = (a.astype("float64") for a in start)
    m += (grad - m) * (1 - 0.9)
    v += (grad.astype("float64") ** 2 - v) * (1 - 0.999)
    p -= p * decay
    p -= 0.01 * m / (np.sqrt(v) + 1e-7)
    results = []
    for threads in (1, 2):
        arrays = [a.copy() for a in start]
        kernels.adam_step([arrays[0]], [grad], [arrays[1]], [arrays[2]], 0.01, 0.9, 0.999, 1e-7, [decay], threads)
        for got, want in zip(arrays, (p, m, v)):
            np.testing.assert_allclose(got, want, **CLOSE[dtype])
        results.append(arrays)
    for one, two in zip(*results):
        np.testing.assert_array_equal(one, two)


def test_adam_step_without_decay_leaves_infinite_parameters(kernels):
    p, m, v, g = np.array([np.inf, -np.inf], "float32"), *np.zeros((3, 2), "float32")
    kernels.adam_step([p], [g], [m], [v], 0.01, 0.9, 0.999, 1e-7)
    np.testing.assert_array_equal(p, [np.inf, -np.inf])


def test_adam_step_takes_one_minus_beta_precisely(kernels):
    p, m, v, g = np.zeros((4, 1), "float32")
    g = np.ones(1, "float32")
    kernels.adam_step([p], [g], [m], [v], 0.0, 0.9, 0.999, 1e-7)
    assert v[0] == np.float32(0.001)  # 1 - float32(0.999) is 0.00100005


@both_dtypes
@every_size
@pytest.mark.parametrize("decay", [0.0, 1e-3])
@pytest.mark.parametrize(("momentum", "nesterov"), [(None, False), (0.9, False), (0.9, True)])
def test_sgd_step_matches_keras(kernels, rng, size, momentum, nesterov, decay, dtype):
    p, g, buffer = (made(rng, size, dtype) for _ in range(3))
    g.flags.writeable = False
    wide, speed = p.astype("float64") * (1 - decay), buffer.astype("float64")
    if momentum is None:
        buffer, momentum, wide = None, 0.0, wide - 0.1 * g
    else:
        speed = momentum * speed - 0.1 * g
        wide = wide + (momentum * speed - 0.1 * g if nesterov else speed)
    again = p.copy(), None if buffer is None else buffer.copy()
    for threads, (param, velocity) in ((1, (p, buffer)), (2, again)):
        kernels.sgd_step(
            [param], [g], None if velocity is None else [velocity], 0.1, momentum, nesterov, [decay], threads
        )
    np.testing.assert_allclose(p, wide, **CLOSE[dtype])
    np.testing.assert_array_equal(p, again[0])
    if buffer is not None:
        np.testing.assert_allclose(buffer, speed, **CLOSE[dtype])
        np.testing.assert_array_equal(buffer, again[1])


def test_steps_refuse_arrays_they_cannot_write(kernels):
    good = np.zeros(4, "float32")
    locked = np.zeros(4, "float32")
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        kernels.sgd_step([locked], [good], None, 0.1)
    with pytest.raises(ValueError, match="writable"):
        kernels.adam_step([good], [good], [locked], [good], 0.1, 0.9, 0.999, 1e-7)
    with pytest.raises(ValueError, match="4 elements"):
        kernels.sgd_step([good], [np.zeros(5, "float32")], None, 0.1)
    with pytest.raises(ValueError, match="C-contiguous"):
        kernels.sgd_step([np.zeros(8, "float32")[::2]], [good], None, 0.1)
    with pytest.raises(ValueError, match="expected 2 arrays, got 1"):
        kernels.adam_step([good, good.copy()], [good], [good], [good], 0.1, 0.9, 0.999, 1e-7)
    with pytest.raises(ValueError, match="expected 1 numbers, got 2"):
        kernels.sgd_step([good], [good], None, 0.1, 0.0, False, [0.0, 0.0])
    with pytest.raises(TypeError, match="one dtype"):
        kernels.sgd_step([good, np.zeros(4)], [good, good], None, 0.1)


@both_dtypes
def test_one_step_over_many_arrays_is_a_step_over_each(kernels, rng, dtype):
    sizes = [0, 1, 7, 16384, 0, 40000, 3, 0]
    decays = [0.0, 0.1, 0.0, 0.01, 0.0, 0.0, 0.1, 0.0]
    whole = [[abs(made(rng, size, dtype)) for size in sizes] for _ in range(4)]
    each = [[a.copy() for a in column] for column in whole]
    again = [[a.copy() for a in column] for column in whole]
    kernels.adam_step(*whole, 0.01, 0.9, 0.999, 1e-7, decays)
    kernels.adam_step(*again, 0.01, 0.9, 0.999, 1e-7, decays, 3)
    for *arrays, decay in zip(*each, decays, strict=True):
        kernels.adam_step(*([a] for a in arrays), 0.01, 0.9, 0.999, 1e-7, [decay])
    for got in (whole, again):
        for one, other in zip(got, each, strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_step_over_no_arrays_does_nothing(kernels):
    kernels.adam_step([], [], [], [], 0.01, 0.9, 0.999, 1e-7)
    kernels.sgd_step([], [], None, 0.01)
