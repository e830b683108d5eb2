"""The graph between symbolic inputs and outputs: which operations, in which order.

The order is Keras's, because automatic names, summaries and files depend on it: by depth,
the longest way to an output, greatest first; within one depth as a search from the outputs
meets the operations.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from kcore import tree
from kcore.layers.layer import _training
from kcore.ops.symbolic import KerasTensor, Node, record

Key = tuple[int, int, int]  # (id of the operation, number of its call, number of the result)
Call = tuple[int, int]


class Graph(NamedTuple):
    """All operations, inputs among them, in Keras's order; and the nodes inside, by call, in the order to run them."""

    operations: list[Any]
    nodes: dict[Call, Node]

    def calls_of(self, operation: Any) -> list[tuple[int, Node]]:
        """(number, node) of the operation's calls in this graph; it may have been called outside of it too."""
        numbers = range(len(operation._inbound_nodes))
        return [(i, self.nodes[id(operation), i]) for i in numbers if (id(operation), i) in self.nodes]

    def numbers(self) -> dict[Call, int]:
        """Call -> its number among the operation's calls in this graph, which names and files count."""
        calls = ((operation, self.calls_of(operation)) for operation in self.operations)
        return {(id(operation), at): i for operation, own in calls for i, (at, _) in enumerate(own)}


def key_of(tensor: KerasTensor) -> Key:
    """Which result of which call a symbolic tensor is."""
    history = tensor._keras_history
    if history is None:
        raise ValueError(f"{tensor} was made by no layer or op; start from kcore.Input.")
    return id(history.operation), history.node_index, history.tensor_index


def trace_back(inputs: list[KerasTensor], outputs: list[KerasTensor], stand_ins: dict[Key, KerasTensor]) -> Graph:
    """The graph that leads from `inputs` to `outputs`.

    Args:
        inputs: Tensors of input layers.
        outputs: What is wanted.
        stand_ins: Where the graph starts in the middle of another: what is there -> the input in its place.

    Raises:
        ValueError: An output depends on an input that is not given, or two operations have one name.
    """
    starts = {key_of(t)[:2] for t in inputs}
    found: dict[Call, Node] = {}  # arguments before what uses them
    indices: dict[int, int] = {}
    operations: dict[int, Any] = {}
    for output in outputs:
        _visit(stand_ins.get(key_of(output), output), starts, stand_ins, found, indices, operations)
    for tensor in inputs:
        operation = tensor._keras_history.operation  # type: ignore[union-attr]
        indices.setdefault(id(operation), -1)
        operations.setdefault(id(operation), operation)
        found.setdefault(key_of(tensor)[:2], operation._inbound_nodes[tensor._keras_history.node_index])  # type: ignore[union-attr]

    depths: dict[Call, int] = {}
    operation_depths: dict[int, int] = dict.fromkeys(operations, 0)
    for call in reversed(found):
        depths[call] = operation_depths[call[0]] = max(depths.get(call, 0), operation_depths[call[0]])
        for tensor in found[call].inputs:
            parent = key_of(tensor)[:2]
            depths[parent] = max(depths.get(parent, 0), depths[call] + 1)
    ranked = sorted(operations, key=lambda i: (-operation_depths[i], indices[i]))
    _require_unique_names([operations[i].name for i in ranked])
    in_order = sorted(found, key=lambda call: -depths[call])
    return Graph([operations[i] for i in ranked], {call: found[call] for call in in_order})


def _visit(output: KerasTensor, starts: set, stand_ins: dict, found: dict, indices: dict, operations: dict) -> None:
    """Depth first from one output; without recursion, since models can be thousands of calls deep."""
    stack: list[tuple[Any, int, Node | None]] = [(*output._keras_history[:2], None)]  # type: ignore[index]
    while stack:
        operation, number, node = stack.pop()
        call = (id(operation), number)
        if node is not None:
            found[call] = node
            continue
        if id(operation) not in operations:
            operations[id(operation)] = operation
            indices[id(operation)] = len(indices)
        elif call in found:
            continue
        node = operation._inbound_nodes[number]
        if call in starts:
            found[call] = node
            continue
        if any(key_of(t) in stand_ins for t in node.inputs):
            node = _replaced(node, stand_ins)
        if not node.inputs:
            raise ValueError(f"The outputs depend on {operation.name}, which is not among the inputs of the model.")
        stack.append((operation, number, node))
        stack.extend((*t._keras_history[:2], None) for t in reversed(node.inputs))  # type: ignore[index]


def _replaced(node: Node, stand_ins: dict[Key, KerasTensor]) -> Node:
    def replace(x: Any) -> Any:
        return stand_ins.get(key_of(x), x) if isinstance(x, KerasTensor) else x

    args, kwargs = tree.map_structure(replace, (node.args, node.kwargs))
    return Node(node.operation, args, kwargs, node.outputs)


