"""Optimizers against Keras's, step by step, and on the four backends against one another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import kcore as keras
from kcore import backends

CASES = {
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "momentum": ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    "nesterov": ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": ("Adam", {"learning_rate": 0.1}),
    "amsgrad": ("Adam", {"learning_rate": 0.1, "amsgrad": True, "clipnorm": 0.5}),
    "adamw": ("AdamW", {"learning_rate": 0.1, "weight_decay": 0.02}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.1}),
    "centered": ("RMSprop", {"learning_rate": 0.1, "momentum": 0.5, "centered": True, "global_clipnorm": 1.0}),
    "clipped": ("Adam", {"learning_rate": 0.1, "clipvalue": 0.3, "use_ema": True, "ema_overwrite_frequency": 3}),
    "adagrad": ("Adagrad", {"learning_rate": 0.1, "weight_decay": 0.01}),
    "adadelta": ("Adadelta", {"learning_rate": 0.5, "rho": 0.8, "clipnorm": 0.7}),
    "adamax": ("Adamax", {"learning_rate": 0.1, "use_ema": True, "ema_overwrite_frequency": 4, "ema_momentum": 0.9}),
    "nadam": ("Nadam", {"learning_rate": 0.1, "global_clipnorm": 2.0, "weight_decay": 0.02}),
    "lion": ("Lion", {"learning_rate": 0.1, "weight_decay": 0.1}),
    "lamb": ("Lamb", {"learning_rate": 0.1, "clipvalue": 0.9}),
    "ftrl": ("Ftrl", {"learning_rate": 0.1}),
    "ftrl penalties": (
        "Ftrl",
        {
            "learning_rate": 0.2,
            "learning_rate_power": -0.4,
            "l1_regularization_strength": 0.3,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.05,
            "beta": 0.2,
        },
    ),
    "adafactor": ("Adafactor", {"learning_rate": 0.3}),
    "adafactor absolute": ("Adafactor", {"learning_rate": 0.1, "relative_step": False, "clip_threshold": 0.5}),
    "muon": ("Muon", {"learning_rate": 0.1}),
    "muon otherwise": (
        "Muon",
        {
            "learning_rate": 0.1,
            "nesterov": False,
            "rms_rate": None,
            "adam_lr_ratio": 0.5,
            "weight_decay": None,
            "adam_weight_decay": 0.1,
            "ns_steps": 3,
        },
    ),
    "accumulated lamb": ("Lamb", {"learning_rate": 0.1, "gradient_accumulation_steps": 3}),
    "accumulated nadam": ("Nadam", {"learning_rate": 0.1, "gradient_accumulation_steps": 2}),
    "accumulated": ("Adam", {"learning_rate": 0.1, "gradient_accumulation_steps": 2}),
}

# The same program runs in Keras and in kcore.
PROGRAM = """
def run(keras, cases, steps=10):
    import numpy as np
    found = {}
    for case, (name, arguments) in cases.items():
        generator = np.random.default_rng(0)
        variables = [keras.Variable(generator.normal(size=s).astype("float32")) for s in ((3, 2), (4,), (2, 3, 2))]
        optimizer = getattr(keras.optimizers, name)(**arguments)
        for _ in range(steps):
            optimizer.apply([generator.normal(size=v.shape).astype("float32") for v in variables], variables)
        found[case] = [np.array(v.numpy()).tolist() for v in variables]
    return found
"""


def ours(cases):
    scope = {}
    exec(PROGRAM, scope)
    return scope["run"](keras, cases)


@pytest.fixture(scope="module")
def theirs():
    pytest.importorskip("keras")
    code = PROGRAM + "\nimport json, sys, keras\nprint(json.dumps(run(keras, json.loads(sys.argv[1]))))"
    env = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(CASES)], capture_output=True, text=True, env=env, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", CASES)
def test_updates_are_those_of_keras(case, theirs, backend):
    found = ours({case: CASES[case]})[case]
    for a, b in zip(found, theirs[case], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)  # Keras rounds 1 - beta**t


def test_configs_and_slots_are_those_of_keras():
    """The order of the slots is that of files."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from peers import keras as theirs

    for name in sorted({name for name, _ in CASES.values()}):
        found = []
        for library in (keras, theirs()):
            library.utils.clear_session()
            variables = [library.Variable(np.ones(s, "float32"), name=n) for n, s in (("b", (4,)), ("k", (3, 2)))]
            optimizer = getattr(library.optimizers, name)()
            optimizer.build(variables)
            config = {
                k: round(v, 6) if isinstance(v, float) and v > 1e-6 else v for k, v in optimizer.get_config().items()
            }
            slots = [(tuple(v.shape), np.asarray(v.numpy()).ravel()[:1].tolist()) for v in optimizer.variables[2:]]
            found.append((optimizer.name, list(config.items()), slots, len(optimizer.variables)))
        assert found[0] == found[1]


