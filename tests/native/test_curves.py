"""Elementwise functions and their slopes against precise ones, at every SIMD level."""

import mpmath
import numpy as np
import pytest

LONG = np.longdouble
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def points(dtype):
    """Numbers of every size and sign: bit patterns at even steps, and more of those that matter."""
    if dtype == "float32":
        x = np.arange(0, 2**32, 2**19 + 1, dtype=np.uint64).astype("uint32").view("float32")
    else:
        x = np.arange(0, 2**64 - 1, 2**52 - 2**49 + 1, dtype=np.float64).astype("uint64").view("float64")
    dense = [np.linspace(-20, 20, 2001), np.linspace(-110, 95, 501), -np.geomspace(1e-9, 30, 300)]
    x = np.concatenate([x, *(d.astype(dtype) for d in dense), np.array([0.0, -0.0, np.inf, -np.inf], dtype)])
    return x[~np.isnan(x)]


def sigmoid(x):
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-abs(x)))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def each(function, x):
    """An mpmath function of finite numbers, as long doubles."""
    with mpmath.workdps(30):
        return np.array([LONG(mpmath.nstr(function(mpmath.mpf(float(v))), 25)) for v in x])


def normal(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


# name: (definition on long doubles, how many units in the last place it may be off)
PRECISE = {
    "exp": (np.exp, 1),
    "expm1": (np.expm1, 2),
    "log": (np.log, 1),
    "tanh": (np.tanh, 4),
    "sigmoid": (sigmoid, 2.5),
    "softplus": (softplus, 3),
    "log_sigmoid": (lambda x: -softplus(-x), 3),
}


def units_off(y, want):
    """How far y is from the precise result, in units of its last place; infinite where one is not finite."""
    rounded = want.astype(y.dtype)
    same = (rounded == y) | (np.isnan(want) & np.isnan(y))
    return np.where(same, 0, abs(y.astype(LONG) - want) / np.spacing(abs(rounded)).astype(LONG))


@both_dtypes
@pytest.mark.parametrize("name", PRECISE)
def test_a_function_is_within_its_units_in_the_last_place(kernels, name, dtype):
    definition, most = PRECISE[name]
    x = points(dtype)
    with np.errstate(all="ignore"):
        y, want = kernels.curve(name, x), definition(x.astype(LONG))
        off = units_off(y, want)
    worst = np.nanargmax(np.where(np.isnan(off), np.inf, off))
    # Without a fused multiply-add there is a rounding more.
    assert off[worst] <= most + (kernels.get_simd() == "baseline"), (x[worst], y[worst], want[worst])


@both_dtypes
@pytest.mark.parametrize("name", ["erf", "gelu"])
def test_the_normal_distribution_keeps_its_precision_in_the_tail(kernels, name, dtype):
    x = points(dtype)
    x = np.ascontiguousarray(x[(abs(x) < 13) & (abs(x) > 1e-30)][::7])
    want = each(mpmath.erf if name == "erf" else lambda v: v * normal(v), x)
    most = (3 if name == "erf" else 5) + (kernels.get_simd() == "baseline")
    assert np.max(units_off(kernels.curve(name, x), want)) <= most


@both_dtypes
def test_silu_and_gelu_tanh_are_x_times_a_sigmoid(kernels, dtype):
    x = np.linspace(-80, 80, 4001).astype(dtype)
    off = units_off(kernels.curve("silu", x), x.astype(LONG) * sigmoid(x.astype(LONG)))
    assert np.max(off) <= 3.5
    x = np.linspace(-7, 7, 4001).astype(dtype)
    wide = x.astype(LONG)
    u = np.sqrt(8 / LONG(mpmath.nstr(mpmath.pi, 25))) * (wide + LONG("0.044715") * wide**3)
    got, want = kernels.curve("gelu_tanh", x), wide * sigmoid(u)
    assert np.all(abs(got - want) <= (4 + 3 * abs(u)) * EPS[dtype] * abs(want))  # the sigmoid carries on u's rounding


@both_dtypes
@pytest.mark.parametrize(
    ("name", "at_infinities"),
    [
        ("exp", (0, np.inf)),
        ("expm1", (-1, np.inf)),
        ("log", (np.nan, np.inf)),
        ("tanh", (-1, 1)),
        ("sigmoid", (0, 1)),
        ("softplus", (0, np.inf)),
        ("log_sigmoid", (-np.inf, 0)),
        ("silu", (np.nan, np.inf)),
        ("gelu", (np.nan, np.inf)),
        ("gelu_tanh", (np.nan, np.inf)),
        ("erf", (-1, 1)),
        ("leaky_relu", (-np.inf, np.inf)),
        ("elu", (-0.5, np.inf)),
        ("relu6", (0, 6)),
        ("hard_sigmoid", (0, 1)),
        ("hard_silu", (np.nan, np.inf)),
    ],
)
def test_infinities_and_nan_come_out_as_the_formula_has_them(kernels, name, at_infinities, dtype):
    for pad in (0, 40):  # in a whole vector, and in the part at the end
        x = np.array([*[1.0] * pad, -np.inf, np.inf, np.nan], dtype)
        y = kernels.curve(name, x, 0.5, 1.0)[pad:]
        np.testing.assert_array_equal(y, np.array([*at_infinities, np.nan], dtype))


@both_dtypes
def test_the_sign_of_zero_is_kept_where_the_function_passes_through_it(kernels, dtype):
    x = np.array([-0.0, 0.0], dtype)
    for name in ("expm1", "tanh", "erf", "silu", "gelu", "leaky_relu"):
        np.testing.assert_array_equal(np.signbit(kernels.curve(name, x, 0.5)), [True, False], name)


PIECES = {
    "elu": lambda x, a, b: np.where(x > 0, b * x, a * np.expm1(np.minimum(x, 0))),
    "leaky_relu": lambda x, a, b: np.where(x > 0, x, a * x),
    "relu6": lambda x, a, b: np.clip(x, 0, 6),
    "hard_sigmoid": lambda x, a, b: np.clip(x + 3, 0, 6) / 6,
    "hard_silu": lambda x, a, b: x * np.clip(x + 3, 0, 6) / 6,
}


@both_dtypes
@pytest.mark.parametrize("name", PIECES)
def test_functions_in_pieces(kernels, name, dtype):
    x = np.linspace(-8, 8, 1601).astype(dtype)
    got, want = kernels.curve(name, x, 0.7, 1.3), PIECES[name](x.astype(LONG), 0.7, 1.3)
    np.testing.assert_allclose(got.astype(LONG), want, rtol=4 * EPS[dtype], atol=4 * EPS[dtype])


def slopes(name, x, a, b):
    """f' by a central difference of the precise function: correct to some 20 digits."""
    precise = {
        "exp": mpmath.exp,
        "expm1": mpmath.expm1,
        "log": mpmath.log,
        "tanh": mpmath.tanh,
        "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
        "log_sigmoid": lambda v: -mpmath.log1p(mpmath.exp(-v)),
        "softplus": lambda v: mpmath.log1p(mpmath.exp(v)),
        "silu": lambda v: v / (1 + mpmath.exp(-v)),
        "gelu": lambda v: v * normal(v),
        "gelu_tanh": lambda v: v * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (v + v**3 * 44715 / 10**6))) / 2,
        "erf": mpmath.erf,
        "elu": lambda v: b * v if v > 0 else a * mpmath.expm1(v),
        "leaky_relu": lambda v: v if v > 0 else a * v,
        "relu6": lambda v: min(max(v, 0), 6),
        "hard_sigmoid": lambda v: min(max(v + 3, 0), 6) / 6,
        "hard_silu": lambda v: v * min(max(v + 3, 0), 6) / 6,
    }[name]
    with mpmath.workdps(50):
        h = mpmath.mpf(10) ** -15
        return np.array([LONG(mpmath.nstr((precise(v + h) - precise(v - h)) / (2 * h), 22)) for v in map(float, x)])


