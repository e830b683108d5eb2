"""compile, fit, evaluate and predict, on every backend."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kcore as keras
from kcore import backends, ops
from kcore.data import digits

layers = keras.layers


def problem(count=96, features=6, classes=3):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, features)).astype("float32")
    y = (x @ generator.normal(size=(features, classes))).argmax(1).astype("int32")
    return x, y


def classifier(**compiled):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(12, activation="relu"), layers.Dense(3, activation="softmax")]
    )
    model.compile(
        **({"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]} | compiled)
    )
    return model


def convnet():
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(5e-3), loss="sparse_categorical_crossentropy")
    return model


def test_the_four_backends_train_alike():
    (x, y), _ = digits.load()
    x, y = x[:256], y[:256]
    curves = {}
    for name in ("reference", "jax", "tensorflow", "torch"):
        with backends.use(name):
            curves[name] = convnet().fit(x, y, epochs=3, batch_size=32, verbose=0).history["loss"]
    assert curves["reference"][-1] < 0.9 * curves["reference"][0]
    for name, curve in curves.items():
        np.testing.assert_allclose(curve, curves["reference"], rtol=1e-4, err_msg=name)


def test_fit_learns_and_reports(backend):
    x, y = problem()
    history = classifier(optimizer=keras.optimizers.Adam(0.02)).fit(x, y, epochs=8, validation_split=0.25, verbose=0)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history.epoch == list(range(8))
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    assert all(type(v) is float for v in history.history["loss"])


def test_evaluate_and_predict_agree(backend):
    x, y = problem()
    model = classifier()
    model.fit(x, y, epochs=1, verbose=0)
    found = model.evaluate(x, y, batch_size=40, verbose=0, return_dict=True)
    p = model.predict(x, batch_size=25, verbose=0)
    assert p.shape == (96, 3)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert found["loss"] == pytest.approx(-np.log(p[np.arange(96), y]).mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((p.argmax(1) == y).mean())
    assert model.evaluate(x, y, verbose=0) == pytest.approx(list(found.values()), rel=1e-5)


def test_a_step_on_one_batch(backend):
    x, y = problem(16)
    model = classifier(optimizer=keras.optimizers.SGD(0.1))
    first = model.train_on_batch(x, y, return_dict=True)["loss"]
    model.reset_metrics()
    assert model.test_on_batch(x, y, return_dict=True)["loss"] < first
    assert model.predict_on_batch(x).shape == (16, 3)


def test_sample_weights_of_zero_leave_a_sample_out(backend):
    x, y = problem(64)
    weights = np.r_[np.ones(32), np.zeros(32)].astype("float32")
    model, other = classifier(), classifier()
    weighted = model.train_on_batch(x, y, sample_weight=weights, return_dict=True)["loss"]
    plain = other.train_on_batch(x[:32], y[:32], return_dict=True)["loss"]
    assert 2 * weighted == pytest.approx(plain, rel=1e-5)


def test_class_weights_are_sample_weights(backend):
    x, y = problem(64)
    table = {0: 1.0, 1: 2.0, 2: 0.5}
    a = classifier().fit(x, y, class_weight=table, shuffle=False, verbose=0).history["loss"]
    weights = np.array([table[c] for c in y], "float32")
    b = classifier().fit(x, y, sample_weight=weights, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_two_outputs_have_two_losses(backend):
    x, y = problem(64)
    inputs = keras.Input((6,))
    hidden = layers.Dense(8, activation="relu")(inputs)
    model = keras.Model(
        inputs,
        {"kind": layers.Dense(3, activation="softmax", name="a")(hidden), "size": layers.Dense(1, name="b")(hidden)},
    )
    model.compile(
        "adam",
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.5},
        metrics={"kind": ["accuracy"]},
    )
    logs = model.fit(x, {"kind": y, "size": x[:, :1]}, epochs=1, shuffle=False, batch_size=64, verbose=0).history
    assert {"loss", "kind_loss", "size_loss", "kind_accuracy"} == set(logs)
    assert logs["loss"][0] == pytest.approx(logs["kind_loss"][0] + 0.5 * logs["size_loss"][0], rel=1e-5)


def test_a_train_step_of_ones_own_runs_on_every_backend(backend):
    class Doubled(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)
            self.tracker = keras.metrics.Mean(name="twice")

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            x, y = data
            variables = self.trainable_variables

            def loss(values):
                with keras.StatelessScope(zip(variables, values, strict=True)):
                    return 2 * ops.mean(ops.square(self(x, training=True) - y))

            value, grads = keras.value_and_grad(loss)([v.value for v in variables])
            self.optimizer.apply(grads, variables)
            self.tracker.update_state(value)
            return {"twice": self.tracker.result()}

    x, _ = problem(32)
    model = Doubled()
    model.compile(keras.optimizers.SGD(0.05))
    history = model.fit(x, x[:, :1], epochs=5, verbose=0).history
    assert set(history) == {"twice"}
    assert history["twice"][-1] < history["twice"][0]


def test_moving_averages_and_seeds_advance_with_the_steps(backend):
    x, y = problem(64)
    model = keras.Sequential([keras.Input((6,)), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    norm, drop = model.layers[0], model.layers[1]
    model.fit(x, y, batch_size=32, epochs=1, verbose=0)
    assert np.abs(norm.moving_mean.numpy()).max() > 0
    assert int(drop.seed_generator.state.numpy()[1]) == 2


def test_a_frozen_layer_stays_as_it_is(backend):
    x, y = problem(32)
    model = classifier()
    model.layers[0].trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    before = [w.copy() for w in model.get_weights()]
    model.fit(x, y, epochs=1, verbose=0)
    after = model.get_weights()
    assert all(np.array_equal(b, a) for b, a in zip(before[:2], after[:2], strict=True))
    assert not np.array_equal(before[2], after[2])


def test_regularizers_add_to_the_loss(backend):
    x, y = problem(32)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3, activation="softmax", kernel_regularizer="l2")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    plain = -np.log(model.predict(x, verbose=0)[np.arange(32), y]).mean()
    penalty = 0.01 * np.square(model.layers[0].kernel.numpy()).sum()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(plain + penalty, rel=1e-5)


def test_eager_steps_do_what_compiled_ones_do(backend):
    x, y = problem(64)
    a = classifier().fit(x, y, epochs=2, shuffle=False, verbose=0).history["loss"]
    b = classifier(run_eagerly=True).fit(x, y, epochs=2, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(a, b, rtol=1e-4)


def test_mixed_precision_trains(backend):
    x, y = problem(64)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(12, activation="relu", dtype="mixed_bfloat16"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    losses = model.fit(x, y, epochs=8, verbose=0).history["loss"]
    assert model.layers[0].kernel.dtype == "float32"
    assert losses[-1] < 0.8 * losses[0]


def test_the_shuffle_depends_on_the_seed_alone():
    x, y = problem(64)
    curves = []
    for name in ("reference", "jax"):
        with backends.use(name):
            curves.append(classifier().fit(x, y, epochs=2, batch_size=8, verbose=0).history["loss"])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)


# -- bad input --------------------------------------------------------------------------


def test_data_of_different_lengths_are_refused():
    x, y = problem()
    with pytest.raises(ValueError, match=r"differ in length \(x: 96, y: 90 samples\)"):
        classifier().fit(x, y[:90], verbose=0)


def test_fit_before_compile_is_refused():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"call compile\(\) before fit\(\)"):
        model.fit(np.ones((4, 6)), np.ones((4, 1)))


def test_an_unknown_optimizer_or_loss_is_refused():
    with pytest.raises(ValueError, match="'adamm' is no optimizer"):
        classifier(optimizer="adamm")
    x, y = problem(8)
    with pytest.raises((ValueError, TypeError), match="crossentropyy"):
        classifier(loss="crossentropyy").fit(x, y, verbose=0)


def test_a_loss_for_no_output_is_refused():
    x, y = problem(8)
    model = classifier(loss={"nothing": "mse"})
    with pytest.raises(ValueError, match=r"loss names 'nothing'; the outputs are dense"):
        model.fit(x, y, verbose=0)


def test_inputs_that_do_not_fit_the_model_are_refused():
    with pytest.raises(ValueError, match=r"should have shape \(None, 6\), but one of shape \(4, 5\)"):
        classifier().predict(np.ones((4, 5), "float32"), verbose=0)


def test_a_generator_that_ends_early_is_warned_of():
    x, y = problem(64)
    batches = ((x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16))
    with pytest.warns(UserWarning, match="ended after 4 batches; 10 were asked for"):
        history = classifier().fit(batches, steps_per_epoch=10, verbose=0).history
    assert math.isfinite(history["loss"][0])


def test_torch_compile_trains_as_eager_torch_does():
    pytest.importorskip("torch")
    (x, y), _ = digits.load()
    curves = []
    with backends.use("torch"):
        for jit in (False, True):
            model = convnet()
            model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy", jit_compile=jit)
            curves.append(model.fit(x[:128], y[:128], epochs=2, batch_size=64, verbose=0).history["loss"])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)
