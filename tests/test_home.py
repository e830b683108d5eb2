"""A layer is at home in its framework: its own tools work on it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import kcore as keras
from kcore import backends, ops

layers = keras.layers
X = np.random.default_rng(0).normal(size=(16, 5)).astype("float32")


class Block(layers.Layer):
    """Sub-layers in attributes, a list and a dict."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(4, activation="relu")
        self.rest = [layers.Dense(4)]
        self.named = {"last": layers.Dense(2)}

    def call(self, x):
        x = self.first(x)
        for layer in self.rest:
            x = layer(x)
        return self.named["last"](x)


# -- torch ------------------------------------------------------------------------------


@pytest.fixture
def torch():
    module = pytest.importorskip("torch")
    with backends.use("torch"):
        yield module


def test_a_layer_under_torch_is_a_module_with_parameters(torch):
    block = Block()
    block(X)
    assert isinstance(block, torch.nn.Module)
    assert isinstance(block, Block)
    assert len(list(block.parameters())) == len(block.weights) == 6
    assert {tuple(p.shape) for p in block.parameters()} == {w.shape for w in block.weights}


def test_a_torch_loop_trains_a_model(torch):
    model = keras.Sequential([keras.Input((5,)), layers.Dense(8, activation="tanh"), layers.Dense(1)])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    x, y = torch.tensor(X), torch.tensor(X[:, :1])
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert np.abs(model.predict(X, verbose=0) - X[:, :1]).mean() < 0.7  # kcore sees the weights torch changed


def test_a_state_dict_goes_into_another_model(torch):
    a, b = Block(), Block()
    a(X), b(X)
    renamed = dict(zip(b.state_dict(), a.state_dict().values(), strict=True))
    b.load_state_dict(renamed)
    assert torch.equal(a(X), b(X))


def test_freezing_a_layer_stops_torchs_gradients(torch):
    dense = layers.Dense(2)
    dense(X)
    dense.trainable = False
    assert not any(p.requires_grad for p in dense.parameters())
    dense.trainable = True
    assert all(p.requires_grad for p in dense.parameters())


def test_moving_a_module_to_another_dtype_moves_its_variables(torch):
    dense = layers.Dense(2)
    dense(X)
    before = dense.kernel.numpy()
    dense.to("cpu")
    np.testing.assert_array_equal(dense.kernel.numpy(), before)


# -- TensorFlow -------------------------------------------------------------------------


@pytest.fixture
def tf():
    module = pytest.importorskip("tensorflow")
    with backends.use("tensorflow"):
        yield module


def test_a_layer_under_tensorflow_is_a_tf_module(tf):
    block = Block()
    block(X)
    assert isinstance(block, tf.Module)
    assert len(block.trainable_variables) == 6


def test_a_gradient_tape_sees_a_layers_variables(tf):
    dense = layers.Dense(1)
    dense(X)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(dense(tf.constant(X)))
        watched = tape.watched_variables()
    gradients = tape.gradient(loss, watched)
    assert len(watched) == 2
    np.testing.assert_allclose(gradients[0].numpy()[:, 0], X.sum(0), rtol=1e-5)


def test_a_gradient_tape_takes_a_models_variables_as_keras_code_gives_them(tf):
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten()])
    ids = np.array([[1, 1, 4]], "int32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(ids))
    (gradient,) = tape.gradient(loss, model.trainable_variables)
    assert isinstance(gradient, tf.IndexedSlices)
    before = model.get_weights()[0]
    keras.optimizers.SGD(0.5).apply([gradient], model.trainable_variables)
    steps = np.array([0, 2, 0, 0, 1])[:, None] * np.full((1, 2), 0.5)
    np.testing.assert_allclose(before - model.get_weights()[0], steps, rtol=1e-6)


def test_a_tf_function_runs_a_model(tf):
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    function = tf.function(lambda x: model(x), autograph=False)
    np.testing.assert_allclose(function(tf.constant(X)).numpy(), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


# -- JAX --------------------------------------------------------------------------------


def test_jit_and_grad_of_a_stateless_call():
    jax = pytest.importorskip("jax")
    with backends.use("jax"):
        block = Block()
        block(X)
        values = [v.value for v in block.trainable_variables]

        def loss(values, x):
            outputs, _ = block.stateless_call(values, [], x)
            return ops.mean(ops.square(outputs))

        gradients = jax.jit(jax.grad(loss))(values, X)
        assert [g.shape for g in gradients] == [v.shape for v in block.trainable_variables]
        assert all(float(abs(g).max()) > 0 for g in gradients[1:])


# -- every backend ----------------------------------------------------------------------


def test_a_layer_keeps_the_backend_it_was_made_under():
    with backends.use("torch"):
        dense = layers.Dense(2)
    assert type(dense(X)).__module__ == "torch"
    assert keras.config.backend() == "reference"


def test_layers_are_copied_and_pickled(backend):
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3), layers.BatchNormalization()])
    expected = model.predict(X, verbose=0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(X, verbose=0), expected)
        other.layers[0].kernel.assign(np.zeros((5, 3)))
    np.testing.assert_array_equal(model.predict(X, verbose=0), expected)


def test_two_backends_hold_the_same_weights_from_one_seed():
    found = []
    for name in ("reference", "jax", "tensorflow", "torch"):
        with backends.use(name):
            keras.utils.set_random_seed(11)
            found.append(keras.Sequential([keras.Input((5,)), layers.Dense(7), layers.Dense(3)]).get_weights())
    for weights in found[1:]:
        for a, b in zip(weights, found[0], strict=True):
            np.testing.assert_array_equal(a, b)
