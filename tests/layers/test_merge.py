"""Layers of several inputs."""

import numpy as np
import pytest

from kcore import layers, ops
from kcore.layers.masks import get_mask, set_mask

RNG = np.random.default_rng(0)


def real(*shape):
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    ("expression", "inputs"),
    [
        *(
            (f"L.{name}()", [real(2, 3, 4), real(2, 3, 4), real(2, 3, 4)])
            for name in ("Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
        ),
        ("L.Subtract()", [real(2, 3, 4), real(2, 3, 4)]),
        ("L.Add()", [real(2, 3, 4), real(2, 4)]),
        ("L.Add()", [real(2, 3, 4), real(2, 1, 4)]),
        ("L.Concatenate(1)", [real(2, 3, 4), real(2, 2, 4)]),
        ("L.Dot(1)", [real(2, 3), real(2, 3)]),
        ("L.Dot((1, 2), normalize=True)", [real(2, 3, 4), real(2, 5, 3)]),
        ("L.Dot(-1)", [real(2, 3, 4), real(2, 5, 4)]),
        ("L.Dot(1)", [real(2, 3), real(2, 3, 4)]),
        ("L.Dot((2, 1))", [real(2, 3, 4, 5), real(2, 4, 6)]),
    ],
)
def test_matches_keras(same_as_keras, expression, inputs):
    same_as_keras(expression, *inputs)


def test_integers_stay_integers():
    x = np.ones((2, 3), "int32")
    assert layers.Add()([x, x]).dtype == "int32"
    assert layers.Average()([x, x]).dtype == "float32"


@pytest.mark.parametrize(
    ("function", "layer", "options"),
    [
        (layers.add, layers.Add, {}),
        (layers.subtract, layers.Subtract, {}),
        (layers.multiply, layers.Multiply, {}),
        (layers.average, layers.Average, {}),
        (layers.maximum, layers.Maximum, {}),
        (layers.minimum, layers.Minimum, {}),
        (layers.concatenate, layers.Concatenate, {"axis": 1}),
        (layers.dot, layers.Dot, {"axes": 2}),
    ],
)
def test_functions_are_their_layers(function, layer, options):
    x, y = real(2, 3, 4), real(2, 3, 4)
    np.testing.assert_array_equal(function([x, y], **options), layer(**options)([x, y]))


A = np.array([[1, 1, 0], [1, 0, 0]], bool)
B = np.array([[1, 0, 1], [1, 0, 0]], bool)


@pytest.mark.parametrize(
    ("expression", "masks"),
    [
        *(
            (f"L.{name}()", masks)
            for name in ("Add", "Maximum", "Concatenate")
            for masks in ([A, B], [A, None], [None, None])
        ),
        ("L.Concatenate(axis=1)", [A, None]),
        ("L.Concatenate(axis=1)", [A, B]),
        ("L.Concatenate(axis=2)", [A, B]),
        ("L.Dot(1)", [A, B]),
    ],
)
def test_masks_are_those_of_keras(pair, expression, masks):
    inputs = [real(2, 3, 4), real(2, 3, 4)]
    ours, theirs = pair(expression, *inputs)
    got, want = ours.compute_mask(inputs, masks), theirs.compute_mask(inputs, masks)
    assert (got is None) == (want is None)
    if want is not None:
        np.testing.assert_array_equal(got, want)


def test_a_merged_tensor_carries_the_mask():
    tensors = [ops.convert_to_tensor(real(2, 3, 4)) for _ in range(2)]
    for tensor, mask in zip(tensors, (A, B), strict=True):
        set_mask(tensor, mask)
    np.testing.assert_array_equal(get_mask(layers.Add()(tensors)), A | B)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Add()(real(2, 3)), r"add\w*: the layer takes a list of tensors, not one of shape \(2, 3\)"),
        (lambda: layers.Add()([real(2, 3), real(2, 4)]), r"shapes \(2, 3\), \(2, 4\) don't broadcast"),
        (lambda: layers.Subtract()([real(2, 3)] * 3), r"subtract\w*: the layer takes 2 inputs, not 3"),
        (lambda: layers.Concatenate()([real(2, 3), real(3, 3)]), r"\(2, 3\), \(3, 3\) differ in more than axis -1"),
        (lambda: layers.Concatenate(5)([real(2, 3), real(2, 3)]), r"axis=5 is out of range"),
        (lambda: layers.Dot((2, 1))([real(2, 3, 4), real(2, 3, 4)]), r"have sizes 4 and 3 along axes=\(2, 1\)"),
        (lambda: layers.Dot(0)([real(2, 3), real(2, 3)]), r"axes=0 should name an axis behind the first"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
