"""Convolutions over volumes, and changes of layout, against their definitions in float64."""

import numpy as np
import pytest

from kcore.backends.reference.convolution import How, plain_conv, plain_input_grad, plain_kernel_grad

TOLERANCE = {"float32": 2e-6, "float64": 4e-15}  # times the sum of absolute products


def random_cases(count):
    """(x shape, w shape, groups, how) with windows that fit."""
    rng = np.random.default_rng(11)
    cases = []
    while len(cases) < count:
        groups = int(rng.choice([1, 1, 2, 3]))
        c, oc = (int(rng.choice([1, 2, 5, 16, 17])) * groups for _ in range(2))
        kernel, strides, dilation = (tuple(rng.integers(1, 4, 3).tolist()) for _ in range(3))
        pads = tuple(map(tuple, rng.integers(0, 4, (3, 2)).tolist()))
        sizes = tuple(rng.integers(1, 9, 3).tolist())
        if rng.random() < 0.3:  # one kernel for each channel, or several
            groups, oc = c, c * int(rng.integers(1, 3))
        room = [n + sum(p) - (k - 1) * d for n, p, k, d in zip(sizes, pads, kernel, dilation)]
        if min(room) > 0:
            x, w = (int(rng.integers(1, 4)), *sizes, c), (*kernel, c // groups, oc)
            cases.append((x, w, groups, How(strides, pads, dilation)))
    return cases


CASES = [
    ((2, 8, 14, 14, 32), (3, 3, 3, 32, 40), 1, How((1, 1, 1), ((1, 1),) * 3, (1, 1, 1))),
    ((1, 6, 9, 9, 48), (1, 1, 1, 48, 33), 1, How((2, 1, 1), ((0, 0),) * 3, (1, 1, 1))),
    ((1, 3, 4, 4, 3), (3, 2, 2, 3, 4), 1, How((1, 1, 1), ((5, 4), (0, 0), (0, 0)), (1, 1, 1))),  # planes of padding
    ((2, 5, 6, 7, 8), (2, 2, 2, 8, 8), 1, How((3, 3, 3), ((0, 0),) * 3, (1, 1, 1))),  # planes that no tap meets
    ((2, 6, 9, 10, 3), (3, 3, 3, 3, 20), 1, How((2, 2, 2), ((1, 1),) * 3, (1, 1, 1))),  # few channels
    *random_cases(60),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case).replace(" ", ""))
def test_convolution_of_volumes_and_its_gradients_match_the_definition(kernels, rng, case, dtype):
    x_shape, w_shape, groups, how = case
    x, w = (rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape))
    bias = rng.standard_normal(w_shape[-1]).astype(dtype)
    y_shape = plain_conv(x, w, how).shape
    g = rng.standard_normal(y_shape).astype(dtype)
    results = []
    for threads in (1, 3):
        y = kernels.conv(x, w, *how, groups, threads)
        packs = kernels.Packs()
        np.testing.assert_array_equal(kernels.conv(x, w, *how, groups, threads, packs=packs), y)
        ending = kernels.Ending(bias, activation="relu")
        ended = kernels.conv(x, w, *how, groups, threads, packs=packs, ending=ending)
        np.testing.assert_array_equal(ended, np.maximum(y + bias, 0))
        dx = kernels.conv_input_grad(g, w, x_shape, *how, groups, threads)
        dw = kernels.conv_kernel_grad(x, g, w_shape, *how, groups, threads)
        results.append((y, dx, dw))
    for one, three in zip(*results):
        np.testing.assert_array_equal(one, three)
    maps = [
        (y, lambda a, b: plain_conv(a, b, how), x, w),
        (dx, lambda a, b: plain_input_grad(a, b, x_shape, how), g, w),
        (dw, lambda a, b: plain_kernel_grad(a, b, w_shape, how), x, g),
    ]
    for got, define, a, b in maps:
        a, b = a.astype("float64"), b.astype("float64")
        want, scale = define(a, b), define(abs(a), abs(b))
        assert got.shape == want.shape
        assert np.all(abs(got - want) <= TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(0, 3, 4), (1, 1, 1), (2, 16, 16), (3, 17, 33), (1, 200, 5), (2, 5, 131), (2, 64, 48)]
)
def test_swap_axes_moves_every_element(kernels, rng, shape, dtype):
    x = rng.standard_normal(shape).astype(dtype)
    for threads in (1, 3):
        np.testing.assert_array_equal(kernels.swap_axes(x, threads), x.swapaxes(1, 2))


def test_images_and_kernels_of_different_ranks_raise(kernels):
    with pytest.raises(ValueError, match="expected 5 dimensions"):
        kernels.conv(np.zeros((1, 2, 3, 3, 1), "f"), np.zeros((1, 1, 1, 1), "f"), (1,) * 3, ((0, 0),) * 3, (1,) * 3)
