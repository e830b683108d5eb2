"""What `kcore conform` and `kcore golden check` do around a run: progress, table, files, resuming, exit code."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from kcore import backends
from kcore.cli.errors import DamagedFile, UserError
from kcore.conformance import devices, goldens, html_report, junit, report, runner
from kcore.conformance.results import Result

OK, FAILED, INTERRUPTED = 0, 1, 130
# How many seconds may be lost when a run that is saved with --resume is killed.
SAVE_EVERY = 2.0
# How many seconds a run without a terminal is silent.
TELL_EVERY = 20.0

Done = Mapping[tuple[str, str], Result]
Run = Callable[[runner.Progress, Done], list[Result]]


def command(args: argparse.Namespace) -> int:
    """Runs what the arguments of `kcore conform` ask for, and prints what it finds.

    Args:
        args: `backend`, `op` and `dtype` are lists, empty for all; `device`, `json`, `junit`, `html` and `resume`
            are strings or None; `full` is a bool.

    Returns:
        0 if every op holds, 1 if one does not, 130 after Ctrl-C.

    Raises:
        UserError: A name is unknown, a framework or device is missing, or a file can't be written or is damaged.
    """
    names = chosen_backends(args.backend, args.device)
    options = {
        "command": "conform",
        "backends": names,
        "ops": args.op or None,
        "dtypes": args.dtype or None,
        "full": args.full,
        "device": args.device,
    }

    def run(progress: runner.Progress, done: Done) -> list[Result]:
        return runner.run(names, args.op or None, args.dtype or None, args.full, progress, args.device, done)

    return carry_out(run, names, options, args)


def chosen_backends(asked: Sequence[str], device: str | None) -> list[str]:
    """The backends to run: those asked for, else all that are installed and have the device.

    Raises:
        UserError: A framework is missing, or the device.
    """
    try:
        names = list(asked) or backends.installed()
        loaded = {name: backends.load(name) for name in names}
        if device is not None and not asked:
            names = [name for name in names if devices.normal(device) in loaded[name].devices()]
            if not names:
                there = "; ".join(f"{name} has {', '.join(b.devices())}" for name, b in loaded.items())
                raise UserError(f"No backend has a device {device!r} here: {there}.")
        for name in names:
            devices.on(loaded[name], device)
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from None
    return names


def carry_out(run: Run, names: Sequence[str], options: dict[str, Any], args: argparse.Namespace) -> int:
    """Runs, shows progress, prints and writes what was found.

    Args:
        run: The run, as run(progress, done).
        names: The backends that it runs on.
        options: What it was asked for, as it is written down in files.
        args: With `json`, `junit`, `html` and `resume`.

    Returns:
        The exit code.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # a file or pipe has no width of its own
    for path in (args.json, args.junit, args.html, args.resume):
        _require_folder(path)
    about = report.environment(names, options["device"])
    console.print("\n".join(report.header_lines(about)), markup=False, soft_wrap=True)
    saved = _Saved(args.resume, about, options)
    interrupted = False
    try:
        with _shown(console) as shown:
            results = run(_both(saved.note, shown), saved.done)
    except (runner.UnknownName, ImportError) as error:
        raise UserError(str(error)) from None
    except goldens.GoldenError as error:
        raise DamagedFile(str(error)) from None
    except runner.Interrupted as stopped:
        results, interrupted = saved.with_earlier(stopped.results), True
    seconds = saved.seconds()
    _print(console, results, seconds)
    found = (results, seconds, about, options, not interrupted)
    _written(args.resume, "--resume", lambda path: report.write_json(path, *found))
    _written(args.json, "--json", lambda path: report.write_json(path, *found))
    _written(args.junit, "--junit", lambda path: junit.write(path, results, about))
    _written(args.html, "--html", lambda path: html_report.write(path, report.to_json(*found)))
    if interrupted:
        further = f" Run it again with --resume {args.resume} to go on from here." if args.resume else ""
        console.print(
            f"Interrupted; this is what was done by then.{further}", style="bold", markup=False, soft_wrap=True
        )
        return INTERRUPTED
    return FAILED if any(r.failed for r in results) else OK


