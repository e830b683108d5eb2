"""Backends by name: what is installed, which one is active, and switching between them.

A backend is a folder here with an object called `backend` in it. It is imported when first
used, and only then is its framework. The active backend is a context variable over a
process-wide default, so threads and async tasks can each run on their own.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kcore.backends.contract import Backend

# name -> (module that holds `backend`, framework module it needs, how to install it)
KNOWN: dict[str, tuple[str, str | None, str]] = {
    "reference": ("kcore.backends.reference", None, ""),
    "jax": ("kcore.backends.jax", "jax", "pip install 'kcore[jax]'"),
    "tensorflow": ("kcore.backends.tensorflow", "tensorflow", "pip install 'kcore[tensorflow]'"),
    "torch": ("kcore.backends.torch", "torch", "pip install 'kcore[torch]'"),
}
ALIASES = {"numpy": "reference", "tf": "tensorflow", "pytorch": "torch"}
ENTRY_POINTS = "kcore.backends"

_loaded: dict[str, Backend] = {}
_default: Backend | None = None
# The backend chosen by `use` in this context; None means the process default.
chosen: ContextVar[Backend | None] = ContextVar("kcore_backend", default=None)
_on_default_change: list[Any] = []


def names() -> list[str]:
    """The backends that can be asked for: kcore's own, then those of installed plugins."""
    plugins = (p.name for p in _entry_points())
    return [*KNOWN, *sorted(set(plugins) - set(KNOWN))]


def _entry_points() -> Any:
    from importlib import metadata  # takes a while to import, and is seldom needed

    return metadata.entry_points(group=ENTRY_POINTS)


def installed() -> list[str]:
    """Those of `names()` whose framework is installed; none is imported to find out."""
    return [n for n in names() if n not in KNOWN or _has(KNOWN[n][1])]


def _has(module: str | None) -> bool:
    return module is None or importlib.util.find_spec(module) is not None


def resolve(name: str) -> str:
    """The canonical name of a backend.

    Raises:
        ValueError: No backend has that name.
    """
    canonical = ALIASES.get(name, name)
    if canonical in KNOWN or canonical in _loaded or canonical in names():
        return canonical
    raise ValueError(f"There is no backend {name!r}; expected one of {', '.join(names())}.")


def load(name: str) -> Backend:
    """The backend of that name, imported if this is its first use.

    Raises:
        ValueError: No backend has that name.
        ImportError: Its framework is not installed; the message says how to install it.
    """
    if name in _loaded:
        return _loaded[name]
    name = resolve(name)
    if name in _loaded:
        return _loaded[name]
    with _random_states_kept():
        if name in KNOWN:
            module, framework, install = KNOWN[name]
            if not _has(framework):
                raise ImportError(
                    f"The {name} backend needs {framework}, which is not installed; install it with {install}."
                )
            found = importlib.import_module(module).backend
        else:
            entry = next(p for p in _entry_points() if p.name == name)
            found = entry.load()
    return _loaded.setdefault(name, found)


@contextlib.contextmanager
def _random_states_kept() -> Iterator[None]:
    """Importing JAX draws random numbers; a user who has set seeds gets the same ones after it, on every backend."""
    import random

    import numpy as np

    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global generator is the point
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def active() -> Backend:
    """The backend that ops run on here."""
    return chosen.get() or default()


def default() -> Backend:
    """The process default: set_default's, else the environment's, the config file's, reference."""
    global _default
    if _default is None:
        _default = load(_configured())
    return _default


def _configured() -> str:
    from kcore import config

    named = os.environ.get("KCORE_BACKEND") or os.environ.get("KERAS_BACKEND")
    if named:
        return named
    # Keras writes that file itself, with a backend that may not be installed here.
    named = config.from_file().get("backend")
    if named in KNOWN and not _has(KNOWN[named][1]):
        warnings.warn(
            f"{config.path()} asks for the {named} backend, which is not installed; using reference.", stacklevel=2
        )
        return "reference"
    return named or "reference"


def default_name() -> str:
    """The name of the process default, without loading it."""
    return _default.name if _default is not None else resolve(_configured())


def set_default(name: str) -> None:
    """Makes a backend the process default. Loads it; on an error the default stays."""
    global _default
    _default = load(name)
    for listener in _on_default_change:
        listener()


def on_default_change(listener: Any) -> None:
    """Has `listener()` called after each change of the process default."""
    _on_default_change.append(listener)


class use:
    """Runs the block on a backend, in this thread or async task alone.

    Args:
        backend: The backend, or its name.
    """

    __slots__ = ("target", "token")

    def __init__(self, backend: str | Backend) -> None:
        self.target: Backend = load(backend) if isinstance(backend, str) else backend

    def __enter__(self) -> Backend:
        self.token = chosen.set(self.target)
        return self.target

    def __exit__(self, *_: object) -> None:
        chosen.reset(self.token)
