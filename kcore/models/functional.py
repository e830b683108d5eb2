"""Functional: a model made of what was called between symbolic inputs and outputs."""

from __future__ import annotations

from typing import Any

from kcore import tree
from kcore.layers.input_layer import Input, InputLayer
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer
from kcore.models.graph import Step, key_of, trace_back
from kcore.models.model import Model
from kcore.ops.symbolic import KerasTensor


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
        inputs = tree.map_structure(_as_input, inputs)
        self._inputs_struct, self._outputs_struct = inputs, outputs
        self._inputs, self._outputs = tree.flatten(inputs), tree.flatten(outputs)
        graph = trace_back(self._inputs, self._outputs)
        self._graph = graph
        slots = {key_of(t): i for i, t in enumerate(self._inputs)}
        self._steps = [Step(node, slots) for node in graph.nodes]
        self._slot_count = len(slots)
        self._output_slots = [slots[key_of(t)] for t in self._outputs]
        self._own_layers = [o for o in graph.operations if isinstance(o, Layer)]
        self.built = True
        if trainable is not None:
            self.trainable = trainable
        self._backend_adopts()

    # Not searched for state: `_own_layers` has it all.
    @property
    def layers(self) -> list[Layer]:
        return list(self._own_layers)

    def _sublayers(self) -> list[Layer]:
        known = {id(layer) for layer in self._own_layers}
        return [*self._own_layers, *(layer for layer in super()._sublayers() if id(layer) not in known)]

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
        """Runs the graph. `inputs` has the structure of the model's, or is a dict by input names."""
        flat = self._matched(inputs)
        if mask is not None:
            from kcore.layers.masks import set_mask

            for x, m in zip(flat, tree.flatten(mask), strict=True):
                if m is not None:
                    set_mask(x, m)
        values: list[Any] = [None] * self._slot_count
        values[: len(flat)] = flat
        for step in self._steps:
            step.run(values)
        return tree.pack_sequence_as(self._outputs_struct, [values[s] for s in self._output_slots])

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
        from kcore import ops

        layer = wanted._keras_history.operation  # type: ignore[union-attr]
        if x is None:
            if getattr(layer, "optional", False):
                return None
            raise ValueError(f"{self.name}: the input {layer.name} is None.")
        shape = tuple(x.shape)
        if len(shape) == len(wanted.shape) + 1 and shape[-1] == 1:
            x = ops.squeeze(x, -1)
        elif len(shape) == len(wanted.shape) - 1 and wanted.shape[-1] == 1:
            x = ops.expand_dims(x, -1)
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

        return saving.functional_config(self)

    def get_build_config(self) -> dict | None:
        return {"input_shape": None}  # as Keras writes it: the graph says it all

    def compute_output_shape(self, input_shape: Any) -> Any:
        return Layer.compute_output_shape(self, input_shape)

    def compute_output_spec(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        kwargs = {} if mask is None else {"mask": mask}
        from kcore.layers.layer import _unrecord

        return self._trace(*_unrecord((inputs,), kwargs))



def _as_input(tensor: KerasTensor) -> KerasTensor:
    """A model may start in the middle of another: then a new input stands for that tensor."""
    history = tensor._keras_history
    if history is not None and isinstance(history.operation, InputLayer):
        return tensor
    if history is None:
        return Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name, tensor=tensor)
    return tensor