def test_schedules_are_those_of_keras():
    pytest.importorskip("keras")
    program = """
def run(keras):
    s = keras.optimizers.schedules
    made = [s.ExponentialDecay(0.1, 3, 0.5), s.ExponentialDecay(0.1, 3, 0.5, staircase=True),
            s.PiecewiseConstantDecay([2, 5], [0.3, 0.2, 0.1]), s.PolynomialDecay(0.1, 4, 0.01, power=2.0),
            s.PolynomialDecay(0.1, 4, 0.01, cycle=True), s.InverseTimeDecay(0.1, 3, 0.5), s.CosineDecay(0.1, 5, alpha=0.1),
            s.CosineDecay(0.0, 5, warmup_target=0.1, warmup_steps=3), s.CosineDecayRestarts(0.1, 3, m_mul=0.5),
            s.CosineDecayRestarts(0.1, 3, t_mul=1.0)]
    return [[float(one(step)) for step in range(10)] for one in made]
"""
    scope = {}
    exec(program, scope)
    env = os.environ | {"KERAS_BACKEND": "jax"}
    code = program + "\nimport json, keras\nprint(json.dumps(run(keras)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    np.testing.assert_allclose(scope["run"](keras), json.loads(done.stdout.splitlines()[-1]), rtol=1e-5, atol=1e-8)


def test_stateless_apply_is_apply(backend):
    optimizer = keras.optimizers.Adam(0.1)
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer.build([variable])
    values, state = optimizer.stateless_apply(
        [v.value for v in optimizer.variables], [backend.convert(np.ones(3, "float32"))], [variable.value]
    )
    assert variable.numpy().tolist() == [1, 1, 1]
    optimizer.apply([np.ones(3, "float32")])
    np.testing.assert_allclose(backend.numpy(values[0]), variable.numpy(), rtol=1e-6)
    np.testing.assert_allclose(backend.numpy(state[0]), 1)


def test_constraints_are_applied_after_each_step(backend):
    variable = keras.Variable(np.full(3, 0.05, "float32"))
    variable.constraint = keras.constraints.NonNeg()
    keras.optimizers.SGD(1.0).apply([np.ones(3, "float32")], [variable])
    assert variable.numpy().tolist() == [0, 0, 0]


@pytest.mark.parametrize("case", ["momentum", "amsgrad", "clipped", "centered", "accumulated"])
def test_a_sparse_gradient_does_what_the_dense_one_does(case, backend):
    name, arguments = CASES[case]
    rows = np.zeros((6, 2), "float32")
    rows[[1, 4]] = [[1, -2], [3, 0.5]]
    sparse = {"its own": keras.sparse.from_dense(rows), "scipy": scipy.sparse.coo_array(rows)}
    if backend.name == "tensorflow":
        import tensorflow as tf

        sparse["rows"] = tf.IndexedSlices(tf.constant(rows[[4, 1]]), tf.constant([4, 1]), tf.constant([6, 2]))
    found = {}
    for kind, gradient in {"dense": rows, **sparse}.items():
        variable = keras.Variable(np.linspace(-1, 1, 12, dtype="float32").reshape(6, 2))
        optimizer = getattr(keras.optimizers, name)(**arguments)
        for _ in range(4):
            optimizer.apply([gradient], [variable])
        found[kind] = variable.numpy()
    for kind in sparse:
        np.testing.assert_array_equal(found[kind], found["dense"], err_msg=kind)


def test_gradients_that_are_missing_are_named():
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer = keras.optimizers.SGD()
    with pytest.raises(ValueError, match="there is no gradient for any variable"):
        optimizer.apply([None], [variable])
    with pytest.raises(ValueError, match="2 gradients were given for 1 variables"):
        optimizer.apply([np.ones(3), np.ones(3)], [variable])


def test_the_fused_step_is_the_portable_one(monkeypatch):
    found = []
    for fused in (True, False):
        if not fused:
            monkeypatch.setattr(type(backends.load("reference")), "fused_steps", frozenset())
        found.append(ours({k: CASES[k] for k in ("adam", "adamw", "nesterov", "sgd")}))
    for case in found[0]:
        for a, b in zip(found[0][case], found[1][case], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
