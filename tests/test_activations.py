"""Activations: against Keras, their names, and their configs."""

import sys
from pathlib import Path

import numpy as np
import pytest

from kcore import activations, layers, ops

sys.path.insert(0, str(Path(__file__).parent))
from peers import keras

POINTS = np.array([[-3.5, -1.0, -0.4, 0.0], [0.3, 1.0, 2.5, 7.0]], "float32")
# name -> calls with these options
OPTIONS = {
    "celu": [{}, {"alpha": 0.5}],
    "elu": [{}, {"alpha": 0.5}],
    "gelu": [{}, {"approximate": True}],
    "glu": [{}, {"axis": 0}],
    "hard_shrink": [{}, {"threshold": 1.5}],
    "leaky_relu": [{}, {"negative_slope": 0.4}],
    "log_softmax": [{}, {"axis": 0}],
    "relu": [
        {},
        {"negative_slope": 0.3},
        {"max_value": 6.0},
        {"threshold": 0.7},
        {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.7},
        {"threshold": -1.0},
    ],
    "soft_shrink": [{}, {"threshold": 1.5}],
    "softmax": [{}, {"axis": 0}, {"axis": (0, 1)}],
    "sparsemax": [{}, {"axis": 0}],
    "squareplus": [{}, {"b": 1}],
    "threshold": [{"threshold": 0.5, "default_value": -2.0}],
}
NAMES = sorted({*activations.NAMES, *activations.ALIASES})


@pytest.mark.parametrize("name", NAMES)
def test_activation_agrees_with_keras(name):
    for options in OPTIONS.get(name, [{}]):
        got = getattr(activations, name)(POINTS, **options)
        want = getattr(keras().activations, name)(POINTS, **options)
        np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_activation_is_the_same_on_every_backend(name, backend):
    for options in OPTIONS.get(name, [{}]):
        got = backend.numpy(getattr(activations, name)(ops.convert_to_tensor(POINTS), **options))
        np.testing.assert_allclose(got, np.asarray(keras_result(name, options)), rtol=1e-5, atol=1e-6)


def keras_result(name, options):
    return getattr(keras().activations, name)(POINTS, **options)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_what_keras_writes_and_reads(name):
    function = getattr(activations, name)
    written = activations.serialize(function)
    assert written == keras().activations.serialize(getattr(keras().activations, name))
    assert activations.get(name) is activations.deserialize(written) is function


def test_ops_are_written_by_their_names_too():
    assert activations.serialize(ops.relu) == "relu"
    assert activations.serialize(ops.silu) == "silu"


def test_every_kind_of_identifier_is_taken():
    assert activations.get(None) is activations.linear
    assert activations.get(np.tanh) is np.tanh
    layer = layers.ReLU()
    assert activations.get(layer) is layer
    again = activations.get(activations.serialize(layer))
    assert isinstance(again, layers.ReLU)
    form = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}
    assert activations.get(form) is activations.relu


def test_custom_functions_are_found_by_name():
    def twice(x):
        return 2 * x

    assert activations.deserialize("twice", custom_objects={"twice": twice}) is twice


@pytest.mark.parametrize("identifier", ["nope", "Relu", 3])
def test_what_is_no_activation_is_refused(identifier):
    with pytest.raises(ValueError, match="no activation"):
        activations.get(identifier)


def test_nan_goes_through_every_part_of_relu():
    for options in OPTIONS["relu"]:
        assert np.isnan(np.asarray(activations.relu(np.array([np.nan], "float32"), **options)))[0]