def _require_unique_names(names: list[str]) -> None:
    repeated = [f"{name!r} ({count} times)" for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(f"Names in a model are unique, but these are not: {', '.join(repeated)}.")


class Step:
    """One node, ready to run: where its arguments come from and where its results go.

    Attributes:
        done: The slots that nobody reads after this step.
    """

    __slots__ = ("_kwargs", "_leaves", "_sources", "_structure", "_trains", "done", "operation", "outputs", "reads")

    def __init__(self, node: Node, slots: dict[Key, int]) -> None:
        self.operation = node.operation
        self.outputs = [slots.setdefault(key_of(t), len(slots)) for t in node.outputs]
        self.done: list[int] = []
        # A mask or a `training` of None says nothing.
        kwargs = {k: v for k, v in node.kwargs.items() if v is not None or k not in ("mask", "training")}
        self._trains = "training" in kwargs
        tensors = all(isinstance(a, KerasTensor) for a in node.args)
        if tensors and not any(isinstance(x, KerasTensor) for x in tree.flatten(kwargs)):
            # The common case: tensors alone, by position.
            self._structure, self._kwargs = None, kwargs
            self._leaves: list[Any] = []
            self._sources: list[int | None] = [slots[key_of(t)] for t in node.args]
        else:
            self._structure, self._kwargs = (node.args, kwargs), {}
            self._leaves = tree.flatten(self._structure)
            self._sources = [slots[key_of(t)] if isinstance(t, KerasTensor) else None for t in self._leaves]
        self.reads = {s for s in self._sources if s is not None}

    def run(self, values: list[Any]) -> None:
        """Computes the node from, and into, the slots."""
        if self._structure is None:
            args, kwargs = [values[s] for s in self._sources], self._kwargs  # type: ignore[index]
        else:
            filled = [x if s is None else values[s] for x, s in zip(self._leaves, self._sources, strict=True)]
            args, kwargs = tree.pack_sequence_as(self._structure, filled)
        if self._trains and (training := _training.get()) is not None:
            kwargs = {**kwargs, "training": training}  # the caller of the model decides
        result = self.operation(*args, **kwargs)
        if len(self.outputs) == 1 and not tree.is_nested(result):
            values[self.outputs[0]] = result
        else:
            for slot, value in zip(self.outputs, tree.flatten(result), strict=True):
                values[slot] = value
        for slot in self.done:
            values[slot] = None


def steps_of(graph: Graph, slots: dict[Key, int], outputs: list[KerasTensor]) -> list[Step]:
    """The graph's steps; `slots` has the inputs' and gets those of all results."""
    steps = [Step(node, slots) for node in graph.nodes.values() if node.inputs]
    needed = {slots[key_of(t)] for t in outputs}
    for step in reversed(steps):
        step.done = sorted((step.reads | set(step.outputs)) - needed)
        needed |= step.reads
    return steps


# -- for copy and pickle ----------------------------------------------------------------


class _Place(NamedTuple):
    """A symbolic tensor of a flat graph: a result of a call of an operation, all by number."""

    operation: int
    call: int
    index: int


def flattened(graph: Graph, inputs: Any, outputs: Any) -> dict[str, Any]:
    """The graph without its chain of tensors and calls: operations, and calls by number."""
    at = {id(operation): i for i, operation in enumerate(graph.operations)}

    def place(x: Any) -> Any:
        if not isinstance(x, KerasTensor):
            return x
        operation, call, index = key_of(x)
        return _Place(at[operation], call, index)

    calls = []
    for (operation, call), node in graph.nodes.items():
        args, kwargs = _mapped(place, (node.args, node.kwargs))
        specs = [(t.shape, t.dtype, t.sparse, t.name) for t in node.outputs]
        calls.append((at[operation], call, args, kwargs, specs))
    ends = _mapped(place, inputs), _mapped(place, outputs)
    return {"operations": graph.operations, "calls": calls, "ends": ends}


def rebuilt(flat: dict[str, Any]) -> tuple[Any, Any]:
    """(inputs, outputs) of a flat graph, its calls recorded again with its operations."""
    made: dict[tuple[int, int], list[KerasTensor]] = {}

    def tensor(x: Any) -> Any:
        return made[x.operation, x.call][x.index] if isinstance(x, _Place) else x

    for at, call, args, kwargs, specs in flat["calls"]:
        outputs = [KerasTensor(shape, dtype, sparse=sparse, name=name) for shape, dtype, sparse, name in specs]
        given = _mapped(tensor, (args, kwargs))
        record(flat["operations"][at], given[0], given[1], outputs)
        made[at, call] = outputs
    inputs, outputs = flat["ends"]
    return _mapped(tensor, inputs), _mapped(tensor, outputs)


def _mapped(function: Any, x: Any) -> Any:
    """`function` of the leaves; a _Place is one, though it is a tuple."""
    if isinstance(x, _Place) or not tree.is_nested(x):
        return function(x)
    if isinstance(x, dict):
        return {k: _mapped(function, v) for k, v in x.items()}
    parts = [_mapped(function, v) for v in x]
    return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
