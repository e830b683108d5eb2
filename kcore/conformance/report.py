"""Results as a table, as failures in words, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from kcore import backends
from kcore.conformance.results import DIFFERS, FAIL, NO_RECORD, PASS, UNSUPPORTED, Failure, Result

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


def to_json(results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """Everything that a run found, as JSON types. Infinite and nan numbers are strings."""
    import kcore.version

    used = list(dict.fromkeys(r.backend for r in results if r.backend in backends.names()))
    return {
        "kcore": str(kcore.version.__version__) if hasattr(kcore.version, "__version__") else "",
        "platform": platform.platform(),
        "backends": {name: backends.load(name).versions() for name in used},
        "seconds": round(seconds, 3),
        "verdicts": dict(Counter(r.verdict for r in results)),
        "results": [_plain(vars(r) | {"failures": [vars(f) for f in r.failures]}) for r in results],
    }


def write_json(path: str | os.PathLike, results: Sequence[Result], seconds: float) -> None:
    """Writes `to_json` to a file, whole or not at all.

    Raises:
        OSError: It can't be written there.
    """
    target = Path(path)
    text = json.dumps(to_json(results, seconds), indent=1)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _number(value: float | None) -> str:
    return "" if value is None else "0" if value == 0 else f"{value:.1e}"


def _off(f: Failure) -> str:
    if f.error is None or f.error == float("inf"):
        return ""
    return f", off by {f.error:.3g}" + ("" if f.tolerance is None else f" (allowed {f.tolerance:.3g})")