@both_dtypes
def test_slopes_are_those_of_the_functions(kernels, rng, dtype):
    for name in kernels.curves():
        # 1 - tanh(x)**2 loses what tanh(x) does not hold, so not far out.
        low, high = {"log": (0.01, 8.11), "tanh": (-1.03, 1.11)}.get(name, (-8.03, 8.11))
        x = np.linspace(low, high, 77).astype(dtype)
        g = rng.standard_normal(77).astype(dtype)
        x.flags.writeable = g.flags.writeable = False
        given = kernels.curve(name, x) if name in ("tanh", "sigmoid", "exp") else x
        got = kernels.curve_grad(name, g, given, 0.7, 1.3)
        want = g.astype(LONG) * slopes(name, x, 0.7, 1.3)
        assert got.dtype == x.dtype
        np.testing.assert_allclose(got.astype(LONG), want, rtol=10 * EPS[dtype], atol=3 * EPS[dtype], err_msg=name)


@both_dtypes
def test_slopes_at_the_kinks(kernels, dtype):
    one = np.ones(1, dtype)

    def slope(name, x, *parameters):
        return kernels.curve_grad(name, one, np.array([x], dtype), *parameters)[0]

    assert slope("leaky_relu", 0.0, 0.25) == 0.25
    assert slope("elu", 0.0, 0.25, 1.0) == 0.25
    assert slope("relu6", 0.0) == slope("relu6", 6.0) == 0
    assert slope("hard_sigmoid", -3.0) == slope("hard_sigmoid", 3.0) == 0
    assert slope("hard_silu", -3.0) == 0
    assert slope("hard_silu", 3.0) == 1


