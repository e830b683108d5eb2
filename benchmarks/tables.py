"""Results as tables: for a terminal, and for docs/performance.md.

    python -m benchmarks.tables docs/performance.md build/bench.json [more.json ...]

puts the numbers of files of results into the page's tables; of a row that several have, the last one's. The
tables' last columns, written by hand, stay.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from .rows import OWN, chosen
from .runner import Result

BLOCK = re.compile(r"<!-- table: (?P<family>\w+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)
MACHINE = re.compile(r"<!-- machine -->\n.*?<!-- end -->", re.DOTALL)
UNEXPLAINED = ""
# Families with so many rows that a page has them as a grid: how a name falls apart into line and column.
GRIDS = {
    "conv": re.compile(r"(?P<line>.+), (?P<column>batch \d+.*)"),
    "reduce": re.compile(r"(?P<line>\w+) of (?P<column>.+)"),
    "elementwise": re.compile(r"(?P<line>.+) (?P<column>\d+M.*)"),
}
PAIRS = re.compile(r"<!-- pairs -->\n.*?<!-- end -->", re.DOTALL)
FRAMEWORKS = ("jax", "tensorflow", "torch")
UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))


def amount(value: float, unit: str) -> str:
    """A number with its unit, three digits of it."""
    if unit != "s":
        return f"{value:.1f} {unit}"
    name, size = next(((n, s) for n, s in UNITS if value >= s), UNITS[-1])
    scaled = value / size
    digits = max(0, 3 - len(str(int(scaled))))
    return f"{scaled:.{digits}f} {name}"


def table(results: Sequence[Result]) -> Table:
    """For a terminal: kcore's time, the ratio and its goal, and each peer's ratio."""
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    shown.add_column("row")
    for name in ("kcore", "spread", "ratio", "goal"):
        shown.add_column(name, justify="right")
    shown.add_column("peers' times / kcore's")
    for r in results:
        if OWN not in r.rounds:
            shown.add_row(Text(r.key), "", "", "", "", Text(_short(r.problem), style="red"))
            continue
        own = r.best[OWN]
        shown.add_row(
            Text(r.key),
            amount(own, r.unit),
            f"+{r.spread(OWN):.0%}",
            _ratio(r),
            "" if r.goal is None else f"{r.goal:.2g}",
            Text("  ".join(f"{p} {b / own:.2f}" for p, b in r.best.items() if p != OWN and own)),
        )
    return shown


def _ratio(r: Result) -> Text:
    if r.ratio is None:
        return Text("")
    style = "" if r.goal is None else "green" if r.ratio >= r.goal else "red"
    return Text(f"{r.ratio:.2f}", style=style)


def _short(problem: str) -> str:
    return problem.splitlines()[-1] if problem else ""


def summary(results: Sequence[Result], seconds: float) -> str:
    """What a run came to, in a line."""
    with_goal = [r for r in results if r.goal is not None and r.ratio is not None]
    reached = sum(r.ratio >= r.goal for r in with_goal)  # type: ignore[operator]
    broken = sum(bool(r.problem) for r in results)
    trouble = f"; {broken} rows could not be measured" if broken else ""
    return f"{len(results)} rows in {seconds:.0f} s; {reached} of {len(with_goal)} goals reached{trouble}."


def markdown(results: Sequence[Result], limits: dict[str, str]) -> str:
    """One family for a page: `limits` has the last column by row."""
    family = results[0].key.partition("/")[0]
    if family in GRIDS:
        return _grid(results, limits, GRIDS[family])
    lines = [
        "| what | kcore | fastest peer | ratio | goal | what limits it |",
        "|---|---|---|---|---|---|",
    ]
    for r in results:
        name = r.key.partition("/")[2]
        limit = limits.get(name, UNEXPLAINED)
        if OWN not in r.rounds:
            lines.append(f"| {name} | not measured | | | | {limit} |")
            continue
        peer = "" if r.fastest is None else f"{amount(r.best[r.fastest], r.unit)} ({r.fastest})"
        goal = "" if r.goal is None else f"{r.goal:.2g}"
        lines.append(f"| {name} | {amount(r.best[OWN], r.unit)} | {peer} | {_marked(r)} | {goal} | {limit} |")
    return "\n".join(lines) + "\n"


def _marked(r: Result) -> str:
    """The ratio, in bold where it misses its goal."""
    if r.ratio is None:
        return ""
    return f"**{r.ratio:.2f}**" if r.goal is not None and r.ratio < r.goal else f"{r.ratio:.2f}"


def _grid(results: Sequence[Result], limits: dict[str, str], form: re.Pattern) -> str:
    """A line for each thing, a column for each way to do it: ratio, and kcore's time. The rest are lines of their own."""
    cells: dict[str, dict[str, str]] = {}
    for r in results:
        name = r.key.partition("/")[2]
        found = form.fullmatch(name)
        line, column = (found["line"], found["column"]) if found else (name, "")
        text = f"{_marked(r)} ({amount(r.best[OWN], r.unit)})" if OWN in r.rounds else "not measured"
        cells.setdefault(line, {})[column] = text
    columns = list(dict.fromkeys(column for line in cells.values() for column in line))
    lines = [f"| what | {' | '.join(columns)} | what limits it |", "|---" * (len(columns) + 2) + "|"]
    for line, by_column in cells.items():
        texts = " | ".join(by_column.get(column, "") for column in columns)
        lines.append(f"| {line} | {texts} | {limits.get(line, UNEXPLAINED)} |")
    return "\n".join(lines) + "\n"


