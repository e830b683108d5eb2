"""Recurrent cells: one step of a recurrent layer.

A cell maps the inputs of a step, and its states, to the step's output and the next states. Those here work in two
parts: `_project` takes the inputs, of one step or of all at once, to the gates; `_advance` does the rest, which needs
the states. So a layer projects a whole sequence in one product before it loops. Those with an op for whole sequences
run in one step, where `_has_sequence_op` says so.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from kcore import activations, ops, random, tree
from kcore.layers.arguments import config_of, keep, known, positive, taken
from kcore.layers.layer import Layer
from kcore.ops.recurrent import blended, gru_step, lstm_step


class DropoutCell:
    """The part of a cell that drops features: the same ones in every step of a sequence.

    Each gate gets other features (Gal & Ghahramani 2016); where only the inputs are dropped, all get the same.
    """

    gates: ClassVar[int]
    dropout: float
    recurrent_dropout: float
    name: str
    seed_generator: random.SeedGenerator

    def _set_dropout(self, dropout: float, recurrent_dropout: float, seed: int | None) -> None:
        for name, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)):
                raise ValueError(f"{self.name}: {name}={rate!r} should be a number from 0 to 1.")
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self._dropout_mask: Any = None
        self._recurrent_dropout_mask: Any = None

    # The masks are set past `Layer.__setattr__`: they change with every call, and say nothing of what a call computes.
    def get_dropout_mask(self, step_input: Any) -> Any:
        """What the inputs are multiplied by, of the shape of one step's, or a list of one for each gate; None without
        dropout."""
        if self._dropout_mask is None and self.dropout > 0:
            self.__dict__["_dropout_mask"] = self._drawn(step_input, self.dropout, self._input_masks())
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        """What the state is multiplied by, of its shape, or a list of one for each gate; None without dropout."""
        if self._recurrent_dropout_mask is None and self.recurrent_dropout > 0:
            self.__dict__["_recurrent_dropout_mask"] = self._drawn(step_input, self.recurrent_dropout, self.gates)
        return self._recurrent_dropout_mask

    def _input_masks(self) -> int:
        """How many masks there are for the inputs."""
        return self.gates if self.recurrent_dropout > 0 else 1

    def _drawn(self, like: Any, rate: float, count: int) -> Any:
        masks = [random.dropout(ops.ones_like(like), rate, seed=self.seed_generator) for _ in range(count)]
        return masks[0] if count == 1 else masks

    def reset_dropout_mask(self) -> None:
        """Has the next step draw anew."""
        self.__dict__["_dropout_mask"] = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Has the next step draw anew."""
        self.__dict__["_recurrent_dropout_mask"] = None

    def _seen(self, x: Any, masks: Any) -> list[Any]:
        """`x` as each gate sees it through the masks; one for all where there are none, or only one."""
        if masks is None:
            return [x]
        return [ops.multiply(x, mask) for mask in (masks if isinstance(masks, list) else [masks])]

    def _seen_state(self, h: Any, training: bool) -> list[Any]:
        return self._seen(h, self.get_recurrent_dropout_mask(h) if training else None)


