"""Calls of a captured step that are joined into one: which are, and that the results have the same bits."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

import kcore as keras
from kcore import _native, backends, layers, ops, optimizers
from kcore.backends.reference import joining
from kcore.backends.reference.plan import StepPlan

pytestmark = pytest.mark.skipif(not _native.available, reason="definitions are not joined")


@pytest.fixture(autouse=True)
def on_reference():
    with backends.use("reference"):
        yield


@pytest.fixture
def plans(monkeypatch):
    """The plans of the steps that were captured."""
    found: list[StepPlan] = []
    compiled = StepPlan.compiled

    def noted(self):
        found.append(self)
        return compiled(self)

    monkeypatch.setattr(StepPlan, "compiled", noted)
    return found


class Names:
    """The names of the functions that the last captured step calls."""

    def __init__(self, plans):
        self.plans = plans

    def __iter__(self):
        return (getattr(call.function, "__name__", "") for call in self.plans[-1]._calls if self.plans)


@pytest.fixture
def names(plans):
    return Names(plans)


def settle(model, seed=0):
    """Gives a model weights that leave nothing at 0 or 1, and positive variances."""
    rng = np.random.default_rng(seed)
    for v in model.variables:
        drawn = rng.normal(size=v.shape) * 0.4
        v.assign(abs(drawn) + 0.1 if "variance" in v.path else drawn)
    return model


def images(*shape, samples=3):
    return np.random.default_rng(1).normal(size=(samples, *shape)).astype("float32")


def check(model, x):
    """The prediction, the same whether captured or run as it is written."""
    model.compile(run_eagerly=True)
    want = model.predict(x, verbose=0)
    model.compile()
    for _ in range(4):
        np.testing.assert_array_equal(model.predict(x, verbose=0), want)
    return want


def normalized(x, layer, *activation, **options):
    x = layers.BatchNormalization(**options)(layer(x))
    for layer in activation:
        x = layer(x)
    return x


def residual():
    """Two bottlenecks of a ResNet, the first with a convolution in its shortcut."""
    inputs = keras.Input((12, 13, 3))
    x = normalized(inputs, layers.Conv2D(16, 3, use_bias=False), layers.ReLU())
    for shortcut in (True, False):
        y = normalized(x, layers.Conv2D(8, 1), layers.ReLU())
        y = normalized(y, layers.Conv2D(24, 3, padding="same"))
        z = normalized(x, layers.Conv2D(24, 1)) if shortcut else x
        x = layers.ReLU()(layers.Add()([y, z]) if shortcut else layers.Add()([z, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, normalized(x, layers.Dense(5), layers.ReLU()))


def mobile():
    """Inverted bottlenecks of a MobileNet: relu6, depthwise convolutions, sums that are not activated."""
    x = inputs = keras.Input((14, 14, 3))
    x = normalized(x, layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False), layers.ReLU(6.0))
    for multiplier in (1, 2):
        y = normalized(x, layers.Conv2D(48, 1, use_bias=False), layers.ReLU(6.0))
        y = normalized(y, layers.DepthwiseConv2D(3, padding="same", depth_multiplier=multiplier), layers.ReLU(6.0))
        x = layers.Add()([x, normalized(y, layers.Conv2D(8, 1, use_bias=False))])
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def upward():
    """Transposed convolutions, normalized and not; the last gives pixels that no tap meets."""
    x = inputs = keras.Input((5, 6, 4))
    x = normalized(x, layers.Conv2DTranspose(8, 3, strides=2, padding="same"), layers.ReLU())
    x = layers.Conv2DTranspose(6, 2, strides=2, activation="relu")(x)
    return keras.Model(inputs, normalized(x, layers.Conv2DTranspose(5, 1, strides=3, output_padding=2)))


def sequence():
    x = inputs = keras.Input((20, 3))
    x = normalized(x, layers.Conv1D(7, 3, dilation_rate=2), layers.ReLU())
    return keras.Model(inputs, normalized(x, layers.Dense(4), layers.ReLU(6.0)))


def pre_activated():
    """Normalization first, as in the second version of ResNet."""
    x = inputs = keras.Input((8, 8, 6))
    for _ in range(2):
        y = layers.ReLU()(layers.BatchNormalization(center=False, scale=False)(x))
        x = layers.Add()([layers.Conv2D(6, 3, padding="same")(y), x])
    return keras.Model(inputs, x)


JOINED = {
    residual: ((12, 13, 3), ["ended_conv"] * 6 + ["mean", "ended_dense"]),
    mobile: ((14, 14, 3), ["ended_conv"] * 7 + ["mean"]),
    upward: ((5, 6, 4), ["ended_conv_transpose"] * 3),
    sequence: ((20, 3), ["ended_conv", "ended_dense"]),
    pre_activated: ((8, 8, 6), ["ended", "ended_conv"] * 2),
}


@pytest.mark.parametrize("make", JOINED, ids=lambda make: make.__name__)
def test_what_follows_a_convolution_is_joined_and_keeps_every_bit(make, names):
    shape, expected = JOINED[make]
    check(settle(make()), images(*shape))
    left = [name for name in names if name != "reshape"]  # of depthwise kernels
    assert left == expected


@pytest.mark.parametrize("make", JOINED, ids=lambda make: make.__name__)
def test_joined_calls_in_float64_and_in_fast_numerics(make):
    with keras.config.numerics_scope("fast"):
        check(settle(make()), images(*JOINED[make][0]))
    keras.config.set_floatx("float64")
    try:
        assert check(settle(make()), images(*JOINED[make][0]).astype("float64")).dtype == "float64"
    finally:
        keras.config.set_floatx("float32")


# -- where calls must not be joined -----------------------------------------------------


def used_twice(x):
    y = layers.Conv2D(8, 3, padding="same")(x)
    return layers.Concatenate()([layers.BatchNormalization()(y), y])


def added_to_itself(x):
    y = layers.BatchNormalization()(layers.Conv2D(8, 3)(x))
    return layers.ReLU()(layers.Add()([y, y]))


def along_another_axis(x):
    return layers.ReLU()(layers.BatchNormalization(axis=1)(layers.Conv2D(8, 3)(x)))


def activated_between(x):
    return layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(x))


def added_to_a_smaller(x):
    y = layers.Conv2D(8, 3, padding="same")(x)
    return layers.ReLU()(layers.Add()([y, layers.Conv2D(1, 1)(x)]))


def normalized_after_the_sum(x):
    y = layers.Conv2D(8, 3, padding="same")(x)
    return layers.BatchNormalization()(layers.Add()([y, layers.Conv2D(8, 1)(x)]))


class AlwaysTraining(layers.BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, True, mask)


def in_training(x):
    return layers.ReLU()(AlwaysTraining()(layers.Conv2D(8, 3)(x)))


class MovedBetween(layers.Layer):
    """Changes its kernel after the convolution and before the normalization."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], 8))
        self.mean, self.variance = self.add_weight(shape=(8,)), self.add_weight(shape=(8,), name="variance")

    def call(self, x):
        y = ops.conv(x, self.kernel)
        self.kernel.assign(ops.zeros((3, 3, x.shape[-1], 8)))
        y = ops.relu(ops.batch_normalization(y, self.mean, self.variance, -1))
        self.kernel.assign(ops.ones((3, 3, x.shape[-1], 8)) * 0.5)
        return y


