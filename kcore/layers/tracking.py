"""Owning variables: how a layer finds its own, and those of what it is made of.

Nothing is registered: attributes, lists and dicts are searched when somebody asks. So a list
that grows after it was assigned is seen, and what is dropped is gone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from kcore import state
from kcore.state import Variable

# Attributes that are not searched for variables and sublayers.
_NOT_STATE = frozenset(
    {
        "_init_call",
        "_inbound_nodes",
        "_backend",
        "_losses",
        "_build_shapes",
        "_parameters",
        "_modules",
        "_functional",
        "_fitting",
        "_graph",
        "_steps",
        "_steps_compiled",
    }
)

# What most attributes are: numbers, names and settings, which hold nothing. Passing them by is most of a search's speed.
_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), type, FunctionType, MethodType})


class Found(dict):
    """What was found, by (owner, property), and the lists and dicts that were searched for it."""

    def __init__(self) -> None:
        super().__init__()
        self._revision = state.revision
        self._searched: dict[int, tuple[Any, list[int]]] = {}

    def note(self, container: Any) -> None:
        self._searched[id(container)] = container, [*map(id, _elements(container))]

    def holds(self) -> bool:
        """Whether a search would find the same: no attribute was set since, and what was searched has the same elements.

        An element that went may not have left its address to a layer: to make one is to set attributes.
        """
        return self._revision == state.revision and all(
            [*map(id, _elements(container))] == ids for container, ids in self._searched.values()
        )


def _elements(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container


# What was found while nothing may change: see `remembering`.
_memory: ContextVar[Found | None] = ContextVar("kcore_found_state", default=None)


class remembering:
    """Inside, what layers find they remember in `memory`: a training step must not search again and again."""

    __slots__ = ("memory", "token")

    def __init__(self, memory: Found) -> None:
        self.memory = memory

    def __enter__(self) -> Found:
        self.token = _memory.set(self.memory)
        return self.memory

    def __exit__(self, *_: object) -> None:
        _memory.reset(self.token)


def searching_once() -> remembering:
    """Inside, what was found before is not searched for again."""
    memory = _memory.get()
    return remembering(Found() if memory is None else memory)


def remembered(find: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """`find(owner)`, from memory where something is remembered."""
    name = find.__name__

    @functools.wraps(find)
    def found(self: Any) -> list[Any]:
        memory = _memory.get()
        if memory is None:
            return find(self)
        key = (id(self), name)
        if key not in memory:
            memory[key] = find(self)
        return memory[key]

    return found


class Owner:
    """The part of a layer that knows its variables.

    What may be owned says so with an attribute `_kcore_state`: "layer", "variable", "seed" or
    "metric".
    """

    built: bool
    _trainable: bool
    _kcore_state = "layer"

    def _held(self) -> Iterator[Any]:
        """Variables, layers, seed generators and metrics among the attributes, each once, in order."""
        seen: set[int] = set()
        stack = [v for k, v in self.__dict__.items() if type(v) not in _PLAIN and k not in _NOT_STATE]
        memory = _memory.get()
        modules = self.__dict__.get("_modules")
        if modules:  # torch keeps layers there
            stack.insert(0, modules)
        stack.reverse()
        while stack:
            value = stack.pop()
            if type(value) in _PLAIN:
                continue
            if isinstance(value, (list, tuple, dict)):
                if memory is not None and not isinstance(value, tuple):
                    memory.note(value)
                stack.extend(reversed([*_elements(value)]))
            elif hasattr(value, "_kcore_state") and value is not self and id(value) not in seen:
                seen.add(id(value))
                yield value

    @remembered
    def _all_layers(self) -> list[Any]:
        """This layer and all in it."""
        return self._flatten_layers()

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Any]:
        found: list[Any] = [self] if include_self else []
        seen = {id(self)}
        stack = list(reversed(self._sublayers()))
        while stack:
            layer = stack.pop()
            if id(layer) not in seen:
                seen.add(id(layer))
                found.append(layer)
                if recursive:
                    stack.extend(reversed(layer._sublayers()))
        return found

    def _sublayers(self, held: Sequence[Any] | None = None) -> list[Any]:
        """The layers among what it holds, which a caller may have found already."""
        return [h for h in (self._held() if held is None else held) if h._kcore_state == "layer"]

    def _own(self, kind: str) -> list[Any]:
        return [h for h in self._held() if h._kcore_state == kind]

    def _walk_variables(self, trains: bool = True) -> Iterator[tuple[Variable, str, bool]]:
        """(variable, kind, whether training changes it) of this layer and its sublayers.

        The kind is "weight", "seed" or "metric". Training changes the trainable weights of trainable layers
        inside trainable layers; `trains` is whether all layers around this one are.
        """
        trains = trains and self._trainable
        held = list(self._held())
        for variable in self._weights_among(held):
            yield variable, "weight", trains and variable.trainable
        for generator in held:
            if generator._kcore_state == "seed":
                yield generator.state, "seed", False
        for layer in self._sublayers(held):
            yield from layer._walk_variables(trains)
        for metric in held:
            if metric._kcore_state == "metric":
                for variable in metric.variables:
                    yield variable, "metric", False

    @remembered
    def _all_variables(self) -> list[tuple[Variable, str, bool]]:
        return list(self._walk_variables())

    def _variables_of(self, *kinds: str, trained: bool | None = None) -> list[Variable]:
        """Those of some kinds, each once; with `trained`, those that training changes, or those that it doesn't."""
        found: dict[int, Variable] = {}
        changed: set[int] = set()  # a layer may be met twice, once inside a frozen one
        for variable, kind, trains in self._all_variables():
            if kind in kinds:
                found.setdefault(id(variable), variable)
            if trains:
                changed.add(id(variable))
        if trained is None:
            return list(found.values())
        return [variable for key, variable in found.items() if (key in changed) == trained]

    @property
    @remembered
    def variables(self) -> list[Variable]:
        """Weights and seed states, not the metrics' state."""
        return self._variables_of("weight", "seed")

    @property
    @remembered
    def weights(self) -> list[Variable]:
        """Variables without seed and metric states."""
        return self._variables_of("weight")

    @property
    @remembered
    def trainable_variables(self) -> list[Variable]:
        return self._variables_of("weight", "seed", trained=True)

    @property
    @remembered
    def non_trainable_variables(self) -> list[Variable]:
        return self._variables_of("weight", "seed", trained=False)

    @property
    @remembered
    def trainable_weights(self) -> list[Variable]:
        return self._variables_of("weight", trained=True)

    @property
    @remembered
    def non_trainable_weights(self) -> list[Variable]:
        return self._variables_of("weight", trained=False)

    @property
    @remembered
    def metrics(self) -> list[Any]:
        return [m for layer in self._flatten_layers() for m in layer._own("metric")]

    @property
    @remembered
    def metrics_variables(self) -> list[Variable]:
        return self._variables_of("metric")

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self._own_weights():
            if variable.declared_trainable:
                variable.trainable = self._trainable
        for layer in self._sublayers():
            layer.trainable = value

    def count_params(self) -> int:
        """The number of elements in the weights.

        Raises:
            ValueError: The layer has not been built.
        """
        if not self.built:
            raise ValueError(f"{self.name}: the layer has no weights to count before it is built; call it or build it.")
        return sum(int(np.prod(w.shape)) for w in self.weights)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights' values."""
        return [w.numpy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets the weights, in the order of `get_weights`.

        Raises:
            ValueError: The number of arrays or a shape differs; then nothing is set.
        """
        own = self.weights
        if len(own) != len(weights):
            raise ValueError(f"{self.name}: the layer has {len(own)} weights, but {len(weights)} arrays were given.")
        for variable, value in zip(own, weights, strict=True):
            if tuple(np.shape(value)) != variable.shape:
                raise ValueError(
                    f"{self.name}: {variable.path} has shape {variable.shape}, but the array given has {np.shape(value)}."
                )
        for variable, value in zip(own, weights, strict=True):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Puts the layer's own variables, not those of sublayers, into a dict-like store."""
        for i, variable in enumerate(self._own_weights()):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Takes the layer's own variables from a dict-like store.

        Raises:
            ValueError: Their number or a shape differs.
        """
        own = self._own_weights()
        if len(store.keys()) != len(own):
            built = "" if self.built else " The layer has not been built: call it once, or give it a build_from_config."
            raise ValueError(
                f"{self.path or self.name}: the layer has {len(own)} variables, the file {len(store.keys())}.{built}"
            )
        for i, variable in enumerate(own):
            variable.assign(store[str(i)])

    def _own_weights(self) -> list[Variable]:
        """The layer's own weights, those made trainable first."""
        return self._weights_among(self._held())

    def _weights_among(self, held: Iterable[Any]) -> list[Variable]:
        own = [*self.__dict__.get("_own_variables", ())]
        own += [v for v in held if v._kcore_state == "variable" and not any(v is o for o in own)]
        return [v for v in own if v.declared_trainable] + [v for v in own if not v.declared_trainable]
