"""NumPy's floating-point warnings off: inf and nan are results here, not accidents."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

_quiet: ContextVar[bool] = ContextVar("kcore_quiet", default=False)
_as_it_is = contextlib.nullcontext()


def quiet() -> Any:
    """A context without the warnings: `np.errstate`, and next to nothing where that is so already."""
    return _as_it_is if _quiet.get() else np.errstate(all="ignore")


def silent(function: Callable) -> Callable:
    """The function without the warnings."""

    def run(*args: Any) -> Any:
        with quiet():
            return function(*args)

    # Whose it is tells whether a module defines it or imports it. Ufuncs of older NumPys don't say.
    run.__module__ = getattr(function, "__module__", None) or "numpy"
    return run


class quiet_throughout:
    """A context without the warnings, in which `quiet` costs next to nothing: for a whole training step."""

    __slots__ = ("state", "token")

    def __enter__(self) -> None:
        self.state = np.errstate(all="ignore")
        self.state.__enter__()
        self.token = _quiet.set(True)

    def __exit__(self, *_: object) -> None:
        _quiet.reset(self.token)
        self.state.__exit__(None, None, None)
