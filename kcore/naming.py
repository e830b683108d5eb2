"""Names: automatic ones that match Keras's, and the scopes that make paths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_counts: Counter[str] = Counter()
_scopes: ContextVar[tuple[str, ...]] = ContextVar("kcore_name_scopes", default=())


def to_snake_case(name: str) -> str:
    """ "MaxPooling2D" -> "max_pooling2d"; a leading underscore becomes "private_"."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
    return "private" + name if name.startswith("_") else name


def auto_name(prefix: str) -> str:
    """The first free one of prefix, prefix_1, prefix_2..."""
    prefix = to_snake_case(prefix)
    _counts[prefix] += 1
    count = _counts[prefix] - 1
    return prefix if count == 0 else f"{prefix}_{count}"


def reset_names() -> None:
    """Starts the counting again, as `clear_session` does."""
    _counts.clear()


def current_path() -> str:
    """The open scopes, joined by "/"."""
    return "/".join(_scopes.get())


class name_scope:
    """A scope in which the paths of new variables start with `name`."""

    def __init__(self, name: str, **_: object) -> None:
        if not isinstance(name, str) or "/" in name:
            raise ValueError(f"A scope's name is a string without '/', not {name!r}.")
        self.name = name

    def __enter__(self) -> name_scope:
        self._token = _scopes.set((*_scopes.get(), self.name))
        return self

    def __exit__(self, *_: object) -> None:
        _scopes.reset(self._token)


@contextmanager
def exact_scope(path: str) -> Iterator[None]:
    """Only `path` is open inside, whatever was before."""
    token = _scopes.set(tuple(path.split("/")) if path else ())
    try:
        yield
    finally:
        _scopes.reset(token)
