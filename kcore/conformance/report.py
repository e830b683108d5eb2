"""Results as a table, as failures in words, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from kcore import backends
from kcore.conformance.results import DIFFERS, FAIL, NO_RECORD, PASS, SPREAD, UNSUPPORTED, Failure, Result

_STYLES = {PASS: "green", FAIL: "bold red", NO_RECORD: "red", DIFFERS: "yellow", UNSUPPORTED: "yellow"}


def table(results: Sequence[Result]) -> Table:
    """A table with one row for each op and backend."""
    found = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("op", "backend", "verdict"):
        found.add_column(title, no_wrap=title != "verdict")
    for title in ("cases", "ULP", "error", "allowed", "gradient", "allowed", "s"):
        found.add_column(title, justify="right", no_wrap=True)
    last = None
    for r in results:
        found.add_row(
            Text("" if r.op == last else r.op),
            r.backend,
            Text(r.verdict + (f" ({r.reason})" if r.reason else ""), style=_STYLES[r.verdict]),
            str(r.cases or ""),
            "" if r.ulp is None else f"{r.ulp:.1f}" if r.ulp < 1e4 else f"{r.ulp:.0e}",
            _number(r.error),
            _number(r.tolerance),
            _number(r.gradient_error),
            _number(r.gradient_tolerance),
            f"{r.seconds:.2f}",
        )
        last = r.op
    return found


def failure_lines(result: Result, most: int = 6) -> list[str]:
    """What is wrong with an op on a backend, in words: like failures together, the first `most` kinds."""
    alike: dict[str, list[Failure]] = {}
    for f in result.failures:
        alike.setdefault(_without_numbers(f.problem), []).append(f)
    lines = []
    for same in list(alike.values())[:most]:
        f = same[0]
        checks = ", ".join(dict.fromkeys(o.check for o in same))
        lines.append(f"{result.op} on {result.backend}: {checks}: {f.problem}")
        if f.sample:
            lines.append(f"    {f.sample}" + (f" in {f.dtype}" if f.dtype else ""))
        if f.where is not None:
            at = f"at {f.where}: " if f.where else ""
            lines.append(f"    {at}got {f.got!r}, want {f.want!r}{_off(f)}")
        elif _off(f):
            lines.append(f"    {_off(f).removeprefix(', ')}")
        if len(same) > 1:
            others = ", ".join(dict.fromkeys(o.dtype for o in same if o.dtype))
            lines.append(f"    and {len(same) - 1} more like it" + (f" ({others})" if others else ""))
        lines.append(f"    {f.rerun}")
    if len(alike) > most:
        lines.append(f"{result.op} on {result.backend}: {len(alike) - most} more kinds of failure; --json has them all")
    return lines


def _without_numbers(text: str) -> str:
    return re.sub(r"[-+\d.e]*\d[-+\d.e]*", "#", text)


def summary(results: Sequence[Result], seconds: float) -> str:
    """One line: how many of each verdict."""
    counts = Counter(r.verdict for r in results)
    parts = [f"{counts[v]} {v}" for v in (PASS, DIFFERS, UNSUPPORTED, FAIL, NO_RECORD) if counts[v]]
    ops = len({r.op for r in results})
    names = ", ".join(dict.fromkeys(r.backend for r in results))
    return f"{ops} ops on {names}: {', '.join(parts) or 'nothing'} in {seconds:.0f} s"


FORMAT, VERSION = "kcore-conformance", 1
# Settings of the process under which CPUs and GPUs compute in other precision or order.
VARIABLES = ("NVIDIA_TF32_OVERRIDE", "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_DEFAULT_FPMATH_MODE", "XLA_FLAGS")


class ReportError(ValueError):
    """A report's file is missing, damaged or of another format version; the message names the file."""


