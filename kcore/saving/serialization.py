"""Configs: objects as plain dictionaries in Keras's format, and back.

Reading a config makes objects of kcore's public classes, and of custom ones that the caller
has named. It imports nothing that the config names, and runs no code that the config brings,
unless the caller says `safe_mode=False`.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import inspect
import marshal
import sys
import types
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from kcore import backends, dtypes
from kcore.backends.host import to_array
from kcore.layers import home
from kcore.ops.symbolic import KerasTensor
from kcore.saving import registry

_unsafe: ContextVar[bool] = ContextVar("kcore_unsafe", default=False)

# Where kcore's classes are in Keras's public API, by the module that defines them (the longest prefix).
_PUBLIC = {
    "kcore.activations": "keras.activations",
    "kcore.activations.operations": "keras.src.activations.activations",
    "kcore.callbacks": "keras.callbacks",
    "kcore.constraints": "keras.constraints",
    "kcore.dtype_policies": "keras",
    "kcore.initializers": "keras.initializers",
    "kcore.layers": "keras.layers",
    "kcore.losses": "keras.losses",
    "kcore.metrics": "keras.metrics",
    "kcore.models.functional": "keras.src.models.functional",
    "kcore.models": "keras",
    "kcore.optimizers.schedules": "keras.optimizers.schedules",
    "kcore.optimizers": "keras.optimizers",
    "kcore.random": "keras.random",
    "kcore.regularizers": "keras.regularizers",
}
_NAMESPACES = sorted({name.split(".")[1] for name in _PUBLIC})


class SafeModeScope:
    """Inside, configs may, or may not, bring code."""

    def __init__(self, safe_mode: bool = True) -> None:
        self.safe_mode = safe_mode

    def __enter__(self) -> SafeModeScope:
        self._token = _unsafe.set(not self.safe_mode)
        return self

    def __exit__(self, *_: object) -> None:
        _unsafe.reset(self._token)


# -- layers in several places -----------------------------------------------------------

# While a whole model is written: id -> (layer, its form). While one is read: number in the file -> layer.
_written: ContextVar[dict[int, tuple[Any, dict]] | None] = ContextVar("kcore_written", default=None)
_made: ContextVar[dict[int, Any] | None] = ContextVar("kcore_made", default=None)


@contextlib.contextmanager
def shared_layers() -> Iterator[None]:
    """Inside, a layer that is serialized in several places, in two nested models say, is one layer when it is read."""
    token = _written.set({})
    try:
        yield
    finally:
        _written.reset(token)


def _note_written(obj: Any, form: dict) -> None:
    written = _written.get()
    if written is None or getattr(obj, "_kcore_state", None) != "layer":
        return
    if id(obj) in written:
        first = written[id(obj)][1]
        first.setdefault("shared_object_id", 1 + sum("shared_object_id" in f for _, f in written.values()))
        form["shared_object_id"] = first["shared_object_id"]
    else:
        written[id(obj)] = (obj, form)


# -- writing ----------------------------------------------------------------------------


def serialize_keras_object(obj: Any) -> Any:
    """`obj` as what JSON can hold.

    Layers, losses and the like become dictionaries with "module", "class_name", "config" and
    "registered_name"; functions, arrays, dtypes and symbolic tensors have forms of their own.

    Raises:
        ValueError: It has no get_config, and is nothing plain.
    """
    if obj is None or (isinstance(obj, (bool, int, float, str)) and not isinstance(obj, np.generic)):
        return obj
    if isinstance(obj, dict):
        return {k: serialize_keras_object(v) for k, v in obj.items()}
    if isinstance(obj, (list, tuple)):
        many = [serialize_keras_object(v) for v in obj]
        return tuple(many) if isinstance(obj, tuple) else many
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, bytes):
        return _form("__bytes__", value=obj.decode())
    if isinstance(obj, slice):
        return _form("__slice__", **{k: serialize_keras_object(getattr(obj, k)) for k in ("start", "stop", "step")})
    if obj is Ellipsis:
        return _form("__ellipsis__")
    if isinstance(obj, KerasTensor):
        history = obj._keras_history
        place = None if history is None else [history.operation.name, history.node_index, history.tensor_index]
        return _form("__keras_tensor__", shape=obj.shape, dtype=obj.dtype, keras_history=place)
    if isinstance(obj, np.dtype):
        return dtypes.name_of(obj)
    if hasattr(obj, "dtype") and hasattr(obj, "shape") and not hasattr(obj, "get_config"):
        return _array_form(obj)
    if inspect.isclass(obj):
        return _form("__class__", module=obj.__module__, name=obj.__name__)
    if isinstance(obj, types.FunctionType) and obj.__name__ == "<lambda>":
        code = base64.b64encode(marshal.dumps(obj.__code__)).decode()
        return _form("__lambda__", value=[code, obj.__defaults__, None])
    if inspect.isfunction(obj) or inspect.isbuiltin(obj) or hasattr(obj, "op"):
        name = registry._registered_names.get(obj, obj.__name__)
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}
    if not hasattr(obj, "get_config"):
        raise ValueError(f"{obj!r} can't be saved: {type(obj).__name__} has no get_config.")
    return _object_form(obj)


def _form(class_name: str, **config: Any) -> dict:
    return {"class_name": class_name, "config": config}


def _array_form(x: Any) -> dict:
    array = to_array(x)
    plain = type(x) is np.ndarray or not backends.active().is_tensor(x)
    return _form("__numpy__" if plain else "__tensor__", value=array.tolist(), dtype=dtypes.name_of(array.dtype))


def _object_form(obj: Any) -> dict:
    cls = home.public_class(obj)
    module, registered = public_place(cls)
    found = {
        "module": module,
        "class_name": cls.__name__,
        "config": serialize_keras_object(obj.get_config()),
        "registered_name": registered,
    }
    if hasattr(obj, "get_build_config"):
        build = obj.get_build_config()
        if build is not None:
            found["build_config"] = serialize_keras_object(build)
    if hasattr(obj, "get_compile_config"):
        found["compile_config"] = obj.get_compile_config() or {}
    _note_written(obj, found)
    return found


def public_place(cls: type) -> tuple[str | None, str | None]:
    """("module", "registered_name") of a class in a config."""
    name = registry._registered_names.get(cls)
    if name is not None:
        return cls.__module__ if cls.__module__ != "__main__" else None, name
    for prefix in sorted(_PUBLIC, key=len, reverse=True):
        if cls.__module__ == prefix or cls.__module__.startswith(prefix + "."):
            module = _PUBLIC[prefix]
            return module, cls.__name__ if ".src." in module else None
    return (None if cls.__module__ == "__main__" else cls.__module__), cls.__name__


# -- reading ----------------------------------------------------------------------------


def deserialize_keras_object(
    config: Any, custom_objects: dict | None = None, safe_mode: bool = True, **kwargs: Any
) -> Any:
    """The object of a config that `serialize_keras_object`, here or in Keras, made.

    Args:
        config: A config, or plain values, which are handed back.
        custom_objects: Name -> class or function, for what is not kcore's.
        safe_mode: Whether code in the config is refused.

    Raises:
        ValueError: The config brings code while in safe mode, or is malformed.
        TypeError: It names a class or function that is not known, or its arguments don't fit.
    """
    module_objects = kwargs.pop("module_objects", None)
    if kwargs:
        raise TypeError(f"deserialize_keras_object: there is no argument {', '.join(kwargs)}.")
    token = _made.set({} if _made.get() is None else _made.get())
    try:
        with registry.CustomObjectScope(custom_objects), SafeModeScope(safe_mode and not _unsafe.get()):
            return _read(config, module_objects)
    finally:
        _made.reset(token)


def _read(config: Any, module_objects: dict | None = None) -> Any:
    if isinstance(config, (list, tuple)):
        return type(config)(_read(c, module_objects) for c in config)
    if isinstance(config, str) and module_objects is not None and config in module_objects:
        return module_objects[config]
    if not isinstance(config, dict):
        return config
    if "class_name" not in config or "config" not in config:
        return {k: _read(v, module_objects) for k, v in config.items()}
    class_name, inner = config["class_name"], config["config"]
    names = {k: config.get(k) for k in ("class_name", "module", "registered_name")}
    wrong = [f"{k}={v!r}" for k, v in names.items() if not isinstance(v, str) and (v is not None or k == "class_name")]
    if wrong:
        raise ValueError(f"The config has {', '.join(wrong)}, which should be a string.")
    if class_name in _SPECIAL:
        return _read_special(class_name, inner)
    if class_name == "function":
        return find_function(inner, config.get("registered_name"))
    if "module" not in config and isinstance(inner, dict) and set(inner) == {"name"}:
        # The older kind of config names no modules: "Add" is a layer or an op, and only layers have more than a name.
        from kcore.saving.op_forms import reader_of

        with contextlib.suppress(TypeError):
            return _instance(reader_of(class_name), config, inner)
    cls = find_class(class_name, config.get("module", "keras"), config.get("registered_name"), module_objects)
    return _instance(cls, config, inner)


def _read_special(class_name: str, inner: Any) -> Any:
    try:
        return _SPECIAL[class_name]({} if class_name == "__ellipsis__" else dict(inner))
    except (KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"The config has a malformed {class_name}: {type(error).__name__}: {error}.") from None


def _instance(cls: Any, config: dict, inner: Any) -> Any:
    if not isinstance(inner, dict):
        raise ValueError(f"The config of {config['class_name']} should be a dictionary, not {type(inner).__name__}.")
    if not hasattr(cls, "from_config"):
        raise TypeError(f"{cls!r} can't be made from a config: it has no from_config.")
    made, number = _made.get(), config.get("shared_object_id")
    if made is not None and isinstance(number, int) and number in made:
        return made[number]
    obj = cls.from_config({k: _read(v) for k, v in inner.items()} if _config_is_automatic(cls) else inner)
    build = config.get("build_config")
    if build and hasattr(obj, "build_from_config") and not getattr(obj, "built", False):
        obj.build_from_config(_read(build))
        obj.built = True
    compiled = config.get("compile_config")
    if compiled and hasattr(obj, "compile_from_config"):
        obj.compile_from_config(compiled)
    if made is not None and isinstance(number, int):
        made[number] = obj
    return obj


def _config_is_automatic(cls: Any) -> bool:
    """Whether the class leaves its config to kcore, which then reads the parts; others read them themselves."""
    defining = [
        next((c for c in getattr(cls, "__mro__", ()) if name in vars(c)), cls) for name in ("get_config", "from_config")
    ]
    ours = all(c.__module__.startswith("kcore.") for c in defining)
    return ours and not cls.__module__.startswith("kcore.")


def find_class(
    class_name: str, module: str | None, registered_name: str | None = None, module_objects: dict | None = None
) -> Any:
    """The class that a config names: a custom one, a public one of kcore's, or one of the program's own layers, losses...

    Nothing is imported for it but kcore itself.

    Raises:
        TypeError: There is none.
    """
    for name in (registered_name, class_name):
        custom = registry.get_registered_object(name, module_objects=module_objects)
        if custom is not None:
            return custom
    if module is not None:
        if module.startswith("keras.src.ops") or module == "kcore.ops":
            from kcore.saving.op_forms import reader_of

            return reader_of(class_name)
        for place in _places_of(module):
            found = getattr(importlib.import_module(place), class_name, None)
            if inspect.isclass(found) and hasattr(found, "from_config"):
                return found
        found = getattr(sys.modules.get(module), class_name, None)
        if inspect.isclass(found) and issubclass(found, _custom_bases()):
            return found
    raise TypeError(
        f"The class {registered_name or class_name!r} (module {module!r}) is not known. If it is your own, import it and "
        "pass it in custom_objects, or decorate it with kcore.saving.register_keras_serializable()."
    )


def _places_of(module: str) -> list[str]:
    """kcore's modules for one of Keras's."""
    parts = module.split(".")
    if parts[0] not in ("keras", "kcore", "tf_keras"):
        return []
    for public, own in ((v, k) for k, v in _PUBLIC.items() if v.count(".") > 1):
        if module in (public, own):
            return [own]
    if len(parts) > 1 and parts[1] in _NAMESPACES:
        return [f"kcore.{parts[1]}"]
    # "keras", or one of its internal modules
    inside = [f"kcore.{p}" for p in parts[2:] if p in _NAMESPACES]
    return ["kcore.models", "kcore.dtype_policies", *inside, "kcore.layers"]


def _custom_bases() -> tuple[type, ...]:
    """What a program's own classes derive from where a config may name them without more ado."""
    from kcore import constraints, dtype_policies, initializers, losses, metrics, operation, optimizers, regularizers

    return (
        constraints.Constraint,
        dtype_policies.DTypePolicy,
        initializers.Initializer,
        losses.Loss,
        metrics.Metric,
        operation.Operation,
        optimizers.Optimizer,
        optimizers.schedules.LearningRateSchedule,
        regularizers.Regularizer,
    )


