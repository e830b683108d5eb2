"""Convolution layers."""

import numpy as np
import pytest

from kcore import layers

RNG = np.random.default_rng(0)
IMAGES = {
    1: RNG.normal(size=(2, 8, 3)).astype("float32"),
    2: RNG.normal(size=(2, 8, 9, 3)).astype("float32"),
    3: RNG.normal(size=(2, 5, 6, 4, 3)).astype("float32"),
}
FIRST = {rank: np.ascontiguousarray(np.moveaxis(x, -1, 1)) for rank, x in IMAGES.items()}

WINDOWS = ["", "padding='same'", "strides=2", "dilation_rate=2, padding='same'", "use_bias=False, activation='relu'"]
CASES = [
    (f"L.{name}({first}, {options})", rank)
    for rank in (1, 2, 3)
    for name, first in (
        (f"Conv{rank}D", "4, 3"),
        (f"Conv{rank}DTranspose", "4, 3"),
        *(((f"DepthwiseConv{rank}D", "3"), (f"SeparableConv{rank}D", "4, 3")) if rank < 3 else ()),
    )
    for options in (WINDOWS if rank == 2 else WINDOWS[2:4])
]
CASES += [
    *((f"L.Conv{rank}D(6, 2, groups=3)", rank) for rank in (1, 2, 3)),
    *((f"L.Conv{rank}DTranspose(4, 3, strides=2, padding='same', output_padding=1)", rank) for rank in (1, 2, 3)),
    ("L.Conv1D(4, 3, padding='causal', dilation_rate=2)", 1),
    ("L.Conv1D(4, 3, padding='causal', strides=2)", 1),
    ("L.Conv2D(4, (3, 2), strides=(1, 2), padding='SAME', kernel_regularizer='l2', bias_constraint='max_norm')", 2),
    ("L.DepthwiseConv2D(3, depth_multiplier=2, depthwise_regularizer='l2')", 2),
    ("L.SeparableConv2D(4, 3, depth_multiplier=2, pointwise_constraint='non_neg')", 2),
    ("L.Convolution2D(4, 3)", 2),
]


@pytest.mark.parametrize(("expression", "rank"), CASES)
def test_matches_keras(same_as_keras, expression, rank):
    same_as_keras(expression, IMAGES[rank])


@pytest.mark.parametrize(
    ("expression", "rank"),
    [
        *((f"L.Conv{rank}D(4, 2, data_format='channels_first')", rank) for rank in (1, 2, 3)),
        *((f"L.Conv{rank}DTranspose(4, 2, data_format='channels_first')", rank) for rank in (1, 2, 3)),
        *((f"L.DepthwiseConv{rank}D(3, data_format='channels_first', depth_multiplier=2)", rank) for rank in (1, 2)),
        *((f"L.SeparableConv{rank}D(4, 3, data_format='channels_first')", rank) for rank in (1, 2)),
    ],
)
def test_channels_first_matches_keras(same_as_keras, expression, rank):
    same_as_keras(expression, FIRST[rank])


def test_half_precision_matches_keras(same_as_keras):
    same_as_keras("L.Conv2D(4, 3, dtype='mixed_bfloat16')", IMAGES[2], tol=5e-2)


@pytest.mark.parametrize(
    ("ours", "shape", "wanted"),
    [
        (layers.Conv2D(4, 3, strides=2), (None, 9, None, 3), (None, 4, None, 4)),
        (layers.Conv1D(4, 3, padding="causal"), (2, None, 3), (2, None, 4)),
        (layers.Conv2DTranspose(4, 3, strides=2, padding="same"), (None, 5, None, 3), (None, 10, None, 4)),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (1, 5, 5, 3), (1, 3, 3, 6)),
        (layers.SeparableConv1D(4, 3), (1, 5, 3), (1, 3, 4)),
    ],
)
def test_output_shapes_are_told_without_building(ours, shape, wanted):
    assert ours.compute_output_shape(shape) == wanted
    assert not ours.built


def test_padding_can_be_given_for_each_side():
    x = IMAGES[2]
    layer = layers.Conv2D(4, 3, padding=((1, 0), (2, 1)))
    plain = layers.Conv2D(4, 3)
    y = layer(x)
    plain.build(x.shape)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(y, plain(np.pad(x, ((0, 0), (1, 0), (2, 1), (0, 0)))), rtol=1e-5, atol=1e-6)
    assert layers.Conv2D.from_config(layer.get_config()).padding == ((1, 0), (2, 1))


def test_a_subclass_can_change_the_convolution():
    class Standardized(layers.Conv2D):
        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, kernel * 2)

    layer = Standardized(4, 3, use_bias=False)
    plain = layers.Conv2D(4, 3, use_bias=False)
    y = layer(IMAGES[2])
    plain.build(IMAGES[2].shape)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(y, 2 * np.asarray(plain(IMAGES[2])), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv2D(0, 3), r"conv2d\w*: filters=0 should be an integer of at least 1"),
        (lambda: layers.Conv2D(3, (3, 3, 3)), r"kernel_size=\(3, 3, 3\) should be .* or 2 of them"),
        (
            lambda: layers.Conv2D(3, 3, padding="causal"),
            r"padding='causal' should be one of 'valid', 'same', or 2 pairs",
        ),
        (lambda: layers.Conv2D(3, 3, padding=(1, 2)), r"padding=\(1, 2\) should be one of"),
        (lambda: layers.Conv2D(4, 3, groups=3), r"3 groups can't share filters=4 evenly"),
        (lambda: layers.Conv2D(4, 3, groups=2)(IMAGES[2]), r"groups=2 can't share the 3 channels .* \(2, 8, 9, 3\)"),
        (lambda: layers.Conv2D(4, 3)(IMAGES[1]), r"conv2d\w*: .* at least 4 dimensions; it has shape \(2, 8, 3\)"),
        (lambda: layers.Conv2D(4, 30)(IMAGES[2]), r"does not fit spatial sizes \(8, 9\)"),
        (lambda: layers.Conv2D(4, 3, data_format="first"), r"'first'; expected one of channels_first, channels_last"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
