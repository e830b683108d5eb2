"""Argument types that several commands share."""

from __future__ import annotations

import argparse
import math
import zipfile
from collections.abc import Iterable
from typing import Any

from kcore import backends
from kcore.cli.errors import DamagedFile, UserError


def positive(text: str) -> int:
    """A whole number from 1 up."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return value


def seed(text: str) -> int:
    """A whole number that any generator takes as its seed."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**32 - 1")
    return value


def positive_number(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def read_arrays(path: Any) -> dict[str, Any]:
    """The arrays of a .npz file by name; that of a .npy file as "x".

    Raises:
        DamagedFile: It is missing, or holds something else.
    """
    import numpy as np

    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"x": loaded}
        with loaded:
            return dict(loaded)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DamagedFile(f"--inputs {path} can't be read: {error}.") from None


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """The files that a run writes, and the one that it goes on from."""
    files = parser.add_argument_group("files", "Each is written whole or not at all.")
    files.add_argument("--json", metavar="FILE", help="write everything that was found as JSON")
    files.add_argument("--junit", metavar="FILE", help="write it as JUnit XML, for CI")
    files.add_argument("--html", metavar="FILE", help="write it as one page that needs no network")
    files.add_argument(
        "--resume",
        metavar="FILE",
        help="keep what is done in FILE (JSON), and go on from there if FILE is of an interrupted run",
    )


def listed(given: Iterable[str] | None) -> list[str]:
    """The items of an option given several times, each a comma list; repeats are dropped."""
    items = (item.strip() for text in given or () for item in text.split(","))
    return list(dict.fromkeys(item for item in items if item))


def backend_name(name: str) -> str:
    """The canonical name of a backend.

    Raises:
        UserError: No backend has that name.
    """
    try:
        return backends.resolve(name)
    except ValueError as error:
        raise UserError(str(error)) from None