def moved_between(x):
    return MovedBetween()(x)


@pytest.mark.parametrize(
    "build",
    [
        *(used_twice, added_to_itself, along_another_axis, activated_between, added_to_a_smaller),
        *(normalized_after_the_sum, in_training, moved_between),
    ],
)
def test_what_can_not_be_joined_stays(build, names):
    inputs = keras.Input((9, 9, 4))
    model = settle(keras.Model(inputs, build(inputs)))
    x = images(9, 9, 4)
    if build in (in_training, moved_between):  # these change with each call
        results = []
        for eagerly in (True, False):
            settle(model).compile(run_eagerly=eagerly)
            results.append([model.predict(x, verbose=0) for _ in range(4)])
        np.testing.assert_array_equal(*results)
    else:
        check(model, x)
    assert names
    assert {"conv", "activated_conv", "ended_conv"} & set(names)
    left = {"batch_normalization", "normalize_batch", "add", "activated_conv", "ended"}
    assert left & set(names), names


def test_channels_first_and_mixed_precision_run_as_they_did(names):
    for policy, data_format in (("float32", "channels_first"), ("mixed_bfloat16", "channels_last")):
        inputs = keras.Input((6, 9, 9))
        axis = 1 if data_format == "channels_first" else -1
        y = layers.Conv2D(8, 3, data_format=data_format, dtype=policy)(inputs)
        y = layers.ReLU(dtype=policy)(layers.BatchNormalization(axis, dtype=policy)(y))
        check(settle(keras.Model(inputs, y)), images(6, 9, 9))
        assert not any(name.startswith("ended") for name in names)


