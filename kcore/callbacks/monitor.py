"""Callbacks that watch one of the things that an epoch reports."""

from __future__ import annotations

import math
import operator
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import ops
from kcore.callbacks.callback import Callback
from kcore.utils.messages import print_message

# Metrics of these names get better as they grow, unless the caller says otherwise.
_MORE_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "true_positives", "true_negatives")


class Monitor(Callback):
    """Watches `monitor`.

    Args:
        monitor: The name, as `fit` reports it.
        mode: "min" if less is better, "max" if more is, "auto" to tell from the metric.
        min_delta: How much better counts as better.
    """

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{type(self).__name__}: mode={mode!r} should be 'auto', 'min' or 'max'.")
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)
        self.best: Any = None

    def _less(self) -> bool:
        """Whether less is better."""
        if self.mode != "auto":
            return self.mode == "min"
        name = self.monitor.removeprefix("val_")
        if self.model is not None and name != "loss":
            for metric in self.model.metrics:
                if metric.name == name and getattr(metric, "_direction", None):
                    return metric._direction == "down"
        return not any(part in name for part in _MORE_IS_BETTER)

    def _value(self, logs: Any) -> Any:
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, which is not reported; there are {', '.join(logs or {})}.",
                stacklevel=2,
            )
        return value

    def get_monitor_value(self, logs: Any) -> Any:
        """What `monitor` is in these logs; None, with a warning, where it is not reported."""
        return self._value(logs)

    def _is_better(self, value: Any, reference: Any) -> bool:
        if reference is None:
            return True
        if self._less():
            return operator.lt(value, reference - self.min_delta)
        return operator.gt(value, reference + self.min_delta)


class EarlyStopping(Monitor):
    """Stops training when `monitor` has not got better for `patience` epochs.

    Args:
        monitor, min_delta, mode: See `Monitor`.
        patience: How many epochs to wait.
        verbose: 1 says when it stops.
        baseline: What must be reached.
        restore_best_weights: Whether the weights of the best epoch are put back.
        start_from_epoch: The first epoch that counts.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        value = self._value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if self.stopped_epoch > 0 and self.verbose:
            print_message(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print_message(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(Monitor):
    """Saves the model, or its weights, as training goes on.

    Args:
        filepath: The file; may have {epoch:02d} or {val_loss:.2f} in it. Ends in ".keras", or with
            `save_weights_only` in ".weights.h5".
        monitor, mode: See `Monitor`; for `save_best_only`.
        verbose: 1 says what is saved.
        save_best_only: Whether only a better model is saved.
        save_weights_only: Whether only the weights are saved.
        save_freq: "epoch", or after how many batches.
        initial_value_threshold: What `monitor` must be better than.

    Raises:
        ValueError: The file's ending, or save_freq, is not one of these.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = str(filepath)
        wanted = ".weights.h5" if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(wanted):
            raise ValueError(
                f"ModelCheckpoint: filepath={self.filepath!r} should end in {wanted if save_weights_only else '.keras'!r}."
            )
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise ValueError(f"ModelCheckpoint: save_freq={save_freq!r} should be 'epoch' or a positive integer.")
        self.verbose, self.save_best_only, self.save_weights_only, self.save_freq = (
            verbose,
            save_best_only,
            save_weights_only,
            save_freq,
        )
        self.best = initial_value_threshold
        self._epoch = self._since = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            return
        self._since += 1
        if self._since >= self.save_freq:
            self._since = 0
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Any) -> None:
        if self.save_best_only:
            value = self._value(logs)
            if value is None or not self._is_better(value, self.best):
                return
            self.best = value
        fields = {"epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1}), **(logs or {})}
        try:
            path = self.filepath.format(**fields)
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint: {self.filepath!r} names {error}, which is not reported; there are {', '.join(fields)}."
            ) from None
        if self.verbose:
            print_message(f"Epoch {epoch + 1}: saving {'weights' if self.save_weights_only else 'model'} to {path}")
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by `factor` when `monitor` has not got better for `patience` epochs.

    Args:
        monitor, mode, min_delta: See `Monitor`.
        factor: Below 1.
        patience: How many epochs to wait.
        verbose: 1 says when it does.
        cooldown: How many epochs to wait after it did.
        min_lr: The least learning rate.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 0.0001,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if kwargs:
            raise TypeError(f"ReduceLROnPlateau: there is no argument {', '.join(kwargs)}.")
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor={factor} should be below 1.")
        self.factor, self.patience, self.verbose, self.cooldown, self.min_lr = (
            factor,
            patience,
            verbose,
            cooldown,
            min_lr,
        )
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self.wait = self.cooldown_counter = 0
        self.best = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rate = float(np.asarray(ops.convert_to_numpy(self.model.optimizer.learning_rate)))
        if logs is not None:
            logs["learning_rate"] = rate
        value = self._value(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_better(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                lower = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = lower
                if self.verbose:
                    print_message(f"Epoch {epoch + 1}: reducing the learning rate to {lower:g}.")
                self.cooldown_counter, self.wait = self.cooldown, 0

    def in_cooldown(self) -> bool:
        """Whether it waits after a reduction."""
        return self.cooldown_counter > 0


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of each epoch to `schedule(epoch, rate)`.

    Args:
        schedule: Takes the epoch, counting from 0, and the present rate, and returns the new one.
        verbose: 1 says what it is set to.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        rate = self._rate()
        try:
            new = self.schedule(epoch, rate)
        except TypeError:  # an older kind takes the epoch alone
            new = self.schedule(epoch)
        if not isinstance(new, (float, int, np.floating)):
            raise ValueError(f"LearningRateScheduler: the schedule should return a float, not {new!r}.")
        self.model.optimizer.learning_rate = float(new)
        if self.verbose:
            print_message(f"Epoch {epoch + 1}: setting the learning rate to {new:g}.")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self._rate()

    def _rate(self) -> float:
        return float(np.asarray(ops.convert_to_numpy(self.model.optimizer.learning_rate)))


class TerminateOnNaN(Callback):
    """Stops training when the loss is nan or infinite.

    Args:
        raise_error: Whether it stops with a RuntimeError.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            if self.raise_error:
                raise RuntimeError(f"TerminateOnNaN: batch {batch}: the loss is {loss}.")
            print_message(f"Batch {batch}: the loss is {loss}; stopping.")
            self.model.stop_training = True


class LambdaCallback(Callback):
    """A callback made of functions, named after the hooks that they stand for."""

    def __init__(
        self,
        on_epoch_begin: Any = None,
        on_epoch_end: Any = None,
        on_train_begin: Any = None,
        on_train_end: Any = None,
        on_train_batch_begin: Any = None,
        on_train_batch_end: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in given.items():
            if not re.fullmatch(r"on_\w+_(begin|end)", name):
                raise ValueError(f"LambdaCallback: there is no hook {name!r}.")
            if function is not None:
                setattr(self, name, function)
