"""Reverse mode in a hundred lines. The rules are kcore's: `op.vjp`, written in ops, so they run on this backend."""

from __future__ import annotations

import contextlib
import heapq
import itertools
from collections.abc import Iterator
from typing import Any

from kcore import dtypes, ops, tree
from kcore.backends.reference.tape import Detour, fitted
from kcore_array_api.tensor import Tensor

active = 0  # how many gradients are being taken
_serials = itertools.count()


@contextlib.contextmanager
def recording() -> Iterator[None]:
    global active
    active += 1
    try:
        yield
    finally:
        active -= 1


class Node:
    """How tensors were computed: a rule, what it reads, and the tensors that it gives gradients for."""

    def __init__(self, rule: Any, args: list[Any], parents: list[Any], results: list[Tensor], y: Any) -> None:
        self.serial = next(_serials)  # descending, these are a topological order
        self.rule, self.args, self.parents, self.y = rule, args, parents, y
        self.outputs = [(r.shape, r.dtype) for r in results]
        for i, r in enumerate(results):
            if r.dtype.kind not in "biu":
                r._node, r._output = self, i

    def gradients(self, incoming: dict[int, Any]) -> list[Any]:
        gs = [
            incoming[i] if i in incoming else ops.zeros(shape, dtypes.name_of(dtype))
            for i, (shape, dtype) in enumerate(self.outputs)
        ]
        several = isinstance(self.y, (list, tuple))
        found = self.rule(gs if several else gs[0], self.y, *self.args)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        return [g for f in found for g in (f if isinstance(f, list) else [f])]


def tracked(values: Any) -> bool:
    """Whether a gradient flows through any of them."""
    return bool(active) and any(isinstance(x, Tensor) and x._node is not None for x in tree.flatten(values))


def leaf(x: Tensor) -> Tensor:
    """The same values, tracked from here on; an outer gradient sees `x` behind it."""
    y = Tensor(x.data, x.dtype)
    Node(lambda g, _: g, [], [x], [y], None)
    return y


def detach(x: Any) -> Any:
    return Tensor(x.data, x.dtype) if isinstance(x, Tensor) and x._node is not None else x


def run_recorded(op: Any, fn: Any, values: list[Any]) -> Any:
    """Runs an op, and notes on its result how to pull gradients back through it."""
    if isinstance(op.vjp, Detour):
        return op.vjp.function(*values)
    y = fn(*values)
    if op.vjp is None:  # stop_gradient, floor...
        return tree.map_structure(detach, y)
    y = tree.map_structure(lambda r: Tensor(r.data, r.dtype), y)
    parents = [x for role, a in zip(op.roles.values(), values, strict=True) if role != "plain" for x in tree.flatten(a)]
    parents = [x if isinstance(x, Tensor) and x._node is not None else None for x in parents]
    rule = op.vjp
    Node(rule.function, values[: len(rule.keeps)], parents, tree.flatten(y), y)
    return y


def backward(outputs: list[Any], gs: list[Any], leaves: list[Tensor]) -> list[Any]:
    """The gradients of the leaves, given those of the outputs; zeros where nothing connects them."""
    nodes: dict[int, Node] = {}
    pending: dict[int, dict[int, Any]] = {}
    queue: list[int] = []
    first = min((x._node.serial for x in leaves), default=0)

    def add(x: Tensor, g: Any) -> None:
        node = x._node
        if node is None or node.serial < first:
            return
        if node.serial not in nodes:
            nodes[node.serial], pending[node.serial] = node, {}
            heapq.heappush(queue, -node.serial)
        sums = pending[node.serial]
        sums[x._output] = g if x._output not in sums else ops.add(sums[x._output], g)

    for y, g in zip(outputs, gs, strict=True):
        add(y, g)
    ends = {x._node.serial for x in leaves}
    found: dict[int, Any] = {}
    while queue:
        serial = -heapq.heappop(queue)
        node, sums = nodes.pop(serial), pending.pop(serial)
        if serial in ends:
            found[serial] = sums[0]
            continue
        for parent, g in zip(node.parents, node.gradients(sums), strict=False):
            if parent is not None and g is not None:
                add(parent, fitted(g, parent.shape, parent.dtype))
    return [
        ops.zeros(x.shape, dtypes.name_of(x.dtype)) if x._node.serial not in found else found[x._node.serial]
        for x in leaves
    ]