def test_without_kernels_nothing_is_joined(names, monkeypatch):
    monkeypatch.setattr(_native, "available", False)
    check(settle(residual()), images(12, 13, 3))
    assert "batch_normalization" in names
    assert not any(name.startswith("ended") for name in names)


# -- weights that change ----------------------------------------------------------------


def test_changes_of_weights_and_statistics_are_seen(names):
    model, x = settle(residual()), images(12, 13, 3)
    kernel, variance = model.layers[1].kernel, model.layers[2].moving_variance
    labels = np.zeros((3, 5), "float32")
    changes = [
        lambda: kernel.assign(kernel * 2),
        lambda: model.set_weights([w * 0.9 for w in model.get_weights()]),
        lambda: variance.assign_add(variance.value),
        lambda: optimizers.Adam(0.1).apply([kernel.value], [kernel]),
        lambda: model.fit(x, labels, epochs=3, verbose=0),
        lambda: setattr(model.layers[2], "epsilon", 0.5),
    ]
    model.compile("sgd", "mse")
    for change in changes:
        before = [model.predict(x, verbose=0) for _ in range(4)][-1]
        assert "ended_conv" in names
        change()
        found = [model.predict(x, verbose=0) for _ in range(4)]
        want = np.asarray(model(x))
        for y in found:
            np.testing.assert_array_equal(y, want)
        assert not np.array_equal(found[0], before)


def test_a_frozen_convolution_is_joined_in_training_too(names):
    """A fit whose first layers are frozen: they are joined, and the results are those of the step as it is written."""
    results = []
    for eagerly in (True, False):
        x = inputs = keras.Input((9, 9, 3))
        x = normalized(x, layers.Conv2D(8, 3), layers.ReLU())
        x = layers.Dense(4)(layers.GlobalAveragePooling2D()(x))
        model = settle(keras.Model(inputs, x))
        for layer in model.layers[:4]:
            layer.trainable = False
        model.compile("sgd", "mse", run_eagerly=eagerly)
        x, y = images(9, 9, 3, samples=40), np.ones((40, 4), "float32")
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        results.append(model.get_weights())
    assert "ended_conv" in names
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


# -- what is prepared -------------------------------------------------------------------


def count(calls, function):
    def counted(*args):
        calls.append(args)
        return function(*args)

    return counted


def test_what_depends_on_weights_alone_is_computed_when_they_change(plans, monkeypatch):
    calls: list = []
    monkeypatch.setattr(joining, "factor_of", count(calls, joining.factor_of))
    model, x = settle(residual()), images(12, 13, 3)
    model.compile("sgd", "mse")
    model.predict(x, verbose=0)
    model.predict(x, verbose=0)
    (plan,) = plans
    factors = len(plan._prepared)
    assert factors > 5
    model.predict(x, verbose=0)
    calls.clear()
    model.predict(x, verbose=0)
    assert not calls
    norm = next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization))
    for change in (norm.gamma.assign_add, norm.moving_variance.assign):
        change(norm.gamma.value)
        y = model.predict(x, verbose=0)
        assert len(calls) == factors
        calls.clear()
        np.testing.assert_array_equal(y, np.asarray(model(x)))
    norm.moving_mean.assign(norm.gamma)  # which no factor depends on
    np.testing.assert_array_equal(model.predict(x, verbose=0), np.asarray(model(x)))
    assert not calls


