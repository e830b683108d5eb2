"""Callbacks that keep another state of the model: BackupAndRestore, SwapEMAWeights."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

from kcore.callbacks.callback import Callback

_WEIGHTS, _PLACE = "latest.weights.h5", "training_metadata.json"


class BackupAndRestore(Callback):
    """Goes on where an earlier, interrupted run of `fit` was: weights, optimizer state and epoch.

    An epoch that broke off is begun again. The copies are removed when training ends.

    Args:
        backup_dir: A folder for this training alone.
        save_freq: "epoch", or after how many batches.
        double_checkpoint: Whether the copy before is kept too, for when the last one is damaged.
        delete_checkpoint: Whether the copies are removed at the end of training.

    Raises:
        ValueError: `backup_dir` is empty, or save_freq is something else; on restoring, no copy can be read, or the
            model is not built.
    """

    def __init__(
        self, backup_dir: Any, save_freq: Any = "epoch", double_checkpoint: bool = False, delete_checkpoint: bool = True
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError("BackupAndRestore: backup_dir should name a folder.")
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise ValueError(f"BackupAndRestore: save_freq={save_freq!r} should be 'epoch' or a positive integer.")
        self.backup_dir, self.save_freq = pathlib.Path(backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self._epoch = self._since = 0

    def _beside(self, ending: str) -> pathlib.Path:
        return self.backup_dir.with_name(self.backup_dir.name + ending)

    def on_train_begin(self, logs: Any = None) -> None:
        folders = [f for f in (self.backup_dir, self._beside(".bkp")) if f.exists()]
        if folders and not self.model.built:
            raise ValueError(f"BackupAndRestore: {self.model.name} is not built; build it or call it once before fit.")
        problems = []
        for folder in folders:
            try:
                epoch = int(json.loads((folder / _PLACE).read_text())["epoch"])
                if self.model.optimizer is not None and not self.model.optimizer.built:
                    self.model.optimizer.build(self.model.trainable_variables)
                self.model.load_weights(folder / _WEIGHTS)
            except (OSError, ValueError, KeyError, TypeError) as error:
                problems.append(f"{folder}: {error}")
                continue
            self.model._initial_epoch = epoch
            return
        if problems:
            raise ValueError(f"BackupAndRestore: no copy can be read; remove it to start anew. {'; '.join(problems)}")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            return
        self._since += 1
        if self._since >= self.save_freq:
            self._since = 0
            self._save(self._epoch, batch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._save(epoch + 1, 0)

    def on_train_end(self, logs: Any = None) -> None:
        if self.delete_checkpoint:
            for folder in (self.backup_dir, self._beside(".bkp"), self._beside(".new")):
                shutil.rmtree(folder, ignore_errors=True)

    def _save(self, epoch: int, batch: int) -> None:
        """Writes a whole copy beside the last, then puts it in its place: at every moment one is whole."""
        new, previous = self._beside(".new"), self._beside(".bkp")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        self.model.save_weights(new / _WEIGHTS)
        (new / _PLACE).write_text(json.dumps({"epoch": epoch, "batch": batch}))
        if self.backup_dir.exists():
            shutil.rmtree(previous, ignore_errors=True)
            self.backup_dir.rename(previous)
        new.rename(self.backup_dir)
        if not self.double_checkpoint:
            shutil.rmtree(previous, ignore_errors=True)


class SwapEMAWeights(Callback):
    """Evaluates and predicts with the moving averages of the weights, and trains on with the weights themselves.

    Args:
        swap_on_epoch: Whether they are swapped at the end of each epoch, for what other callbacks then save, and
            back at the start of the next, rather than around evaluation and prediction.

    Raises:
        ValueError: The optimizer keeps no averages: it needs `use_ema=True`.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def set_model(self, model: Any) -> None:
        optimizer = getattr(model, "optimizer", None)
        if not getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False):
            raise ValueError("SwapEMAWeights: the optimizer should keep moving averages; make it with use_ema=True.")
        super().set_model(model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.swap_on_epoch:
            self._swap(True)

    def on_test_begin(self, logs: Any = None) -> None:
        if not self.swap_on_epoch:
            self._swap(True)

    def on_test_end(self, logs: Any = None) -> None:
        if not self.swap_on_epoch:
            self._swap(False)

    def on_predict_begin(self, logs: Any = None) -> None:
        if not self.swap_on_epoch:
            self._swap(True)

    def on_predict_end(self, logs: Any = None) -> None:
        if not self.swap_on_epoch:
            self._swap(False)

    def _swap(self, to_averages: bool) -> None:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if self._swapped == to_averages or not optimizer.built:
            return
        for variable, average in zip(optimizer._trainable_variables, optimizer._averages, strict=True):
            value, mean = variable.numpy(), average.numpy()
            variable.assign(mean)
            average.assign(value)
        self._swapped = to_averages