@both_dtypes
@pytest.mark.parametrize("size", [0, 1, 7, 16, 100, 20_000])
def test_every_size_and_number_of_threads_gives_the_same_bits(kernels, rng, size, dtype):
    x, g = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    padded = np.concatenate([x, np.zeros(64, dtype)])  # so that all of x lies in whole vectors
    for name in kernels.curves():
        y = kernels.curve(name, x, 0.5, 1.5)
        np.testing.assert_array_equal(y, kernels.curve(name, x, 0.5, 1.5, 2))
        np.testing.assert_array_equal(y, kernels.curve(name, padded, 0.5, 1.5)[:size])
        dx = kernels.curve_grad(name, g, x, 0.5, 1.5)
        np.testing.assert_array_equal(dx, kernels.curve_grad(name, g, x, 0.5, 1.5, 2))


@both_dtypes
@pytest.mark.parametrize("size", [0, 1, 16, 100, 20_000])
def test_a_slope_that_comes_with_the_value_is_that_of_the_gradient(kernels, rng, size, dtype):
    x, g = (rng.standard_normal(size).astype(dtype) * 4 for _ in range(2))
    x[: min(size, 4)] = [np.nan, np.inf, -np.inf, -0.0][: min(size, 4)]
    for name in kernels.curves():
        for threads in (1, 2):
            y, slope = kernels.curve_with_slope(name, x, 0.7, 1.3, threads)
            np.testing.assert_array_equal(y, kernels.curve(name, x, 0.7, 1.3))
            given = y if name in ("tanh", "sigmoid", "exp") else x
            np.testing.assert_array_equal(g * slope, kernels.curve_grad(name, g, given, 0.7, 1.3))


def test_large_results_that_go_past_the_caches_are_the_same(kernels):
    x = np.linspace(-5, 5, 7_000_001, dtype="float32")
    y = kernels.curve("silu", x)
    np.testing.assert_array_equal(y[5_000_000:], kernels.curve("silu", x[5_000_000:].copy()))
    np.testing.assert_array_equal(y, kernels.curve("silu", x, threads=2))


def test_unknown_names_and_unfit_arrays_are_errors(kernels):
    x = np.zeros(4, "float32")
    with pytest.raises(KeyError, match="sine"):
        kernels.curve("sine", x)
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.curve("exp", np.zeros(4, "float16"))
    with pytest.raises(ValueError, match="4 elements"):
        kernels.curve_grad("exp", x, np.zeros(5, "float32"))
    with pytest.raises(ValueError, match="C-contiguous"):
        kernels.curve("exp", np.zeros(8, "float32")[::2])
