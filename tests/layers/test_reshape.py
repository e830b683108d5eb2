"""Layers that move elements about."""

import numpy as np
import pytest

from kcore import layers
from kcore.ops.symbolic import KerasTensor

RNG = np.random.default_rng(0)
X2 = RNG.normal(size=(2, 3)).astype("float32")
X3 = RNG.normal(size=(2, 8, 3)).astype("float32")
X4 = RNG.normal(size=(2, 8, 9, 3)).astype("float32")
X5 = RNG.normal(size=(2, 5, 6, 4, 3)).astype("float32")


@pytest.mark.parametrize(
    ("expression", "x"),
    [
        ("L.Flatten()", X4),
        ("L.Flatten('channels_first')", X4),
        ("L.Flatten()", X2),
        ("L.Flatten()", X2[:, 0]),
        ("L.Flatten()", np.arange(12, dtype="int32").reshape(2, 3, 2)),
        ("L.Reshape((-1, 3))", X4),
        ("L.Reshape([6, 4])", X3),
        ("L.Permute((3, 1, 2))", X4),
        ("L.RepeatVector(3)", X2),
        ("L.Cropping1D((1, 2))", X3),
        ("L.Cropping2D()", X4),
        ("L.Cropping2D(((1, 0), (2, 3)))", X4),
        ("L.Cropping2D((1, 2), 'channels_first')", np.moveaxis(X4, -1, 1)),
        ("L.Cropping2D(((1, 2), 3))", X4),
        ("L.Cropping3D(1)", X5),
        ("L.Cropping3D(((1, 0), (1, 2), (0, 1)), 'channels_last')", X5),
        ("L.UpSampling1D(3)", X3),
        ("L.UpSampling2D((2, 3))", X4),
        ("L.UpSampling2D(2, 'channels_first')", X4),
        ("L.UpSampling3D((1, 2, 3))", X5),
        ("L.UpSampling3D(2, 'channels_first')", X5),
        ("L.ZeroPadding1D((1, 2))", X3),
        ("L.ZeroPadding1D(1, 'channels_first')", X3),
        ("L.ZeroPadding2D(((1, 0), (2, 3)))", X4),
        ("L.ZeroPadding2D(1, 'channels_first')", X4),
        ("L.ZeroPadding3D((1, 2, 3))", X5),
    ],
)
def test_matches_keras(same_as_keras, expression, x):
    same_as_keras(expression, x)


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (layers.Flatten(), (None, None, 3), (None, None)),
        (layers.Flatten(), (None, 4, 3), (None, 12)),
        (layers.Reshape((3, -1)), (None, None, 3), (None, 3, None)),
        (layers.Reshape((3, -1)), (None, 6, 2), (None, 3, 4)),
        (layers.ZeroPadding2D(2), (None, None, 5, 3), (None, None, 9, 3)),
        (layers.Cropping2D(1), (None, None, 5, 3), (None, None, 3, 3)),
        (layers.UpSampling2D(2), (None, None, 5, 3), (None, None, 10, 3)),
        (layers.UpSampling2D(2, interpolation="bilinear"), (None, None, 5, 3), (None, None, 10, 3)),
        (layers.RepeatVector(4), (None, 3), (None, 4, 3)),
    ],
)
def test_open_sizes_stay_open(layer, shape, wanted):
    assert layer.compute_output_shape(shape) == wanted
    assert layer(KerasTensor(shape)).shape == wanted


def test_an_empty_batch_passes():
    assert layers.Flatten()(np.zeros((0, 2, 3))).shape == (0, 6)
    assert layers.Reshape((3, -1))(np.zeros((0, 2, 3))).shape == (0, 3, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Reshape((-1, -1)), r"reshape\w*: target_shape=\(-1, -1\) should have at most one -1"),
        (
            lambda: layers.Reshape((4,))(X2),
            r"inputs of shape \(2, 3\) have 3 elements in a sample.*target_shape=\(4,\)",
        ),
        (lambda: layers.Permute((2, 0)), r"dims=\(2, 0\) should name each of the axes 1 to 2 once"),
        (lambda: layers.RepeatVector("a"), r"n='a' should be an integer of at least 1"),
        (lambda: layers.Cropping1D((4, 5))(X3), r"cropping=\(4, 5\) leaves nothing of inputs of shape \(2, 8, 3\)"),
        (lambda: layers.Cropping2D((1, 2, 3)), r"cropping=\(1, 2, 3\) should be an integer, or 2 of them or of pairs"),
        (lambda: layers.ZeroPadding2D(-1), r"padding=-1 should be an integer of at least 0"),
        (lambda: layers.ZeroPadding2D("a"), r"padding='a' should be an integer, or 2"),
        (lambda: layers.UpSampling2D(2, interpolation="cubic"), r"interpolation='cubic' should be one of nearest"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
