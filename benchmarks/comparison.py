"""What moved between two files of results, as a table and as a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from .rows import OWN
from .runner import Result
from .tables import amount

NOISE = 0.10


@dataclass(frozen=True)
class Move:
    """How one row differs between two runs.

    Attributes:
        change: kcore's new time / the old, less 1: below 0 is faster.
        noise: What the change has to exceed: the larger of `NOISE` and of both runs' spreads.
        peers: The same for the peers, as a geometric mean over those in both runs: what the machine has
            done, rather than kcore. None where there are none.
    """

    old: Result
    new: Result
    change: float
    noise: float
    peers: float | None

    @property
    def moved(self) -> bool:
        return abs(math.log1p(self.change)) > math.log1p(self.noise)


def compare(old: Sequence[Result], new: Sequence[Result], threshold: float = NOISE) -> list[Move]:
    """A Move for each row that both have measured alike, the most slowed down first."""
    before = {r.key: r for r in old}
    moves = []
    for now in new:
        then = before.get(now.key)
        if then is None or OWN not in then.rounds or OWN not in now.rounds:
            continue
        if (then.unit, then.threads, then.clock) != (now.unit, now.threads, now.clock):
            continue
        if not (then.best[OWN] > 0 and now.best[OWN] > 0):
            continue
        noise = max(threshold, then.spread(OWN), now.spread(OWN))
        moves.append(Move(then, now, now.best[OWN] / then.best[OWN] - 1, noise, _peers(then, now)))
    return sorted(moves, key=lambda m: -m.change)


def _peers(then: Result, now: Result) -> float | None:
    logs = [
        math.log(now.best[peer] / best)
        for peer, best in then.best.items()
        if peer != OWN and best > 0 and now.best.get(peer, 0) > 0
    ]
    return math.exp(sum(logs) / len(logs)) - 1 if logs else None


def table(moves: Sequence[Move]) -> Table:
    """The rows that moved by more than noise."""
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    shown.add_column("row")
    for name in ("before", "now", "change", "peers' change", "ratio before", "ratio now"):
        shown.add_column(name, justify="right")
    for m in moves:
        if m.moved:
            shown.add_row(
                Text(m.new.key),
                _with_spread(m.old),
                _with_spread(m.new),
                Text(f"{m.change:+.0%}", style="red" if m.change > 0 else "green"),
                "" if m.peers is None else f"{m.peers:+.0%}",
                _ratio(m.old),
                _ratio(m.new),
            )
    return shown


def _with_spread(result: Result) -> str:
    return f"{amount(result.best[OWN], result.unit)} +{result.spread(OWN):.0%}"


def _ratio(result: Result) -> str:
    return "" if result.ratio is None else f"{result.ratio:.2f}"


def summary(moves: Sequence[Move], old: Sequence[Result], new: Sequence[Result]) -> str:
    """What the comparison came to, in a line."""
    slower = sum(m.moved and m.change > 0 for m in moves)
    faster = sum(m.moved and m.change < 0 for m in moves)
    both = len(moves)
    alone = f", {len(old) - both} and {len(new) - both} rows in one run alone" if len(old) + len(new) > 2 * both else ""
    return f"{both} rows in both runs{alone}: {slower} slower and {faster} faster by more than noise."


class NoPlot(RuntimeError):
    """matplotlib is not installed."""


def plot(moves: Sequence[Move], path: Path) -> None:
    """Draws each row's change as a bar, with its noise, to an .svg or .png file.

    Raises:
        NoPlot: matplotlib is not installed.
        OSError: The file can't be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise NoPlot("--plot draws with matplotlib, which is not installed; pip install 'kcore[bench]'.") from None
    shown = [m for m in moves if m.moved] or list(moves)
    figure = Figure(figsize=(9, 1.2 + 0.28 * max(1, len(shown))), layout="constrained")
    axes = figure.add_subplot()
    _draw(axes, shown)
    figure.savefig(path, dpi=120)


def _draw(axes: Any, moves: Sequence[Move]) -> None:
    changes = [m.change * 100 for m in moves]
    places = range(len(moves))
    colors = ["tab:gray" if not m.moved else "tab:red" if m.change > 0 else "tab:green" for m in moves]
    axes.barh(places, changes, color=colors, xerr=[m.noise * 100 for m in moves], ecolor="lightgray")
    have = [(i, m.peers * 100) for i, m in zip(places, moves) if m.peers is not None]
    if have:
        ys, xs = zip(*have)
        axes.plot(xs, ys, "k|", label="peers")
        axes.legend(loc="best", frameon=False)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(places, [m.new.key for m in moves], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("change of kcore's time, %; above 0 is slower; gray lines: noise")
