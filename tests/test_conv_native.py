"""On the reference backend, compiled convolutions and pools give what their NumPy definitions give."""

import numpy as np
import pytest

import kcore.conformance.conv
import kcore.conformance.pool  # noqa: F401 - declares its records, as the line above does
from kcore import _native, backends, ops
from kcore.backends.reference import convolution, pooling
from kcore.conformance.record import CASES
from kcore.gradients import vjp

pytestmark = pytest.mark.skipif(not _native.available, reason=str(_native.reason))

NAMES = ("conv", "conv_transpose", "depthwise_conv", "max_pool", "average_pool")
SAMPLES = [
    pytest.param(name, sample, id=f"{name}-{i}")
    for name in NAMES
    for i, sample in enumerate(CASES[name].samples)
    if sample.args[0].dtype == "float64" and sample.args[0].ndim <= 4
]
TOLERANCE = {"float32": 1e-5, "float64": 2e-14}


def value_and_gradients(name, sample, dtype):
    """The op's result, and the gradients of sum(result * g) by its tensors, for a fixed g."""
    tensors = [a.astype(dtype) for a in sample.args if isinstance(a, np.ndarray)]
    rest = sample.args[len(tensors) :]

    def fn(*xs):
        return getattr(ops, name)(*xs, *rest, **sample.arguments)

    with backends.use("reference"):
        y, pullback = vjp(fn, *tensors)
        g = np.random.default_rng(3).normal(size=y.shape).astype(dtype)
        return [np.asarray(y), *map(np.asarray, pullback(g))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "sample"), SAMPLES)
def test_kernels_give_what_the_definitions_give(name, sample, dtype, monkeypatch):
    compiled = value_and_gradients(name, sample, dtype)
    monkeypatch.setattr(_native, "available", False)
    monkeypatch.setattr(_native, "kernels", None)  # so that none can be called by oversight
    plain = value_and_gradients(name, sample, dtype)
    for got, want in zip(compiled, plain, strict=True):
        assert got.dtype == want.dtype == dtype
        np.testing.assert_allclose(
            got, want, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(want).max(initial=0, where=np.isfinite(want)))
        )


def test_the_definitions_run_without_kernels(monkeypatch):
    monkeypatch.setattr(_native, "available", False)
    monkeypatch.setattr(_native, "kernels", None)
    x = np.arange(24, dtype="float32").reshape(1, 4, 3, 2)
    with backends.use("reference"):
        y = ops.max_pool(ops.conv(x, np.ones((2, 2, 2, 1), "float32")), 2, 1)
    # Sums of 2 x 2 x 2 neighbours grow with the position; the greatest is the last.
    assert y.shape == (1, 2, 1, 1)
    assert np.asarray(y).ravel().tolist() == [x[0, 1:3, 1:3].sum(), x[0, 2:4, 1:3].sum()]


def test_a_gradient_that_nobody_asks_for_is_not_computed(monkeypatch):
    def unwanted(*args):
        raise AssertionError("the inputs are no leaf")

    monkeypatch.setattr(convolution, "input_grad", unwanted)
    x, w = np.ones((1, 4, 4, 2), "float32"), np.ones((3, 3, 2, 4), "float32")
    with backends.use("reference"):
        (g,) = vjp(lambda w: ops.conv(x, w), w)[1](np.ones((1, 2, 2, 4), "float32"))
    assert np.all(np.asarray(g) == 4)  # each kernel element meets four ones


def test_the_gradient_of_max_pool_looks_for_the_greatest_only_once(monkeypatch):
    runs = []
    real = pooling.max_with_places
    monkeypatch.setattr(pooling, "max_with_places", lambda *args: runs.append(args) or real(*args))
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    with backends.use("reference"):
        y, pullback = vjp(lambda x: ops.max_pool(x, 2), x)
        (g,) = pullback(np.ones(y.shape, "float32"))
    assert len(runs) == 1
    assert np.array_equal(np.sort(x[np.asarray(g) != 0]), np.sort(np.asarray(y).ravel()))
