"""RNN: a cell, step by step along a sequence; and several cells as one."""

from __future__ import annotations

from typing import Any

from kcore import ops, tree
from kcore.layers import home
from kcore.layers.arguments import config_of
from kcore.layers.cells import DropoutCell
from kcore.layers.layer import Layer
from kcore.ops.numerics import present
from kcore.state import Variable


class _KeptState:
    """A state that a stateful layer keeps from call to call. As a seed generator's, it is a variable, but no weight."""

    _kcore_state = "seed"

    def __init__(self, state: Variable) -> None:
        self.state = state


class StackedRNNCells(Layer):
    """Several cells as one: each takes the output of the one before.

    Args:
        cells: The cells.

    Raises:
        ValueError: One has no `state_size`.
    """

    def __init__(self, cells: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            _check_cell(self, cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """Of each cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """Of the last cell."""
        return _output_size(self.cells[-1])

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """The first states of each cell."""
        return [_initial_state(self, cell, batch_size) for cell in self.cells]

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            size = _output_size(cell)
            input_shape = (input_shape[0], *(size if isinstance(size, (tuple, list)) else (size,)))

    def call(self, inputs: Any, states: Any, training: bool = False, **kwargs: Any) -> tuple[Any, Any]:
        made = []
        for cell, own in zip(self.cells, states, strict=True):
            single = not isinstance(own, (list, tuple))
            inputs, new = _run_cell(cell, inputs, [own] if single else list(own), training, **kwargs)
            made.append(tree.flatten(new)[0] if single else new)
        return inputs, made

    def get_config(self) -> dict:
        from kcore import saving

        return super().get_config() | {"cells": [saving.serialize_keras_object(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The cells of a config."""
        from kcore import saving

        cells = [saving.deserialize_keras_object(c, custom_objects=custom_objects) for c in config["cells"]]
        return cls(**{**config, "cells": cells})


def _check_cell(layer: Any, cell: Any) -> None:
    if not callable(cell) or not hasattr(cell, "state_size"):
        raise ValueError(
            f"{layer.name}: a cell is a callable with a state_size, an integer or one for each state, not {cell!r}."
        )


def _output_size(cell: Any) -> Any:
    size = getattr(cell, "output_size", None)
    return (
        (cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size)
        if size is None
        else size
    )


def _initial_state(layer: Any, cell: Any, batch_size: Any) -> list[Any]:
    """The cell's own first states, or zeros of its state sizes."""
    if hasattr(cell, "get_initial_state"):
        found = cell.get_initial_state(batch_size=batch_size)
        return list(found) if isinstance(found, (list, tuple)) else [found]
    many = cell.state_size if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
    return [ops.zeros((batch_size, size), layer.compute_dtype) for size in many]


def _run_cell(cell: Any, inputs: Any, states: list[Any], training: bool, **kwargs: Any) -> tuple[Any, Any]:
    """(output, next states in a list)."""
    if isinstance(cell, Layer):
        kwargs["training"] = training
    output, made = cell(inputs, states, **kwargs)
    return output, list(made) if isinstance(made, (list, tuple)) else [made]


class RNN(Layer):
    """A cell, step by step along a sequence.

    Args:
        cell: A layer, or another callable: (inputs of a step, states, training) to (output, next states), with a
            `state_size`, an integer or one for each state; or a list of such, to stack.
        return_sequences: Whether the result is the output of every step, or of the last.
        return_state: Whether the last states are returned too, behind the result.
        go_backwards: Whether to go from the last step to the first; the outputs are in the order of going.
        stateful: Whether each call starts from the states that the one before ended with.
        unroll: Whether a compiled loop is unrolled.
        zero_output_for_mask: Whether masked steps give 0 instead of the output before them.

    Call arguments:
        sequences: (batch, steps, ...).
        initial_state: The states to start from; the cell's, mostly zeros, unless given.
        mask: (batch, steps), false where a step is left out: then the states stay what they were.

    Raises:
        ValueError: The cell is none, or a stateful layer meets an open or another batch size.
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        _check_cell(self, self.cell)
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful, self.unroll = go_backwards, stateful, unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.supports_masking = True
        self._kept: list[_KeptState] = []

    @property
    def states(self) -> list[Variable] | None:
        """The states that a stateful layer keeps; None if it keeps none."""
        return [kept.state for kept in self._kept] or None

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((sequences_shape[0], *sequences_shape[2:]))
        if self.stateful:
            if sequences_shape[0] is None:
                raise ValueError(
                    f"{self.name}: a stateful layer needs to know the batch size; the inputs have shape {tuple(sequences_shape)}."
                )
            self._kept = [
                _KeptState(Variable(value, trainable=False, dtype=self.variable_dtype, name="rnn_state"))
                for value in tree.flatten(self.get_initial_state(sequences_shape[0]))
            ]

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """The states to start from where none are given."""
        return _initial_state(self, self.cell, batch_size)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        states = self._start(sequences, initial_state)
        mask = tree.flatten(mask)[0] if isinstance(mask, (list, tuple)) else mask
        if training:
            self._reset_dropout_masks()
        last, outputs, states = self.inner_loop(sequences, states, mask, bool(training))
        if training:
            self._reset_dropout_masks()
        for kept, value in zip(self._kept, tree.flatten(states), strict=False):
            kept.state.assign(value)
        y = outputs if self.return_sequences else last
        return (y, *states) if self.return_state else y

    def _start(self, sequences: Any, initial_state: Any) -> list[Any]:
        own = self._first_states(sequences)
        if initial_state is None:
            if not self.stateful:
                return own
            initial_state = [kept.state.value for kept in self._kept]
            batch, size = sequences.shape[0], initial_state[0].shape[0]
            if batch not in (None, size):
                raise ValueError(f"{self.name}: the stateful layer keeps states of {size} samples, but {batch} came.")
        leaves = tree.flatten(initial_state)
        wanted = tree.flatten(own)
        if len(leaves) != len(wanted):
            raise ValueError(f"{self.name}: the cell has {len(wanted)} states, but initial_state has {len(leaves)}.")
        for state, want in zip(leaves, wanted, strict=True):
            if tuple(state.shape[1:]) != tuple(want.shape[1:]):
                raise ValueError(
                    f"{self.name}: an initial state has shape {tuple(state.shape)}, but the cell's have {tuple(want.shape)}."
                )
        return tree.pack_sequence_as(own, [ops.cast(s, w.dtype) for s, w in zip(leaves, wanted, strict=True)])

    def _first_states(self, sequences: Any) -> list[Any]:
        return self.get_initial_state(ops.shape(sequences)[0])

    def _reset_dropout_masks(self) -> None:
        cells = [self.cell] if not isinstance(self.cell, StackedRNNCells) else self.cell.cells
        for cell in cells:
            if isinstance(cell, DropoutCell):
                cell.reset_dropout_mask()
                cell.reset_recurrent_dropout_mask()

    def _draw_dropout_masks(self, cell: Any, inputs: Any, states: Any) -> Any:
        """Has cells draw before the loop what is the same in all of its steps."""
        if isinstance(cell, StackedRNNCells):
            for one, own in zip(cell.cells, states, strict=True):
                self._draw_dropout_masks(one, inputs, own)
                inputs = tree.flatten(own)[0]
        elif isinstance(cell, DropoutCell):
            cell.get_dropout_mask(inputs)
            cell.get_recurrent_dropout_mask(tree.flatten(states)[0])

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> tuple[Any, Any, Any]:
        """(output of the last step, of all steps or None, last states)."""
        cell = self.cell
        mask = None if mask is None else ops.cast(mask, "bool")
        if training:
            self._draw_dropout_masks(cell, sequences[:, 0], initial_state)
        # Own cells take all steps' inputs to the gates at once, and their output is their first state.
        whole = hasattr(cell, "_project") and home.own_class(cell).__module__ == "kcore.layers.cells"
        if whole and not self.unroll and cell._has_sequence_op(training):
            return self._whole_loop(sequences, initial_state, mask, training)
        sequences = present(sequences, mask)
        xs = ops.swapaxes(cell._project(sequences, training) if whole else sequences, 0, 1)
        there = None if mask is None else ops.swapaxes(mask, 0, 1)
        follows = there is not None and not self.zero_output_for_mask
        keep_all = self.return_sequences or not whole

        def step(carry: Any, row: Any) -> tuple[Any, Any]:
            (states, before), (x, now) = carry, row
            if whole:
                made = cell._advance(x, states, training)
                output = made[0]
            else:
                output, made = _run_cell(cell, x, states, training)
            made = tree.map_structure(_as_before, made, states)
            if now is not None:
                made = tree.map_structure(lambda new, old: _where(now, new, old), made, states)
                output = _where(now, output, before if follows else 0)
            return (made, output if follows else None), output if keep_all else None

        before = self._no_output(cell, xs, initial_state, training) if follows else None
        (states, _), ys = ops.scan(
            step, (initial_state, before), (xs, there), reverse=self.go_backwards, unroll=self.unroll or 1
        )
        if not keep_all:
            last = states[0]
            if there is not None and self.zero_output_for_mask:
                last = _where(there[0 if self.go_backwards else -1], last, 0)
            return last, None, states
        if self.go_backwards:
            ys = ops.flip(ys, 0)
        return ys[-1], ops.swapaxes(ys, 0, 1) if self.return_sequences else None, states

    def _whole_loop(self, sequences: Any, initial_state: Any, there: Any, training: bool) -> tuple[Any, Any, Any]:
        """`inner_loop` by the cell's op for whole sequences; without the output that the layer does not return."""
        back = self.go_backwards
        made = self.cell._run_sequence(sequences, initial_state, there, back, self.return_sequences, training)
        states = [_as_before(new, old) for new, old in zip(made[-len(initial_state) :], initial_state, strict=True)]
        if not self.return_sequences:
            last = states[0]
            if there is not None and self.zero_output_for_mask:
                last = _where(there[:, 0 if back else -1], last, 0)
            return last, None, states
        ys = ops.flip(made[0], 1) if back else made[0]
        if there is not None:
            there = ops.flip(there, 1) if back else there
            if not self.zero_output_for_mask:  # an output is 0 up to the first step that is there, whatever the state
                there = ops.greater(ops.cumsum(ops.cast(there, "int32"), 1), 0)
            ys = ops.where(ops.expand_dims(there, -1), ys, 0)
        return None, ys, states

    def _no_output(self, cell: Any, xs: Any, states: Any, training: bool) -> Any:
        """Zeros of the shape of an output: what a masked first step gives."""
        if getattr(cell, "output_is_state", False):
            return ops.zeros_like(tree.flatten(states)[0])
        return ops.zeros_like(_run_cell(cell, xs[0], states, training)[0])

    def compute_mask(self, _: Any, mask: Any = None) -> Any:
        mask = tree.flatten(mask)[0] if isinstance(mask, (list, tuple)) else mask
        kept = mask if self.return_sequences else None
        return [kept, *(None for _ in tree.flatten(self.cell.state_size))] if self.return_state else kept

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        batch, steps = sequences_shape[:2]
        size = _output_size(self.cell)
        own = (*size,) if isinstance(size, (tuple, list)) else (size,)
        y = (batch, steps, *own) if self.return_sequences else (batch, *own)
        if not self.return_state:
            return y
        many = self.cell.state_size if isinstance(self.cell.state_size, (list, tuple)) else [self.cell.state_size]
        return (y, *([(batch, d) for d in s] if isinstance(s, (list, tuple)) else (batch, s) for s in many))

    def reset_state(self) -> None:
        """Has a stateful layer start from the cell's own states again."""
        if self._kept:
            batch = self._kept[0].state.shape[0]
            for kept, value in zip(self._kept, tree.flatten(self.get_initial_state(batch)), strict=True):
                kept.state.assign(value)

    def reset_states(self) -> None:
        """`reset_state`, by its older name."""
        self.reset_state()

    def get_config(self) -> dict:
        from kcore import saving

        names = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask")
        return super().get_config() | config_of(self, *names) | {"cell": saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The layer of a config."""
        from kcore import saving

        cell = saving.deserialize_keras_object(config["cell"], custom_objects=custom_objects)
        return cls(**{**config, "cell": cell})


def _where(there: Any, x: Any, otherwise: Any) -> Any:
    """`x` in the samples that are there."""
    return ops.where(ops.reshape(there, (-1, *(1,) * (len(x.shape) - 1))), x, otherwise)


def _as_before(new: Any, old: Any) -> Any:
    """A state in the dtype that it had."""
    return new if new.dtype == old.dtype else ops.cast(new, old.dtype)
