"""`watch` stops at the op that goes wrong, and leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest

import kcore
from kcore import backends, layers, ops
from kcore.conformance import watch
from kcore.conformance.watching import NumericsError
from kcore.layers.layer import Layer
from tests.conformance import planted_backend
from tests.conformance.planted_backend import planted_op

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


class Logarithm(layers.Layer):
    def call(self, x):
        return ops.log(x - ops.min(x))


def model_of(*parts):
    kcore.utils.set_random_seed(0)
    return kcore.Sequential([kcore.Input((3,)), *parts])


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_the_first_infinity_is_named_with_its_layer_and_line(backend):
    with kcore.backend(backend):
        net = model_of(layers.Dense(3, name="first"), Logarithm(name="logarithm"), layers.Dense(1))
        with pytest.raises(NumericsError) as caught, watch():
            net(X)
    error = caught.value
    assert (error.kind, error.op) == ("infinity", "log")
    assert error.layer.endswith("/logarithm")
    assert "ops.log(x - ops.min(x))" in error.source.text
    assert error.value == -np.inf
    assert "1 zeros" in str(error)


def test_a_nan_of_finite_arguments_is_named():
    with pytest.raises(NumericsError) as caught, watch():
        ops.exp(ops.sqrt(ops.convert_to_tensor([4.0, -1.0])))
    assert (caught.value.kind, caught.value.op, caught.value.where) == ("nan", "sqrt", (1,))


def test_a_nan_of_infinities_is_the_op_s_own():
    with pytest.raises(NumericsError) as caught, watch(infinity=False, overflow=False):
        ops.subtract(ops.convert_to_tensor([np.inf]), np.array([np.inf], "float32"))
    assert (caught.value.kind, caught.value.op) == ("nan", "subtract")


def test_a_nan_in_the_data_is_said_to_come_in():
    with pytest.raises(NumericsError, match="x has it already"), watch():
        ops.exp(ops.convert_to_tensor([1.0, np.nan]))


def test_infinities_that_are_handed_in_are_no_mistake():
    with watch() as watcher:
        x = ops.where(np.array([True, False]), ops.convert_to_tensor([1.0, 2.0]), -np.inf)
        y = ops.softmax(x)
    assert not watcher.found
    np.testing.assert_array_equal(ops.convert_to_numpy(y), [1, 0])


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_an_overflow_of_float16_says_what_is_right(backend):
    with kcore.backend(backend):
        x = ops.cast([300.0, 1.0], "float16")
        with pytest.raises(NumericsError) as caught, watch():
            ops.square(x)
    assert (caught.value.kind, caught.value.op, caught.value.expected) == ("overflow", "square", 90000.0)


def test_an_overflow_as_a_layer_casts_its_input_is_named():
    net = model_of(layers.Dense(2, dtype="mixed_float16", name="half"))
    with pytest.raises(NumericsError) as caught, watch(net):
        net(X * 1e6)
    assert (caught.value.kind, caught.value.op) == ("overflow", "cast")
    assert "float32 becomes float16" in str(caught.value)


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_a_bad_gradient_is_traced_to_its_op(backend):
    def loss(x):
        return ops.sum(ops.exp(ops.sqrt(ops.abs(x))))

    with kcore.backend(backend):
        x = ops.convert_to_tensor([1.0, 0.0])
        with pytest.raises(NumericsError) as caught, watch():
            kcore.grad(loss)(x)
    assert (caught.value.backward, caught.value.op) == (True, "sqrt")
    assert "ops.sqrt(ops.abs(x))" in caught.value.source.text


def test_training_is_watched_though_its_step_was_compiled():
    net = model_of(layers.Dense(2), Logarithm(name="logarithm"))
    net.compile("sgd", "mse")
    with pytest.raises(NumericsError, match="log in"), watch(net):
        net.fit(X, X[:, :2], epochs=1, verbose=0)


def test_a_wrong_result_is_found_by_the_shadow_run():
    pytest.importorskip("torch")
    planted = planted_backend.install()
    try:
        with kcore.backend("planted"):
            net = model_of(layers.Activation("tanh", name="one"), layers.Dense(2, name="two"))
        with planted_op(planted, "tanh", lambda right, x: right(x) * 1.001):
            with watch(net):
                net(X)  # nothing is nan
            with pytest.raises(NumericsError) as caught, watch(net, reference=True):
                net(X)
    finally:
        planted_backend.uninstall()
    assert (caught.value.kind, caught.value.op) == ("reference", "tanh")
    assert caught.value.layer.endswith("/one")
    assert "the record of tanh" in str(caught.value)


def test_without_stopping_all_is_kept():
    def twice():
        with watch(stop=False) as watcher:
            return ops.log(ops.zeros(3)), ops.log(ops.zeros(2)), watcher

    with pytest.warns(RuntimeWarning, match="infinity: log"):
        watcher = twice()[-1]
    assert [e.op for e in watcher.found] == ["log", "log"]


def test_nothing_is_left_behind():
    backend = backends.load("reference")
    call = Layer._call_at_home
    net = model_of(layers.Dense(2))
    net.compile("sgd", "mse")
    net.train_on_batch(X, X[:, :2])
    compiled = dict(net._steps_compiled)
    with watch(net) as watcher:
        net.train_on_batch(X, X[:, :2])
        assert "bind" in vars(backend)
    assert watcher.ops > 5
    assert Layer._call_at_home is call
    assert not {"bind", "convert", "vjp", "implementation"} & set(vars(backend))
    assert net._steps_compiled == compiled
    count = watcher.ops
    net(X)
    assert watcher.ops == count