def pairs(results: Sequence[Result]) -> str:
    """For a page: `fit` of kcore on each framework beside Keras on the same one."""
    lines = ["| what | on JAX | on TensorFlow | on torch |", "|---|---|---|---|"]
    for r in results:
        best = r.best
        if any(f"keras-{name}" in best for name in FRAMEWORKS):
            texts = [_pair(best, name) for name in FRAMEWORKS]
            lines.append(f"| {r.key.partition('/')[2]} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def _pair(best: dict[str, float], name: str) -> str:
    own, peer = best.get(f"kcore-{name}"), best.get(f"keras-{name}")
    return "" if not own or not peer else f"{peer / own:.2f} ({amount(own, 's')})"


def _limits(body: str) -> dict[str, str]:
    """The hand-written column of a table that stands on the page."""
    rows = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in body.splitlines()[2:] if line]
    return {cells[0]: cells[-1] for cells in rows}


def filled(page: str, results: Sequence[Result], machine: str) -> str:
    """The page, with its tables made anew from results; families without results stay as they are."""

    def replaced(found: re.Match) -> str:
        mine = [r for r in results if r.key.startswith(found["family"] + "/")]
        if not mine:
            return found[0]
        return f"<!-- table: {found['family']} -->\n{markdown(mine, _limits(found['body']))}<!-- end -->"

    if any(r.key.startswith("models/") for r in results):
        page = PAIRS.sub(lambda _: f"<!-- pairs -->\n{pairs(results)}<!-- end -->", page)
    page = MACHINE.sub(lambda _: f"<!-- machine -->\n{machine}\n<!-- end -->", page)
    return BLOCK.sub(replaced, page)


def machine(about: dict) -> str:
    """The machine and the versions, in a sentence each."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"Machine: {about['cpu']}; SIMD level {about['simd']}; {about['platform']}.\n{versions}."


def main(arguments: Sequence[str]) -> None:
    from . import results

    target, *sources = arguments
    found: dict[str, Result] = {}
    about: dict = {}
    for source in sources:
        rows, about = results.read(source)
        found |= {r.key: r for r in rows}
    order = {row.key: i for i, row in enumerate(chosen())}
    ordered = sorted((r for r in found.values() if r.key in order), key=lambda r: order[r.key])
    page = Path(target)
    page.write_text(filled(page.read_text(encoding="utf-8"), ordered, machine(about)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
