"""`kcore conform`: a run with its progress, table and exit code."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from kcore.cli.errors import UserError
from kcore.conformance import report, runner
from kcore.conformance.results import Result

OK, FAILED, INTERRUPTED = 0, 1, 130


def command(args: argparse.Namespace) -> int:
    """Runs what the arguments of `kcore conform` ask for, and prints what it finds.

    Args:
        args: `backend`, `op` and `dtype` are lists, empty for all; `json` a path or None; `full` a bool.

    Returns:
        0 if every op holds, 1 if one does not, 130 after Ctrl-C.

    Raises:
        UserError: A name is unknown, a framework is missing or the file can't be written.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # a file or pipe has no width of its own
    begun = time.perf_counter()
    interrupted = False
    try:
        with _shown(console) as progress:
            results = runner.run(args.backend or None, args.op or None, args.dtype or None, args.full, progress)
    except (runner.UnknownName, ImportError) as error:
        raise UserError(str(error)) from None
    except runner.Interrupted as stopped:
        results, interrupted = stopped.results, True
    seconds = time.perf_counter() - begun
    _print(console, results, seconds)
    if args.json:
        try:
            report.write_json(args.json, results, seconds)
        except OSError as error:
            raise UserError(f"--json {args.json} can't be written: {error.strerror}.") from None
    if interrupted:
        console.print("Interrupted; this is what was done by then.", style="bold")
        return INTERRUPTED
    return FAILED if any(r.failed for r in results) else OK


def _print(console: Console, results: list[Result], seconds: float) -> None:
    console.print(report.table(results))
    for result in results:
        lines = report.failure_lines(result)
        if lines:
            console.print()
            console.print("\n".join(lines), markup=False, soft_wrap=True)
    console.print()
    console.print(report.summary(results, seconds), markup=False)


@contextlib.contextmanager
def _shown(console: Console) -> Iterator[runner.Progress | None]:
    """A progress bar on a terminal; nothing elsewhere."""
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description:<40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task: Any = bar.add_task("loading", total=None)

        def advance(result: Result, done: int, total: int) -> None:
            mark = "" if not result.failed else f" {result.verdict}"
            bar.update(task, completed=done, total=total, description=f"{result.op} on {result.backend}{mark}")

        yield advance
