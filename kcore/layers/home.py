"""A layer is at home in its framework: under torch it is a torch.nn.Module, under TensorFlow a tf.Module.

There is one class per layer. Making one under a backend whose `module_base` is not object
gives an instance of a subclass of both, made once per pair.
"""

from __future__ import annotations

import types
import weakref
from typing import Any

from kcore import backends

_homes: weakref.WeakKeyDictionary[type, dict[str, type]] = weakref.WeakKeyDictionary()


def home_class(cls: type, backend: Any) -> type:
    """`cls`, joined with the backend's module class."""
    base = backend.module_base
    if base is object or issubclass(cls, base):
        return cls
    known = _homes.setdefault(cls, {})
    if backend.name not in known:
        known[backend.name] = _joined(cls, base)
    return known[backend.name]


def _joined(cls: type, base: type) -> type:
    def body(namespace: dict[str, Any]) -> None:
        namespace.update(
            __module__=cls.__module__,
            __qualname__=cls.__qualname__,
            __doc__=cls.__doc__,
            _kcore_class=cls,
        )

    return types.new_class(cls.__name__, (cls, base), {}, body)


# What a copy or a pickle of a layer leaves behind: other models' graphs, and compiled steps.
_LEFT_BEHIND = {"_inbound_nodes": list, "_steps_compiled": dict}


def reduced(layer: Any) -> tuple:
    """How copy and pickle take a layer apart: `__reduce_ex__`."""
    kept = {k: _LEFT_BEHIND[k]() if k in _LEFT_BEHIND else v for k, v in layer.__dict__.items()}
    return remake, (own_class(layer), layer._backend.name), kept


def remake(cls: type, backend_name: str) -> Any:
    """An empty instance for copy and pickle to fill."""
    backend = backends.load(backend_name)
    self = object.__new__(home_class(cls, backend))
    backend.init_module(self)
    return self


def own_class(layer: Any) -> type:
    """The class that the user wrote: without the framework's part."""
    return getattr(type(layer), "_kcore_class", type(layer))


def public_class(layer: Any) -> type:
    """The class that files name: `own_class`, and for a model that turned out functional the class it was written as."""
    return getattr(type(layer), "_kcore_public", own_class(layer))
