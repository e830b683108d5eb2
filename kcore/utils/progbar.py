"""Progbar: a progress bar for loops of one's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from kcore.utils.messages import print_message


class Progbar:
    """Shows how far a loop is, and means of what it reports.

    Args:
        target: How many steps there are; None where that is not known.
        width: Of the bar, in characters.
        verbose: 0 silent, 1 a bar, 2 a line at the end.
        interval: The least seconds between two drawings.
        stateful_metrics: Names of values that are shown as they are, not as means.
        stateless_metrics: Names that are not stateful where `stateful_metrics` would have them.
        unit_name: What a step is called.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Sequence[str] | None = None,
        stateless_metrics: Sequence[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        self.target, self.width, self.verbose, self.interval, self.unit_name = (
            target,
            width,
            verbose,
            interval,
            unit_name,
        )
        self.stateful_metrics = set(stateful_metrics or ()) - set(stateless_metrics or ())
        self._sums: dict[str, list[float]] = {}  # name -> [sum, weight]
        self._seen = 0
        self._began, self._drawn = time.perf_counter(), -float("inf")
        self._ended = False

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Says that `current` steps are done, and what they gave.

        Args:
            current: Steps since the start.
            values: (name, value) pairs; a mean weighs each by the steps since the last update.
            finalize: Whether this is the end; when `target` is reached by default.
        """
        finalize = self.target is not None and current >= self.target if finalize is None else finalize
        done = max(current - self._seen, 1)
        for name, value in values or ():
            value = float(value)
            if name in self.stateful_metrics:
                self._sums[name] = [value, 1.0]
            else:
                total = self._sums.setdefault(name, [0.0, 0.0])
                total[0] += value * done
                total[1] += done
        self._seen = current
        now = time.perf_counter()
        if (
            not self.verbose
            or self._ended
            or (not finalize and (self.verbose == 2 or now - self._drawn < self.interval))
        ):
            return
        self._drawn, self._ended = now, finalize
        self._draw(now - self._began, finalize)

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Says that `n` more steps are done, and what they gave."""
        self.update(self._seen + n, values)

    def _draw(self, spent: float, finalize: bool) -> None:
        each = spent / max(self._seen, 1)
        count = f"{self._seen}/{self.target if self.target is not None else 'Unknown'}"
        bar = ""
        if self.verbose == 1 and self.target:
            full = min(self.width, self.width * self._seen // self.target)
            bar = f" {'━' * full}{'-' * (self.width - full)}"
        left = 0.0 if finalize or self.target is None else each * (self.target - self._seen)
        means = "".join(f" - {name}: {_number(total / weight)}" for name, (total, weight) in self._sums.items())
        line = f"{count}{bar} {spent if finalize else left:.0f}s {_duration(each)}/{self.unit_name}{means}"
        moves = self.verbose == 1 and sys.stdout.isatty()
        if moves:
            print_message(f"\r{line}", end="\n" if finalize else "")
        elif finalize:
            print_message(line)


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 or value == 0 else f"{value:.4e}"


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"
