"""Messages for the person at the terminal."""

from __future__ import annotations

import logging

from kcore import config


def print_message(text: str, end: str = "\n") -> None:
    """Prints to stdout; with interactive logging disabled, to the logger "kcore" instead."""
    if config.is_interactive_logging_enabled():
        print(text, end=end, flush=True)  # noqa: T201 - what it is for
    else:
        logging.getLogger("kcore").info(text)
