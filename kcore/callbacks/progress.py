"""The progress bar of fit, evaluate and predict."""

from __future__ import annotations

import sys
import time
from typing import Any

from kcore import config
from kcore.callbacks.callback import Callback
from kcore.utils.messages import print_message
from kcore.utils.progbar import _duration

# A bar is drawn at most this often, in seconds: drawing, and fetching what it shows from an
# accelerator, must not slow the steps down.
_INTERVAL = 0.1


class ProgbarLogger(Callback):
    """Shows how far an epoch is and what it reports.

    With verbose=1 a bar that moves, on a terminal; elsewhere, and with verbose=2, one line an epoch.
    """

    _takes_raw_logs = True

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._task: Any = None
        self._training = False
        self._seen = 0
        self._began = self._drawn = 0.0
        self._last: dict[str, float] = {}

    @property
    def _verbose(self) -> int:
        return self.params.get("verbose", 1)

    def on_train_begin(self, logs: Any = None) -> None:
        self._training = True

    def on_train_end(self, logs: Any = None) -> None:
        self._training = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._verbose and self.params.get("epochs", 1) > 1:
            print_message(f"Epoch {epoch + 1}/{self.params['epochs']}")
        self._start()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._finish(logs)

    def on_test_begin(self, logs: Any = None) -> None:
        if not self._training:
            self._start()

    def on_test_end(self, logs: Any = None) -> None:
        if not self._training:
            self._finish(logs)

    def on_predict_begin(self, logs: Any = None) -> None:
        self._start()

    def on_predict_end(self, logs: Any = None) -> None:
        self._finish(None)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._advance(batch + 1, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._training:
            self._advance(batch + 1, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._advance(batch + 1, None)

    def _start(self) -> None:
        self._seen, self._began = 0, time.perf_counter()
        self._drawn = self._began
        if self._verbose == 1 and sys.stdout.isatty() and config.is_interactive_logging_enabled():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                MofNCompleteColumn(), BarColumn(bar_width=24), TimeRemainingColumn(), TextColumn("{task.description}"), transient=True
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task("", total=self.params.get("steps"))

    def _advance(self, seen: int, logs: Any) -> None:
        self._seen = seen
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._drawn >= _INTERVAL:
            self._drawn = now
            self._bar.update(self._task, completed=seen, description=_text(logs))

    def _finish(self, logs: Any) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if not self._verbose:
            return
        spent = time.perf_counter() - self._began
        each = spent / max(self._seen, 1)
        text = _text(logs)
        print_message(f"{self._seen}/{self._seen} - {spent:.0f}s - {_duration(each)}/step{' - ' if text else ''}{text}")


def _text(logs: Any) -> str:
    from kcore.training.loop import as_floats

    found = {} if not logs else {k: v for k, v in as_floats(logs).items() if isinstance(v, float)}
    return " - ".join(f"{k}: {v:.4f}" if v == 0 or abs(v) > 1e-3 else f"{k}: {v:.4e}" for k, v in sorted(found.items()))
