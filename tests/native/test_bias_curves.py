"""A bias and an activation in one pass, and its gradient with the bias's, against the kernels that take them apart."""

import numpy as np
import pytest

SHAPES = [(0, 3), (1, 1), (3, 2), (5, 16), (64, 17), (65, 40), (300, 7), (129, 600)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
NAMES = ("linear", "relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh")
names = pytest.mark.parametrize("name", NAMES)


def drawn(rng, shape, dtype):
    x = rng.standard_normal(shape).astype(dtype) * 3
    if x.size > 2:
        x.flat[0], x.flat[-1] = np.nan, -np.inf
    x.flags.writeable = False
    return x


def apart(kernels, name, x):
    return x if name == "linear" else kernels.relu(x) if name == "relu" else kernels.curve(name, x)


def slope_apart(kernels, name, g, given):
    if name == "linear":
        return g
    return kernels.relu_grad(g, given) if name == "relu" else kernels.curve_grad(name, g, given)


@both_dtypes
@every_shape
@names
def test_one_pass_gives_the_bits_of_two(kernels, rng, name, shape, dtype):
    x, bias = drawn(rng, shape, dtype), rng.standard_normal(shape[1]).astype(dtype)
    for offset in (bias, None):
        want = apart(kernels, name, x if offset is None else x + offset)
        for threads in (1, 3):
            np.testing.assert_array_equal(kernels.bias_curve(name, x, offset, threads), want)
        target = x.copy()
        assert kernels.bias_curve(name, target, offset, out=target) is target
        np.testing.assert_array_equal(target, want)


@both_dtypes
@every_shape
@names
def test_the_gradient_and_its_sums_are_those_of_two_passes(kernels, rng, name, shape, dtype):
    g, x = drawn(rng, shape, dtype), drawn(rng, shape, dtype)
    if name in ("relu", "sigmoid", "tanh"):
        given, bias, at = apart(kernels, name, x), None, apart(kernels, name, x)
    else:
        given, bias = x, rng.standard_normal(shape[1]).astype(dtype)
        at = x + bias
    want = slope_apart(kernels, name, g, at)
    alone = kernels.bias_curve_grad(name, g, given, bias, 1)[1]
    for threads in (1, 3):
        dx, sums = kernels.bias_curve_grad(name, g, given, bias, threads)
        np.testing.assert_array_equal(sums, alone)
        np.testing.assert_array_equal(dx, want)
        with np.errstate(invalid="ignore"):
            exact, most = want.astype("longdouble").sum(0), 64 * np.finfo(dtype).eps * abs(want).sum(0)
        finite = np.isfinite(exact)
        np.testing.assert_array_equal(sums[~finite], exact[~finite])
        assert np.all(abs(sums[finite] - exact[finite]) <= most[finite])


def test_names_and_shapes_are_checked(kernels):
    x = np.zeros((3, 2), "float32")
    assert kernels.bias_curves() == NAMES
    with pytest.raises(KeyError):
        kernels.bias_curve("erf", x, None)
    with pytest.raises(ValueError, match="expected 2 elements"):
        kernels.bias_curve("relu", x, np.zeros(3, "float32"))
    with pytest.raises(ValueError, match=r"expected shape \(3, 2\)"):
        kernels.bias_curve_grad("relu", x, x[:2])
    with pytest.raises(ValueError, match="expected 2 elements"):
        kernels.bias_curve_grad("gelu", x, x, np.zeros(3, "float32"))
