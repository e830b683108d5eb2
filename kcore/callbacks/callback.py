"""Callback, and the list that calls several."""

from __future__ import annotations

from typing import Any

_BATCH_HOOKS = tuple(
    f"on_{kind}batch_{when}" for kind in ("", "train_", "test_", "predict_") for when in ("begin", "end")
)


class Callback:
    """Something that is told how training, evaluation and prediction go on. Override what you need.

    Attributes:
        model: The model that is trained.
        params: "epochs", "steps" and "verbose" of the call.
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None

    def set_params(self, params: dict) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    @property
    def model(self) -> Any:
        return self._model

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """An older name of `on_train_batch_begin`, which calls it."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """An older name of `on_train_batch_end`, which calls it."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before an epoch; `epoch` counts from 0."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After an epoch; `logs` has what it reports, and with "val_" in front what validation does."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a training batch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a training batch; `logs` has the loss and metrics of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a batch of evaluation or validation."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch of evaluation or validation."""

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a batch of prediction."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch of prediction; logs["outputs"] has its results."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Before training."""

    def on_train_end(self, logs: Any = None) -> None:
        """After training, with the last epoch's logs."""

    def on_test_begin(self, logs: Any = None) -> None:
        """Before evaluation or validation."""

    def on_test_end(self, logs: Any = None) -> None:
        """After evaluation or validation."""

    def on_predict_begin(self, logs: Any = None) -> None:
        """Before prediction."""

    def on_predict_end(self, logs: Any = None) -> None:
        """After prediction."""


class CallbackList(Callback):
    """Callbacks, called in order.

    A hook that no callback overrides costs nothing; results of a step are turned into floats only
    for callbacks that look at them.

    Args:
        callbacks: Callbacks, or one.
        add_history: Whether a History is added if there is none.
        add_progbar: Whether a ProgbarLogger is added if there is none.
        model: Told to each.
        **params: Told to each: epochs, steps, verbose.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        from kcore.callbacks.history import History
        from kcore.callbacks.progress import ProgbarLogger

        if callbacks is None:
            callbacks = []
        self.callbacks: list[Callback] = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        for callback in self.callbacks:
            if not isinstance(callback, Callback) and not hasattr(callback, "on_epoch_end"):
                raise ValueError(f"{callback!r} is no Callback.")
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        if add_history and not any(isinstance(c, History) for c in self.callbacks):
            self.callbacks.append(History())
        self._hooked = {name: [c for c in self.callbacks if _overrides(c, name)] for name in _BATCH_HOOKS}
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Adds one at the end."""
        self.callbacks.append(callback)
        self._hooked = {name: [c for c in self.callbacks if _overrides(c, name)] for name in _BATCH_HOOKS}

    def set_params(self, params: dict) -> None:
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        from kcore.callbacks.history import History

        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)
            if isinstance(callback, History):
                model.__dict__["history"] = callback

    def _call(self, name: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(*args)

    def _call_batch(self, name: str, batch: int, logs: Any) -> None:
        floats = None
        for callback in self._hooked[name]:
            if getattr(callback, "_takes_raw_logs", False):
                getattr(callback, name)(batch, logs)
                continue
            if floats is None:
                from kcore.training.loop import as_floats

                floats = logs if logs is None or "outputs" in logs else as_floats(logs)
            getattr(callback, name)(batch, floats)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._hooked["on_train_batch_begin"]:
            self._call_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._hooked["on_train_batch_end"]:
            self._call_batch("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._hooked["on_test_batch_begin"]:
            self._call_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._hooked["on_test_batch_end"]:
            self._call_batch("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._hooked["on_predict_batch_begin"]:
            self._call_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._hooked["on_predict_batch_end"]:
            self._call_batch("on_predict_batch_end", batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._call("on_epoch_begin", epoch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._call("on_epoch_end", epoch, logs or {})

    def on_train_begin(self, logs: Any = None) -> None:
        self._call("on_train_begin", logs or {})

    def on_train_end(self, logs: Any = None) -> None:
        self._call("on_train_end", logs or {})

    def on_test_begin(self, logs: Any = None) -> None:
        self._call("on_test_begin", logs or {})

    def on_test_end(self, logs: Any = None) -> None:
        self._call("on_test_end", logs or {})

    def on_predict_begin(self, logs: Any = None) -> None:
        self._call("on_predict_begin", logs or {})

    def on_predict_end(self, logs: Any = None) -> None:
        self._call("on_predict_end", logs or {})


def _overrides(callback: Any, name: str) -> bool:
    """Whether a callback does anything in this hook, or in the older name of it."""
    names = [name] + ([name.replace("train_", "")] if "train_" in name else [])
    return any(getattr(type(callback), n, None) is not getattr(Callback, n) for n in names) or any(
        n in vars(callback) for n in names
    )
