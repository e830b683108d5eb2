"""Noise and penalties."""

import numpy as np
import pytest

from kcore import layers

RNG = np.random.default_rng(0)
X3 = RNG.normal(size=(2, 8, 3)).astype("float32")
X4 = RNG.normal(size=(2, 8, 9, 3)).astype("float32")
X5 = RNG.normal(size=(2, 5, 6, 4, 3)).astype("float32")
ONES = np.ones((200, 300), "float32")


@pytest.mark.parametrize(
    ("expression", "x"),
    [
        ("L.Dropout(0.5)", X3),
        ("L.Dropout(0.0)", X3),
        ("L.Dropout(0.5, noise_shape=[None, 1, 3])", X3),
        ("L.SpatialDropout1D(0.5)", X3),
        ("L.SpatialDropout2D(0.5, name='drop')", X4),
        ("L.SpatialDropout3D(0.5, 'channels_first')", X5),
        ("L.GaussianDropout(0.5, seed=1)", X3),
        ("L.GaussianNoise(0.5)", X3),
        ("L.AlphaDropout(0.5, noise_shape=(None, 1, 3))", X3),
        ("L.ActivityRegularization(0.5, 0.2)", X3),
    ],
)
def test_matches_keras_outside_of_training(same_as_keras, expression, x):
    same_as_keras(expression, x)


@pytest.mark.parametrize(
    ("expression", "x"),
    [
        ("L.Dropout(0.3, seed=5)", X3),
        ("L.Dropout(0.5, noise_shape=(None, 1, 3), seed=5)", X3),
        ("L.SpatialDropout1D(0.5, seed=5)", X3),
        ("L.SpatialDropout2D(0.5, seed=5)", X4),
        ("L.SpatialDropout3D(0.5, 'channels_first', seed=5)", X5),
        ("L.GaussianDropout(0.5, seed=5)", X3),
        ("L.GaussianNoise(0.5, seed=5)", X3),
        ("L.AlphaDropout(0.5, seed=5)", X3),
        ("L.Dropout(0.3, seed=5, dtype='mixed_float16')", X3),
    ],
)
def test_draws_what_keras_draws_on_jax(same_as_keras, expression, x):
    tol = 1e-2 if "float16" in expression else 1e-5
    same_as_keras(expression, x, training=(True, True), tol=tol)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate):
    y = np.asarray(layers.Dropout(rate, seed=1)(ONES, training=True))
    assert abs((y == 0).mean() - rate) < 0.01
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


def test_dropout_of_everything_gives_zeros():
    assert (np.asarray(layers.Dropout(1.0)(ONES, training=True)) == 0).all()


def test_spatial_dropout_drops_whole_channels():
    y = np.asarray(layers.SpatialDropout2D(0.5, seed=1)(np.ones((4, 5, 6, 7), "float32"), training=True))
    assert all(np.unique(y[b, ..., c]).size == 1 for b in range(4) for c in range(7))
    assert 0 < (y == 0).mean() < 1


def test_gaussian_dropout_has_the_variance_of_dropout():
    y = np.asarray(layers.GaussianDropout(0.2, seed=1)(ONES, training=True))
    assert abs(y.mean() - 1) < 0.01
    assert abs(y.var() - 0.25) < 0.01


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(1).normal(size=(300, 400)).astype("float32")
    y = np.asarray(layers.AlphaDropout(0.3, seed=1)(x, training=True))
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.02


def test_draws_differ_from_call_to_call():
    layer = layers.Dropout(0.5, seed=1)
    assert not np.array_equal(layer(ONES, training=True), layer(ONES, training=True))


def test_activity_regularization_adds_its_penalty(pair):
    ours, theirs = pair("L.ActivityRegularization(0.5, 0.2)", X3)
    np.testing.assert_allclose(ours.losses, [float(v) for v in theirs.losses], rtol=1e-5)
    assert len(ours.losses) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dropout(2), r"dropout\w*: rate=2 should be a number from 0 to 1"),
        (lambda: layers.SpatialDropout1D(-0.5), r"rate=-0.5 should be"),
        (lambda: layers.GaussianNoise(2), r"stddev=2 should be"),
        (lambda: layers.Dropout(0.5, noise_shape=3), r"noise_shape=3 should be a sequence of integers and None"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
