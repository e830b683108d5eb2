"""Utilities beside Keras's: arrays, trees, functions, files, settings."""

from __future__ import annotations

import hashlib
import io
import logging
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import kcore
from kcore import config, naming, ops, tree, utils

sys.path.insert(0, str(Path(__file__).parent.parent))
import peers


def outcome(function):
    """("ok", value) or ("error", kind)."""
    try:
        return "ok", function()
    except (ValueError, TypeError, IndexError, AttributeError, KeyError) as error:
        return "error", "value" if isinstance(error, (ValueError, IndexError)) else type(error).__name__


def same(ours, theirs):
    """The same outcome; arrays with the same dtype and values."""
    assert ours[0] == theirs[0], f"{ours} is not {theirs}"
    if ours[0] == "error":
        assert ours[1] == theirs[1]
        return
    for a, b in zip(tree.flatten(ours[1]), tree.flatten(theirs[1]), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(a, b) if a.dtype == object else np.testing.assert_allclose(a, b, rtol=1e-6)


ARRAYS = [
    lambda u: u.to_categorical([0, 1, 3]),
    lambda u: u.to_categorical(np.array([[1], [2]]), 4),
    lambda u: u.to_categorical(np.array([[1, 2], [0, 0]])),
    lambda u: u.to_categorical([-1, 0], 2),
    lambda u: u.to_categorical([5], 2),
    lambda u: u.normalize(np.array([[3.0, 4.0], [0, 0]])),
    lambda u: u.normalize(np.array([[3.0, 4.0], [1, -2]]), axis=1, order=1),
    lambda u: u.normalize(np.array([[3.0, -4.0]]), order=np.inf),
    lambda u: u.normalize(np.ones(3)),
    lambda u: u.normalize([[3.0, 4.0]]),
    lambda u: u.pad_sequences([[1, 2, 3], [4], []]),
    lambda u: u.pad_sequences([[1, 2, 3], [4]], maxlen=2),
    lambda u: u.pad_sequences([[1, 2, 3], [4]], maxlen=2, truncating="post", padding="post", value=7),
    lambda u: u.pad_sequences([[[1, 2]], [[3, 4], [5, 6]]], dtype="float32", padding="post", value=-1.0),
    lambda u: u.pad_sequences([["a"], ["b", "c"]], dtype=object, value="x"),
    lambda u: u.pad_sequences([["a"]], value="x"),
    lambda u: u.pad_sequences([1, 2]),
    lambda u: u.pad_sequences([[1]], padding="mid"),
    lambda u: u.pad_sequences([[1]], truncating="mid"),
    lambda u: u.pad_sequences([[1], [[2]]]),
]


@pytest.mark.parametrize("run", ARRAYS)
def test_arrays_are_those_of_keras(run):
    same(outcome(lambda: run(utils)), outcome(lambda: run(peers.keras().utils)))


def test_columns_are_divided_by_their_norms():
    # Keras 3.15 divides the rows of this one by the norms of the columns.
    np.testing.assert_allclose(
        utils.normalize(np.array([[3.0, 4], [1, -2]]), axis=0, order=1), [[0.75, 2 / 3], [0.25, -1 / 3]]
    )


def test_labels_of_a_backend_stay_there(backend):
    y = utils.to_categorical(ops.array([[2], [0]]), 3)
    assert backend.is_tensor(y)
    np.testing.assert_array_equal(ops.convert_to_numpy(y), [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    "run",
    [
        lambda t: t.assert_same_paths({"a": 1}, {"a": [1]}),
        lambda t: t.assert_same_paths({"a": 1, "b": [1, 2]}, {"a": 3, "b": (3, 4)}),
        lambda t: t.assert_same_structure([1], (1,)),
        lambda t: t.map_shape_structure(lambda s: sum(d or 0 for d in s), {"a": (1, 2), "b": [(3, None), (4,)]}),
        lambda t: t.map_shape_structure(len, [1, 2]),
        lambda t: t.map_shape_structure(len, ()),
    ],
)
def test_trees_are_those_of_keras(run):
    same(outcome(lambda: run(tree)), outcome(lambda: run(peers.keras().tree)))


def test_configs_are_those_of_keras():
    def steps(keras):
        c = keras.utils.Config(a=1, b="x")
        found = [c.as_dict(), c["b"], "b" in c, len(c), list(c), c.get("q", 3), c.to_json(), repr(c)]
        c.d = [1]
        c["e"] = 2
        c.update({"f": 3})
        found += [c.pop("a"), c.pop("a", 5), list(c.items()), c.frozen]
        c.freeze()
        found += [outcome(lambda: setattr(c, "d", 2)), outcome(lambda: c.update({"d": 2})), outcome(lambda: c.pop("d"))]
        c.unfreeze()
        c.pop("d")
        return [*found, c.as_dict(), outcome(lambda: c.nothing)]

    assert steps(kcore) == steps(peers.keras())


def test_a_progress_bar_says_what_it_was_told(capsys):
    bar = utils.Progbar(4, verbose=2, stateful_metrics=["rate"])
    for i in range(1, 5):
        bar.add(1, [("loss", i), ("rate", 0.5 * i)])
    out = capsys.readouterr().out
    assert out.startswith("4/4 ")
    assert "loss: 2.5000 - rate: 2.0000" in out
    bar = utils.Progbar(None, unit_name="row")
    bar.update(3)
    bar.update(7, [("a", 1.0)], finalize=True)
    assert "7/Unknown" in capsys.readouterr().out


# -- functions ------------------------------------------------------------------------------


def test_functions_are_those_of_keras():
    naming.reset_names()
    peers.keras().backend.clear_session()

    def make(keras):
        x = keras.Input((3,))
        dense = keras.layers.Dense(2, kernel_initializer="ones")
        y = dense(x)
        z = keras.ops.relu(y)
        data = np.array([[1.0, -2.0, 0.5]], "float32")
        whole, middle = keras.Function(x, [y, z]), keras.Function({"m": y}, {"r": z})
        return [
            [o.name for o in whole.operations],
            [o.name for o in middle.operations],
            tree.map_structure(np.asarray, whole(data)),
            tree.map_structure(np.asarray, middle({"m": np.array([[1.0, -1.0]], "float32")})),
            whole.compute_output_shape((4, 3)),
            middle.compute_output_shape({"m": (4, 2)}),
            [tuple(t.shape) for t in (*whole.inputs, *whole.outputs)],
            tuple(whole.compute_output_spec(keras.KerasTensor((5, 3)))[1].shape),
            outcome(lambda: whole(np.ones((2, 4), "float32"))),
            outcome(lambda: whole([data, data])),
            outcome(lambda: middle({"other": data})),
            [t is x for t in keras.utils.get_source_inputs(z)],
        ]

    for a, b in zip(make(kcore), make(peers.keras()), strict=True):
        for left, right in zip(tree.flatten(a), tree.flatten(b), strict=True):
            np.testing.assert_array_equal(left, right)


def test_a_function_of_something_else_is_refused():
    x = kcore.Input((3,))
    with pytest.raises(ValueError, match="KerasTensors"):
        kcore.Function(x, 3)
    with pytest.raises(ValueError, match="depend on"):
        kcore.Function(x, kcore.ops.add(x, kcore.Input((3,))))


# -- data sets ------------------------------------------------------------------------------


SERIES = [
    {"sequence_length": 3, "sequence_stride": 2, "sampling_rate": 2, "batch_size": 2, "start_index": 1},
    {"sequence_length": 3, "batch_size": 4, "end_index": 6},
    {"sequence_length": 4, "batch_size": None},
    {"sequence_length": 30},
    {"sequence_length": 3, "start_index": 19},
]


@pytest.mark.parametrize("targets", [True, False])
@pytest.mark.parametrize("options", SERIES)
def test_windows_are_those_of_keras(options, targets):
    pytest.importorskip("tensorflow")
    data = np.arange(20.0, dtype="float32").reshape(10, 2)
    y = np.arange(10) * 2 if targets else None

    def batches(keras):
        made = keras.utils.timeseries_dataset_from_array(data, y, **options)
        return [tree.map_structure(np.asarray, tuple(b) if targets else b) for b in made]

    same(outcome(lambda: batches(kcore)), outcome(lambda: batches(peers.keras())))


def test_windows_without_tensorflow(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    made = utils.timeseries_dataset_from_array(np.arange(10), np.arange(10), 3, batch_size=4, shuffle=True, seed=1)
    batches = list(made)
    assert [len(x) for x, _ in batches] == [4, 4]
    starts = np.concatenate([y for _, y in batches])
    assert sorted(starts) == list(range(8)) != list(starts)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), starts[:, None] + np.arange(3))


# -- files ----------------------------------------------------------------------------------


def test_files_are_fetched_once_and_checked(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    origin, cache = (tmp_path / "a.txt").as_uri(), tmp_path / "cache"
    digest = hashlib.sha256(b"hello").hexdigest()
    path = utils.get_file(origin=origin, cache_dir=cache, file_hash=digest)
    assert path == str(cache / "datasets" / "a.txt")
    (tmp_path / "a.txt").write_text("other")
    assert Path(utils.get_file(origin=origin, cache_dir=cache)).read_text() == "hello"
    assert Path(utils.get_file(origin=origin, cache_dir=cache, force_download=True)).read_text() == "other"
    with pytest.raises(ValueError, match="does not have the hash"):
        utils.get_file("b.txt", origin, file_hash=digest, cache_dir=cache)
    with pytest.raises(OSError, match="can't be downloaded"):
        utils.get_file(origin=(tmp_path / "none.txt").as_uri(), cache_dir=cache)
    for arguments, word in (({"fname": "x"}, "origin"), ({"fname": "../x", "origin": origin}, "not a path")):
        with pytest.raises(ValueError, match=word):
            utils.get_file(cache_dir=cache, **arguments)
    assert sorted(p.name for p in (cache / "datasets").iterdir()) == ["a.txt"]


def test_archives_are_unpacked_inside_their_folder(tmp_path):
    cache = tmp_path / "cache"

    def tar(name, entry):
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            info = tarfile.TarInfo(entry)
            info.size = 2
            archive.addfile(info, io.BytesIO(b"hi"))
        return (tmp_path / name).as_uri()

    def zipped(name, entry):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(entry, "hi")
        return (tmp_path / name).as_uri()

    good = utils.get_file(origin=tar("g.tar.gz", "d/a.txt"), extract=True, cache_dir=cache)
    assert Path(good, "d", "a.txt").read_text() == "hi"
    assert Path(utils.get_file("z", zipped("z.zip", "q/b.txt"), extract=True, cache_dir=cache), "q/b.txt").exists()
    for origin in (tar("bad.tar.gz", "../evil.txt"), zipped("bad.zip", "../evil.txt")):
        with pytest.raises(ValueError, match=r"evil"):
            utils.get_file(origin=origin, extract=True, cache_dir=cache)
    with pytest.raises(ValueError, match="no archive"):
        utils.get_file(
            "n", origin=(tmp_path / "g.tar.gz").as_uri(), extract=True, archive_format="zip", cache_dir=cache
        )
    assert not list(tmp_path.rglob("evil.txt"))


# -- settings -------------------------------------------------------------------------------


@pytest.fixture
def settings():
    before = dict(config._settings)
    yield
    config._settings.clear()
    config._settings.update(before)
    config._set_flash_attention(before.get("flash_attention"))


def small():
    model = kcore.Sequential([kcore.Input((2,)), kcore.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_limits_hold_for_every_fit(settings):
    config.set_max_epochs(2)
    config.set_max_steps_per_epoch(3)
    seen = []
    model, x = small(), np.ones((64, 2), "float32")
    history = model.fit(
        x, x[:, :1], batch_size=4, epochs=5, verbose=0,
        callbacks=[kcore.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))],
    )  # fmt: skip
    assert len(history.epoch) == 2
    assert seen == [0, 1, 2, 0, 1, 2]
    assert len(model.predict(x, batch_size=4, verbose=0)) == 12
    config.set_max_steps_per_epoch(None)
    assert len(model.predict(x, batch_size=4, verbose=0)) == 64
    with pytest.raises(ValueError, match="positive integer"):
        config.set_max_epochs(0)


def test_limits_come_from_the_environment(settings, monkeypatch):
    config._settings.pop("max_epochs", None)
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "7")
    assert config.max_epochs() == 7


def test_messages_go_to_the_log_when_nobody_watches(settings, capsys, caplog):
    config.disable_interactive_logging()
    assert not utils.is_interactive_logging_enabled()
    with caplog.at_level(logging.INFO, "kcore"):
        small().fit(np.ones((4, 2)), np.ones((4, 1)), verbose=2)
    assert capsys.readouterr().out == ""
    assert "loss" in caplog.text
    config.enable_interactive_logging()
    small().fit(np.ones((4, 2)), np.ones((4, 1)), verbose=2)
    assert "loss" in capsys.readouterr().out


def test_attention_follows_the_setting(settings):
    q = np.ones((1, 2, 1, 4), "float32")
    assert config.is_flash_attention_enabled() is None
    want = ops.dot_product_attention(q, q, q)
    config.enable_flash_attention()
    with pytest.raises(RuntimeError, match="flash_attention=True"):
        ops.dot_product_attention(q, q[:, :0], q[:, :0])  # no kernel takes it
    np.testing.assert_array_equal(ops.dot_product_attention(q, q, q, flash_attention=False), want)
    config.disable_flash_attention()
    np.testing.assert_array_equal(ops.dot_product_attention(q, q, q), want)


def test_tracebacks_lead_through_ones_own_code(settings):
    class Breaks(kcore.layers.Layer):
        def call(self, x):
            raise RuntimeError("broken here")

    model = kcore.Sequential([kcore.layers.Dense(1), Breaks()])
    model.compile("sgd", "mse")

    def files():
        with pytest.raises(RuntimeError, match="broken here") as caught:
            model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
        return [Path(str(entry.path)).name for entry in caught.traceback]

    short = files()
    assert short[-1] == "test_utils.py"
    assert "loop.py" not in short
    config.disable_traceback_filtering()
    assert "loop.py" in files()


def test_a_device_is_chosen_by_name(backend):
    for name in ("cpu", "cpu:0", "CPU:0"):
        with kcore.device(name):
            np.testing.assert_array_equal(ops.convert_to_numpy(ops.add(ops.ones(2), 1)), [2, 2])
    with pytest.raises(ValueError, match=r"no 'tpu:7'; it has .*cpu"):
        kcore.device("tpu:7")
