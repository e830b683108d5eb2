"""Names of custom classes and functions, so that files can refer to them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

_objects: dict[str, Any] = {}
_registered: dict[str, Any] = {}
_registered_names: dict[Any, str] = {}
_scope: ContextVar[dict[str, Any]] = ContextVar("kcore_custom_objects", default={})  # noqa: B039 - never changed in place


class CustomObjectScope:
    """Inside, files may name these objects.

    Args:
        custom_objects: Name -> class or function.
    """

    def __init__(self, custom_objects: dict[str, Any] | None) -> None:
        self.custom_objects = dict(custom_objects or {})

    def __enter__(self) -> CustomObjectScope:
        self._token = _scope.set({**_scope.get(), **self.custom_objects})
        return self

    def __exit__(self, *_: object) -> None:
        _scope.reset(self._token)


custom_object_scope = CustomObjectScope


def get_custom_objects() -> dict[str, Any]:
    """The process-wide dictionary of custom objects, to be changed in place."""
    return _objects


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """A decorator that registers a class or function as "package>name", which files then use.

    Raises:
        ValueError: A class has no get_config.
    """

    def register(item: Any) -> Any:
        full = f"{package}>{name or item.__name__}"
        if inspect.isclass(item) and not hasattr(item, "get_config"):
            raise ValueError(f"{item.__name__} can't be registered: it has no get_config.")
        _registered[full] = item
        _registered_names[item] = full
        return item

    return register


def get_registered_name(obj: Any) -> str:
    """The name that an object was registered under, else its own."""
    return _registered_names.get(obj, obj.__name__)


def get_registered_object(
    name: str | None, custom_objects: dict | None = None, module_objects: dict | None = None
) -> Any:
    """The custom class or function of that name; None if there is none.

    Looked for in the open scopes, the registered and process-wide ones, `custom_objects` and
    `module_objects`, in that order.
    """
    for place in (_scope.get(), _registered, _objects, custom_objects or {}, module_objects or {}):
        if name is not None and name in place:
            return place[name]
    return None