class _Cell(DropoutCell, Layer):
    """What the cells of dense gates share: weights, options, initial states."""

    _states: ClassVar[int] = 1
    _names: ClassVar[tuple[str, ...]]
    bias: Any = None
    # A layer may take a step's output from its first state.
    output_is_state = True

    def _keep_options(self, given: dict[str, Any]) -> None:
        """Keeps what an __init__ was given, its `locals()`."""
        keep(self, **taken(given, *self._names) | {"units": positive(self, given["units"], "units")})
        self._set_dropout(given["dropout"], given["recurrent_dropout"], given["seed"])
        self.state_size = self.units if self._states == 1 else [self.units] * self._states
        self.output_size = self.units

    def build(self, input_shape: Any) -> None:
        wide = self.units * self.gates
        parts = (("kernel", (known(self, input_shape, -1), wide)), ("recurrent_kernel", (self.units, wide)))
        for name, shape in parts:
            stem = name.removesuffix("_kernel") if name != "kernel" else name
            variable = self.add_weight(
                name=name,
                shape=shape,
                initializer=getattr(self, f"{stem}_initializer"),
                regularizer=getattr(self, f"{stem}_regularizer"),
                constraint=getattr(self, f"{stem}_constraint"),
            )
            setattr(self, name, variable)
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=self._bias_shape(wide),
                initializer=self._bias_start,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _bias_shape(self, wide: int) -> tuple[int, ...]:
        return (wide,)

    def _bias_start(self, shape: Any, dtype: Any = None) -> Any:
        return self.bias_initializer(shape, dtype=dtype)

    def _project(self, inputs: Any, training: bool) -> Any:
        """The inputs' part of the gates, for one step (batch, features) or all (batch, steps, features)."""
        return self._biased(self._product(self._seen_inputs(inputs, training), self.kernel))

    def _seen_inputs(self, inputs: Any, training: bool) -> list[Any]:
        if not (training and self.dropout > 0):
            return [inputs]
        masks = self.get_dropout_mask(inputs if len(inputs.shape) == 2 else inputs[:, 0])
        if len(inputs.shape) > 2:
            masks = tree.map_structure(lambda mask: ops.expand_dims(mask, 1), masks)
        return self._seen(inputs, masks)

    def _has_sequence_op(self, training: bool) -> bool:
        """Whether `_run_sequence` computes what the steps would."""
        return False

    def _run_sequence(
        self, x: Any, states: list[Any], mask: Any, reverse: bool, sequence: bool, training: bool
    ) -> tuple[Any, ...]:
        """(the first states of all steps, only with `sequence`; the last states...)."""
        raise NotImplementedError(f"{type(self).__name__} has no op for whole sequences.")

    def _product(self, seen: list[Any], kernel: Any) -> Any:
        """The product with the kernel: of the same features for all gates, or of those that each sees."""
        if len(seen) == 1:
            return ops.matmul(seen[0], kernel)
        kernels = ops.split(kernel, self.gates, axis=-1)
        return ops.concatenate([ops.matmul(x, k) for x, k in zip(seen, kernels, strict=True)], -1)

    def _biased(self, gates: Any) -> Any:
        return gates if self.bias is None else ops.add(gates, self.bias)

    def _recurrent(self, h: Any, training: bool) -> Any:
        """The state's part of the gates."""
        return self._product(self._seen_state(h, training), self.recurrent_kernel)

    def _advance(self, gates: Any, states: list[Any], training: bool) -> list[Any]:
        """The next states, of which the first is the step's output."""
        raise NotImplementedError(f"{type(self).__name__} has no _advance.")

    def _step(self, inputs: Any, states: Any, training: bool) -> tuple[Any, Any]:
        made = self._advance(self._project(inputs, training), tree.flatten(states), training)
        return made[0], made if tree.is_nested(states) else made[0]

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        return self._step(inputs, states, training)

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros."""
        return [ops.zeros((batch_size, self.units), self.compute_dtype) for _ in range(self._states)]

    def get_config(self) -> dict:
        return super().get_config() | config_of(self, *self._names)


WEIGHT_OPTIONS = (
    *("kernel_initializer", "recurrent_initializer", "bias_initializer"),
    *("kernel_regularizer", "recurrent_regularizer", "bias_regularizer"),
    *("kernel_constraint", "recurrent_constraint", "bias_constraint"),
)


class SimpleRNNCell(_Cell):
    """activation(inputs @ kernel + state @ recurrent_kernel + bias).

    Args:
        units: The size of the output, and of the state.
        activation: A function, or its name.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Of the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties of the weights.
        kernel_constraint, recurrent_constraint, bias_constraint: What weights pass through after updates.
        dropout, recurrent_dropout: The rates at which features of the inputs, and of the state, are dropped in
            training.
        seed: Makes the dropout repeatable.
    """

    gates = 1
    _names = ("units", "activation", "use_bias", *WEIGHT_OPTIONS, "dropout", "recurrent_dropout", "seed")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep_options(locals())

    def call(self, sequence: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        return self._step(sequence, states, training)

    def _advance(self, gates: Any, states: list[Any], training: bool) -> list[Any]:
        return [self.activation(ops.add(gates, self._recurrent(states[0], training)))]


class LSTMCell(_Cell):
    """One step of `LSTM` (Hochreiter & Schmidhuber 1997, with a forget gate).

    Args:
        units: The size of the output, and of each of the two states.
        activation: Of the candidate, and of what the cell shows.
        recurrent_activation: Of the gates.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Of the weights.
        unit_forget_bias: Whether the forget gate's bias starts at 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties of the weights.
        kernel_constraint, recurrent_constraint, bias_constraint: What weights pass through after updates.
        dropout, recurrent_dropout: The rates at which features of the inputs, and of the state, are dropped in
            training.
        seed: Makes the dropout repeatable.

    The gates are in the order input, forget, candidate, output.
    """

    gates = 4
    _states = 2
    _names = (
        *("units", "activation", "recurrent_activation", "use_bias", "unit_forget_bias"),
        *(*WEIGHT_OPTIONS, "dropout", "recurrent_dropout", "seed"),
    )

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("implementation", None)  # older code gives it; there is one here
        super().__init__(**kwargs)
        self._keep_options(locals())

    def _bias_start(self, shape: Any, dtype: Any = None) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype=dtype)
        units = self.units
        parts = (self.bias_initializer((units,), dtype=dtype), ops.ones((units,), dtype))
        return ops.concatenate([*parts, self.bias_initializer((2 * units,), dtype=dtype)], 0)

    def _advance(self, gates: Any, states: list[Any], training: bool) -> list[Any]:
        h, c = states
        gates = ops.add(gates, self._recurrent(h, training))
        return list(lstm_step(gates, c, self.recurrent_activation, self.activation))

    def _has_sequence_op(self, training: bool) -> bool:
        return _is_usual(self, training)

    def _run_sequence(
        self, x: Any, states: list[Any], mask: Any, reverse: bool, sequence: bool, training: bool
    ) -> tuple[Any, ...]:
        (x,) = self._seen_inputs(x, training)
        return ops.lstm(x, *states, self.kernel, self.recurrent_kernel, self.bias, mask, reverse, sequence)


class GRUCell(_Cell):
    """One step of `GRU` (Cho et al. 2014).

    Args:
        units: The size of the output, and of the state.
        activation: Of the candidate.
        recurrent_activation: Of the gates.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Of the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties of the weights.
        kernel_constraint, recurrent_constraint, bias_constraint: What weights pass through after updates.
        dropout, recurrent_dropout: The rates at which features of the inputs, and of the state, are dropped in
            training.
        reset_after: Whether the reset gate acts behind the product with the recurrent kernel, which has a bias of its
            own then; else on the state before it.
        seed: Makes the dropout repeatable.

    The gates are in the order update, reset, candidate.
    """

    gates = 3
    _names = (
        *("units", "activation", "recurrent_activation", "use_bias"),
        *(*WEIGHT_OPTIONS, "dropout", "recurrent_dropout", "reset_after", "seed"),
    )

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("implementation", None)  # older code gives it; there is one here
        super().__init__(**kwargs)
        self._keep_options(locals())

    def _bias_shape(self, wide: int) -> tuple[int, ...]:
        return (2, wide) if self.reset_after else (wide,)

    def _biased(self, gates: Any) -> Any:
        if self.bias is None:
            return gates
        return ops.add(gates, ops.get_item(self.bias, 0) if self.reset_after else self.bias)

    def _advance(self, gates: Any, states: list[Any], training: bool) -> list[Any]:
        h, gate = states[0], self.recurrent_activation
        if self.reset_after:
            recurrent = self._recurrent(h, training)
            if self.bias is not None:
                recurrent = ops.add(recurrent, ops.get_item(self.bias, 1))
            return [gru_step(gates, recurrent, h, gate, self.activation)]
        x_update, x_reset, x_candidate = ops.split(gates, 3, axis=-1)
        seen = self._seen_state(h, training)
        kernels = ops.split(self.recurrent_kernel, 3, axis=-1)
        update = gate(ops.add(x_update, ops.matmul(seen[0], kernels[0])))
        reset = gate(ops.add(x_reset, ops.matmul(seen[len(seen) // 2], kernels[1])))
        h_candidate = ops.matmul(ops.multiply(reset, seen[-1]), kernels[2])
        return [blended(update, h, self.activation(ops.add(x_candidate, h_candidate)))]

    def _has_sequence_op(self, training: bool) -> bool:
        return _is_usual(self, training)

    def _run_sequence(
        self, x: Any, states: list[Any], mask: Any, reverse: bool, sequence: bool, training: bool
    ) -> tuple[Any, ...]:
        (x,) = self._seen_inputs(x, training)
        weights = self.kernel, self.recurrent_kernel, self.bias
        return ops.gru(x, *states, *weights, mask, reverse, sequence, self.reset_after)


def _is_usual(cell: Any, training: bool) -> bool:
    """Whether a cell of gates has the activations that its op has, and all gates see the same."""
    usual = cell.activation is activations.tanh and cell.recurrent_activation is activations.sigmoid
    return usual and not (training and cell.recurrent_dropout > 0)
