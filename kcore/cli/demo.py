"""`kcore demo`: train, save, load in a second process and compare, as a user would."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import kcore
from kcore.cli import arguments
from kcore.cli.errors import UserError

TARGET = 0.98  # of the held-out digits
# A few ops of each kind, for the table at the end.
OPS = ("add", "matmul", "conv", "softmax", "logsumexp", "mean", "max_pool", "where")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--epochs",
        type=arguments.positive,
        default=15,
        metavar="N",
        help="passes over the training images (default: 15)",
    )
    parser.add_argument(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="for the weights, the shuffles and the dropout (default: 0)",
    )
    parser.add_argument("--backend", default="reference", metavar="NAME", help="where to train (default: reference)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="keep the files there (default: a temporary folder, removed at the end)",
    )


def run(args: argparse.Namespace) -> int:
    begun = time.perf_counter()
    backend = arguments.backend_name(args.backend)
    _choose(backend)
    with tempfile.TemporaryDirectory(prefix="kcore-demo-") as temporary:
        folder = _made(args.output) if args.output else Path(temporary)
        failure = _train_and_replay(folder, backend, args.epochs, args.seed)
        if args.output and not failure:
            print(f"The files are in {folder}.")
    if failure:
        print(f"kcore demo failed: {failure}", file=sys.stderr)
        return 1
    _show_conformance(backend)
    print(f"Done in {time.perf_counter() - begun:.0f} s on the {backend} backend.")
    return 0


def _choose(backend: str) -> None:
    from kcore import backends

    try:
        backends.set_default(backend)
    except ImportError as error:
        raise UserError(str(error)) from None


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {folder} cannot be used: {error.strerror}.") from None
    return folder.resolve()


def _train_and_replay(folder: Path, backend: str, epochs: int, seed: int) -> str | None:
    """Trains, saves and replays in a second process; what went wrong, or None."""
    from kcore.data import digits

    (x_train, y_train), (x_test, y_test) = digits.load()
    print(f"{len(x_train)} handwritten digits to learn from, {len(x_test)} held out.\n")
    model = _model(seed)
    model.summary()
    verbose = 1 if sys.stdout.isatty() else 2  # a bar for people, a line an epoch for logs
    model.fit(x_train, y_train, batch_size=32, epochs=epochs, verbose=verbose)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"\nAccuracy on the held-out digits: {accuracy:.2%}")
    if accuracy < TARGET:
        return f"accuracy on the held-out digits is {accuracy:.2%}; {TARGET:.0%} was expected."

    model.save(folder / "digits.keras")
    want = np.asarray(model.predict(x_test, verbose=0))
    np.save(folder / "images.npy", x_test)
    np.save(folder / "predictions.npy", want)
    return _compare(want, _replayed(folder, backend))


def _model(seed: int) -> Any:
    keras: Any = kcore  # what a user writes: import kcore as keras
    layers = keras.layers
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _replayed(folder: Path, backend: str) -> np.ndarray | None:
    """The predictions of a second process that loads the saved model; None if it failed."""
    root = str(Path(kcore.__file__).resolve().parents[1])  # the second process runs this kcore
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "KCORE_BACKEND": backend}
    command = [sys.executable, "-m", "kcore.cli.replay", "digits.keras", "images.npy", "again.npy"]
    sys.stdout.flush()
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        return None
    again: np.ndarray = np.load(folder / "again.npy")
    return again


def _compare(want: np.ndarray, got: np.ndarray | None) -> str | None:
    """What differs between two arrays of predictions, to the last bit; None if nothing."""
    if got is None:
        return "the second process could not load the saved model and predict."
    if (want.shape, want.dtype) != (got.shape, got.dtype):
        return (
            f"the second process predicted {got.dtype} of shape {got.shape}; "
            f"the first {want.dtype} of shape {want.shape}."
        )
    bits = f"V{want.dtype.itemsize}"
    differ = np.ascontiguousarray(want).view(bits) != np.ascontiguousarray(got).view(bits)
    if differ.any():
        return f"{differ.sum()} of {want.size} predictions differ in the second process."
    print(f"A second process loaded the file: all {want.size} predictions agree, bit for bit.")
    return None


def _show_conformance(backend: str) -> None:
    from rich.console import Console

    from kcore import conformance
    from kcore.conformance import report

    results = conformance.run(backends=[backend], ops=list(OPS))
    Console().print(report.table(results))
