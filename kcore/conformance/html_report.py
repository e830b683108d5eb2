"""Results as one HTML page that needs nothing else; its parts are the files in `page`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import resources
from typing import Any

from kcore.conformance import report


def to_html(found: Mapping[str, Any]) -> str:
    """The page for what `report.to_json` gives."""
    parts = resources.files("kcore.conformance") / "page"
    # In a script element "<" could end it, or begin a comment.
    data = json.dumps(found, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    page = (parts / "page.html").read_text(encoding="utf-8")
    for place, text in (
        ("/*STYLE*/", (parts / "page.css").read_text(encoding="utf-8")),
        ("/*SCRIPT*/", (parts / "page.js").read_text(encoding="utf-8")),
        ("/*DATA*/", data),  # last: it may hold anything
    ):
        before, _, after = page.partition(place)
        page = before + text + after
    return page


def write(path: str | os.PathLike, found: Mapping[str, Any]) -> None:
    """Writes the page to a file, whole or not at all.

    Raises:
        OSError: It can't be written there.
    """
    report.write_text(path, to_html(found))
