"""fit, evaluate and predict: the loop over epochs and batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from kcore import config, ops, tree
from kcore.callbacks import CallbackList
from kcore.data import adapters
from kcore.random.seed_generator import default_seed
from kcore.training.trainer import unpack_x_y_sample_weight


class Batches:
    """The batches of one data set, epoch after epoch.

    Args:
        adapter: Where they come from.
        steps: Batches in an epoch; None: as many as there are.
        prepare: Applied to each batch: class weights in, tensors out.
    """

    def __init__(self, adapter: Any, steps: int | None, prepare: Any) -> None:
        self.adapter, self.prepare = adapter, prepare
        known = steps if steps is not None else adapter.num_batches
        most = config.max_steps_per_epoch()
        if most is not None and (known is None or known > most):
            steps = most
        self._asked = steps
        self._running: Iterator[Any] | None = None
        self.steps: int | None = steps if steps is not None else adapter.num_batches

    def epoch(self) -> Iterator[tuple[int, Any]]:
        """(step, batch) for one epoch."""
        if self._running is None or self._asked is None:
            self._running = self.adapter.batches()
        at, fresh = 0, True
        while self._asked is None or at < self._asked:
            batch = next(self._running, None)
            if batch is not None:
                fresh = False
                yield at, self.prepare(batch)
                at += 1
            elif self._asked is None:
                break
            elif (fresh and at > 0) or not self._restarted():
                warnings.warn(
                    f"The data ended after {at} batches; {self._asked} were asked for. Have them repeat.", stacklevel=3
                )
                break
            else:
                fresh = True
        self.steps = self._asked if self._asked is not None else at
        self.adapter.on_epoch_end()

    def _restarted(self) -> bool:
        """Whether the data could be started again: arrays and data sets can, generators can't."""
        if getattr(self.adapter, "runs_on", False):
            return False
        self._running = self.adapter.batches()
        return True


def fit(
    model: Any,
    x: Any,
    y: Any,
    *,
    batch_size: int | None,
    epochs: int,
    verbose: int | str,
    callbacks: Any,
    validation_split: float,
    validation_data: Any,
    shuffle: bool | str,
    class_weight: dict | None,
    sample_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: Any,
) -> Any:
    """See `Trainer.fit`."""
    if class_weight is not None and sample_weight is not None:
        raise ValueError("fit: give sample_weight or class_weight, not both.")
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = adapters.split((x, y, sample_weight), validation_split)
    validation = None
    if validation_data is not None:
        validation = _validation_batches(model, validation_data, validation_batch_size or batch_size, validation_steps)
    adapter = adapters.get_adapter(x, y, sample_weight, batch_size, shuffle, default_seed)
    epochs = min(epochs, config.max_epochs() or epochs)
    batches = Batches(adapter, steps_per_epoch, _preparation(model, class_weight))

    if not isinstance(callbacks, CallbackList):
        callbacks = CallbackList(
            callbacks, add_history=True, add_progbar=_verbosity(verbose) != 0, verbose=_verbosity(verbose), model=model,
            epochs=epochs, steps=batches.steps,
        )  # fmt: skip
    model.stop_training = False
    logs: dict[str, Any] = {}
    callbacks.on_train_begin()
    initial_epoch = model.__dict__.pop("_initial_epoch", initial_epoch)  # a callback may go on with a broken-off run
    function = None
    for epoch in range(initial_epoch, epochs):
        if function is not None:
            function = model.make_train_function()  # a callback may have frozen a layer or compiled anew
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        result: dict[str, Any] = {}
        for step, data in batches.epoch():
            if function is None:
                model._prepare(data, "train")
                function = model.make_train_function()
            callbacks.on_train_batch_begin(step)
            result = function(data)
            callbacks.on_train_batch_end(step, result)
            if model.stop_training:
                break
        if function is None:
            raise ValueError("fit: the data have no batches.")
        logs = as_floats(result)
        if validation is not None and _due(epoch + 1, validation_freq):
            found = _evaluate_batches(model, validation, callbacks, begin=True)
            logs |= {f"val_{k}": v for k, v in found.items()}
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if model.optimizer is not None and epochs > initial_epoch:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    callbacks.on_train_end(logs)
    return model.history


def _due(epoch: int, frequency: Any) -> bool:
    return epoch % frequency == 0 if isinstance(frequency, int) else epoch in frequency


def _verbosity(verbose: int | str) -> int:
    if verbose == "auto":
        return 1
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose={verbose!r} should be 'auto', 0, 1 or 2.")
    return int(verbose)


def _validation_batches(model: Any, data: Any, batch_size: int | None, steps: int | None) -> Batches:
    if isinstance(data, (tuple, list)):
        if not 1 <= len(data) <= 3:
            raise ValueError(f"fit: validation_data is (x, y) or (x, y, sample_weight), not {len(data)} things.")
        x, y, sample_weight = unpack_x_y_sample_weight(tuple(data))
    else:
        x, y, sample_weight = data, None, None
        kind = adapters.get_adapter(x)
        batch_size = None if not isinstance(kind, adapters.ArrayAdapter) else batch_size
    adapter = adapters.get_adapter(x, y, sample_weight, batch_size)
    return Batches(adapter, steps, _preparation(model, None))


