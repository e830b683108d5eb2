"""Initializers: their distributions, the same weights on every backend and as in Keras, names and configs."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from kcore import backends, initializers, random, utils
from kcore.initializers import compute_fans

# For each: how it is made, a shape, and whether Keras on JAX has the same bits.
AS_IN_KERAS = [
    ("GlorotUniform(seed=5)", (30, 40), True),
    ("GlorotUniform(seed=5)", (3, 3, 8, 16), True),
    ("GlorotUniform(seed=5)", (7,), True),
    ("GlorotUniform(seed=5)", (), True),
    ("GlorotUniform(seed=5, input_axes=(0,), output_axes=(1, 2))", (2, 3, 5), True),
    ("HeUniform(seed=5)", (30, 40), True),
    ("LecunUniform(seed=5)", (30, 40), True),
    ("RandomUniform(-1.0, 3.0, seed=5)", (30, 40), True),
    ("VarianceScaling(2.0, 'fan_out', 'uniform', seed=5)", (30, 40), True),
    ("VarianceScaling(2.0, 'fan_out', 'untruncated_normal', seed=5)", (30, 40), False),
    ("GlorotNormal(seed=5)", (30, 40), False),
    ("HeNormal(seed=5)", (3, 3, 8, 16), False),
    ("LecunNormal(seed=5)", (30, 40), False),
    ("RandomNormal(1.0, 2.0, seed=5)", (30, 40), False),
    ("TruncatedNormal(1.0, 2.0, seed=5)", (30, 40), False),
    ("Orthogonal(0.5, seed=5)", (6, 10), False),
    ("Orthogonal(seed=5)", (3, 4, 5), False),
    ("STFT()", (64, 1, 33), False),
    ("STFT('imag', 'hamming', 'spectrum', True)", (64, 1, 33), False),
    ("STFT('real', None)", (8, 1, 5), False),
    ("Identity(2.0)", (3, 5), True),
    ("Constant([1.0, 2.0])", (3, 2), True),
    ("Zeros()", (2, 3), True),
    ("Ones()", (2, 3), True),
]
NAMES = [
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
    "Zeros",
    "GlorotUniform",
    "IdentityInitializer",
    "OrthogonalInitializer",
    "STFTInitializer",
]
IN_KERAS = """
import json, sys
import numpy as np
import keras
from keras import initializers as K
calls, names = json.loads(sys.argv[1]), json.loads(sys.argv[2])
values = {str(i): np.asarray(eval("K." + made)(tuple(shape))) for i, (made, shape, _) in enumerate(calls)}
np.savez(sys.argv[3], **values)
classes = {n: K.get(n).__class__.__name__ for n in names if n != "constant"}
configs = {made: K.serialize(eval("K." + made)) for made, _, _ in calls}
keras.utils.set_random_seed(3)
drawn = [np.asarray(K.GlorotUniform()((4,))).tolist(), np.asarray(keras.random.uniform((3,))).tolist()]
print(json.dumps({"classes": classes, "configs": configs, "drawn": drawn}))
"""


@pytest.fixture(scope="module")
def keras_results(tmp_path_factory):
    """What Keras on JAX gives; in a process of its own, since Keras fixes its backend when it is imported."""
    pytest.importorskip("jax")
    if subprocess.run(
        [sys.executable, "-c", "import importlib.util as u, sys; sys.exit(not u.find_spec('keras'))"]
    ).returncode:
        pytest.skip("Keras is not installed")
    path = tmp_path_factory.mktemp("keras") / "values.npz"
    run = subprocess.run(
        [sys.executable, "-c", IN_KERAS, json.dumps(AS_IN_KERAS), json.dumps(NAMES), str(path)],
        env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(run.stdout.splitlines()[-1]), np.load(path)


def made(text):
    return eval(text, vars(initializers))


def test_values_are_those_of_keras_on_jax(keras_results):
    _, values = keras_results
    for i, (text, shape, same_bits) in enumerate(AS_IN_KERAS):
        got, want = np.asarray(made(text)(shape)), values[str(i)]
        assert got.dtype == want.dtype, text
        if same_bits:
            np.testing.assert_array_equal(got, want, err_msg=text)
        else:
            # STFT kernels of Keras carry float32 errors of the angles.
            np.testing.assert_allclose(got, want, atol=2e-5 if "STFT" in text else 5e-7, rtol=2e-6, err_msg=text)


def test_names_mean_what_they_mean_in_keras(keras_results):
    found = keras_results[0]["classes"]
    assert {n: type(initializers.get(n)).__name__ for n in found} == found


def test_configs_are_those_of_keras(keras_results):
    for text, want in keras_results[0]["configs"].items():
        if text.startswith("Identity"):
            want["config"]["gain"] = 2.0  # which Keras forgets
        got = json.loads(json.dumps(initializers.serialize(made(text))))
        assert got == want, text


def test_a_random_seed_gives_the_weights_that_keras_draws(keras_results):
    utils.set_random_seed(3)
    got = [np.asarray(initializers.GlorotUniform()((4,))).tolist(), np.asarray(random.uniform((3,))).tolist()]
    assert got == keras_results[0]["drawn"]


@pytest.mark.parametrize("name", backends.installed())
def test_weights_are_the_same_on_every_backend(name):
    want = np.asarray(initializers.HeNormal(seed=1)((5, 7)))
    with backends.use(name) as backend:
        got = initializers.HeNormal(seed=1)((5, 7))
        assert backend.is_tensor(got)
        np.testing.assert_array_equal(backend.numpy(got), want)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_have_the_dtype_that_was_asked_for(dtype):
    for text in ("HeNormal(seed=1)", "RandomUniform(seed=1)", "Orthogonal(seed=1)", "STFT()", "Zeros()"):
        y = made(text)((6, 2, 3), dtype)
        assert y.dtype.name == dtype
        assert y.shape == (6, 2, 3)


def test_fans():
    assert compute_fans(()) == (1, 1)
    assert compute_fans((7,)) == (7, 7)
    assert compute_fans((5, 7)) == (5, 7)
    assert compute_fans((2, 3, 5, 7)) == (30, 42)
    assert compute_fans((2, 3, 5), (0,), (2, 1)) == (2, 15)
    assert compute_fans((2, 3, 5), (0,)) == (6, 10)
    assert compute_fans((2, 3, 5), (-1,), ()) == (5, 1)


@pytest.mark.parametrize(
    ("text", "variance"),
    [
        ("GlorotUniform(seed=1)", 2 / 500),
        ("GlorotNormal(seed=1)", 2 / 500),
        ("HeUniform(seed=1)", 2 / 200),
        ("HeNormal(seed=1)", 2 / 200),
        ("LecunUniform(seed=1)", 1 / 200),
        ("LecunNormal(seed=1)", 1 / 200),
        ("VarianceScaling(3.0, 'fan_out', 'untruncated_normal', seed=1)", 3 / 300),
        ("VarianceScaling(3.0, 'fan_avg', 'normal', seed=1)", 3 / 250),
        ("RandomNormal(0.0, 0.3, seed=1)", 0.09),
        ("RandomUniform(-0.3, 0.3, seed=1)", 0.03),
    ],
)
def test_values_have_the_variance_they_should(text, variance):
    x = np.asarray(made(text)((200, 300)))
    assert abs(x.mean()) < 4 * math.sqrt(variance / x.size)
    assert abs(x.var() / variance - 1) < 0.02


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (2, 3, 4)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape):
    q = 2.0 * np.asarray(initializers.Orthogonal(0.5, seed=1)(shape, "float64")).reshape(-1, shape[-1])
    product = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_stft_kernels_compute_a_fourier_transform():
    x = np.sin(np.arange(16))
    kernels = [np.asarray(initializers.STFT(side, None)((16, 1, 9), "float64"))[:, 0] for side in ("real", "imag")]
    np.testing.assert_allclose(x @ kernels[0] + 1j * (x @ kernels[1]), np.fft.rfft(x), atol=1e-12)


def test_an_instance_repeats_and_a_generator_goes_on():
    one = initializers.RandomNormal()
    np.testing.assert_array_equal(one((4,)), one((4,)))
    assert not np.array_equal(one((4,)), initializers.RandomNormal()((4,)))
    going_on = initializers.RandomNormal(seed=random.SeedGenerator(5))
    first, second = (np.asarray(going_on((4,))) for _ in range(2))
    np.testing.assert_array_equal(first, initializers.RandomNormal(seed=5)((4,)))
    assert not np.array_equal(first, second)


def test_initializers_can_be_remade():
    for text, shape, _ in AS_IN_KERAS:
        one = made(text)
        for again in (one.clone(), initializers.deserialize(initializers.serialize(one)), initializers.get(one)):
            np.testing.assert_array_equal(np.asarray(again(shape)), np.asarray(one(shape)), err_msg=text)
    one = initializers.GlorotUniform(seed=random.SeedGenerator(5))
    again = initializers.deserialize(initializers.serialize(one))
    np.testing.assert_array_equal(again((3,)), one((3,)))


def test_get_takes_functions_arrays_classes_and_none():
    def twos(shape, dtype=None):
        return np.full(shape, 2.0, dtype)

    assert initializers.get(None) is None
    assert initializers.get(twos) is twos
    assert isinstance(initializers.get(initializers.Zeros), initializers.Zeros)
    np.testing.assert_array_equal(initializers.get(np.array([1.0, 2.0]))((2,)), [1, 2])
    assert isinstance(initializers.deserialize("mine", {"mine": initializers.Ones}), initializers.Ones)


def test_any_dtype_suits_constants():
    assert initializers.Zeros()((2,), "int32").dtype == "int32"
    assert np.asarray(initializers.Ones()((2,), "bool")).tolist() == [True, True]
    assert np.asarray(initializers.Identity()((2, 2), "int32")).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.get("foo"), "There is no initializer 'foo'"),
        (lambda: initializers.get(3), "3 is no initializer"),
        (lambda: initializers.Identity()((2,)), r"Identity: shape=\(2,\) should have 2 dimensions"),
        (lambda: initializers.Orthogonal()((2,)), r"Orthogonal: shape=\(2,\) should have at least 2"),
        (lambda: initializers.Constant([1, 2, 3])((2,)), r"shape \(3,\) does not broadcast to shape=\(2,\)"),
        (lambda: initializers.VarianceScaling(0), "scale=0 should be positive"),
        (lambda: initializers.VarianceScaling(1, "foo"), "mode='foo' should be"),
        (lambda: initializers.VarianceScaling(1, distribution="foo"), "distribution='foo' should be"),
        (lambda: initializers.HeNormal(seed="a"), "HeNormal: seed='a' should be an integer"),
        (lambda: initializers.HeNormal(seed=-1)((2,)), "seed=-1 should be an integer from 0"),
        (lambda: initializers.HeNormal()((2, None)), r"HeNormal: shape=\(2, None\) should be integers"),
        (lambda: initializers.HeNormal()((2,), "int32"), "HeNormal: dtype='int32' should be one of"),
        (lambda: initializers.GlorotUniform(None, (5,), (0,))((2, 3)), r"input_axes=\(5,\) is out of range"),
        (lambda: initializers.STFT("foo"), "side='foo' should be"),
        (lambda: initializers.STFT(scaling="foo"), "scaling='foo' should be"),
        (lambda: initializers.STFT()((5, 6)), r"STFT: shape=\(5, 6\) should have 3 dimensions"),
        (lambda: initializers.STFT(window=[1.0, 2.0])((5, 1, 6)), r"the window has shape \(2,\), not \(5,\)"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
