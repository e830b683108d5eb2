"""`Metric`: numbers kept over many batches, in variables."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kcore import backends, config, dtype_policies, dtypes, naming, ops
from kcore.state import StatelessScope, Variable


class Metric:
    """A metric. A subclass makes variables with `add_variable`, and defines `update_state` and `result`.

    A metric belongs to the backend it was made under, and runs there.

    Args:
        dtype: What it computes in and keeps: a dtype or policy; the default float unless given.
        name: Its name; made from the class's unless given.
    """

    _kcore_state = "metric"  # see kcore.layers.tracking

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("update_state", "result", "reset_state"):
            if name in cls.__dict__:
                setattr(cls, name, _at_home(cls.__dict__[name]))

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = naming.auto_name(type(self).__name__) if name is None else name
        self._dtype_policy = dtype_policies.get(config.floatx() if dtype is None else dtype)
        self._backend = backends.active()
        self._own_variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        return self._dtype_policy.compute_dtype

    # -- variables ----------------------------------------------------------------------

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, aggregation: str = "sum", name: str | None = None
    ) -> Variable:
        """Makes a variable of this metric.

        Args:
            shape: Its shape.
            initializer: A function of (shape, dtype), a name, or None for zeros.
            dtype: The metric's unless given.
            aggregation: What distributed training does with the replicas' values.
            name: Unique by default.
        """
        if "_own_variables" not in self.__dict__:
            raise RuntimeError(f"{type(self).__name__}: call super().__init__() before making variables.")
        if initializer is None or isinstance(initializer, str):
            initializer = _initializer(initializer)
        with backends.use(self._backend), naming.name_scope(self.name):
            variable = Variable(
                initializer,
                shape=shape,
                dtype=self.dtype if dtype is None else dtypes.name_of(dtype),
                trainable=False,
                autocast=False,
                aggregation=aggregation,
                name=name,
            )
        self._own_variables.append(variable)
        return variable

    def add_weight(
        self, shape: Any = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """As `add_variable`, with a scalar by default."""
        return self.add_variable(shape, initializer, dtype=dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The metric's variables, then those of metrics that it holds."""
        found = {id(v): v for v in self._own_variables}
        held = list(_held(self))
        for v in held:
            if isinstance(v, Variable):
                found.setdefault(id(v), v)
        for m in held:
            if isinstance(m, Metric):
                for v in m.variables:
                    found.setdefault(id(v), v)
        return list(found.values())

    # -- use ----------------------------------------------------------------------------

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Takes a batch into account."""
        raise NotImplementedError(f"{type(self).__name__} has no update_state method.")

    def result(self) -> Any:
        """The metric over what was seen since the last reset: a scalar tensor, or a dict of them."""
        raise NotImplementedError(f"{type(self).__name__} has no result method.")

    def reset_state(self) -> None:
        """Forgets all batches: every variable becomes 0."""
        with backends.use(self._backend):
            for v in self.variables:
                v.assign(ops.zeros(v.shape, dtype=v.dtype))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Takes a batch into account and returns the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    # -- use as functions of the state --------------------------------------------------

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """The variables' values after `update_state`, from those before; the metric itself keeps its own.

        Raises:
            ValueError: The number of values, or a shape, differs from the metric's variables.
        """
        with self._scope(metric_variables) as scope:
            self.update_state(*args, **kwargs)
        return self._values(scope)

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """The result for these values of the variables.

        Raises:
            ValueError: The number of values, or a shape, differs from the metric's variables.
        """
        with self._scope(metric_variables):
            y = self.result()
            return y.value if isinstance(y, Variable) else y

    def stateless_reset_state(self) -> list[Any]:
        """The variables' values after a reset; the metric itself keeps its own."""
        with StatelessScope() as scope:
            self.reset_state()
        return self._values(scope)

    def _scope(self, values: Sequence[Any]) -> StatelessScope:
        own = self.variables
        if len(values) != len(own):
            raise ValueError(f"{self.name}: the metric has {len(own)} variables, but {len(values)} values were given.")
        return StatelessScope(zip(own, values, strict=True))

    def _values(self, scope: StatelessScope) -> list[Any]:
        values = [(v, scope.get_current_value(v)) for v in self.variables]
        return [v.value if value is None else value for v, value in values]

    # -- configs ------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _at_home(method: Callable) -> Callable:
    """The method, run on the metric's own backend."""

    @functools.wraps(method)
    def run(self: Metric, *args: Any, **kwargs: Any) -> Any:
        own = self._backend
        width = own.full_width(self._dtype_policy._compute_dtype)
        if (backends.chosen.get() or backends.default()) is own:
            with width:
                return method(self, *args, **kwargs)
        with backends.use(own), width:
            return method(self, *args, **kwargs)

    return run


def _held(metric: Metric) -> Iterator[Any]:
    """Variables and metrics among the attributes, in lists and dicts too."""
    stack = [v for k, v in metric.__dict__.items() if k not in ("_own_variables", "_backend")][::-1]
    while stack:
        value = stack.pop()
        if isinstance(value, (list, tuple)):
            stack.extend(reversed(value))
        elif isinstance(value, dict):
            stack.extend(reversed(list(value.values())))
        elif isinstance(value, (Variable, Metric)):
            yield value


def _initializer(name: str | None) -> Any:
    if name in (None, "zeros"):
        return lambda shape, dtype: ops.zeros(shape, dtype)
    from kcore import initializers

    return initializers.get(name)
