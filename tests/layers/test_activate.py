"""Activations as layers."""

import numpy as np
import pytest

from kcore import layers, ops
from kcore.gradients import grad

RNG = np.random.default_rng(0)
X3 = RNG.normal(size=(2, 8, 3)).astype("float32")


@pytest.mark.parametrize(
    "expression",
    [
        "L.Activation('gelu')",
        "L.Activation('softmax')",
        "L.Activation(L.ReLU(6))",
        "L.ReLU()",
        "L.ReLU(1.0, 0.1, 0.2)",
        "L.ReLU(6.0)",
        "L.LeakyReLU()",
        "L.LeakyReLU(alpha=0.1)",
        "L.PReLU()",
        "L.PReLU('he_normal', alpha_regularizer='l2', shared_axes=[1])",
        "L.PReLU(shared_axes=2)",
        "L.ELU()",
        "L.ELU(0.5)",
        "L.Softmax()",
        "L.Softmax(axis=(1, 2))",
        "L.Softmax(axis=[1, 2])",
    ],
)
def test_matches_keras(same_as_keras, expression):
    same_as_keras(expression, X3)


def test_softmax_gives_masked_elements_nothing(same_as_keras):
    mask = np.array([[1, 1, 0], [0, 0, 0]], bool)
    same_as_keras("L.Softmax()", X3[:, 0], call={"mask": mask}, symbolic=False)


def test_softmax_over_steps_is_that_of_the_steps_that_are_there():
    mask = np.arange(8) < np.array([[5], [3]])
    y = np.asarray(layers.Softmax(axis=1)(X3, mask=mask))
    np.testing.assert_allclose(y[1, :3], ops.softmax(X3[1, :3], 0), rtol=1e-5)
    assert (y[1, 3:] == 0).all()


def test_a_fully_masked_softmax_has_no_nan_in_its_gradient():
    mask = np.array([[True, False], [False, False]])
    g = grad(lambda x: ops.sum(ops.square(layers.Softmax()(x, mask=mask))))(np.ones((2, 2), "float32"))
    assert np.isfinite(np.asarray(g)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ReLU(max_value=-1), r"max_value=-1 should be a number that is not negative"),
        (lambda: layers.ReLU(threshold=-1), r"threshold=-1 should be"),
        (lambda: layers.LeakyReLU(None), r"negative_slope=None should be"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
