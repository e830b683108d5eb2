"""Finding a regularizer, a constraint... by what stands for it: its name, its serialized form, or itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def lookup(identifier: Any, kind: str, names: Mapping[str, Callable]) -> Any:
    """The object for a name, a serialized form, a class, a callable, or None.

    Args:
        identifier: What the user gave.
        kind: What it should be, for errors: "regularizer".
        names: The classes that have names.

    Raises:
        ValueError: It stands for none.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        from kcore import saving

        found = saving.deserialize_keras_object(identifier, module_objects=names)
    elif isinstance(identifier, str):
        found = names.get(identifier) or _registered(identifier)
        if found is None:
            known = ", ".join(sorted({cls.__name__ for cls in names.values()}))
            raise ValueError(f"There is no {kind} {identifier!r}; expected one of {known}.")
    else:
        found = identifier
    if not callable(found):
        raise ValueError(f"{identifier!r} is no {kind}; expected a name, a function, a config or None.")
    return found() if inspect.isclass(found) else found


def _registered(name: str) -> Any:
    from kcore import saving

    return saving.get_registered_object(name)
