"""Optimizer: what every optimizer does around its own update rule."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from kcore import backends, dtypes, naming, ops, state
from kcore.backends.coo import is_sparse
from kcore.optimizers import schedules
from kcore.state import StatelessScope, Variable

# The arguments that all optimizers have.
SHARED = (
    *("learning_rate", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum"),
    *("ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps", "name"),
)


def shared(given: dict[str, Any]) -> dict[str, Any]:
    """Those of an __init__, given its `locals()`, that all optimizers have: its signature says them in full."""
    return {name: given[name] for name in SHARED}


class Optimizer:
    """Turns gradients into updates of variables. A subclass defines `build` and `update_step`.

    Args:
        learning_rate: A float, a LearningRateSchedule, or a function without arguments.
        weight_decay: What each variable is made smaller by in each step, times the learning rate.
        clipnorm: The largest norm of each gradient.
        clipvalue: The largest magnitude of each gradient element.
        global_clipnorm: The largest norm of all gradients taken together.
        use_ema: Whether an exponential moving average of the variables is kept.
        ema_momentum: Its momentum, in [0, 1].
        ema_overwrite_frequency: After how many steps the variables are set to it; None: at the end of training.
        loss_scale_factor: What the loss is multiplied by, and the gradients divided by.
        gradient_accumulation_steps: How many steps' gradients are averaged for one update.
        name: Unique by default.

    Raises:
        ValueError: More than one way of clipping, or a number out of its range.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        what = type(self).__name__
        if kwargs:
            raise ValueError(f"{what}: there is no argument {', '.join(map(repr, kwargs))}.")
        self.name = name or naming.auto_name(what)
        given = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        if sum(v is not None for v in given.values()) > 1:
            raise ValueError(f"{what}: give at most one of clipnorm, clipvalue and global_clipnorm, not {given}.")
        for key, value in given.items():
            if value is not None and value < 0:
                raise ValueError(f"{what}: {key}={value} should not be negative.")
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ValueError(f"{what}: ema_momentum={ema_momentum} should be from 0 to 1.")
        if (
            use_ema
            and ema_overwrite_frequency is not None
            and not (isinstance(ema_overwrite_frequency, int) and ema_overwrite_frequency >= 1)
        ):
            raise ValueError(
                f"{what}: ema_overwrite_frequency={ema_overwrite_frequency!r} should be an integer of at least 1."
            )
        if gradient_accumulation_steps is not None and gradient_accumulation_steps < 2:
            raise ValueError(
                f"{what}: gradient_accumulation_steps={gradient_accumulation_steps} should be at least 2, or None."
            )
        self.weight_decay, self.clipnorm, self.clipvalue, self.global_clipnorm = (
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
        )
        self.use_ema, self.ema_momentum, self.ema_overwrite_frequency = use_ema, ema_momentum, ema_overwrite_frequency
        self.loss_scale_factor, self.gradient_accumulation_steps = loss_scale_factor, gradient_accumulation_steps
        self.built = False
        self._backend = backends.active()
        self._variables: list[Variable] = []
        self._unbuilt_count: int | None = None
        self._trainable_variables: list[Variable] = []
        self._positions: dict[int, int] = {}
        self._undecayed: set[int] = set()
        self._undecayed_names: list[str] = []
        self._averages: list[Variable] = []
        self._accumulators: list[Variable] = []
        self._iterations = self._new_variable("iteration", (), "zeros", "int32")
        self._learning_rate = self._learning_rate_from(learning_rate)

    @property
    def unbuilt_count(self) -> int:
        """How many variables of its own it has before it is built."""
        return len(self._variables) if self._unbuilt_count is None else self._unbuilt_count

    def __setattr__(self, name: str, value: Any) -> None:
        state.revise_for(self, name, value)
        super().__setattr__(name, value)

    # -- variables ----------------------------------------------------------------------

    def _new_variable(self, name: str, shape: Any, initializer: Any, dtype: Any, aggregation: str = "none") -> Variable:
        with backends.use(self._backend), naming.exact_scope(self.name):
            variable = Variable(
                initializer,
                shape=shape,
                dtype=dtype,
                trainable=False,
                autocast=False,
                aggregation=aggregation,
                name=name,
            )
        self._variables.append(variable)
        return variable

    def add_variable(
        self,
        shape: Any,
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Makes a variable of the optimizer's own."""
        return self._new_variable(name or naming.auto_name("variable"), shape, initializer, dtype, aggregation)

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """Makes a variable of the shape and dtype of another, named after it."""
        name = name or "var"
        full = f"{reference_variable.path}_{name}".replace("/", "_")
        return self._new_variable(full, reference_variable.shape, initializer, reference_variable._dtype)

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """One such variable for each trainable one; for several names, a list for each name.

        They are made variable by variable, which is the order that files have them in.
        """
        names = [name] if isinstance(name, str) else list(name)
        initializers = (
            [initializer] * len(names) if isinstance(initializer, str) or callable(initializer) else list(initializer)
        )
        made: list[list[Variable]] = [[] for _ in names]
        for variable in trainable_variables:
            for group, one, init in zip(made, names, initializers, strict=True):
                group.append(self.add_variable_from_reference(variable, one, init))
        return made[0] if isinstance(name, str) else made

    @property
    def variables(self) -> list[Variable]:
        """The iteration count, the learning rate, and what `build` made."""
        return list(self._variables)

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the optimizer's variables for these trainable ones. Subclasses add theirs after calling it."""
        self._unbuilt_count = len(self._variables)
        self._trainable_variables = list(variables)
        self._positions = {id(v): i for i, v in enumerate(variables)}
        if self.use_ema:
            self._averages = self.add_optimizer_variables(variables, "average")
        if self.gradient_accumulation_steps:
            self._accumulators = self.add_optimizer_variables(variables, "gradient_accumulator")
        for variable in variables:
            if any(n in variable.path for n in self._undecayed_names):
                self._undecayed.add(id(variable))
        self.built = True

    def position(self, variable: Variable) -> int:
        """Where a variable stands among those that the optimizer was built for.

        Raises:
            KeyError: It is none of them.
        """
        try:
            return self._positions[id(variable)]
        except KeyError:
            raise KeyError(f"{self.name}: the optimizer was built for other variables than {variable.path}.") from None

    @property
    def iterations(self) -> Any:
        """How many updates there were: with accumulation, fewer than calls of `apply`."""
        steps = self.gradient_accumulation_steps
        return ops.floor_divide(self._iterations, steps) if steps else self._iterations

    # -- the learning rate --------------------------------------------------------------

    def _learning_rate_from(self, value: Any) -> Any:
        if isinstance(value, dict):
            value = schedules.deserialize(value)
        if isinstance(value, schedules.LearningRateSchedule) or (callable(value) and not isinstance(value, Variable)):
            return value
        return self._new_variable("learning_rate", (), lambda shape, dtype: float(value), "float32")

    @property
    def learning_rate(self) -> Any:
        """The rate of the next step: a tensor."""
        return self._current_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        own = self._learning_rate
        if isinstance(own, Variable):
            if callable(value):
                self._variables = [v for v in self._variables if v is not own]
                self._learning_rate = value
            else:
                own.assign(value)
        elif callable(value):
            self._learning_rate = value
        else:
            raise TypeError(
                f"{self.name}: the learning rate is a schedule; it can't be set to {value!r}. Make another optimizer."
            )

    def _current_rate(self) -> Any:
        own = self._learning_rate
        if isinstance(own, Variable):
            return own.value
        with backends.use(self._backend):
            if isinstance(own, schedules.LearningRateSchedule):
                return own(self.iterations)
            state.note_unrepeatable("the learning rate is a function")
            return ops.convert_to_tensor(own())

    # -- applying -----------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Any) -> Any:
        """As `apply`, from (gradient, variable) pairs. Returns the iteration count."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._iterations.value

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        """One step.

        Args:
            grads: A gradient for each variable, None where there is none. A sparse one, `tf.IndexedSlices` included, is
                made dense: what it does not store is 0.
            trainable_variables: The variables; those of the last build unless given.

        Raises:
            ValueError: There are not as many gradients as variables, or none at all.
        """
        grads = list(grads)
        if not grads:
            return
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        if not self.built and not variables:
            raise ValueError(f"{self.name}: give trainable_variables to the first apply.")
        if len(grads) != len(variables):
            raise ValueError(f"{self.name}: {len(grads)} gradients were given for {len(variables)} variables.")
        with backends.use(self._backend):
            if not self.built:
                self.build(variables)
            grads, variables = self._with_gradients(grads, variables)
            if any(v.overwrite_with_gradient for v in variables):
                for g, v in zip(grads, variables, strict=True):
                    if v.overwrite_with_gradient:
                        v.assign(g)
                kept = [(g, v) for g, v in zip(grads, variables, strict=True) if not v.overwrite_with_gradient]
                grads, variables = [g for g, _ in kept], [v for _, v in kept]
            grads = [self._like(g, v) for g, v in zip(grads, variables, strict=True)]
            if self.loss_scale_factor:
                grads = [ops.divide(g, self.loss_scale_factor) for g in grads]
            if self.gradient_accumulation_steps:
                self._accumulate(grads, variables)
            else:
                self._step(grads, variables)
            self._iterations.assign_add(1)

    def _with_gradients(self, grads: list[Any], variables: list[Variable]) -> tuple[list[Any], list[Variable]]:
        if all(g is not None for g in grads):
            return grads, variables
        kept = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
        if not kept:
            raise ValueError(f"{self.name}: there is no gradient for any variable.")
        return [g for g, _ in kept], [v for _, v in kept]

    def _like(self, gradient: Any, variable: Variable) -> Any:
        gradient = self._backend.convert(gradient, variable._dtype)
        return ops.convert_to_tensor(gradient, sparse=False) if is_sparse(gradient) else gradient

    def _accumulate(self, grads: list[Any], variables: list[Variable]) -> None:
        steps = self.gradient_accumulation_steps
        sums = [self._accumulators[self.position(v)] for v in variables]
        last = ops.equal(ops.mod(ops.add(self._iterations, 1), steps), 0)
        totals = [ops.add(a, g) for a, g in zip(sums, grads, strict=True)]
        held = [
            *variables,
            *(v for v in self._variables if v is not self._iterations and not any(v is s for s in sums)),
        ]

        def update() -> list[Any]:
            with StatelessScope() as scope:
                self._step([ops.divide(t, steps) for t in totals], variables)
            after = [scope.get_current_value(v) for v in held]
            return [v.value if a is None else a for v, a in zip(held, after, strict=True)]

        for variable, value in zip(held, ops.cond(last, update, lambda: [v.value for v in held]), strict=True):
            variable.assign(value)
        for variable, total in zip(sums, totals, strict=True):
            variable.assign(ops.where(last, ops.zeros_like(total), total))

    def _step(self, grads: list[Any], variables: list[Variable]) -> None:
        grads = self._clipped(grads)
        rate = self._current_rate()
        if not self._fused_step(grads, variables, rate):
            self._decay(variables, rate)
            for gradient, variable in zip(grads, variables, strict=True):
                self.update_step(gradient, variable, rate)
        if self.use_ema:
            self._average(variables)
            if self.ema_overwrite_frequency:
                due = ops.equal(ops.mod(ops.add(self.iterations, 1), self.ema_overwrite_frequency), 0)
                for variable in variables:
                    variable.assign(ops.where(due, self._averages[self.position(variable)].value, variable.value))
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))

    def _fused_step(self, grads: list[Any], variables: list[Variable], rate: Any) -> bool:
        """Does the whole update through the backend's fused kernel, where there is one and nothing stands in the way."""
        kind = self._fused_kind()
        if kind not in self._backend.fused_steps or state.in_stateless_scope():
            return False
        fade = [0.0 if self.weight_decay is None or not self._decays(v) else self.weight_decay for v in variables]

        def numbers(rate: float, iterations: int) -> dict[str, Any]:
            return {"decay": [f * rate for f in fade], **self._fused_numbers(rate, iterations)}

        slots = self._fused_slots(variables)
        return self._backend.optimizer_step(kind, variables, grads, slots, numbers, (rate, self.iterations))

    def _fused_kind(self) -> str | None:
        """The name of the backend's fused update, for subclasses that have one."""
        return None

    def _fused_slots(self, variables: list[Variable]) -> list[list[Variable]]:
        """The optimizer's variables for each of these."""
        raise NotImplementedError(f"{type(self).__name__} names a fused update, but not its variables.")

    def _fused_numbers(self, rate: float, iterations: int) -> dict[str, Any]:
        """The hyperparameters of the update after so many."""
        raise NotImplementedError(f"{type(self).__name__} names a fused update, but not its numbers.")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one variable. Subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} has no update_step.")

    def assign(self, variable: Variable, value: Any) -> None:
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        variable.assign_sub(value)

    def _clipped(self, grads: list[Any]) -> list[Any]:
        if self.clipnorm:
            return [self._to_norm(g, ops.sqrt(ops.sum(ops.square(g))), self.clipnorm) for g in grads]
        if self.global_clipnorm:
            total = ops.sqrt(_sum([ops.sum(ops.square(ops.cast(g, "float32"))) for g in grads]))
            return [self._to_norm(g, ops.cast(total, dtypes.name_of(g.dtype)), self.global_clipnorm) for g in grads]
        if self.clipvalue:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    @staticmethod
    def _to_norm(gradient: Any, norm: Any, most: float) -> Any:
        return ops.multiply(gradient, ops.divide(most, ops.maximum(norm, most)))

    # -- weight decay -------------------------------------------------------------------

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Names variables that weight decay leaves alone.

        Args:
            var_list: The variables themselves.
            var_names: Parts of their paths.

        Raises:
            ValueError: The optimizer is built already.
        """
        if self.built:
            raise ValueError(f"{self.name}: exclude variables from weight decay before the optimizer is built.")
        self._undecayed.update(id(v) for v in var_list or ())
        self._undecayed_names += list(var_names or ())

    def _decays(self, variable: Variable) -> bool:
        return id(variable) not in self._undecayed

    def _decay(self, variables: list[Variable], rate: Any) -> None:
        if self.weight_decay is None:
            return
        for variable in variables:
            if self._decays(variable):
                factor = ops.multiply(ops.cast(rate, variable._dtype), self.weight_decay)
                variable.assign_sub(ops.multiply(variable, factor))

    # -- moving averages ----------------------------------------------------------------

    def _average(self, variables: list[Variable]) -> None:
        # The first step sets the average: it starts from the variables, not from 0.
        first = ops.equal(self.iterations, 0)
        for variable in variables:
            average = self._averages[self.position(variable)]
            momentum = ops.where(first, 0.0, self.ema_momentum)
            momentum = ops.cast(momentum, variable._dtype)
            value = ops.add(ops.multiply(momentum, average), ops.multiply(ops.subtract(1, momentum), variable))
            average.assign(value)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """At the end of training: sets the variables to their moving averages, if they have any."""
        if self.use_ema and self.built:
            for variable in var_list:
                if id(variable) in self._positions:
                    variable.assign(self._averages[self.position(variable)].value)

    @contextlib.contextmanager
    def averaged(self, variables: Sequence[Variable]) -> Iterator[None]:
        """The variables hold their moving averages inside, and their own values again after it."""
        before = [v.numpy() for v in variables]
        self.finalize_variable_values(variables)
        try:
            yield
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    # -- the rest -----------------------------------------------------------------------

    def scale_loss(self, loss: Any) -> Any:
        """The loss as it should be differentiated."""
        return loss if self.loss_scale_factor is None else ops.multiply(loss, self.loss_scale_factor)

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list, list]:
        """`apply` as a function of values.

        Returns:
            (new values of the trainable variables, new values of the optimizer's variables).

        Raises:
            ValueError: The optimizer is not built, or the number of values differs.
        """
        if not self.built:
            raise ValueError(f"{self.name}: stateless_apply needs a built optimizer; call build(trainable_variables).")
        for what, own, given in (
            ("optimizer_variables", self._variables, optimizer_variables),
            ("trainable_variables", self._trainable_variables, trainable_variables),
        ):
            if len(own) != len(given):
                raise ValueError(f"{self.name}: {what} has {len(given)} values; the optimizer has {len(own)}.")
        pairs = [
            *zip(self._trainable_variables, trainable_variables, strict=True),
            *zip(self._variables, optimizer_variables, strict=True),
        ]
        with backends.use(self._backend), StatelessScope(pairs) as scope:
            self.apply(grads)
        return (
            [scope.get_current_value(v) for v in self._trainable_variables],
            [scope.get_current_value(v) for v in self._variables],
        )

    def save_own_variables(self, store: Any) -> None:
        """Puts the variables into a dict-like store."""
        for i, variable in enumerate(self._variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Takes the variables from a dict-like store.

        Raises:
            ValueError: Their number differs.
        """
        if len(store.keys()) != len(self._variables):
            raise ValueError(
                f"{self.name}: the file has {len(store.keys())} optimizer variables, the optimizer {len(self._variables)}."
            )
        for i, variable in enumerate(self._variables):
            variable.assign(store[str(i)])

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets the variables, in the order of `variables`.

        Raises:
            ValueError: The number or a shape differs; then nothing is set.
        """
        if len(weights) != len(self._variables):
            raise ValueError(f"{self.name}: {len(weights)} arrays were given for {len(self._variables)} variables.")
        for variable, value in zip(self._variables, weights, strict=True):
            if tuple(getattr(value, "shape", ())) != variable.shape:
                raise ValueError(f"{self.name}: {variable.path} has shape {variable.shape}, the array {value.shape}.")
        for variable, value in zip(self._variables, weights, strict=True):
            variable.assign(value)

    def get_config(self) -> dict:
        """What the optimizer can be made from again; its state is not in it."""
        rate = self._learning_rate
        if isinstance(rate, Variable):
            rate = float(rate.numpy())
        elif isinstance(rate, schedules.LearningRateSchedule):
            rate = schedules.serialize(rate)
        else:
            from kcore import saving

            rate = saving.serialize_keras_object(rate)
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """An optimizer made from a config."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(config["learning_rate"], custom_objects)
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _sum(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = ops.add(total, term)
    return total