def environment(names: Sequence[str], device: str | None = None) -> dict[str, Any]:
    """What results were found with: versions, devices, and settings that lower the precision."""
    from kcore.conformance import devices
    from kcore.version import __version__

    found: dict[str, Any] = {}
    for name in names:
        backend = backends.load(name)
        on = backend.device() if device is None else devices.normal(device)
        found[name] = {**backend.versions(), "device": on, "precision": backend.precision()}
    return {
        "kcore": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "backends": found,
    }


def header_lines(about: Mapping[str, Any]) -> list[str]:
    """The environment in words: a line for each backend, and one for its settings of precision."""
    lines = []
    for name, said in about["backends"].items():
        versions = ", ".join(f"{k} {v}" for k, v in said.items() if k not in ("device", "precision"))
        lines.append(f"{name} on {said['device']}" + (f" ({versions})" if versions else ""))
        if said["precision"]:
            lines.append("    " + ", ".join(f"{setting} = {value}" for setting, value in said["precision"].items()))
    lines += [f"{name}={value}" for name, value in about["variables"].items()]
    return lines


def to_json(
    results: Sequence[Result],
    seconds: float,
    about: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    complete: bool = True,
) -> dict[str, Any]:
    """Everything that a run found, as JSON types; docs/conformance.md and report.schema.json describe them.

    Args:
        results: Of the run.
        seconds: How long it took.
        about: What `environment` gave; None asks it now.
        options: What the run was asked for.
        complete: Whether it came to its end.
    """
    used = list(dict.fromkeys(r.backend for r in results if r.backend in backends.names()))
    return {
        "format": FORMAT,
        "version": VERSION,
        **plain(environment(used) if about is None else about),
        "options": plain(options or {}),
        "complete": complete,
        "seconds": round(seconds, 3),
        "verdicts": dict(Counter(r.verdict for r in results)),
        "spread": list(SPREAD),
        "results": [plain(vars(r) | {"failures": [vars(f) for f in r.failures]}) for r in results],
    }


def write_json(
    path: str | os.PathLike,
    results: Sequence[Result],
    seconds: float,
    about: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    complete: bool = True,
) -> None:
    """Writes `to_json` to a file, whole or not at all.

    Raises:
        OSError: It can't be written there.
    """
    write_text(path, json.dumps(to_json(results, seconds, about, options, complete), indent=1) + "\n")


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a file, whole or not at all.

    Raises:
        OSError: It can't be written there.
    """
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # as any other new file; mkstemp's is for its owner alone
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """What `write_json` wrote, with Results under "results".

    Raises:
        ReportError: It is damaged, no report, or of another version.
        OSError: It can't be read.
    """
    try:
        said = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ReportError(f"{path} is damaged: {' '.join(str(error).split())}.") from None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ReportError(f'{path} is no report of kcore: it does not say "format": "{FORMAT}".')
    if said.get("version") != VERSION:
        raise ReportError(
            f"{path} is a report of version {said.get('version')}; this kcore reads and writes version {VERSION}."
        )
    try:
        return said | {"results": [_result(r) for r in said["results"]]}
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path} is damaged: its results can't be read: {error}.") from None


def _result(said: Mapping[str, Any]) -> Result:
    failures = [
        Failure(**{**f, **_numbers(f, "error", "tolerance"), "where": _index(f["where"])}) for f in said["failures"]
    ]
    names = ("ulp", "error", "tolerance", "gradient_error", "gradient_tolerance")
    return Result(**{**said, **_numbers(said, *names), "failures": failures})


def _numbers(said: Mapping[str, Any], *names: str) -> dict[str, float | None]:
    return {name: None if said[name] is None else float(said[name]) for name in names}


def _index(where: list[int] | None) -> tuple[int, ...] | None:
    return None if where is None else tuple(where)


def plain(value: Any) -> Any:
    """A value as JSON types; infinite and nan numbers as strings."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _number(value: float | None) -> str:
    return "" if value is None else "0" if value == 0 else f"{value:.1e}"


def _off(f: Failure) -> str:
    if f.error is None or f.error == float("inf"):
        return ""
    return f", off by {f.error:.3g}" + ("" if f.tolerance is None else f" (allowed {f.tolerance:.3g})")
