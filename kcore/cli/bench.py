"""`kcore bench`: the arguments; the package of benchmarks does the work.

Benchmarks call frameworks, which kcore's own modules may not, so they are a package of their own:
`benchmarks/` beside kcore in a checkout, `kcore/benchmarks/` where kcore is installed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import kcore
from kcore.cli.arguments import listed, positive_number
from kcore.cli.errors import EXIT_CODES, DamagedFile, UserError

NAME = "kcore.benchmarks"
PLOTS = (".svg", ".png")
EXAMPLES = """\
examples:
  kcore bench --list                                the rows, and their peers
  kcore bench conv --peers torch                    rows with "conv" in their names
  kcore bench matmul softmax --json new.json
  kcore bench --compare old.json --plot moved.svg   measure, then show what moved
  kcore bench --from new.json --compare old.json    compare two files, without measuring
"""


def package(module: str) -> Any:
    """A module of the benchmarks.

    Raises:
        UserError: The benchmarks are not there.
    """
    if NAME not in sys.modules and importlib.util.find_spec(NAME) is None:
        folder = Path(kcore.__file__).resolve().parents[1] / "benchmarks"
        if not (folder / "rows.py").is_file():
            raise UserError(f"kcore's benchmarks are neither installed nor in {folder}; install kcore again.")
        spec = importlib.util.spec_from_file_location(
            NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[NAME])
    return importlib.import_module(f"{NAME}.{module}")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{EXAMPLES}\n{EXIT_CODES}"
    parser.add_argument(
        "patterns",
        metavar="PATTERN",
        nargs="*",
        help='rows with this in their names, or, with * or ?, that match as a whole, as "conv/*, batch 1" (default: all)',
    )
    parser.add_argument("--list", action="store_true", help="show the rows and their peers, and measure nothing")
    parser.add_argument(
        "--peers",
        action="append",
        metavar="NAMES",
        help='libraries to measure beside kcore, as "torch,jax", or "none"; a comma list (default: every installed one)',
    )
    parser.add_argument(
        "--clock", choices=["cpu", "wall"], help="what to count (default: cpu for one thread, wall for several)"
    )
    parser.add_argument(
        "--effort",
        type=positive_number,
        default=1.0,
        metavar="X",
        help="how many times the usual time to spend on each row (default: 1)",
    )
    parser.add_argument("--json", metavar="FILE", help="write everything that was found as JSON")
    parser.add_argument("--from", dest="source", metavar="FILE", help="show what FILE (JSON) has instead of measuring")
    parser.add_argument("--compare", metavar="OLD", help="show which rows moved since OLD (JSON)")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw what moved, as .svg or .png; with --compare")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    _require_sense(args)
    if args.list:
        return _list(args)
    old = _read(args.compare, "--compare") if args.compare else None
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a file or pipe has no width of its own
    results, complete = _found(args, console)
    if old is not None:
        _compare(args, console, old[0], results)
    if not complete:
        console.print("Interrupted; this is what was done by then.", style="bold")
        return 130
    return 1 if any(r.problem for r in results) else 0


def _require_sense(args: argparse.Namespace) -> None:
    """What is wrong should be found out before rows are measured."""
    if args.plot is not None:
        if not args.compare:
            raise UserError("--plot draws what --compare finds, which is not given.")
        if args.plot.suffix not in PLOTS:
            raise UserError(f"--plot {args.plot} should end with .svg or .png.")
        if importlib.util.find_spec("matplotlib") is None:
            raise UserError("--plot draws with matplotlib, which is not installed; pip install 'kcore[bench]'.")
    if args.source and args.json:
        raise UserError("--json writes what was measured, and --from measures nothing.")
    for path in (args.json, args.plot):
        if path is not None and not Path(path).resolve().parent.is_dir():
            raise UserError(f"{path} can't be written: there is no folder {Path(path).resolve().parent}.")


def _rows(args: argparse.Namespace) -> Any:
    rows = package("rows")
    try:
        return rows.chosen(args.patterns)
    except rows.UnknownRow as error:
        raise UserError(str(error)) from None


def _list(args: argparse.Namespace) -> int:
    missing = package("peers").missing
    for row in _rows(args):
        peers = ", ".join(f"{p} (not installed)" if missing(p) else p for p in row.peers if p != "kcore")
        print(f"{row.key}: {peers}")
    return 0


def _read(path: str, option: str) -> tuple[Any, dict[str, Any]]:
    results = package("results")
    try:
        found: tuple[Any, dict[str, Any]] = results.read(path)
    except results.ResultsError as error:
        raise DamagedFile(f"{option} {error}") from None
    except OSError as error:
        raise DamagedFile(f"{option} {path} can't be read: {error.strerror}.") from None
    return found


def _found(args: argparse.Namespace, console: Any) -> tuple[Any, bool]:
    """The results, measured or read, shown; and whether the run came to its end."""
    tables = package("tables")
    if args.source:
        results, about = _read(args.source, "--from")
        keys = {row.key for row in _rows(args)} if args.patterns else None
        results = [r for r in results if keys is None or r.key in keys]
        seconds, complete = about["seconds"], about["complete"]
    else:
        rows = _rows(args)
        runner = package("runner")
        about = runner.environment()
        begun, complete = time.perf_counter(), True
        try:
            results = runner.run(rows, _only(args.peers), args.clock, args.effort, _told)
        except runner.Interrupted as stopped:
            results, complete = stopped.results, False
        seconds = time.perf_counter() - begun
        if args.json:
            _written(
                "--json", args.json, lambda: package("results").write(args.json, results, about, seconds, complete)
            )
    console.print(tables.machine(about), markup=False, soft_wrap=True)
    console.print(tables.table(results))
    for result in results:
        if result.problem:
            console.print(f"\n{result.key}: {result.problem}", markup=False, soft_wrap=True)
    console.print(f"\n{tables.summary(results, seconds)}", markup=False)
    return results, complete


def _only(names: list[str] | None) -> Any:
    asked = listed(names)
    if not asked:
        return lambda peer: True
    return lambda peer: any(peer == name or peer.partition(" ")[0] == name for name in asked)


def _told(result: Any, done: int, total: int) -> None:
    ratio = "" if result.ratio is None else f": {result.ratio:.2f}"
    print(f"{done} of {total}, {result.key}{ratio}{' FAILED' if result.problem else ''}", file=sys.stderr, flush=True)


def _compare(args: argparse.Namespace, console: Any, old: Any, new: Any) -> None:
    comparison = package("comparison")
    moves = comparison.compare(old, new)
    console.print(f"\nSince {args.compare}:", markup=False)
    if any(m.moved for m in moves):
        console.print(comparison.table(moves))
    console.print(comparison.summary(moves, old, new), markup=False)
    if args.plot:
        _written("--plot", args.plot, lambda: comparison.plot(moves, args.plot))


def _written(option: str, path: Any, write: Any) -> None:
    try:
        write()
    except OSError as error:
        raise UserError(f"{option} {path} can't be written: {error.strerror}.") from None
