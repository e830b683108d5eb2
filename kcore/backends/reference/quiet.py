"""NumPy's floating-point warnings off: inf and nan are results here, not accidents."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import Any

import numpy as np

_quiet: ContextVar[bool] = ContextVar("kcore_quiet", default=False)
_as_it_is = contextlib.nullcontext()


def quiet() -> Any:
    """A context without the warnings: `np.errstate`, and next to nothing where that is so already."""
    return _as_it_is if _quiet.get() else np.errstate(all="ignore")


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
