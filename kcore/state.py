"""State: variables, and the scopes that read and write them without touching them.

A `Variable` belongs to the backend it was made under. Inside a `StatelessScope` its reads
and writes go to the scope, so that a function of layers becomes a function of their values:
this is how every training step is differentiated and compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

import numpy as np

from kcore import backends, config, dtypes, naming, ops
from kcore.ops import operators, rules
from kcore.ops.symbolic import KerasTensor

_scope: ContextVar[StatelessScope | None] = ContextVar("kcore_stateless_scope", default=None)
_autocast: ContextVar[str | None] = ContextVar("kcore_autocast", default=None)

# How often something has changed that a step may have read while it was captured: an attribute of a layer, a setting.
revision = 0

AGGREGATIONS = ("none", "mean", "sum", "only_first_replica")


class Variable:
    """A tensor that is kept between calls and can be assigned.

    Args:
        initializer: The value, or a function (shape, dtype) of it, or the name of an initializer.
        shape: Needed where `initializer` is a function or a name.
        dtype: The default float for a function or name, else that of the value.
        trainable: Whether training changes it.
        autocast: Whether float values are read in the compute dtype of a mixed-precision layer.
        aggregation: What distributed training does with the replicas' values.
        synchronization: Kept for configs; frameworks decide.
        name: Its name, without "/"; unique by default.

    Raises:
        ValueError: The shape is missing or unknown, or an option is not one of the allowed.
    """

    _kcore_state = "variable"  # see kcore.layers.tracking

    def __init__(
        self,
        initializer: Any,
        shape: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str | None = "auto",
        name: str | None = None,
        layout: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(f"Variable: there is no argument {', '.join(kwargs)}.")
        name = name or naming.auto_name(type(self).__name__)
        if not isinstance(name, str) or "/" in name:
            raise ValueError(f"Variable: name={name!r} should be a string without '/'.")
        aggregation = "none" if aggregation is None else aggregation
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"Variable: aggregation={aggregation!r} should be one of {', '.join(AGGREGATIONS)}.")
        scope = naming.current_path()
        self.name = name
        self.path = f"{scope}/{name}" if scope else name
        self.backend = backends.active()
        self.aggregation, self.synchronization, self._layout = aggregation, synchronization, layout
        self.regularizer: Any = None
        self.constraint: Any = None
        self.overwrite_with_gradient = False
        self.autocast = autocast
        self._trainable = self.declared_trainable = bool(trainable)
        value = self._initial_value(initializer, shape, dtype)
        self._dtype = dtypes.name_of(dtype) if dtype is not None else dtypes.name_of(value.dtype)
        self._shape = tuple(value.shape)
        self._floating = dtypes.is_float(self._dtype)
        self._storage = self.backend.new_storage(value, self._dtype, self._trainable, name)

    def _initial_value(self, initializer: Any, shape: Any, dtype: Any) -> Any:
        if isinstance(initializer, str):
            from kcore import initializers

            initializer = initializers.get(initializer)
        if not callable(initializer):
            value = initializer.value if isinstance(initializer, Variable) else initializer
            value = self.backend.convert(value, None if dtype is None else dtypes.name_of(dtype))
            if shape is not None and tuple(value.shape) != tuple(shape):
                raise ValueError(f"Variable: shape={tuple(shape)}, but the value has shape {tuple(value.shape)}.")
            return value
        if shape is None:
            raise ValueError("Variable: an initializer that is a function needs a shape.")
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        if any(d is None for d in sizes):
            raise ValueError(f"Variable: shape={sizes} has an unknown size; variables need all of them.")
        name = config.floatx() if dtype is None else dtypes.name_of(dtype)
        value = self.backend.convert(initializer(sizes, dtype=name), name)
        if tuple(value.shape) != sizes:
            raise ValueError(f"Variable: the initializer made shape {tuple(value.shape)}, not {sizes}.")
        return value

    # -- reading ------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """The tensor: the current scope's where there is one, in the compute dtype under autocasting."""
        scope = _scope.get()
        value = self.backend.read(self._storage) if scope is None else scope._read(self)
        cast = _autocast.get()
        if cast is not None and self.autocast and self._floating:
            return self.backend.convert(value, cast)
        return value

    def __kcore_value__(self) -> Any:
        return self.value

    def numpy(self) -> np.ndarray:
        """A copy of the values."""
        return np.array(self.backend.numpy(self.value))

    @property
    def dtype(self) -> str:
        cast = _autocast.get()
        return cast if cast is not None and self.autocast and self._floating else self._dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def ndim(self) -> int:
        return len(self._shape)

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if self._trainable != bool(value):
            revise()
        self._trainable = bool(value)
        if hasattr(self._storage, "requires_grad_") and self._floating:
            self._storage.requires_grad_(self._trainable)

    # -- writing ------------------------------------------------------------------------

    def assign(self, value: Any) -> Any:
        """Sets the value, cast to the variable's dtype; returns it. A symbolic value is only checked.

        Raises:
            ValueError: The shape differs.
        """
        if isinstance(value, KerasTensor):
            rules.broadcast(value.shape, self._shape)
            return value
        value = self.backend.convert(value, self._dtype)
        shape = self.backend.shape(value)
        if shape != self._shape and None not in shape:
            raise ValueError(
                f"{self.path}: can't assign a value of shape {shape} to a variable of shape {self._shape}."
            )
        scope = _scope.get()
        if scope is None:
            self._storage = self.backend.write(self._storage, value)
        else:
            scope.add_update((self, value))
        return value

    def assign_add(self, value: Any) -> Any:
        """Adds to the value; returns the sum."""
        if _scope.get() is None and _autocast.get() is None and self.backend.increase(self._storage, value):
            return self.value
        return self.assign(self._plus(value, ops.add))

    def assign_sub(self, value: Any) -> Any:
        """Subtracts from the value; returns the difference."""
        return self.assign(self._plus(value, ops.subtract))

    def _plus(self, value: Any, op: Callable) -> Any:
        with backends.use(self.backend):
            return op(self.value, value)

    # -- how others see it --------------------------------------------------------------

    def __repr__(self) -> str:
        value = ""
        if _scope.get() is None:
            value = f", value={self.backend.numpy(self.backend.read(self._storage))}"
        return f"<Variable path={self.path}, shape={self._shape}, dtype={self._dtype}{value}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.backend.numpy(self.value), dtype)

    def __jax_array__(self) -> Any:
        return self.value

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        return self.backend.convert(self.value, None if dtype is None else dtypes.name_of(dtype.name))

    # tf.GradientTape.gradient takes what has these two for a variable of TensorFlow's.
    _should_act_as_resource_variable = True
    handle = property(lambda self: self._storage.handle)

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        from kcore import tree

        args, kwargs = tree.map_structure(lambda a: a.value if isinstance(a, Variable) else a, (args, kwargs or {}))
        return func(*args, **kwargs)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    __index__ = __int__

    def __len__(self) -> int:
        if not self._shape:
            raise TypeError("A scalar variable has no len().")
        return self._shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))  # type: ignore[index]