def find_function(name: str, registered_name: str | None = None) -> Any:
    """The function that a config names: a custom one, or a public one of kcore's.

    Raises:
        ValueError: The name is no string.
        TypeError: There is none.
    """
    if not isinstance(name, str):
        raise ValueError(f"The config has a function named {name!r}, which should be a string.")
    for key in (registered_name, name):
        custom = registry.get_registered_object(key)
        if custom is not None:
            return custom
    for namespace in ("activations", "losses", "metrics", "ops", "initializers", "regularizers", "constraints"):
        found = getattr(importlib.import_module(f"kcore.{namespace}"), name, None)
        if callable(found) and not name.startswith("_") and str(getattr(found, "__module__", "")).startswith("kcore."):
            return found
    raise TypeError(f"The function {name!r} is not known; pass it in custom_objects, or register it.")


def _read_lambda(config: dict) -> Any:
    if not _unsafe.get():
        raise ValueError(
            "The config holds a Python lambda, and loading it would run code from the file. "
            "If you trust the source, load it with safe_mode=False, or call kcore.config.enable_unsafe_deserialization()."
        )
    code, defaults, _ = config["value"]
    function = marshal.loads(base64.b64decode(code))
    names = {"__builtins__": __builtins__}
    return types.FunctionType(function, names, argdefs=None if defaults is None else tuple(defaults))


def _read_array(config: dict) -> np.ndarray:
    return np.array(config["value"], dtypes.to_numpy(dtypes.name_of(config["dtype"])))


def _read_tensor(config: dict) -> Any:
    return backends.active().convert(_read_array(config))


def _read_keras_tensor(config: dict) -> KerasTensor:
    return KerasTensor(tuple(config["shape"]), config["dtype"])


def _read_class(config: dict) -> Any:
    return find_class(config["name"], config.get("module"))


_SPECIAL = {
    "__numpy__": _read_array,
    "__tensor__": _read_tensor,
    "__keras_tensor__": _read_keras_tensor,
    "__bytes__": lambda config: config["value"].encode(),
    "__slice__": lambda config: slice(*(_read(config[k]) for k in ("start", "stop", "step"))),
    "__ellipsis__": lambda config: Ellipsis,
    "__tuple__": lambda config: tuple(_read(config["value"])),
    "__lambda__": _read_lambda,
    "__class__": _read_class,
}


def in_safe_mode() -> bool:
    """Whether code in configs is refused, here and now."""
    return not _unsafe.get()


def enable_unsafe_deserialization() -> None:
    """From now on, in this context, files may bring code; only for files that you trust."""
    _unsafe.set(True)
