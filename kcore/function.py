"""Function: what was called between symbolic inputs and outputs, to be called on other tensors."""

from __future__ import annotations

from typing import Any

from kcore import tree
from kcore.models.graph import Graph, key_of, steps_of, trace_back
from kcore.operation import Operation
from kcore.ops.symbolic import KerasTensor


class Function(Operation):
    """The operations that lead from `inputs` to `outputs`, as one operation; it owns no weights.

    Args:
        inputs, outputs: KerasTensors in any structure. Inputs may lie in the middle of a graph.
        name: Unique by default.

    Raises:
        ValueError: Something is no KerasTensor, or an output depends on something else.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        for what, structure in (("inputs", inputs), ("outputs", outputs)):
            for t in tree.flatten(structure):
                if not isinstance(t, KerasTensor):
                    raise ValueError(f"Function: {what} should be KerasTensors, not {type(t).__name__}.")
        self._inputs_struct, self._outputs_struct = inputs, outputs
        self._inputs, self._outputs = tree.flatten(inputs), tree.flatten(outputs)
        graph = trace_back(self._inputs, self._outputs, {})
        begun = {key_of(t)[:2] for t in self._inputs}
        nodes = {call: node for call, node in graph.nodes.items() if call not in begun}
        run = {call[0] for call, node in graph.nodes.items() if call not in begun or not node.inputs}
        self._operations = [o for o in graph.operations if id(o) in run]
        slots = {key_of(t): i for i, t in enumerate(self._inputs)}
        self._input_slots = [slots[key_of(t)] for t in self._inputs]
        self._steps = steps_of(Graph(graph.operations, nodes), slots, self._outputs)
        self._slot_count = len(slots)
        self._output_slots = [slots[key_of(t)] for t in self._outputs]

    @property
    def operations(self) -> list[Any]:
        """The operations, inputs among them, in order."""
        return list(self._operations)

    @property
    def inputs(self) -> list[KerasTensor]:
        return self._inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        return self._outputs

    def call(self, inputs: Any) -> Any:
        """The outputs for tensors in the structure of the inputs.

        Raises:
            ValueError: The structure, or a shape, differs.
        """
        flat = self._matched(inputs)
        values: list[Any] = [None] * self._slot_count
        for slot, x in zip(self._input_slots, flat, strict=True):
            values[slot] = x
        for step in self._steps:
            step.run(values)
        return tree.pack_sequence_as(self._outputs_struct, [values[s] for s in self._output_slots])

    def _matched(self, inputs: Any) -> list[Any]:
        try:
            tree.assert_same_paths(inputs, self._inputs_struct)
        except ValueError as error:
            raise ValueError(f"{self.name}: the inputs have another structure than the function's: {error}") from None
        flat = tree.flatten(inputs)
        for x, wanted in zip(flat, self._inputs, strict=True):
            shape = tuple(getattr(x, "shape", ()))
            fits = len(shape) == len(wanted.shape) and all(
                a is None or b is None or a == b for a, b in zip(shape, wanted.shape, strict=True)
            )
            if not fits:
                raise ValueError(
                    f"{self.name}: an input should have shape {wanted.shape}, but one of shape {shape} was given."
                )
        return flat

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shapes of the outputs for shapes of the inputs."""
        shapes = _shapes(input_shape, self._inputs_struct)
        given = [KerasTensor(s, t.dtype, record_history=False) for s, t in zip(shapes, self._inputs, strict=True)]
        outputs = self.compute_output_spec(tree.pack_sequence_as(self._inputs_struct, given))
        return tree.map_structure(lambda t: tuple(t.shape), outputs)


def _shapes(given: Any, like: Any) -> list[tuple]:
    """The shapes in a structure, in the order of the leaves of `like`."""
    found: list[tuple] = []
    tree.map_shape_structure(lambda s: found.append(s), given)
    if len(found) != len(tree.flatten(like)):
        raise ValueError(f"{len(found)} shapes were given for {len(tree.flatten(like))} inputs.")
    return found


def get_source_inputs(tensor: KerasTensor) -> list[KerasTensor]:
    """The inputs that a symbolic tensor was computed from, each once."""
    found: dict[int, KerasTensor] = {}
    seen: set[tuple[int, int]] = set()
    waiting = [tensor]
    while waiting:
        one = waiting.pop()
        call = key_of(one)[:2]
        if call in seen:
            continue
        seen.add(call)
        node = one._keras_history.operation._inbound_nodes[call[1]]  # type: ignore[union-attr]
        if node.inputs:
            waiting.extend(reversed(node.inputs))
        else:
            found.update({id(t): t for t in node.outputs})
    return list(found.values())
