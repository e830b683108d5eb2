"""Models and weights in the older HDF5 format, as Keras 3 writes it, and as Keras 2 did."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import kcore

sys.path.insert(0, str(Path(__file__).parent.parent))
import peers

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


def branched(keras):
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    inner = keras.Model(a, keras.layers.BatchNormalization()(keras.layers.Dense(3)(a)), name="inner")
    shared = keras.layers.Dense(3, kernel_regularizer="l2", activation="relu")
    y = keras.layers.Add()([inner(shared(b)), shared(a)])
    model = keras.Model([a, b], {"o": keras.layers.Concatenate()([y, y]), "p": y})
    model.compile(
        keras.optimizers.Adam(1e-2),
        {"o": "mse", "p": keras.losses.MeanSquaredError()},
        metrics={"o": ["mae", keras.metrics.MeanSquaredError()]},
    )
    return model


DATA = ([X, X[::-1].copy()], {"o": np.ones((4, 6), "float32"), "p": np.ones((4, 3), "float32")})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(path, weights file, the Keras model)."""
    keras = peers.keras()
    logging.getLogger("absl").setLevel(logging.ERROR)
    model = branched(keras)
    model.train_on_batch(*DATA)
    folder = tmp_path_factory.mktemp("legacy")
    model.save(folder / "m.h5")
    with h5py.File(folder / "m.h5") as whole, h5py.File(folder / "w.h5", "w") as alone:
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", alone)
        alone.attrs.update(whole["model_weights"].attrs)
    return folder / "m.h5", folder / "w.h5", model


def test_a_whole_model_goes_on_as_it_was(written):
    path, _, model = written
    loaded = kcore.models.load_model(path)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    for a, b in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), np.asarray(b.numpy()))
    before = model.get_weights()
    for _ in range(2):
        got, want = (m.train_on_batch(*DATA, return_dict=True) for m in (loaded, model))
        assert got.keys() == want.keys()
        for key in want:
            np.testing.assert_allclose(got[key], want[key], rtol=2e-5)
    model.set_weights(before)
    assert kcore.models.load_model(path, compile=False).optimizer is None


def test_calls_of_ops_are_read(tmp_path):
    keras = peers.keras()
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(2)(keras.ops.multiply(x, 2.0)) + 1.0)
    model.save(tmp_path / "m.h5")
    loaded = kcore.models.load_model(tmp_path / "m.h5")
    np.testing.assert_allclose(np.asarray(loaded(X)), np.asarray(model(X)), rtol=1e-6)


def test_weights_alone(written):
    _, path, model = written
    other = branched(kcore)
    other.load_weights(path)
    for a, b in zip(other.weights, model.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), np.asarray(b.numpy()))


def test_weights_by_name(written):
    _, path, model = written
    name = next(layer.name for layer in model.layers if type(layer).__name__ == "Dense")
    other = kcore.Sequential([kcore.Input((3,)), kcore.layers.Dense(3, name=name), kcore.layers.Dense(7, name="new")])
    before = other.layers[1].get_weights()
    with pytest.raises(ValueError, match=r"w\.h5 does not fit the model"):
        other.load_weights(path)
    other.load_weights(path, by_name=True)
    np.testing.assert_array_equal(other.layers[0].kernel.numpy(), np.asarray(model.get_layer(name).kernel))
    np.testing.assert_array_equal(other.layers[1].kernel.numpy(), before[0])


def test_weights_of_another_shape(written):
    _, path, model = written
    name = next(layer.name for layer in model.layers if type(layer).__name__ == "Dense")
    other = kcore.Sequential([kcore.Input((3,)), kcore.layers.Dense(4, name=name)])
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"w\.h5 does not fit .*\n.*\(3, 4\), in the file \(3, 3\)"):
        other.load_weights(path, by_name=True)
    np.testing.assert_array_equal(other.get_weights()[0], before[0])
    with pytest.warns(UserWarning, match="skipped"):
        other.load_weights(path, by_name=True, skip_mismatch=True)


def test_a_file_as_keras_2_wrote_it(tmp_path):
    dense = {"name": "d", "trainable": True, "dtype": "float32", "units": 2, "activation": "tanh", "use_bias": True}
    glorot = {"class_name": "GlorotUniform", "config": {"seed": None}}
    layers = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 3], "dtype": "float32", "sparse": False, "name": "i"},
            "name": "i",
            "inbound_nodes": [],
        },
        {
            "class_name": "Dense",
            "config": {**dense, "kernel_initializer": glorot, "batch_input_shape": [None, 3]},
            "name": "d",
            "inbound_nodes": [[["i", 0, 0, {}]]],
        },
        {
            "class_name": "Add",
            "config": {"name": "s", "trainable": True, "dtype": "float32"},
            "name": "s",
            "inbound_nodes": [[["d", 0, 0, {}], ["d", 0, 0, {}]]],
        },
    ]
    config = {"name": "m", "layers": layers, "input_layers": [["i", 0, 0]], "output_layers": [["s", 0, 0]]}
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 2)).astype("float32"), rng.normal(size=2).astype("float32")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config}).encode()
        file.attrs["training_config"] = json.dumps(
            {
                "loss": "mse",
                "metrics": [[{"class_name": "MeanAbsoluteError", "config": {"name": "e", "dtype": "float32"}}]],
                "weighted_metrics": None,
                "loss_weights": None,
                "optimizer_config": {
                    "class_name": "SGD",
                    "config": {"learning_rate": 0.5, "decay": 0.0, "name": "SGD"},
                },
            }
        )
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"i", b"d", b"s"]
        for name, values in (("i", {}), ("d", {"d/kernel:0": kernel, "d/bias:0": bias}), ("s", {})):
            inner = group.create_group(name)
            inner.attrs["weight_names"] = [k.encode() for k in values]
            for key, value in values.items():
                inner[key] = value
    model = kcore.models.load_model(tmp_path / "m.h5")
    np.testing.assert_allclose(np.asarray(model(X)), 2 * np.tanh(X @ kernel + bias), rtol=1e-5, atol=1e-6)
    assert float(model.optimizer.learning_rate) == 0.5
    assert set(model.test_on_batch(X, np.zeros((4, 2), "float32"), return_dict=True)) == {"loss", "e"}


def test_files_that_hold_no_model(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*nothing\.h5"):
        kcore.models.load_model(tmp_path / "nothing.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(ValueError, match=r"text\.h5: .*damaged"):
        kcore.models.load_model(tmp_path / "text.h5")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["a"] = 1
    with pytest.raises(ValueError, match=r"empty\.h5 holds no model"):
        kcore.models.load_model(tmp_path / "empty.h5")
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.attrs["model_config"] = "{"
        file.create_group("model_weights")
    with pytest.raises(ValueError, match=r"bad\.h5: its model_config is not valid JSON"):
        kcore.models.load_model(tmp_path / "bad.h5")
    with pytest.raises(ValueError, match="reads but does not write"):
        kcore.Sequential([kcore.Input((3,)), kcore.layers.Dense(2)]).save(tmp_path / "m.h5")
