"""On the reference backend, compiled convolutions and pools give what their NumPy definitions give."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest

import kcore.conformance.conv
import kcore.conformance.pool  # noqa: F401 - declares its records, as the line above does
from kcore import _native, backends, config, layers, ops, optimizers
from kcore.backends.reference import convolution, packs, pooling
from kcore.conformance.record import CASES
from kcore.gradients import vjp

pytestmark = pytest.mark.skipif(not _native.available, reason=str(_native.reason))

NAMES = ("conv", "conv_transpose", "depthwise_conv", "max_pool", "average_pool")
SAMPLES = [
    pytest.param(name, sample, id=f"{name}-{i}")
    for name in NAMES
    for i, sample in enumerate(CASES[name].samples)
    if sample.args[0].dtype == "float64"
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


# -- packed weights that are kept -------------------------------------------------------


def layer_and_inputs(**arguments):
    layer = layers.Conv2D(64, 3, padding="same", **arguments)
    x = np.random.default_rng(1).normal(size=(1, 7, 7, 64)).astype("float32")
    layer(x)
    return layer, x


def plain(x, kernel):
    how = convolution.How((1, 1), ((1, 1), (1, 1)), (1, 1))
    return convolution.plain_conv(x.astype("float64"), kernel.astype("float64"), how)


def expected(layer, x):
    return plain(x, layer.kernel.numpy()) + layer.bias.numpy()


WRITES = {
    "assign": lambda v: v.assign(v * 2),
    "assign_add": lambda v: v.assign_add(v),
    "a change of all signs": lambda v: v.assign(-v),
    "assign_sub": lambda v: v.assign_sub(2 * v),
    "an optimizer": lambda v: optimizers.SGD(0.5).apply([np.ones(v.shape, "float32")], [v]),
    "Adam": lambda v: optimizers.Adam(0.5).apply([np.ones(v.shape, "float32")], [v]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_no_write_into_a_kernel_goes_unnoticed(write):
    with backends.use("reference"):
        layer, x = layer_and_inputs()
        for _ in range(3):
            y = layer(x)
        assert packs.kept_bytes() > 0
        np.testing.assert_allclose(y, expected(layer, x), atol=1e-4)
        for _ in range(3):
            write(layer.kernel)
            for _ in range(3):
                np.testing.assert_allclose(layer(x), expected(layer, x), atol=1e-4, rtol=1e-4)


def test_a_value_that_others_hold_cannot_be_written():
    with backends.use("reference"):
        layer, x = layer_and_inputs()
        y = np.asarray(layer(x))
        for value in (layer.kernel.value, np.asarray(layer.kernel.value), layer.kernel.value.numpy()[1:]):
            with pytest.raises(ValueError, match="read-only"):
                value[...] = 0
        layer.kernel.numpy()[...] = 0  # a copy
        layer.get_weights()[0][...] = 0
        np.testing.assert_array_equal(layer(x), y)


@pytest.mark.parametrize("base", [np.array, np.ndarray.copy, lambda w: np.frombuffer(bytearray(w.tobytes()), w.dtype)])
def test_no_write_into_an_array_of_weights_goes_unnoticed(base):
    x, drawn = (
        np.random.default_rng(i).normal(size=s).astype("float32") for i, s in enumerate([(1, 7, 7, 64), (3, 3, 64, 64)])
    )
    w = base(drawn).reshape(drawn.shape)
    for element in [(0, 0, 0, 0), (1, 1, 3, 5), (2, 2, 63, 63)]:
        for _ in range(3):
            with backends.use("reference"):
                y = ops.conv(x, w, padding="same")
            np.testing.assert_allclose(y, plain(x, w), atol=1e-4, rtol=1e-4)
        w[element] = 7


def test_packed_weights_give_every_bit_of_the_same_result_and_die_with_theirs():
    packs.forget()
    with backends.use("reference"):
        layer, x = layer_and_inputs(activation="relu")
        first, *later = (np.asarray(layer(x)) for _ in range(4))
        for y in later:
            np.testing.assert_array_equal(y, first)
        assert packs.kept_bytes() >= layer.kernel.numpy().nbytes
        del layer, y
        gc.collect()
        assert packs.kept_bytes() == 0


def test_no_more_packed_weights_are_kept_than_the_limit_allows(monkeypatch):
    packs.forget()
    w = [np.random.default_rng(i).normal(size=(3, 3, 32, 64)).astype("float32") for i in range(4)]
    x = np.ones((1, 9, 9, 32), "float32")
    monkeypatch.setattr(packs, "LIMIT", 2 * w[0].nbytes)
    with backends.use("reference"):
        for _ in range(3):
            for kernel in w:
                ops.conv(x, kernel)
    assert 0 < packs.kept_bytes() <= 3 * w[0].nbytes  # the last is counted once it has been packed
    packs.forget()


def test_weights_that_training_changes_are_not_packed_to_be_kept():
    packs.forget()
    with backends.use("reference"):
        layer, x = layer_and_inputs()
        for _ in range(20):
            layer(x)
            layer.kernel.assign_add(np.ones(layer.kernel.shape, "float32"))
    assert packs.kept_bytes() == 0


# -- numerics ---------------------------------------------------------------------------


def test_numerics_are_standard_until_asked_for():
    x = np.random.default_rng(0).normal(size=(1, 28, 28, 32)).astype("float32")
    w = np.random.default_rng(1).normal(size=(3, 3, 32, 32)).astype("float32")
    with backends.use("reference"):
        standard = np.asarray(ops.conv(x, w, padding="same"))
        with config.numerics_scope("fast"):
            assert config.numerics() == "fast"
            fast = np.asarray(ops.conv(x, w, padding="same"))
            double = np.asarray(ops.conv(x.astype("float64"), w.astype("float64"), padding="same"))
        assert config.numerics() == "standard"
        np.testing.assert_array_equal(ops.conv(x, w, padding="same"), standard)
        exact = np.asarray(ops.conv(x.astype("float64"), w.astype("float64"), padding="same"))
    np.testing.assert_array_equal(double, exact)
    assert not np.array_equal(fast, standard)
    np.testing.assert_allclose(fast, exact, rtol=0, atol=2e-4 * exact.std())
    np.testing.assert_allclose(standard, exact, rtol=0, atol=1e-5 * exact.std())


def test_numerics_of_another_name_raise():
    with pytest.raises(ValueError, match="numerics is 'fastest'; expected one of standard, fast"):
        config.set_numerics("fastest")


def test_a_process_takes_its_numerics_from_the_environment():
    code = "import kcore; print(kcore.config.numerics())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KCORE_NUMERICS": "fast"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "fast"


# -- layouts and epilogues --------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(9,), (7, 8), (4, 5, 6)])
def test_channels_first_gives_what_channels_last_gives(sizes):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2, 24, *sizes)).astype("float32")
    w = rng.normal(size=(*(3,) * len(sizes), 24, 20)).astype("float32")
    b = rng.normal(size=20).astype("float32")
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    with backends.use("reference"):
        for fn in (
            lambda x, layout: ops.activated_conv(x, w, b, 2, "same", layout, activation="relu"),
            lambda x, layout: ops.conv(x, w, padding="same", data_format=layout),
            lambda x, layout: ops.max_pool(x, 2, padding="same", data_format=layout),
            lambda x, layout: ops.average_pool(x, 3, 1, padding="same", data_format=layout),
        ):
            y, pullback = vjp(lambda x, fn=fn: fn(x, "channels_first"), x)
            y_last, pullback_last = vjp(lambda x, fn=fn: fn(x, "channels_last"), last)
            np.testing.assert_array_equal(y, np.moveaxis(np.asarray(y_last), -1, 1))
            g = rng.normal(size=y.shape).astype("float32")
            (dx,), (dx_last,) = pullback(g), pullback_last(np.ascontiguousarray(np.moveaxis(g, 1, -1)))
            np.testing.assert_array_equal(dx, np.moveaxis(np.asarray(dx_last), -1, 1))


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_activated_convolution_has_every_bit_of_its_parts(dtype, activation):
    rng = np.random.default_rng(5)
    x, w, b = (rng.normal(size=s).astype(dtype) for s in ((2, 12, 11, 20), (3, 3, 20, 36), (36,)))
    x[0, 3, 3, 3] = np.nan
    with backends.use("reference"):
        whole = ops.activated_conv(x, w, b, padding="same", activation=activation)
        parts = ops.add(ops.conv(x, w, padding="same"), b)
        parts = parts if activation == "linear" else getattr(ops, activation)(parts)
    np.testing.assert_array_equal(whole, parts)