operators.attach(Variable, backend=lambda v: v.backend)


def revise() -> None:
    """Says that something has changed, or is about to, that captured steps may have read."""
    global revision
    note_unrepeatable("the step changes an attribute or a setting")
    revision += 1


def revise_for(owner: Any, name: str, value: Any) -> None:
    """As `revise`, if setting that attribute of a layer or optimizer changes anything."""
    if owner.__dict__.get(name, owner) is not value and name not in _PROGRESS:
        revise()


# Attributes that say how a run goes on, not what a step computes.
_PROGRESS = frozenset({"stop_training", "stop_evaluating", "stop_predicting"})

config.on_change(revise)
backends.on_default_change(revise)


class StatelessScope:
    """Reads and writes of variables go to the scope; the variables keep their values.

    Args:
        state_mapping: Pairs (variable, value) to read instead of the variables' own.
        collect_losses: Whether `add_loss` of layers goes to `losses` here.
        initialize_variables: Kept for Keras; variables made inside are always initialized.

    Raises:
        ValueError: A value's shape differs from its variable's.
    """

    captures = False  # whether what is assigned will be the variables' own, in a step that a backend captures

    def __init__(
        self,
        state_mapping: Iterable[tuple[Variable, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        self.collect_losses, self.initialize_variables = collect_losses, initialize_variables
        self.losses: list[Any] = []
        self.updates: dict[int, tuple[Variable, Any]] = {}
        self._values: dict[int, Any] = {}
        self._outer: StatelessScope | None = None
        for variable, value in state_mapping or ():
            if not isinstance(variable, Variable):
                raise ValueError(f"StatelessScope: {variable!r} is no Variable.")
            value = variable.backend.convert(value, variable._dtype)
            if variable.backend.shape(value) != variable.shape:
                raise ValueError(
                    f"StatelessScope: the value for {variable.path} has shape {variable.backend.shape(value)}, "
                    f"the variable {variable.shape}."
                )
            self._values[id(variable)] = value

    def __enter__(self) -> StatelessScope:
        self._outer = _scope.get()
        self._token = _scope.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _scope.reset(self._token)

    def add_update(self, update: tuple[Variable, Any]) -> None:
        """Notes an assignment."""
        variable, value = update
        self.updates[id(variable)] = (variable, value)
        self._values[id(variable)] = value

    def add_loss(self, loss: Any) -> None:
        self.losses.append(loss)

    def get_current_value(self, variable: Variable) -> Any:
        """What the scope holds for the variable; None where it holds nothing."""
        return self._values.get(id(variable))

    def _read(self, variable: Variable) -> Any:
        scope: StatelessScope | None = self
        while scope is not None:
            if id(variable) in scope._values:
                return scope._values[id(variable)]
            if scope.captures:
                return scope._stored(variable)
            scope = scope._outer
        return variable.backend.read(variable._storage)

    def _stored(self, variable: Variable) -> Any:
        """What stands for the variable's own value where a backend captures a step."""
        return variable.backend.read(variable._storage)

    def note_unrepeatable(self, what: str) -> None:
        """A capture ends here: the step does something that can't be captured."""


def in_stateless_scope() -> bool:
    scope = _scope.get()
    return scope is not None and not scope.captures


def note_unrepeatable(what: str) -> None:
    """Says that what follows must be done anew in every step, so that a backend that captures one runs it as it is written."""
    scope = _scope.get()
    while scope is not None:
        scope.note_unrepeatable(what)
        scope = scope._outer


def get_stateless_scope() -> StatelessScope | None:
    return _scope.get()


class AutocastScope:
    """Float variables are read in `dtype` inside; None turns autocasting off."""

    def __init__(self, dtype: str | None) -> None:
        dtype = None if dtype is None else dtypes.name_of(dtype)
        if dtype is not None and not dtypes.is_float(dtype):
            raise ValueError(f"AutocastScope takes a float dtype, not {dtype!r}.")
        self.dtype = dtype

    def __enter__(self) -> AutocastScope:
        self._token = _autocast.set(self.dtype)
        return self

    def __exit__(self, *_: object) -> None:
        _autocast.reset(self._token)
