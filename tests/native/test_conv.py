"""conv and its gradients against their definition, one kernel tap at a time, in float64."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

TOLERANCE = {"float32": 2e-6, "float64": 4e-15}  # times the sum of absolute products


@dataclass(frozen=True)
class Case:
    n: int
    size: tuple
    c: int
    oc: int
    kernel: tuple
    strides: tuple = (1, 1)
    pads: tuple = ((0, 0), (0, 0))
    dilation: tuple = (1, 1)
    groups: int = 1

    @property
    def how(self):
        return self.strides, self.pads, self.dilation, self.groups

    @property
    def x_shape(self):
        return (self.n, *self.size, self.c)

    @property
    def w_shape(self):
        return (*self.kernel, self.c // self.groups, self.oc)

    @property
    def y_shape(self):
        span = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation)]
        room = [i + sum(p) - k for i, p, k in zip(self.size, self.pads, span)]
        rows, cols = (r // s + 1 if r >= 0 else 0 for r, s in zip(room, self.strides))
        return (self.n, rows, cols, self.oc)

    def __str__(self):
        return "-".join(str(v).replace(" ", "").replace("(", "").replace(")", "") for v in vars(self).values())


def random_cases(count):
    rng = np.random.default_rng(7)
    channels = [1, 2, 3, 5, 16, 17, 33, 64]
    cases = []
    while len(cases) < count:
        groups = int(rng.choice([1, 1, 1, 2, 3]))
        case = Case(
            n=int(rng.integers(1, 4)),
            size=tuple(rng.integers(1, 20, 2).tolist()),
            c=int(rng.choice(channels)) * groups,
            oc=int(rng.choice(channels)) * groups,
            kernel=tuple(rng.integers(1, 6, 2).tolist()),
            strides=tuple(rng.integers(1, 4, 2).tolist()),
            pads=tuple(map(tuple, rng.integers(0, 4, (2, 2)).tolist())),
            dilation=tuple(rng.integers(1, 3, 2).tolist()),
            groups=groups,
        )
        if rng.random() < 0.5:
            case = replace(case, strides=(1, 1), dilation=(1, 1))
        if rng.random() < 0.25:
            case = replace(case, groups=case.c, oc=case.c * int(rng.integers(1, 4)))
        if 0 not in case.y_shape:
            cases.append(case)
    return cases


SAME3 = ((1, 1), (1, 1))
CASES = [
    Case(2, (56, 56), 64, 64, (3, 3), pads=SAME3),
    Case(2, (14, 14), 256, 96, (3, 3), pads=SAME3),  # sums cut into several chains
    Case(3, (7, 7), 512, 72, (3, 3), pads=SAME3),  # wide tiles, skewed copies
    Case(1, (5, 5), 1500, 20, (3, 3), pads=SAME3),  # one pixel longer than a chain
    Case(2, (14, 14), 1024, 40, (1, 1)),
    Case(2, (9, 13), 48, 33, (1, 1)),
    Case(2, (9, 13), 48, 33, (1, 1), strides=(2, 2)),
    Case(2, (9, 13), 48, 33, (1, 1), strides=(3, 2), pads=((1, 0), (0, 2))),
    Case(1, (61, 67), 3, 64, (7, 7), strides=(2, 2), pads=((3, 3), (2, 3))),
    Case(1, (2, 3000), 32, 8, (1, 3), pads=((0, 0), (1, 1))),  # columns in blocks
    Case(1, (1, 9), 8, 8, (1, 1), pads=((1, 1), (0, 0))),  # a lone row, but padded
    Case(2, (20, 20), 96, 96, (3, 3), pads=SAME3, groups=96),
    Case(2, (21, 20), 37, 74, (5, 3), strides=(2, 2), pads=((2, 1), (0, 1)), groups=37),
    Case(2, (20, 20), 64, 128, (3, 3), pads=SAME3, groups=4),
    Case(2, (6, 6), 4, 4, (2, 2), strides=(3, 3)),  # rows of x that no tap meets
    Case(2, (15, 15), 8, 8, (3, 3), strides=(2, 2), pads=((2, 2), (2, 2)), dilation=(2, 2)),
    Case(2, (5, 5), 3, 4, (3, 3), pads=((4, 5), (6, 4))),  # windows of nothing but padding
    Case(2, (7, 7), 200, 200, (3, 3), pads=SAME3),  # narrow maps: taps that meet padding are left out
    Case(1, (6, 6), 1100, 70, (3, 3), pads=SAME3),
    Case(2, (13, 13), 320, 64, (3, 3), strides=(2, 2), pads=SAME3),
    Case(1, (14, 14), 160, 160, (3, 5), pads=((1, 1), (4, 4)), dilation=(1, 2)),
    Case(2, (7, 7), 200, 64, (3, 3), pads=((4, 4), (1, 1))),
    Case(3, (200, 150), 3, 4, (3, 3), strides=(2, 2), pads=((0, 1), (0, 1))),  # few channels: phases in one vector
    Case(2, (21, 17), 3, 64, (7, 7), strides=(2, 2), pads=((3, 2), (2, 3))),
    Case(1, (10, 12), 3, 20, (4, 4), strides=(2, 2), pads=SAME3),
    *random_cases(80),
]


def padded(x, case):
    return np.pad(x, ((0, 0), *case.pads, (0, 0)))


def taps(case):
    """Each kernel tap with the part of the padded input that it multiplies."""
    _, oh, ow, _ = case.y_shape
    (sh, sw), (dh, dw) = case.strides, case.dilation
    for a in range(case.kernel[0]):
        for b in range(case.kernel[1]):
            rows = slice(a * dh, a * dh + (oh - 1) * sh + 1, sh)
            yield a, b, (slice(None), rows, slice(b * dw, b * dw + (ow - 1) * sw + 1, sw))


def grouped(t, groups):
    return t.reshape(*t.shape[:-1], groups, t.shape[-1] // groups)


def conv(x, w, case):
    xp, y = padded(x, case), np.zeros(grouped(np.zeros(case.y_shape), case.groups).shape)
    for a, b, part in taps(case):
        y += np.einsum("nhwgi,igo->nhwgo", grouped(xp[part], case.groups), grouped(w[a, b], case.groups))
    return y.reshape(case.y_shape)


def conv_input_grad(g, w, case):
    xp = padded(np.zeros(case.x_shape), case)
    for a, b, part in taps(case):
        sums = np.einsum("nhwgo,igo->nhwgi", grouped(g, case.groups), grouped(w[a, b], case.groups))
        xp[part] += sums.reshape(xp[part].shape)
    (top, _), (left, _) = case.pads
    return xp[:, top : top + case.size[0], left : left + case.size[1]]


def conv_weight_grad(x, g, case):
    xp, dw = padded(x, case), np.zeros(case.w_shape)
    for a, b, part in taps(case):
        sums = np.einsum("nhwgi,nhwgo->igo", grouped(xp[part], case.groups), grouped(g, case.groups))
        dw[a, b] = sums.reshape(dw[a, b].shape)
    return dw


def arrays(case, dtype, rng):
    made = [rng.standard_normal(s).astype(dtype) for s in (case.x_shape, case.w_shape, case.y_shape)]
    for array in made:
        array.flags.writeable = False
    return made


def assert_close(got, define, a, b, case):
    assert got.dtype == a.dtype
    a, b = a.astype("float64"), b.astype("float64")
    want, scale = define(a, b, case), define(abs(a), abs(b), case)
    assert got.shape == want.shape
    assert np.all(abs(got - want) <= TOLERANCE[str(got.dtype)] * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolution_and_its_gradients_match_the_definition(kernels, rng, case, dtype):
    x, w, g = arrays(case, dtype, rng)
    results = []
    for threads in (1, 2):
        y = kernels.conv(x, w, *case.how, threads)
        dx = kernels.conv_input_grad(g, w, case.x_shape, *case.how, threads)
        dw = kernels.conv_kernel_grad(x, g, case.w_shape, *case.how, threads)
        results.append((y, dx, dw))
    assert_close(y, conv, x, w, case)
    assert_close(dx, conv_input_grad, g, w, case)
    assert_close(dw, conv_weight_grad, x, g, case)
    for one, two in zip(*results):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "case",
    [
        Case(0, (5, 5), 3, 4, (3, 3), pads=SAME3),
        Case(2, (5, 5), 0, 4, (3, 3)),
        Case(2, (5, 5), 3, 0, (3, 3)),
        Case(2, (2, 5), 3, 4, (3, 3)),
        Case(2, (0, 5), 3, 4, (3, 3), pads=SAME3),
        Case(2, (0, 5), 3, 3, (3, 3), pads=((2, 2), (1, 1)), groups=3),
    ],
    ids=str,
)
def test_empty_arrays_give_empty_or_zero_results(kernels, rng, case):
    x, w, g = arrays(case, "float32", rng)
    y = kernels.conv(x, w, *case.how)
    dx = kernels.conv_input_grad(g, w, case.x_shape, *case.how)
    dw = kernels.conv_kernel_grad(x, g, case.w_shape, *case.how)
    assert (y.shape, dx.shape, dw.shape) == (case.y_shape, case.x_shape, case.w_shape)
    assert not y.any()
    assert not dx.any()
    assert not dw.any()


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_nan_and_infinity_reach_the_outputs_that_read_them_and_no_others(kernels, rng, groups):
    case = Case(2, (9, 11), 6, 12, (3, 3), pads=SAME3, groups=groups)
    x, w, g = (a.copy() for a in arrays(case, "float32", rng))
    x[0, 4, 5, 1], x[1, 0, 0, 5] = np.nan, np.inf
    g[0, 4, 5, 1], g[1, 8, 10, 11] = -np.inf, np.nan
    with np.errstate(invalid="ignore"):
        pairs = [
            (kernels.conv(x, w, *case.how), conv(x, w, case)),
            (kernels.conv_input_grad(g, w, case.x_shape, *case.how), conv_input_grad(g, w, case)),
        ]
    for got, want in pairs:
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [3, 4, 7])
def test_gradients_of_few_channels_by_images_have_nan_where_some_tap_brings_it(kernels, rng, size):
    case = Case(2, (16, 18), 3, 20, (size, size), (2, 2), ((size // 2, size // 2),) * 2)
    _, w, g = (a.copy() for a in arrays(case, "float32", rng))
    g[0, 4, 5, 1], g[1, 0, 0, 3], g[1, -1, -1, 11] = -np.inf, np.inf, np.nan
    got, want = kernels.conv_input_grad(g, w, case.x_shape, *case.how), conv_input_grad(g, w, case)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_long_float32_sums_are_summed_in_blocks(kernels, rng):
    case = Case(1, (3, 3), 4000, 8, (3, 3))
    x, w = (rng.uniform(1, 2, s).astype("float32") for s in (case.x_shape, case.w_shape))
    want = conv(x.astype("float64"), w.astype("float64"), case)
    # One chain of 36000 positive terms is off by about 1e-4.
    np.testing.assert_allclose(kernels.conv(x, w, *case.how), want, rtol=5e-6)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"x": np.zeros((1, 5, 5, 4), "float32")}, ValueError),
        ({"w": np.zeros((3, 3, 3, 4), "float64")}, TypeError),
        ({"x": np.zeros((1, 5, 5, 3), "float16")}, TypeError),
        ({"x": np.zeros((1, 5, 3, 5), "float32").swapaxes(2, 3)}, ValueError),
        ({"x": np.zeros((5, 5, 3), "float32")}, ValueError),
        ({"strides": (0, 1)}, ValueError),
        ({"pads": ((-1, 0), (0, 0))}, ValueError),
        ({"groups": 2}, ValueError),
    ],
)
def test_arguments_that_do_not_fit_raise(kernels, change, error):
    good = {
        "x": np.zeros((1, 5, 5, 3), "float32"),
        "w": np.zeros((3, 3, 3, 4), "float32"),
        "strides": (1, 1),
        "pads": SAME3,
        "dilation": (1, 1),
        "groups": 1,
    }
    kernels.conv(**good)
    with pytest.raises(error):
        kernels.conv(**{**good, **change})
