"""Files that are damaged, hostile or meant for another model: an error that says which and why, and nothing changed."""

from __future__ import annotations

import io
import json
import os
import pathlib
import warnings
import zipfile

import h5py
import numpy as np
import pytest

import kcore as keras
from kcore import saving
from kcore.saving import files

CONFIG, METADATA, WEIGHTS = files.CONFIG, files.METADATA, files.WEIGHTS


def dense(units=3, name=None):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(2)], name=name)


@pytest.fixture
def saved(tmp_path):
    """(path of a saved model, the model)."""
    model = dense()
    path = tmp_path / "model.keras"
    model.save(path)
    return path, model


def parts_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_parts(path, parts):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def changed(path, **edits):
    """Writes the file anew with some parts replaced; a part that is None is left out."""
    names = {"config": CONFIG, "metadata": METADATA, "weights": WEIGHTS}
    parts = parts_of(path) | {names[key]: value for key, value in edits.items()}
    write_parts(path, {k: v for k, v in parts.items() if v is not None})


def refused(path, *words, error=ValueError, **options):
    with pytest.raises(error) as caught:
        keras.models.load_model(path, **options)
    for word in (path.name, *words):
        assert word in str(caught.value)


# -- the file -----------------------------------------------------------------------------


def test_no_file(tmp_path):
    refused(tmp_path / "nothing.keras", "no file")
    with pytest.raises(ValueError, match=r"no file .*nothing\.weights\.h5"):
        dense().load_weights(tmp_path / "nothing.weights.h5")


@pytest.mark.parametrize("kept", [0, 1, 60, 0.3, 0.9, -1])
def test_a_truncated_file(saved, kept):
    path, _ = saved
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    refused(path, "damaged")


def test_bytes_that_have_changed(saved):
    path, _ = saved
    data = bytearray(path.read_bytes())
    data[data.index(b'"units"')] ^= 0x40  # the archive has a checksum of each part
    path.write_bytes(bytes(data))
    refused(path, "CRC")


def test_something_else_under_the_name(tmp_path):
    path = tmp_path / "text.keras"
    path.write_text("not a model")
    refused(path, "no .keras file")


@pytest.mark.parametrize("part", ["config", "metadata", "weights"])
def test_a_part_is_missing(saved, part):
    path, _ = saved
    changed(path, **{part: None})
    refused(path, "lacks", {"config": CONFIG, "metadata": METADATA, "weights": WEIGHTS}[part])


@pytest.mark.parametrize("config", [b"", b"{", b"[]", b"3", b'{"a": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_config_that_is_none(saved, config):
    path, _ = saved
    changed(path, config=config)
    refused(path, CONFIG)


@pytest.mark.parametrize("weights", [b"", b"no hdf5", None])
def test_weights_that_are_none(saved, weights):
    path, _ = saved
    data = parts_of(path)[WEIGHTS]
    changed(path, weights=data[: len(data) // 2] if weights is None else weights)
    refused(path, "damaged")


def edited(path, edit):
    """Changes the HDF5 file of a saved model."""
    data = io.BytesIO(parts_of(path)[WEIGHTS])
    with h5py.File(data, "r+") as file:
        edit(file)
    changed(path, weights=data.getvalue())


def test_a_weight_of_another_kind(saved):
    path, _ = saved

    def edit(file):
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = np.array([b"text"] * 12).reshape(4, 3)

    edited(path, edit)
    refused(path, "layers/dense", "holds")


# -- the config ---------------------------------------------------------------------------


def with_config(path, edit):
    config = json.loads(parts_of(path)[CONFIG])
    edit(config)
    changed(path, config=json.dumps(config).encode())


def layer_at(config, i):
    return config["config"]["layers"][i]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda c: c.update(class_name="Nowhere", registered_name="Nowhere"), ("Nowhere", "not known")),
        (lambda c: layer_at(c, 1).update(class_name="Dence", registered_name=None), ("Dence", "not known")),
        (lambda c: layer_at(c, 1).update(class_name="system", module="os"), ("system", "not known")),
        (lambda c: layer_at(c, 1)["config"].update(activation="nosuch"), ("nosuch",)),
        (lambda c: layer_at(c, 1)["config"].update(unit=3), ("unit",)),
        (lambda c: layer_at(c, 1)["config"].update(units="three"), ("three",)),
        (lambda c: layer_at(c, 1).update(config=None), ("Dense",)),
        (lambda c: layer_at(c, 1).update(class_name=3), ("class_name=3",)),
        (lambda c: c["config"].pop("layers"), ("layers",)),
        (lambda c: c.update(class_name="Zeros", module="keras.initializers", config={}), ("Zeros",)),
    ],
)
def test_a_config_that_names_what_is_not_there(saved, edit, words):
    path, _ = saved
    with_config(path, edit)
    refused(path, *words, error=(ValueError, TypeError))


def test_a_functional_config_with_a_loose_end(tmp_path):
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(2, name="last")(keras.layers.Dense(4, name="first")(x)))
    path = tmp_path / "f.keras"
    model.save(path)

    def edit(config):
        config["config"]["layers"] = [e for e in config["config"]["layers"] if e["name"] != "first"]

    with_config(path, edit)
    refused(path, "last")


