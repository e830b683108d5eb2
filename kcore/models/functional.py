"""Functional: a model made of what was called between symbolic inputs and outputs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from kcore import dtypes, ops, tree
from kcore.layers import home, masks
from kcore.layers.input_layer import Input, InputLayer
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer, _training, _unrecord
from kcore.models.graph import Key, flattened, key_of, rebuilt, steps_of, trace_back
from kcore.models.model import Model
from kcore.ops.symbolic import KerasTensor

# What `_connect` finds: a chain of tensors and calls, too deep for copy and pickle to follow.
_CONNECTIONS = frozenset(
    [
        "_inputs_struct",
        "_outputs_struct",
        "_single_output",
        "_inputs",
        "_outputs",
        "_graph",
        "_steps",
        "_slot_count",
        "_input_slots",
        "_output_slots",
        "_own_layers",
    ]
)


class Functional(Model):
    """The model from `inputs` to `outputs`, both KerasTensors in any structure.

    Raises:
        ValueError: An input or output is no KerasTensor, or an output depends on something else.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", None)
        for what, structure in (("inputs", inputs), ("outputs", outputs)):
            for t in tree.flatten(structure):
                if not isinstance(t, KerasTensor):
                    raise ValueError(f"Functional: {what} should be KerasTensors, not {type(t).__name__}.")
        super().__init__(name=name, **kwargs)
        stand_ins: dict[Key, KerasTensor] = {}
        inputs = tree.map_structure(lambda t: _as_input(t, stand_ins), inputs)
        self._connect(inputs, tree.map_structure(lambda t: stand_ins.get(key_of(t), t), outputs), stand_ins)
        self.built = True
        if trainable is not None:
            self.trainable = trainable
        self._backend_adopts()

    def _connect(self, inputs: Any, outputs: Any, stand_ins: dict[Key, KerasTensor]) -> None:
        """Finds the graph, and what to run."""
        self._inputs_struct, self._outputs_struct = inputs, outputs
        self._single_output = not tree.is_nested(outputs)
        self._inputs, self._outputs = tree.flatten(inputs), tree.flatten(outputs)
        self._graph = trace_back(self._inputs, self._outputs, stand_ins)
        slots = {key_of(t): i for i, t in enumerate(self._inputs)}
        self._steps = steps_of(self._graph, slots, self._outputs)
        self._slot_count = len(slots)
        # An input given twice takes the value that comes last.
        self._input_slots = [slots[key_of(t)] for t in self._inputs]
        self._output_slots = [slots[key_of(t)] for t in self._outputs]
        self._own_layers = [o for o in self._graph.operations if isinstance(o, Layer)]

    # Not searched for state: `_own_layers` has it all.
    @property
    def layers(self) -> list[Layer]:
        return list(self._own_layers)

    def _sublayers(self, held: Sequence[Any] | None = None) -> list[Layer]:
        known = {id(layer) for layer in self._own_layers}
        return [*self._own_layers, *(layer for layer in super()._sublayers(held) if id(layer) not in known)]

    @property
    def inputs(self) -> list[KerasTensor]:
        return self._inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        return self._outputs

    @property
    def input(self) -> Any:
        return self._inputs_struct

    @property
    def output(self) -> Any:
        return self._outputs_struct

    @property
    def input_shape(self) -> Any:
        shapes = [t.shape for t in self._inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        shapes = [t.shape for t in self._outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def operations(self) -> list[Any]:
        """All operations, layers and calls of ops, in order."""
        return list(self._graph.operations)

    @property
    def output_names(self) -> list[str]:
        return [t._keras_history.operation.name for t in self._outputs]  # type: ignore[union-attr]

    @property
    def input_spec(self) -> Any:
        return [
            InputSpec(
                shape=(None, *t.shape[1:]) if t.shape else (),
                allow_last_axis_squeeze=True,
                name=t._keras_history.operation.name,  # type: ignore[union-attr]
                optional=getattr(t._keras_history.operation, "optional", False),  # type: ignore[union-attr]
            )
            for t in self._inputs
        ]

    def _assert_input_spec(self, args: tuple) -> None:
        """Inputs are checked where they are matched to the model's."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """Runs the graph. `inputs` has the structure of the model's, or is a dict by input names.

        The outputs have the structure of the model's; only a list or tuple of one is that one, where data are given.

        A `training` that is given goes to all layers, in place of what they were called with when the model was made.
        """
        token = None if training is None else _training.set(bool(training))
        try:
            return self._run_graph(inputs, mask)
        finally:
            if token is not None:
                _training.reset(token)

    def _run_graph(self, inputs: Any, mask: Any) -> Any:
        flat = self._matched(inputs)
        if mask is not None:
            for x, m in zip(flat, tree.flatten(mask), strict=True):
                if m is not None:
                    masks.set_mask(x, m)
        values: list[Any] = [None] * self._slot_count
        for slot, x in zip(self._input_slots, flat, strict=True):
            values[slot] = x
        for step in self._steps:
            step.run(values)
        if self._single_output:
            return values[self._output_slots[0]]
        results = [values[s] for s in self._output_slots]
        alone = len(results) == 1 and type(self._outputs_struct) in (list, tuple)
        if alone and not isinstance(results[0], KerasTensor):
            return results[0]  # data come without the list around them, as in Keras
        return tree.pack_sequence_as(self._outputs_struct, results)

    def _matched(self, inputs: Any) -> list[Any]:
        """The values for the model's inputs, in order, each fitted to its rank and dtype."""
        if isinstance(inputs, dict) and not isinstance(self._inputs_struct, dict):
            names = [t._keras_history.operation.name for t in self._inputs]  # type: ignore[union-attr]
            missing = [n for n in names if n not in inputs]
            if missing:
                raise ValueError(f"{self.name}: the inputs lack {', '.join(missing)}; there are {', '.join(inputs)}.")
            flat = [inputs[n] for n in names]
        elif isinstance(inputs, dict):
            missing = [str(k) for k in self._inputs_struct if k not in inputs]
            if missing:
                raise ValueError(f"{self.name}: the inputs lack {', '.join(missing)}; there are {', '.join(inputs)}.")
            flat = tree.flatten({k: inputs[k] for k in self._inputs_struct})
        else:
            flat = tree.flatten(inputs)
        if len(flat) != len(self._inputs):
            raise ValueError(f"{self.name}: the model takes {len(self._inputs)} inputs, but {len(flat)} were given.")
        return [self._fitted(x, t) for x, t in zip(flat, self._inputs, strict=True)]

    def _fitted(self, x: Any, wanted: KerasTensor) -> Any:
        """`x` with an axis of size 1 added or dropped at the end where the rank asks for it."""
        layer = wanted._keras_history.operation  # type: ignore[union-attr]
        if x is None:
            if getattr(layer, "optional", False):
                return None
            raise ValueError(f"{self.name}: the input {layer.name} is None.")
        shape = tuple(x.shape)
        alike = shape[1:] == wanted.shape[1:] and len(shape) == len(wanted.shape)
        if alike and wanted.dtype != "string" and dtypes.name_of(x.dtype) == wanted.dtype:
            return x  # as it mostly is
        if len(shape) == len(wanted.shape) + 1 and shape[-1] == 1:
            x = ops.squeeze(x, -1)
        elif len(shape) == len(wanted.shape) - 1 and wanted.shape[-1] == 1:
            x = ops.expand_dims(x, -1)
        x = _of_kind(x, wanted.dtype)
        shape = tuple(x.shape)
        unlike = len(shape) != len(wanted.shape) or any(
            a is not None and b is not None and a != b for a, b in zip(shape[1:], wanted.shape[1:], strict=True)
        )
        if unlike:
            raise ValueError(
                f"{self.name}: the input {layer.name} should have shape {wanted.shape}, but one of shape {shape} was given."
            )
        return x

    def get_config(self) -> dict:
        from kcore import saving

        if not made_like_functional(home.public_class(self)):
            return Layer.get_config(self)
        return saving.functional_config(self)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        make, args, kept = super().__reduce_ex__(protocol)
        kept = {k: v for k, v in kept.items() if k not in _CONNECTIONS}
        return make, args, kept | {"_flat_graph": flattened(self._graph, self._inputs_struct, self._outputs_struct)}

    def __setstate__(self, kept: dict) -> None:
        flat = kept.pop("_flat_graph")
        super().__setstate__(kept)
        self._connect(*rebuilt(flat), {})

    def get_build_config(self) -> dict | None:
        return {"input_shape": None}  # as Keras writes it: the graph says it all

    def compute_output_shape(self, input_shape: Any) -> Any:
        return Layer.compute_output_shape(self, input_shape)

    def compute_output_spec(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        kwargs = {} if mask is None else {"mask": mask}
        return self._trace(*_unrecord((inputs,), kwargs))


def _of_kind(x: Any, dtype: str) -> Any:
    """`x`, cast where it has integers and the input floats, or other integers, or the other way around."""
    from kcore import ops

    if dtype == "string":
        return x
    own = dtypes.name_of(x.dtype)
    if own == dtype or (dtypes.is_float(own) and dtypes.is_float(dtype)):
        return x
    y = ops.cast(x, dtype)
    masks.set_mask(y, masks.get_mask(x))
    return y


def _as_input(tensor: KerasTensor, stand_ins: dict[Key, KerasTensor]) -> KerasTensor:
    """A model may start in the middle of another: then a new input stands in for that tensor."""
    history = tensor._keras_history
    if history is None:
        return Input(batch_shape=tensor.shape, dtype=tensor.dtype, tensor=tensor)
    if isinstance(history.operation, InputLayer):
        return tensor
    key = key_of(tensor)
    if key not in stand_ins:
        number = "" if history[1:] == (0, 0) else f"_{history.node_index}_{history.tensor_index}"
        name = f"{history.operation.name}_output{number}"
        stand_ins[key] = Input(batch_shape=tensor.shape, dtype=tensor.dtype, sparse=tensor.sparse, name=name)
    return stand_ins[key]


def made_like_functional(cls: type) -> bool:
    """Whether a class is made from inputs and outputs, as Functional is."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    names = [p.name for p in parameters]
    variadic = {p.kind for p in parameters} >= {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return names[:2] == ["inputs", "outputs"] or variadic
