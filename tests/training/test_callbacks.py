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
