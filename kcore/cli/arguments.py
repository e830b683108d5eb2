"""Argument types that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from kcore import backends
from kcore.cli.errors import UserError


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
