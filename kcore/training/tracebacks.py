"""Tracebacks without kcore's inner frames: what is left leads through the user's code to where the error was raised."""

from __future__ import annotations

import functools
import pathlib
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast

import kcore
from kcore import config

_HERE = str(pathlib.Path(kcore.__file__).parent)
Method = TypeVar("Method", bound=Callable[..., Any])


def filtered(method: Method) -> Method:
    """The method; errors out of it have shorter tracebacks, unless `kcore.config` has that disabled."""

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception as error:
            if config.is_traceback_filtering_enabled():
                error.__traceback__ = _kept(error.__traceback__)
            raise

    return cast(Method, run)


def _kept(found: types.TracebackType | None) -> types.TracebackType | None:
    """The frames outside of kcore, and the last one, which raised the error."""
    frames = []
    while found is not None:
        frames.append(found)
        found = found.tb_next
    kept: types.TracebackType | None = None
    for at in reversed(frames):
        if kept is None or not at.tb_frame.f_code.co_filename.startswith(_HERE):
            kept = types.TracebackType(kept, at.tb_frame, at.tb_lasti, at.tb_lineno)
    return kept
