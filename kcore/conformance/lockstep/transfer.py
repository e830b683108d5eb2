"""The same model on another backend: every layer, variable, seed, optimizer and metric, with its value."""

from __future__ import annotations

import io
import pickle
import types
import weakref
from typing import Any

from kcore import backends, dtypes
from kcore.backends.reference.tensor import Tensor
from kcore.layers import home
from kcore.layers.layer import Layer
from kcore.optimizers.optimizer import Optimizer
from kcore.state import Variable

# What stays the one that it is: code, and what can't be copied.
_SHARED = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type, weakref.ref)


def transferred(model: Any, target: Any) -> Any:
    """A copy of a layer or model that is at home on `target`.

    Its variables, seeds and optimizer state have the values of the original's, bit for bit. Functions and classes are
    shared with it, so local ones do as well.

    Raises:
        TypeError: It holds something that can't be copied (an open file, a lock...).
    """
    shared: list[Any] = []
    memory = io.BytesIO()
    try:
        _Writer(memory, model._backend, target, shared).dump(model)
        memory.seek(0)
        with backends.use(target):
            copy = _Reader(memory, shared).load()
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise TypeError(f"{model.name} can't be copied to the {target.name} backend: {error}") from error
    for layer in copy._flatten_layers():
        for variable in layer._own_weights():
            target.track_variable(layer, variable)
        target.track_layers(layer, layer._sublayers())
    return copy


def variables_of(model: Any) -> list[Variable]:
    """All state, in an order that copies share: the layers', the metrics', the optimizer's."""
    found = [*model.variables, *model.metrics_variables]
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        found += optimizer.variables
        found += optimizer.inner_optimizer.variables if hasattr(optimizer, "inner_optimizer") else []
    return list({id(v): v for v in found}.values())


class _Writer(pickle.Pickler):
    def __init__(self, file: Any, source: Any, target: Any, shared: list[Any]) -> None:
        super().__init__(file, protocol=5)
        self.source, self.target, self.shared = source, target, shared

    def persistent_id(self, obj: Any) -> int | None:
        if isinstance(obj, _SHARED):
            self.shared.append(obj)
            return len(self.shared) - 1
        return None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Variable):
            kept = {k: v for k, v in obj.__dict__.items() if k not in ("_storage", "backend")}
            value = obj.backend.numpy(obj.backend.read(obj._storage))
            return _variable, (type(obj), value, self.target, obj._trainable), kept
        if obj is self.source:
            return backends.load, (self.target.name,)
        if isinstance(obj, Layer):
            make, (cls, _), kept = obj.__reduce_ex__(5)[:3]
            return make, (cls, self.target.name), self._without_module(obj, kept)
        if isinstance(obj, Optimizer):
            kept = dict(obj.__dict__, _positions=None)
            kept["_undecayed"] = [v for v in obj._trainable_variables if id(v) in obj._undecayed]
            return _empty_optimizer, (type(obj),), kept, None, None, _fill_optimizer
        if isinstance(obj, Tensor) or (self.source.name != "reference" and self.source.is_tensor(obj)):
            return self.target.convert, (self.source.numpy(obj),)
        return NotImplemented

    def _without_module(self, layer: Any, kept: dict) -> dict:
        """The layer's attributes without those of the source framework's module; the layers that it keeps stay."""
        if self.source.module_base is object:
            return kept
        fresh = home.remake(home.own_class(layer), self.source.name).__dict__
        own = {k: v for k, v in kept.items() if k not in fresh or k in ("_name", "_backend")}
        return {k: v for k, v in kept.get("_modules", {}).items() if k not in own} | own


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, shared: list[Any]) -> None:
        super().__init__(file)
        self.shared = shared

    def persistent_load(self, pid: Any) -> Any:
        return self.shared[pid]


def _variable(cls: type, value: Any, target: Any, trainable: bool) -> Any:
    """A variable with its storage alone; pickle gives it its other attributes."""
    variable = cls.__new__(cls)
    dtype = dtypes.name_of(value.dtype)
    variable.backend = target
    variable._storage = target.new_storage(target.convert(value, dtype), dtype, trainable, "variable")
    return variable


def _empty_optimizer(cls: type) -> Any:
    return object.__new__(cls)


def _fill_optimizer(optimizer: Any, kept: dict) -> None:
    optimizer.__dict__.update(kept)
    optimizer._positions = {id(v): i for i, v in enumerate(kept["_trainable_variables"])}
    optimizer._undecayed = {id(v) for v in kept["_undecayed"]}