# -- code and paths -----------------------------------------------------------------------


def test_a_lambda_is_code(tmp_path):
    path = tmp_path / "code.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 3)]).save(path)
    refused(path, "safe_mode=False")
    loaded = keras.models.load_model(path, safe_mode=False)
    np.testing.assert_array_equal(np.asarray(loaded(np.ones((1, 2), "float32"))), [[3, 3]])
    with saving.SafeModeScope(False):
        keras.models.load_model(path)
    with pytest.raises(ValueError, match="safe_mode"):
        keras.models.model_from_json(loaded.to_json())


def test_a_class_of_another_module_is_not_imported(saved, tmp_path, monkeypatch):
    (tmp_path / "trap_for_imports.py").write_text("raise SystemExit('imported')\nclass Trap: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    path, _ = saved
    with_config(path, lambda c: layer_at(c, 1).update(class_name="Trap", module="trap_for_imports"))
    refused(path, "Trap", "not known", error=TypeError, safe_mode=False)


@pytest.mark.parametrize("name", ["../evil", "assets/../../evil", "/tmp/evil", "C:\\evil", "assets\\..\\..\\evil"])
def test_an_entry_that_leads_out(saved, name):
    path, _ = saved
    parts = parts_of(path)
    write_parts(path, parts | {name: b"evil"})
    refused(path, "leads out of the archive")
    assert {p.name for p in path.parent.iterdir()} == {path.name}


def test_weights_that_link_to_another_file(saved):
    path, _ = saved
    for link in (h5py.ExternalLink("/etc/passwd", "/"), None):

        def edit(file, link=link):
            del file["layers/dense/vars/0"]
            if link is not None:
                file["layers/dense/vars/0"] = link
            else:
                file["layers/dense/vars"].create_dataset(
                    "0", (4, 3), "float32", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
                )

        edited(path, edit)
        refused(path, "another file")


# -- weights for another model --------------------------------------------------------------


def values(model):
    return [w.numpy() for w in model.weights]


def untouched(model, before):
    for a, b in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dense(5), (r"shape \(4, 5\)", r"file \(4, 3\)", "layers/dense")),
        (lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), ("layers/dense_1", "nothing")),
        (
            lambda: keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(n) for n in (3, 2, 1))]),
            ("layers/dense_2 has 2 weights, the file 0",),
        ),
        (
            lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, use_bias=False), keras.layers.Dense(2)]),
            ("1 weights, the file 2",),
        ),
        (lambda: keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)]), ("not built",)),
    ],
)
def test_weights_of_another_model(tmp_path, make, words):
    dense().save_weights(tmp_path / "w.weights.h5")
    model = make()
    before = values(model)
    for word in words:
        with pytest.raises(ValueError, match=rf"(?s)w\.weights\.h5.*{word}"):
            model.load_weights(tmp_path / "w.weights.h5")
    untouched(model, before)


def test_what_does_not_fit_is_skipped_when_asked(tmp_path):
    first, second = dense(), dense(5)
    first.save_weights(tmp_path / "w.weights.h5")
    second.layers[1].bias.assign([7.0, 7.0])
    before = second.layers[0].get_weights()
    with pytest.warns(UserWarning, match=r"w\.weights\.h5: skipped .*\(4, 5\)"):
        second.load_weights(tmp_path / "w.weights.h5", skip_mismatch=True)
    np.testing.assert_array_equal(second.layers[0].get_weights()[0], before[0])
    np.testing.assert_array_equal(second.layers[1].bias.numpy(), [7.0, 7.0])  # its kernel's shape differs


