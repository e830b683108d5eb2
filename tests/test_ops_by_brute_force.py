"""Ops against loops, exact sums and integrals, on every backend."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate

from kcore import ops
from tests import brute_force

RNG = np.random.default_rng(7)


def close(backend, got, want, tol=1e-12):
    np.testing.assert_allclose(backend.numpy(got), want, rtol=tol, atol=tol)


@pytest.mark.parametrize(("stride", "dilation", "pad"), [(1, 1, 0), (2, 1, 1), (1, 2, 2), (3, 2, 1)])
def test_conv(backend, stride, dilation, pad):
    x, w = RNG.normal(size=(2, 6, 7, 2)), RNG.normal(size=(3, 2, 2, 3))
    y = ops.conv(x, w, stride, ((pad, pad), (pad, pad)), "channels_last", dilation)
    close(backend, y, brute_force.conv2d(x, w, stride, dilation, pad))


def test_a_product_of_unfolded_images_is_their_convolution(backend):
    x, w = RNG.normal(size=(2, 6, 7, 2)), RNG.normal(size=(3, 2, 2, 4))
    columns = ops.unfold(np.moveaxis(x, -1, 1), (3, 2), padding=1, stride=2)
    rows = np.transpose(w, (3, 2, 0, 1)).reshape(4, -1)
    want = brute_force.conv2d(x, w, 2, 1, 1)
    close(backend, ops.matmul(rows, columns), np.moveaxis(want, -1, 1).reshape(2, 4, -1))


@pytest.mark.parametrize("causal", [False, True])
def test_attention(backend, causal):
    query, key, value = (RNG.normal(size=(2, 5, 3, 4)) for _ in range(3))
    y = ops.dot_product_attention(query, key, value, is_causal=causal)
    close(backend, y, brute_force.attention(query, key, value, causal))


@pytest.mark.parametrize("labels", [[1, 2], [1, 1], [2]])
def test_ctc_loss_is_that_of_all_paths(backend, labels):
    logits = RNG.normal(size=(5, 3))
    loss = ops.ctc_loss(np.array([labels]), logits[None], np.array([len(labels)]), np.array([5]))
    close(backend, loss, [brute_force.ctc_loss(labels, logits)])


def test_det(backend):
    x = RNG.normal(size=(4, 4))
    close(backend, ops.det(x), brute_force.determinant(x))


@pytest.mark.parametrize("count", [7, 8])
def test_fft(backend, count):
    x = RNG.normal(size=count)
    real, imag = ops.fft((x, np.zeros(count)))
    want = brute_force.fourier(x)
    close(backend, real, want.real)
    close(backend, imag, want.imag)


def test_sums_of_very_unlike_numbers(backend):
    x = RNG.normal(size=1000) * 10.0 ** RNG.integers(-8, 9, 1000)
    scale = math.fsum(np.abs(x))
    assert abs(float(ops.sum(x)) - math.fsum(x)) < 1e-13 * scale
    mean = math.fsum(x) / 1000
    np.testing.assert_allclose(float(ops.var(x)), math.fsum((x - mean) ** 2) / 1000, rtol=1e-12)
    largest = float(x.max())
    want = largest + math.log(math.fsum(np.exp(x - largest)))
    np.testing.assert_allclose(float(ops.logsumexp(x)), want, rtol=1e-14)


@pytest.mark.parametrize(
    ("op", "density"),
    [
        (ops.erf, lambda t: 2 / math.sqrt(math.pi) * math.exp(-t * t)),
        (ops.arctan, lambda t: 1 / (1 + t * t)),
        (ops.arcsinh, lambda t: 1 / math.sqrt(1 + t * t)),
        (ops.log1p, lambda t: 1 / (1 + t)),
        (ops.softplus, lambda t: 1 / (1 + math.exp(-t))),
    ],
)
def test_a_function_is_the_integral_of_its_slope(backend, op, density):
    for x in (0.1, 0.9, 2.5):
        area, _ = integrate.quad(density, 0.0, x, epsabs=1e-13, epsrel=1e-13)
        ends = backend.numpy(op(np.array([0.0, x])))
        np.testing.assert_allclose(ends[1] - ends[0], area, rtol=1e-11)