def _preparation(model: Any, class_weight: dict | None) -> Any:
    """What is done to a batch: class weights become sample weights, arrays tensors."""
    as_step_input = model._backend.as_step_input

    def convert(a: Any) -> Any:
        return None if a is None else as_step_input(a)

    def prepare(batch: tuple) -> tuple:
        if class_weight is not None:
            x, y, sample_weight = unpack_x_y_sample_weight(batch)
            if y is None:
                raise ValueError("fit: class_weight needs targets.")
            if sample_weight is not None:
                raise ValueError("fit: the data bring sample weights; leave class_weight out.")
            batch = (x, y, class_weights_as_sample_weights(y, class_weight))
        return tuple([tree.map_structure(convert, a) if tree.is_nested(a) else convert(a) for a in batch])

    return prepare


def class_weights_as_sample_weights(y: Any, class_weight: dict) -> np.ndarray:
    """The weight of each sample's class; 1 for classes that have none.

    Args:
        y: Class indices, or one-hot rows.

    Raises:
        ValueError: There are several outputs.
    """
    if tree.is_nested(y):
        raise ValueError("class_weight is for models with one output.")
    labels = np.asarray(ops.convert_to_numpy(y))
    if labels.ndim > 1 and labels.shape[-1] > 1:
        labels = labels.argmax(-1)
    labels = np.round(labels.reshape(labels.shape[0], -1)[:, 0]).astype("int64")
    table = np.ones(max(int(labels.max(initial=0)), *map(int, class_weight), 0) + 1, "float32")
    for index, weight in class_weight.items():
        table[int(index)] = weight
    return table[labels]


def as_floats(logs: Any) -> Any:
    """What a step reports as Python floats (arrays where it is no scalar)."""
    found = {}
    for key, value in (logs or {}).items():
        array = np.asarray(ops.convert_to_numpy(value)) if hasattr(value, "shape") else np.asarray(value)
        found[key] = float(array) if array.ndim == 0 else array
    return found


def _evaluate_batches(model: Any, batches: Batches, callbacks: Any, begin: bool) -> dict[str, Any]:
    function = None
    model.reset_metrics()
    if begin:
        callbacks.on_test_begin()
    result: Any = {}
    for step, data in batches.epoch():
        if function is None:
            model._prepare(data, "test")
            function = model.make_test_function()
        callbacks.on_test_batch_begin(step)
        result = function(data)
        callbacks.on_test_batch_end(step, result)
        if getattr(model, "stop_evaluating", False):
            break
    if function is None:
        raise ValueError("evaluate: the data have no batches.")
    logs = as_floats(result)
    callbacks.on_test_end(logs)
    return logs


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    *,
    batch_size: int | None,
    verbose: int | str,
    sample_weight: Any,
    steps: int | None,
    callbacks: Any,
    **kwargs: Any,
) -> dict[str, Any]:
    """See `Trainer.evaluate`."""
    if kwargs:
        raise ValueError(f"evaluate: there is no argument {', '.join(map(repr, kwargs))}.")
    batches = Batches(adapters.get_adapter(x, y, sample_weight, batch_size), steps, _preparation(model, None))
    if not isinstance(callbacks, CallbackList):
        callbacks = CallbackList(
            callbacks, add_progbar=_verbosity(verbose) != 0, verbose=_verbosity(verbose), model=model, epochs=1, steps=batches.steps
        )  # fmt: skip
    return _evaluate_batches(model, batches, callbacks, begin=True)


def predict(
    model: Any, x: Any, *, batch_size: int | None, verbose: int | str, steps: int | None, callbacks: Any
) -> Any:
    """See `Trainer.predict`."""
    batches = Batches(adapters.get_adapter(x, batch_size=batch_size), steps, _preparation(model, None))
    if not isinstance(callbacks, CallbackList):
        callbacks = CallbackList(
            callbacks, add_progbar=_verbosity(verbose) != 0, verbose=_verbosity(verbose), model=model, epochs=1, steps=batches.steps
        )  # fmt: skip
    callbacks.on_predict_begin()
    function, parts, shell = None, [], None
    for step, data in batches.epoch():
        if function is None:
            model._prepare(data, "predict")
            function = model.make_predict_function()
        callbacks.on_predict_batch_begin(step)
        outputs = function(data)
        shell = outputs
        parts.append([ops.convert_to_numpy(o) for o in tree.flatten(outputs)])
        callbacks.on_predict_batch_end(step, {"outputs": outputs})
        if getattr(model, "stop_predicting", False):
            break
    callbacks.on_predict_end()
    if function is None:
        raise ValueError("predict: the data have no batches.")
    whole = [
        np.concatenate(pieces) if len(pieces) > 1 else np.asarray(pieces[0]) for pieces in zip(*parts, strict=True)
    ]
    return tree.pack_sequence_as(shell, whole)
