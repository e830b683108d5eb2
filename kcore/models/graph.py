"""The graph between symbolic inputs and outputs: which operations, in which order.

The order is Keras's, because automatic names, summaries and files depend on it: by depth,
the longest way to an output, greatest first; within one depth as a search from the outputs
meets the operations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kcore import tree
from kcore.ops.symbolic import KerasTensor, Node

Key = tuple[int, int, int]


class Graph(NamedTuple):
    """The nodes to run, in order; and all operations, inputs among them, in Keras's order."""

    nodes: list[Node]
    operations: list[Any]
    node_keys: set[tuple[int, int]]


def key_of(tensor: KerasTensor) -> Key:
    """Which result of which call a symbolic tensor is."""
    history = tensor._keras_history
    if history is None:
        raise ValueError(f"{tensor} was made by no layer or op; start from kcore.Input.")
    return id(history.operation), history.node_index, history.tensor_index


def trace_back(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> Graph:
    """The graph that leads from `inputs` to `outputs`.

    Raises:
        ValueError: An output depends on an input that is not given.
    """
    starts = {key_of(t)[:2] for t in inputs}
    order: list[tuple[Any, int]] = []  # calls, arguments before what uses them
    indices: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    for output in outputs:
        _visit(output, starts, seen, order, indices)
    for tensor in inputs:
        indices.setdefault(id(tensor._keras_history.operation), len(indices))  # type: ignore[union-attr]

    depths: dict[tuple[int, int], int] = {}
    operation_depths: dict[int, int] = {}
    operations: dict[int, Any] = {}
    for operation, at in reversed(order):
        call = (id(operation), at)
        operations[id(operation)] = operation
        depth = max(depths.get(call, 0), operation_depths.get(id(operation), 0))
        depths[call] = operation_depths[id(operation)] = depth
        for parent in _parents(operation, at, starts):
            depths[parent] = max(depths.get(parent, 0), depth + 1)
    for tensor in inputs:
        operation = tensor._keras_history.operation  # type: ignore[union-attr]
        operations.setdefault(id(operation), operation)
        operation_depths.setdefault(id(operation), 0)
    ranked = sorted(operations, key=lambda i: (-operation_depths[i], indices[i]))
    first = [operations[i] for i in ranked if not operations[i]._inbound_nodes[0].inputs]
    rest = [operations[i] for i in ranked if operations[i]._inbound_nodes[0].inputs]
    calls = sorted(order, key=lambda c: -depths[id(c[0]), c[1]])
    nodes = [operation._inbound_nodes[at] for operation, at in calls if (id(operation), at) not in starts]
    return Graph(nodes, first + rest, {(id(o), at) for o, at in order})


def _visit(output: KerasTensor, starts: set, seen: set, order: list, indices: dict) -> None:
    """Depth first from one output; without recursion, since models can be thousands of calls deep."""
    key_of(output)
    history = output._keras_history
    stack: list[tuple[Any, int, bool]] = [(history.operation, history.node_index, False)]  # type: ignore[union-attr]
    while stack:
        operation, at, done = stack.pop()
        call = (id(operation), at)
        if done:
            order.append((operation, at))
            continue
        if call in seen:
            continue
        seen.add(call)
        indices.setdefault(id(operation), len(indices))
        stack.append((operation, at, True))
        if call in starts:
            continue
        inputs = operation._inbound_nodes[at].inputs
        if not inputs:
            raise ValueError(
                f"The outputs depend on {operation.name}, which is not among the inputs of the model."
            )
        for tensor in reversed(inputs):
            up = tensor._keras_history
            if up is None:
                raise ValueError(f"{tensor}, an argument of {operation.name}, was made by no layer or op.")
            stack.append((up.operation, up.node_index, False))


def _parents(operation: Any, at: int, starts: set) -> list[tuple[int, int]]:
    if (id(operation), at) in starts:
        return []
    return [key_of(t)[:2] for t in operation._inbound_nodes[at].inputs]


class Step:
    """One node, ready to run: where its arguments come from and where its results go."""

    __slots__ = ("args", "kwargs", "operation", "outputs", "plain", "sources")

    def __init__(self, node: Node, slots: dict[Key, int]) -> None:
        self.operation = node.operation
        self.args, self.kwargs = node.args, node.kwargs
        self.outputs = [slots.setdefault(key_of(t), len(slots)) for t in node.outputs]
        leaves = tree.flatten((node.args, node.kwargs))
        self.sources = [slots[key_of(t)] if isinstance(t, KerasTensor) else None for t in leaves]
        # The common case: tensors alone, by position.
        self.plain = not node.kwargs and all(isinstance(a, KerasTensor) for a in node.args)

    def run(self, values: list[Any]) -> None:
        if self.plain:
            result = self.operation(*[values[s] for s in self.sources])
        else:
            leaves = tree.flatten((self.args, self.kwargs))
            filled = [x if s is None else values[s] for x, s in zip(leaves, self.sources, strict=True)]
            args, kwargs = tree.pack_sequence_as((self.args, self.kwargs), filled)
            result = self.operation(*args, **kwargs)
        if len(self.outputs) == 1 and not tree.is_nested(result):
            values[self.outputs[0]] = result
            return
        for slot, value in zip(self.outputs, tree.flatten(result), strict=True):
            values[slot] = value
