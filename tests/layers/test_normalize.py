"""Normalization layers."""

import numpy as np
import pytest

from kcore import layers

RNG = np.random.default_rng(0)
X2 = RNG.normal(size=(2, 3)).astype("float32")
X3 = RNG.normal(size=(2, 8, 3)).astype("float32")
X4 = RNG.normal(size=(2, 8, 9, 3)).astype("float32")
MASK = np.arange(16).reshape(2, 8) % 3 > 0
MODES = (False, True, True, False)


@pytest.mark.parametrize(
    ("expression", "x", "options"),
    [
        ("L.BatchNormalization(momentum=0.8)", X3, {}),
        ("L.BatchNormalization(axis=1, scale=False)", X4, {}),
        ("L.BatchNormalization(center=False, gamma_regularizer='l2')", X2, {}),
        ("L.BatchNormalization(renorm=True, momentum=0.9, renorm_momentum=0.7)", X3, {}),
        ("L.BatchNormalization(renorm=True, renorm_clipping={'rmax': 1.5, 'rmin': 0.7, 'dmax': 0.3})", X3, {}),
        ("L.BatchNormalization(dtype='mixed_bfloat16')", X3, {"tol": 3e-2}),
        ("L.BatchNormalization(dtype='mixed_float16')", X3, {"tol": 4e-3}),
        ("L.BatchNormalization(momentum=0.8, trainable=False)", X3, {}),
        ("L.BatchNormalization(momentum=0.8)", X3, {"call": {"mask": MASK}, "symbolic": False}),
        ("L.SpectralNormalization(L.Dense(3), power_iterations=2)", X2, {}),
        ("L.SpectralNormalization(L.Conv2D(3, 2))", X4, {}),
    ],
)
def test_matches_keras_in_training_and_out(same_as_keras, expression, x, options):
    same_as_keras(expression, x, training=MODES, **options)


@pytest.mark.parametrize(
    ("expression", "x"),
    [
        ("L.LayerNormalization()", X3),
        ("L.LayerNormalization(axis=(1, 2), gamma_constraint='non_neg')", X3),
        ("L.LayerNormalization(axis=1, center=False)", X3),
        ("L.LayerNormalization(rms_scaling=True)", X3),
        ("L.GroupNormalization(3)", X4),
        ("L.GroupNormalization(1, scale=False)", X4),
        ("L.GroupNormalization(4, axis=1)", X4),
        ("L.GroupNormalization(-1)", X3),
        ("L.RMSNormalization()", X3),
        ("L.RMSNormalization(axis=(1, 2))", X3),
        ("L.UnitNormalization()", X3),
        ("L.UnitNormalization(axis=[1, 2])", X3),
    ],
)
def test_matches_keras(same_as_keras, expression, x):
    same_as_keras(expression, x)


@pytest.mark.parametrize("name", ["LayerNormalization", "RMSNormalization", "GroupNormalization(3)"])
def test_half_precision_matches_keras(same_as_keras, name):
    call = name if "(" in name else name + "("
    same_as_keras(f"L.{call.rstrip(')')}{', ' if call.endswith(')') else ''}dtype='mixed_float16')", X3, tol=4e-3)


def test_batch_normalization_is_exact_beside_a_great_mean():
    x = (1e4 + RNG.normal(size=(64, 3))).astype("float32")
    y = np.asarray(layers.BatchNormalization(epsilon=0)(x, training=True))
    wide = x.astype("float64")
    np.testing.assert_allclose(y, (wide - wide.mean(0)) / wide.std(0), atol=5e-3)


def test_batch_normalization_keeps_its_averages_in_float32_under_half_precision():
    layer = layers.BatchNormalization(dtype="mixed_float16")
    y = layer(X3, training=True)
    assert y.dtype == "float16"
    assert {w.dtype for w in layer.weights} == {"float32"}
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.01 * X3.astype("float16").mean((0, 1)), atol=1e-4)


def test_masked_statistics_are_those_of_what_is_left():
    layer = layers.BatchNormalization(momentum=0)
    layer(np.where(MASK[..., None], X3, np.nan), training=True, mask=MASK)
    kept = X3[MASK]
    np.testing.assert_allclose(layer.moving_mean.numpy(), kept.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), kept.var(0), rtol=1e-4)


def test_rms_normalization_takes_any_axis():
    layer = layers.RMSNormalization(axis=1)
    y = np.asarray(layer(X3))
    assert layer.scale.shape == (8,)
    np.testing.assert_allclose(y, X3 / np.sqrt((X3**2).mean(1, keepdims=True) + 1e-6), rtol=1e-5)


def test_spectral_normalization_brings_the_greatest_singular_value_to_1():
    layer = layers.SpectralNormalization(layers.Dense(4), power_iterations=50)
    layer(X2, training=True)
    assert np.linalg.svd(layer.layer.kernel.numpy())[1][0] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.BatchNormalization(axis=3)(X2), r"axis=3 is out of range for inputs of shape \(2, 3\)"),
        (lambda: layers.BatchNormalization()(X3, mask=MASK[0]), r"mask of shape \(8,\) should have one dimension less"),
        (lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"a": 1}), r"no keys but rmax, rmin and dmax"),
        (
            lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"rmax": 1, "rmin": 2}),
            r"an rmin above its rmax",
        ),
        (lambda: layers.LayerNormalization(axis=2)(X2), r"axis=2 is out of range"),
        (lambda: layers.GroupNormalization(2)(X3), r"2 groups can't share the 3 channels .* \(2, 8, 3\)"),
        (lambda: layers.SpectralNormalization(layers.Dense(2), power_iterations=0), r"power_iterations=0 should be"),
        (lambda: layers.SpectralNormalization(layers.Dropout(0.1))(X2), r"has neither a kernel nor embeddings"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
