"""Rescaling and Normalization."""

import numpy as np
import pytest

from kcore import backends, config, layers

RNG = np.random.default_rng(0)
X3 = RNG.normal(size=(2, 8, 3)).astype("float32")
IMAGES = RNG.integers(0, 256, (2, 8, 9, 3)).astype("uint8")


@pytest.mark.parametrize(
    ("expression", "x"),
    [
        ("L.Rescaling(1 / 255, -0.5)", IMAGES),
        ("L.Rescaling([1.0, 2.0, 3.0], [0, 1, 2])", IMAGES),
        ("L.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 0.5])", X3),
        ("L.Normalization()", X3),
        ("L.Normalization(axis=(1, 2))", X3),
        ("L.Normalization(axis=None)", X3),
        ("L.Normalization(mean=1.0, variance=2.0, invert=True)", X3),
    ],
)
def test_matches_keras(same_as_keras, expression, x):
    same_as_keras(expression, x)


def test_rescaling_follows_the_channels():
    config.set_image_data_format("channels_first")
    y = layers.Rescaling([1.0, 2.0, 3.0])(np.ones((2, 3, 4, 5), "float32"))
    np.testing.assert_array_equal(np.asarray(y)[0, :, 0, 0], [1, 2, 3])


@pytest.mark.parametrize("options", [{}, {"axis": None}, {"axis": (1, 2)}, {"axis": 1}])
def test_adapting_takes_the_statistics_that_keras_takes(pair, options):
    ours, theirs = pair(f"L.Normalization(**{options})", X3)
    data = (5 + 3 * RNG.normal(size=(40, 8, 3))).astype("float32")
    ours.adapt(data)
    theirs.adapt(data)
    for a, b in zip(ours.weights[:2], theirs.weights[:2], strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)
    np.testing.assert_allclose(ours(X3), theirs(X3), rtol=1e-4, atol=1e-5)


def test_adapting_to_batches_is_adapting_to_all_and_does_not_cancel():
    data = (1e4 + RNG.normal(size=(100, 3))).astype("float32")
    layer = layers.Normalization()
    layer.adapt(data[i : i + 7] for i in range(0, 100, 7))
    np.testing.assert_allclose(layer.adapt_variance.numpy(), data.astype("float64").var(0), rtol=1e-5)


def test_inside_a_tf_data_pipeline_a_layer_of_any_backend_answers_with_tensorflow():
    tf = pytest.importorskip("tensorflow")
    adapted = layers.Normalization()
    adapted.adapt(X3)
    for layer in (layers.Rescaling(2.0), adapted):
        data = tf.data.Dataset.from_tensor_slices(X3).batch(2).map(layer)
        (batch,) = list(data)
        assert isinstance(batch, tf.Tensor)
        np.testing.assert_allclose(batch.numpy(), np.asarray(layer(X3)), rtol=1e-5)
    assert backends.active().name == "reference"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Normalization(mean=1.0), r"normalization\w*: give both mean and variance or neither"),
        (lambda: layers.Normalization(axis=3)(X3), r"axis=3 is out of range for inputs of shape \(2, 8, 3\)"),
        (lambda: layers.Normalization(mean=1.0, variance=1.0).adapt(X3), r"adapt is for layers without"),
        (lambda: layers.Normalization().adapt([]), r"there is no data|no data"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