class _Saved:
    """What an earlier run has found, and the file that goes on from it; without a path, nothing.

    Raises:
        DamagedFile: The file is no report, or damaged.
        UserError: It is of a run with other options or versions.
    """

    def __init__(self, path: str | None, about: Mapping[str, Any], options: dict[str, Any]) -> None:
        self.path, self.about, self.options = path, about, options
        self.done: dict[tuple[str, str], Result] = {}
        self.begun, self.before = time.perf_counter(), 0.0
        self.results: dict[tuple[str, str], Result] = {}
        if path is not None and Path(path).exists():
            self._read(path)
        self.results.update(self.done)
        self.last = self.begun

    def _read(self, path: str) -> None:
        try:
            said = report.read_json(path)
        except report.ReportError as error:
            raise DamagedFile(str(error)) from None
        except OSError as error:
            raise UserError(f"--resume {path} can't be read: {error.strerror}.") from None
        for now, before in ((self.options, said["options"]), (self.about, said)):
            for key, value in report.plain(now).items():
                if before.get(key) != value:
                    raise UserError(
                        f"--resume {path} is of a run with other {key} ({_short(before.get(key))} there, "
                        f"{_short(value)} now); remove the file to begin anew."
                    )
        self.done = {(r.op, r.backend): r for r in said["results"]}
        self.before = said["seconds"]

    def seconds(self) -> float:
        """How long it took, with the runs before."""
        return self.before + time.perf_counter() - self.begun

    def with_earlier(self, results: list[Result]) -> list[Result]:
        """The results of an interrupted run, and those of earlier runs that it had not come to."""
        reached = {(r.op, r.backend) for r in results}
        return results + [r for key, r in self.done.items() if key not in reached]

    def note(self, result: Result, done: int, total: int) -> None:
        """Saves, now and then."""
        self.results[result.op, result.backend] = result
        now = time.perf_counter()
        if self.path is None or now - self.last < SAVE_EVERY:
            return
        self.last = now
        kept = list(self.results.values())
        _written(
            self.path,
            "--resume",
            lambda path: report.write_json(path, kept, self.seconds(), self.about, self.options, complete=False),
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def _require_folder(path: str | None) -> None:
    """A file that can't be written should be found out before the run."""
    if path is not None and not Path(path).resolve().parent.is_dir():
        raise UserError(f"{path} can't be written: there is no folder {Path(path).resolve().parent}.")


def _written(path: str | None, option: str, write: Callable[[str], None]) -> None:
    if path is None:
        return
    try:
        write(path)
    except OSError as error:
        raise UserError(f"{option} {path} can't be written: {error.strerror}.") from None


def _told_now_and_then() -> runner.Progress:
    last, failed = time.perf_counter(), 0

    def told(result: Result, done: int, total: int) -> None:
        nonlocal last, failed
        failed += result.failed
        if time.perf_counter() - last >= TELL_EVERY:
            last = time.perf_counter()
            print(f"{done} of {total}, {failed} failed; now {result.op} on {result.backend}", file=sys.stderr)  # noqa: T201

    return told


def _both(first: runner.Progress, second: runner.Progress) -> runner.Progress:
    def told(result: Result, done: int, total: int) -> None:
        first(result, done, total)
        second(result, done, total)

    return told


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
def _shown(console: Console) -> Iterator[runner.Progress]:
    """A progress bar on a terminal; elsewhere, as in a CI log, a line on stderr now and then."""
    if not console.is_terminal:
        yield _told_now_and_then()
        return
    columns = (TextColumn("{task.description:<40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task: Any = bar.add_task("loading", total=None)

        def advance(result: Result, done: int, total: int) -> None:
            mark = "" if not result.failed else f" {result.verdict}"
            bar.update(task, completed=done, total=total, description=f"{result.op} on {result.backend}{mark}")

        yield advance
