"""CSVLogger."""

from __future__ import annotations

import csv
import os
from typing import Any

from kcore.callbacks.callback import Callback


class CSVLogger(Callback):
    """Writes a line of what each epoch reports to a CSV file.

    Args:
        filename: The file.
        separator: What stands between values.
        append: Whether lines are added to what is there.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self._keys: list[str] | None = None
        self._file: Any = None
        self._writer: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        started = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        self._file = open(self.filename, "a" if self.append else "w", newline="")  # noqa: SIM115 - closed in on_train_end
        self._header = not started
        self._keys = self._writer = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        if self._writer is None:
            # Validation may not run in the first epoch; its columns are there from the start.
            names = sorted(logs)
            self._keys = names if any(n.startswith("val_") for n in names) else [*names, *(f"val_{n}" for n in names)]
            self._writer = csv.DictWriter(self._file, ["epoch", *self._keys], delimiter=self.sep)
            if self._header:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch} | {k: logs.get(k, "NA") for k in self._keys or ()})
        self._file.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self._file.close()
        self._file = self._writer = None
