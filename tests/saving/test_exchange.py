"""Files go both ways between kcore and Keras 3: the same config, weights, predictions and training."""

from __future__ import annotations

import functools
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import kcore
from kcore import backends, naming, tree

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
import peers
import zoo

SUBJECTS = {**zoo.MODELS, **zoo.COMPILED}
BOTH_WAYS = pytest.mark.parametrize("way", ["from_keras", "to_keras"])


@functools.cache
def library(name):
    """(the module, its custom classes)."""
    module = kcore if name == "kcore" else peers.keras()
    return module, zoo.custom(module)


def start_names():
    naming.reset_names()
    peers.keras().backend.clear_session()


@functools.cache
def subject(name, where):
    """A model of the zoo, its inputs, and what it makes of them. Tests only read it."""
    start_names()
    model = zoo.fill(SUBJECTS[name](*library(where)))
    x = zoo.inputs_for(model)
    return model, x, outputs(model, x)


def ends(name, way):
    """(the subject in the library that writes, the module that reads)."""
    source, target = ("keras", "kcore") if way == "from_keras" else ("kcore", "keras")
    return subject(name, source), library(target)[0]


def outputs(model, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras, of masks that a layer drops
        return [np.asarray(y).astype("float32") for y in tree.flatten(model(x, training=False))]


def assert_close(got, want, name="", tol=2e-5):
    tol = 2e-2 if name == "mixed" else tol
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


def load(keras, path, **options):
    start_names()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading")  # Keras, of an optimizer without a step
        return keras.models.load_model(path, **options)


def same_weights(a, b):
    assert len(a.weights) == len(b.weights)
    for v, w in zip(a.weights, b.weights, strict=True):
        assert v.name == w.name
        np.testing.assert_array_equal(np.asarray(v.numpy(), "float32"), np.asarray(w.numpy(), "float32"))


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_model_is_the_same_in_both(name):
    (ours, _, got), (theirs, _, want) = subject(name, "kcore"), subject(name, "keras")
    mine, wanted = (json.loads(json.dumps(zoo.facts(*pair))) for pair in ((kcore, ours), (library("keras")[0], theirs)))
    for facts in (mine, wanted):
        facts["config"].get("compile_config", {}).pop("jit_compile", None)  # Keras writes what "auto" is on its backend
    if name == "middle":  # the input that stands in the middle of a graph has another automatic name
        text = json.dumps(wanted).replace("keras_tensor_1CLONE", "h1_output")
        wanted = json.loads(text)
    for key in wanted:
        assert mine[key] == wanted[key], key
    assert_close(got, want, name)


@pytest.mark.parametrize("name", SUBJECTS)
@BOTH_WAYS
def test_a_saved_model_is_the_same_in_the_other(name, way, tmp_path):
    (model, x, want), target = ends(name, way)
    model.save(tmp_path / "m.keras")
    loaded = load(target, tmp_path / "m.keras")
    same_weights(loaded, model)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert [v.name for v in loaded.trainable_weights] == [v.name for v in model.trainable_weights]
    assert_close(outputs(loaded, x), want, name)


@pytest.mark.parametrize("name", SUBJECTS)
@BOTH_WAYS
def test_weights_and_json_go_to_the_other(name, way, tmp_path):
    (model, x, want), target = ends(name, way)
    other = target.models.model_from_json(model.to_json())
    if not other.built:
        other(x)
    model.save_weights(tmp_path / "w.weights.h5")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading")
        other.load_weights(tmp_path / "w.weights.h5")
    same_weights(other, model)
    assert_close(outputs(other, x), want, name)


def steps(model, data, count):
    """The reports of so many updates, in full."""
    return [model.train_on_batch(*data, return_dict=True) for _ in range(count)]


def assert_same_reports(got, want, tol=5e-5):
    for a, b in zip(got, want, strict=True):
        assert sorted(a) == sorted(b)
        for key in b:
            np.testing.assert_allclose(a[key], b[key], rtol=tol, atol=tol, err_msg=key)


@pytest.mark.parametrize("name", zoo.COMPILED)
@BOTH_WAYS
def test_training_goes_on_in_the_other_as_it_would_have(name, way, tmp_path):
    source, target = ("keras", "kcore") if way == "from_keras" else ("kcore", "keras")
    start_names()
    model = zoo.fill(SUBJECTS[name](*library(source)))
    data = zoo.data_for(model) if name != "written_compiled" else (zoo.inputs_for(model), np.ones((3, 2), "float32"))
    steps(model, data, 2)
    model.save(tmp_path / "m.keras")
    other = load(library(target)[0], tmp_path / "m.keras")
    assert int(np.asarray(other.optimizer.iterations)) == 2
    for a, b in zip(other.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a.numpy()), np.asarray(b.numpy()), err_msg=b.path)
    assert_same_reports(steps(other, data, 3), steps(model, data, 3))
    assert_close(
        [np.asarray(w.numpy()) for w in other.weights], [np.asarray(w.numpy()) for w in model.weights], tol=5e-5
    )


@pytest.mark.parametrize("name", ["adam", "two_losses"])
def test_a_file_of_one_backend_goes_on_in_every_other(name, backend, tmp_path):
    with backends.use("reference"):
        naming.reset_names()
        model = zoo.fill(SUBJECTS[name](*library("kcore")))
    data = zoo.data_for(model)
    steps(model, data, 1)
    model.save(tmp_path / "m.keras")
    other = kcore.models.load_model(tmp_path / "m.keras")
    assert other._backend is backend
    other.save(tmp_path / "again.keras")
    with backends.use("reference"):
        back = kcore.models.load_model(tmp_path / "again.keras")
    want = steps(model, data, 2)
    assert_same_reports(steps(other, data, 2), want)
    assert_same_reports(steps(back, data, 2), want)


def test_a_loaded_optimizer_of_another_kind_starts_afresh(tmp_path):
    model = zoo.fill(SUBJECTS["adam"](*library("kcore")))
    data = zoo.data_for(model)
    steps(model, data, 2)
    model.save_weights(tmp_path / "w.weights.h5")
    other = SUBJECTS["momentum"](*library("kcore"))
    with pytest.warns(UserWarning, match=r"w\.weights\.h5: the optimizer's state is not loaded: optimizer has 1 .* 14"):
        other.load_weights(tmp_path / "w.weights.h5")
    same_weights(other, model)
    assert int(other.optimizer.iterations) == 0
