"""Callbacks: what they are told, and what they do."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import kcore as keras

layers, callbacks = keras.layers, keras.callbacks
X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def model(rate=0.05):
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    made.compile(keras.optimizers.SGD(rate), "mse")
    return made


def fit(*given, epochs=4, **arguments):
    made = model(**arguments)
    return made, made.fit(
        X, Y, batch_size=8, epochs=epochs, validation_split=0.25, verbose=0, callbacks=list(given)
    ).history


def test_hooks_come_in_order():
    seen = []

    class Recorder(callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append("train")

        def on_epoch_begin(self, epoch, logs=None):
            seen.append(f"epoch {epoch}")

        def on_train_batch_end(self, batch, logs=None):
            assert type(logs["loss"]) is float
            seen.append(f"batch {batch}")

        def on_test_end(self, logs=None):
            seen.append("tested")

        def on_epoch_end(self, epoch, logs=None):
            assert {"loss", "val_loss"} <= set(logs)
            seen.append("epoch end")

        def on_train_end(self, logs=None):
            seen.append("end")

    fit(Recorder(), epochs=1)
    assert seen == ["train", "epoch 0", "batch 0", "batch 1", "batch 2", "tested", "epoch end", "end"]


def test_early_stopping_stops_and_puts_the_best_weights_back():
    stop = callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    rates = [0.05, 0.05, 5.0, 5.0, 5.0, 5.0]
    made, history = fit(callbacks.LearningRateScheduler(lambda epoch, _: rates[epoch]), stop, epochs=6)
    assert len(history["loss"]) == 4
    assert made.evaluate(X[24:], Y[24:], verbose=0) == pytest.approx(min(history["val_loss"]), rel=1e-5)


def test_a_checkpoint_keeps_the_best_model(tmp_path):
    path = tmp_path / "best.keras"
    _, history = fit(callbacks.ModelCheckpoint(path, save_best_only=True))
    best = keras.models.load_model(path)
    assert best.evaluate(X[24:], Y[24:], verbose=0) == pytest.approx(min(history["val_loss"]), rel=1e-5)


def test_a_checkpoint_names_files_by_what_is_reported(tmp_path):
    fit(callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}.weights.h5", save_weights_only=True), epochs=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01.weights.h5", "02.weights.h5"]


def test_a_checkpoint_with_another_ending_is_refused():
    with pytest.raises(ValueError, match=r"should end in '\.keras'"):
        callbacks.ModelCheckpoint("model.pkl")


def test_the_csv_has_a_line_for_each_epoch(tmp_path):
    path = tmp_path / "log.csv"
    _, history = fit(callbacks.CSVLogger(path), epochs=3)
    rows = list(csv.DictReader(path.open()))
    assert [r["epoch"] for r in rows] == ["0", "1", "2"]
    assert [float(r["val_loss"]) for r in rows] == pytest.approx(history["val_loss"])


def test_the_learning_rate_is_scheduled(backend):
    made = model()
    made.fit(X, Y, epochs=3, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)])
    assert float(made.optimizer.learning_rate) == pytest.approx(0.05 / 8)


def test_training_ends_at_a_nan():
    _, history = fit(callbacks.TerminateOnNaN(), epochs=5, rate=1e30)
    assert len(history["loss"]) == 1


def test_a_plateau_lowers_the_rate():
    made, _ = fit(callbacks.ReduceLROnPlateau(factor=0.5, patience=1, min_delta=1e9), epochs=4)
    assert float(made.optimizer.learning_rate) < 0.05


def test_the_progress_of_an_epoch_is_a_line_where_there_is_no_terminal(capsys):
    model().fit(X, Y, epochs=2, batch_size=8, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2"
    assert lines[1].startswith("4/4 - ")
    assert "loss: " in lines[1]


# -- other states of the model ------------------------------------------------------------


def adam_model():
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dense(1)])
    made.compile(keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9), "mse")
    return made


class Interrupt(callbacks.Callback):
    def __init__(self, epoch, batch=None):
        super().__init__()
        self.epoch, self.batch, self._now = epoch, batch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self._now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._now == self.epoch and batch == self.batch:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch and self.batch is None:
            raise KeyboardInterrupt


@pytest.mark.parametrize("batch", [None, 1])
def test_an_interrupted_run_goes_on_where_it_was(tmp_path, batch):
    arguments = {"x": X, "y": Y, "batch_size": 8, "epochs": 5, "verbose": 0, "shuffle": False}
    whole = adam_model()
    history = whole.fit(**arguments).history
    backup = tmp_path / "backup"
    broken = adam_model()
    with pytest.raises(KeyboardInterrupt):
        broken.fit(**arguments, callbacks=[callbacks.BackupAndRestore(backup), Interrupt(2, batch)])
    resumed = adam_model()
    rest = resumed.fit(**arguments, callbacks=[callbacks.BackupAndRestore(backup)])
    assert rest.epoch == ([3, 4] if batch is None else [2, 3, 4])
    np.testing.assert_allclose(rest.history["loss"], history["loss"][rest.epoch[0] :], rtol=1e-6)
    for a, b in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert not list(tmp_path.iterdir())  # training has ended


def test_a_damaged_copy_is_said_or_replaced_by_the_one_before(tmp_path):
    backup = tmp_path / "backup"
    arguments = {"x": X, "y": Y, "batch_size": 8, "epochs": 4, "verbose": 0, "shuffle": False}
    with pytest.raises(KeyboardInterrupt):
        adam_model().fit(
            **arguments, callbacks=[callbacks.BackupAndRestore(backup, double_checkpoint=True), Interrupt(2)]
        )
    (backup / "latest.weights.h5").write_bytes(b"damaged")
    again = adam_model()
    assert again.fit(**arguments, callbacks=[callbacks.BackupAndRestore(backup, delete_checkpoint=False)]).epoch == [
        2,
        3,
    ]
    (backup / "training_metadata.json").write_text("{")
    with pytest.raises(ValueError, match="no copy can be read"):
        adam_model().fit(**arguments, callbacks=[callbacks.BackupAndRestore(backup)])


def test_averages_are_evaluated_and_weights_trained(backend):
    made = adam_model()
    seen = []

    class Look(callbacks.Callback):
        def on_test_begin(self, logs=None):
            seen.append(self.model.get_weights()[0])

    made.fit(X, Y, epochs=1, batch_size=8, verbose=0, shuffle=False)
    made = adam_model()
    made.fit(X, Y, epochs=2, batch_size=8, verbose=0, shuffle=False, validation_data=(X, Y),
             callbacks=[callbacks.SwapEMAWeights(), Look()])  # fmt: skip
    plain = adam_model()
    plain.fit(X, Y, epochs=2, batch_size=8, verbose=0, shuffle=False)
    for a, b in zip(made.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen[1], plain.get_weights()[0], rtol=1e-5, atol=1e-6)  # fit ends with the averages
    other = model()
    with pytest.raises(ValueError, match="use_ema"):
        other.fit(X, Y, verbose=0, callbacks=[callbacks.SwapEMAWeights()])


def test_epochs_are_reported_to_a_server(monkeypatch):
    requests = pytest.importorskip("requests")
    sent = []
    monkeypatch.setattr(requests, "post", lambda *args, **options: sent.append((args, options)))
    fit(callbacks.RemoteMonitor("http://here", send_as_json=True), epochs=2)
    assert [args[0] for args, _ in sent] == ["http://here/publish/epoch/end/"] * 2
    assert [options["json"]["epoch"] for _, options in sent] == [0, 1]
    assert {"loss", "val_loss", "epoch"} == set(sent[0][1]["json"])

    def fail(*args, **options):
        raise requests.exceptions.ConnectionError("nobody")

    monkeypatch.setattr(requests, "post", fail)
    with pytest.warns(UserWarning, match="can't be reached"):
        fit(callbacks.RemoteMonitor(), epochs=1)


def test_training_that_breaks_can_be_an_error():
    with pytest.raises(RuntimeError, match="nan|inf"), np.errstate(all="ignore"):
        fit(callbacks.TerminateOnNaN(raise_error=True), epochs=200, rate=1e6)
