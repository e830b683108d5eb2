"""History: what every epoch reported."""

from __future__ import annotations

from typing import Any

from kcore.callbacks.callback import Callback


class History(Callback):
    """Keeps what each epoch reports. `fit` adds one and returns it.

    Attributes:
        epoch: The epochs' numbers.
        history: Name -> the list of values, one for each epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)
        self.model.__dict__["history"] = self