def test_what_depends_on_constants_alone_is_prepared_too(plans):
    mean, variance = np.full(8, 0.5, "float32"), np.full(8, 2.0, "float32")
    inputs = keras.Input((9, 9, 3))
    y = layers.Lambda(lambda x: ops.batch_normalization(x, mean, variance, -1))(layers.Conv2D(8, 3)(inputs))
    check(settle(keras.Model(inputs, y)), images(9, 9, 3))
    assert [call.function for call in plans[-1]._prepared] == [joining.factor_of]


def test_weights_are_cast_once_in_mixed_precision(plans):
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.Dense(3, dtype="mixed_bfloat16")(inputs))
    check(settle(model), images(5))
    assert [call.function.__name__ for call in plans[-1]._prepared] == ["cast", "cast"]


def test_a_step_that_returns_what_depends_on_weights_alone_returns_it_fresh():
    w = keras.Variable(np.arange(3, dtype="float32"))

    def step(x):
        doubled = w * 2.0
        return doubled, ops.reshape(ops.exp(w), (3, 1)), x + doubled

    run = backends.active().compile(step, [], [w], jit=True)
    x = ops.ones((3,))
    for i in range(6):
        if i == 4:
            w.assign_add(np.ones(3, "float32"))
        found = [np.asarray(y) for y in run(x)]
        for y, want in zip(found, step(x), strict=True):
            np.testing.assert_array_equal(y, want)
        for y in found[::2]:
            y[...] = 7


# -- memory that is used again ----------------------------------------------------------


def spent(plan):
    return [call.args[-1] for call in plan._calls if call.function is joining.ended_conv]


def bottlenecks(x):
    for _ in range(2):
        y = normalized(x, layers.Conv2D(4, 1), layers.ReLU())
        x = layers.ReLU()(layers.Add()([normalized(y, layers.Conv2D(8, 1)), x]))
    return x


def around_two(x, conv=layers.Conv2D):
    y = conv(8, 1)(x)
    z = layers.ReLU()(conv(8, 1)(y))
    return y, layers.ReLU()(layers.Add()([conv(8, 1)(z), y]))


def of_a_sequence(x):
    return around_two(layers.Reshape((81, 8))(x), layers.Conv1D)[1]


def also_reshaped(x):
    y, z = around_two(x)
    return layers.Concatenate()([layers.Flatten()(z), layers.Reshape((81 * 8,))(y)])


def also_returned(x):
    return layers.Concatenate()(around_two(x))


def around_one(x):
    y = layers.Conv2D(8, 1)(x)
    return layers.ReLU()(layers.Add()([layers.Conv2D(8, 1)(y), y]))


def of_the_inputs(x):
    z = layers.ReLU()(layers.Conv2D(8, 1)(x))
    return layers.ReLU()(layers.Add()([layers.Conv2D(8, 1)(z), x]))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (bottlenecks, [False, True, False, True]),
        (of_a_sequence, [False, True]),
        (also_reshaped, [False, False]),
        (also_returned, [False, False]),
        (around_one, [False]),  # whose tiles read all of it
        (of_the_inputs, [False, False]),
    ],
)
def test_a_sum_is_written_over_what_nobody_reads_again(build, expected, plans):
    inputs = keras.Input((9, 9, 8))
    x = inputs if build is of_the_inputs else layers.ReLU()(layers.Conv2D(8, 3, padding="same")(inputs))
    model, x = settle(keras.Model(inputs, build(x))), images(9, 9, 8)
    given = x.copy()
    check(model, x)
    np.testing.assert_array_equal(x, given)
    found = spent(plans[-1])
    assert found[-len(expected) :] == expected


def test_a_thousand_predictions_leave_nothing_behind(names):
    model, x = settle(residual()), images(12, 13, 3, samples=1)
    for _ in range(20):
        model.predict(x, verbose=0)
    assert "ended_conv" in names
    gc.collect()
    kept = _native.kernels.pool_state()["in_use"]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            model.predict(x, verbose=0)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()
    assert _native.kernels.pool_state()["in_use"] <= kept


def test_heads_and_activations_are_what_ops_run():
    """The table is of definitions: one that is replaced would silently not be joined any more."""
    for function in (*joining._HEADS, *joining._ACTIVATIONS):
        assert backends.load("reference").ops[function.__name__] is function
