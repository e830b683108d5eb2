"""Results as a file: JSON that `results.schema.json` describes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kcore.conformance import report

from .runner import Result

FORMAT, VERSION = "kcore-bench", 1


class ResultsError(ValueError):
    """A file of results is damaged, of another version, or something else; the message names the file."""


def to_json(results: Sequence[Result], about: Mapping[str, Any], seconds: float, complete: bool) -> dict[str, Any]:
    """Everything that a run found, as JSON types."""
    return {
        "format": FORMAT,
        "version": VERSION,
        **about,
        "seconds": round(seconds, 1),
        "complete": complete,
        "rows": [vars(r) | {"fastest": r.fastest, "ratio": r.ratio} for r in results],
    }


def write(
    path: str | os.PathLike, results: Sequence[Result], about: Mapping[str, Any], seconds: float, complete: bool = True
) -> None:
    """Writes a file, whole or not at all.

    Raises:
        OSError: It can't be written there.
    """
    report.write_text(path, json.dumps(to_json(results, about, seconds, complete), indent=1) + "\n")


def read(path: str | os.PathLike) -> tuple[list[Result], dict[str, Any]]:
    """The results of a file, and all else that it says.

    Raises:
        ResultsError: It is damaged, of another version, or no file of results.
        OSError: It can't be read.
    """
    try:
        said = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ResultsError(f"{path} is damaged: {' '.join(str(error).split())}.") from None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ResultsError(f'{path} has no results of kcore bench: it does not say "format": "{FORMAT}".')
    if said.get("version") != VERSION:
        raise ResultsError(
            f"{path} is of version {said.get('version')}; this kcore reads and writes version {VERSION}."
        )
    try:
        return [_result(row) for row in said.pop("rows")], said
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultsError(f"{path} is damaged: a row is not as it should be ({error!r}).") from None


def _result(row: Mapping[str, Any]) -> Result:
    known = {name: row[name] for name in Result.__dataclass_fields__}
    for peer, rounds in known["rounds"].items():
        if not rounds or any(not isinstance(t, (int, float)) for t in rounds):
            raise ValueError(f"{row['key']}: the rounds of {peer} are {rounds!r}")
    return Result(**known)
