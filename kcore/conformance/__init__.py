"""kcore.conformance: the records of what every op gives, and the tools that hold backends to them."""

from __future__ import annotations

from typing import Any

__all__ = ["Comparison", "Failure", "Result", "command", "compare", "run", "watch"]

_HOMES = {
    "run": "runner",
    "command": "terminal",
    "Result": "results",
    "Failure": "results",
    "compare": "lockstep",
    "Comparison": "lockstep",
    "watch": "watching",
}


def __getattr__(name: str) -> Any:
    # Records are imported by the runner and import this package: names come when they are asked for.
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"kcore.conformance.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