class Picky(keras.layers.Layer):
    """Fails in the middle of loading."""

    def build(self, input_shape):
        self.a = self.add_weight(shape=(2,), initializer="zeros", name="a")
        self.b = self.add_weight(shape=(2,), initializer="zeros", name="b")

    def call(self, x):
        return x

    def load_own_variables(self, store):
        self.a.assign(store["0"])
        if np.any(store["1"] > 1):
            raise RuntimeError("too large")
        self.b.assign(store["1"])


def test_a_layer_that_fails_to_load_leaves_the_model_as_it_was(tmp_path):
    def make():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), Picky()])

    model = make()
    model.layers[1].a.assign([1.0, 2.0])
    model.layers[1].b.assign([3.0, 4.0])
    model.save_weights(tmp_path / "w.weights.h5")
    other = make()
    before = values(other)
    with pytest.raises(ValueError, match=r"w\.weights\.h5: picky\S* could not take its weights: too large"):
        other.load_weights(tmp_path / "w.weights.h5")
    untouched(other, before)


# -- writing --------------------------------------------------------------------------------


class Fails(keras.layers.Layer):
    """Its weights can't be written once `fail` is set."""

    fail = False

    def call(self, x):
        return x

    def save_own_variables(self, store):
        if Fails.fail:
            raise OSError("No space left on device")


@pytest.mark.parametrize("ending", ["m.keras", "m.weights.h5"])
def test_a_failing_write_leaves_the_old_file(tmp_path, ending, monkeypatch):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), Fails()])
    path = tmp_path / ending
    write = model.save if ending == "m.keras" else model.save_weights
    write(path)
    before = path.read_bytes()
    monkeypatch.setattr(Fails, "fail", True)
    with pytest.raises(OSError, match="No space"):
        write(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [ending]


def test_a_failing_move_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    dense().save(path)
    before = path.read_bytes()

    def fail(*_):
        raise PermissionError("no")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(PermissionError):
        dense(5).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.keras"]


def test_a_file_is_not_overwritten_unless_asked(saved):
    path, model = saved
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(path, overwrite=False)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["m.txt", "m", "m.pkl", "weights.h5"])
def test_other_endings(tmp_path, name):
    with pytest.raises(ValueError, match=r"should end in"):
        dense().save(tmp_path / name) if "h5" not in name else dense().save_weights(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_what_has_no_config_is_not_saved(tmp_path):
    class Odd(keras.layers.Layer):
        def __init__(self, thing, **kwargs):
            super().__init__(**kwargs)
            self.thing = thing

        def call(self, x):
            return x

        def get_config(self):
            return {**super().get_config(), "thing": self.thing}

    model = keras.Sequential([keras.Input((4,)), Odd(object())])
    with pytest.raises(ValueError, match="get_config"):
        model.save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


def test_an_unbuilt_model_has_no_weights_to_save(tmp_path):
    with pytest.raises(ValueError, match="not built"):
        keras.Sequential([keras.layers.Dense(2)]).save_weights(tmp_path / "w.weights.h5")


# -- other forms ----------------------------------------------------------------------------


def test_a_folder_holds_what_the_file_does(tmp_path):
    model = dense()
    model.save(tmp_path / "folder", zipped=False)
    loaded = keras.models.load_model(tmp_path / "folder")
    untouched(loaded, values(model))
    (tmp_path / "folder" / WEIGHTS).unlink()
    refused(tmp_path / "folder", "lacks", WEIGHTS)


def test_weights_in_shards(tmp_path):
    model = dense(64)
    model.save_weights(tmp_path / "w.weights.json", max_shard_size=600 / 2**30)
    assert len(list(pathlib.Path(tmp_path).glob("w_*.weights.h5"))) > 1
    other = dense(64)
    other.load_weights(tmp_path / "w.weights.json")
    untouched(other, values(model))
    next(iter(sorted(pathlib.Path(tmp_path).glob("w_*.weights.h5")))).unlink()
    with pytest.raises(ValueError, match=r"w_00000\.weights\.h5"):
        other.load_weights(tmp_path / "w.weights.json")


def test_loading_without_compiling(tmp_path):
    model = dense()
    model.compile("adam", "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    model.save(tmp_path / "m.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = keras.models.load_model(tmp_path / "m.keras", compile=False)
    assert loaded.optimizer is None
    untouched(loaded, values(model))
