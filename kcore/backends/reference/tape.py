"""Reverse-mode differentiation on the reference backend.

While a gradient is being taken, an op with a tracked argument leaves a `Node` on its result:
the op, what its rule will read, and the nodes of its arguments. There is no global list: a
result that nobody keeps takes its history with it. The rules (`@vjp` beside the ops'
definitions) are written in ops, so a gradient taken inside another is tracked like
anything else.
"""

from __future__ import annotations

import contextlib
import dis
import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kcore import dtypes, ops, tree
from kcore.backends.reference.tensor import Tensor, wrap

# How many gradients are being taken now, over all threads. Where it is 0, ops don't look for
# nodes. It says "perhaps tracked": nodes on the arguments say for certain.
active = 0
_lock = threading.Lock()
_serials = itertools.count()


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Ops on tracked tensors are recorded inside."""
    global active
    with _lock:
        active += 1
    try:
        yield
    finally:
        with _lock:
            active -= 1


def nested() -> bool:
    """Whether what is recorded now may be differentiated twice: a gradient is taken within another."""
    return active > 1


class Node:
    """How tensors were computed.

    Attributes:
        serial: Later nodes have greater ones, so descending serials are a topological order.
        rule: `rule(g, y, *args)`: gradients for the tensor arguments, in order.
        args: The op's arguments; None in place of a tensor that the rule does not read.
        y: The result's values where the rule reads them, without history (that would be a cycle).
        parents: (node, output, shape, dtype) for each tensor argument, or None if untracked.
        outputs: (shape, dtype) of each result.
    """

    __slots__ = ("args", "outputs", "parents", "rule", "serial", "several", "y")

    def __init__(self, rule: Any, args: list, parents: list, y: Any, keep_y: bool) -> None:
        self.serial = next(_serials)
        self.rule, self.args, self.parents = rule, args, parents
        self.several = isinstance(y, (tuple, list))
        if not self.several:  # nearly all
            self.outputs = ((y.shape, y.dtype),)
            self.y = y.view(np.ndarray) if keep_y else None
            if y.dtype.kind not in "biu":  # ml_dtypes' floats are of kind V
                y._node = self
            return
        self.outputs = tuple([(r.shape, r.dtype) for r in y])
        self.y = tuple([r.view(np.ndarray) for r in y]) if keep_y else None
        for i, r in enumerate(y):
            if r.dtype.kind not in "biu":
                r._node, r._output = self, i

    def gradients(self, incoming: dict[int, Any]) -> list[Any]:
        """The parents' gradients from those of the results."""
        y = self.y
        if not self.several:
            gs = incoming[0]  # a node with one result is here because of it
            if y is not None:
                y = y.view(Tensor)
                if active and y.dtype.kind not in "biu":  # its history back: a rule may be differentiated itself
                    y._node = self
        else:
            gs = [
                incoming[i] if i in incoming else _zeros(shape, dtype) for i, (shape, dtype) in enumerate(self.outputs)
            ]
            if y is not None:
                y = tuple([r.view(Tensor) for r in y])
                if active:
                    for i, r in enumerate(y):
                        if r.dtype.kind not in "biu":
                            r._node, r._output = self, i
        found = self.rule(gs, y, *self.args)
        if not isinstance(found, (tuple, list)):
            return [found]
        flat: list[Any] = []
        for f in found:
            if isinstance(f, list):
                flat += f
            else:
                flat.append(f)
        return flat


_ZERO = bytes(32)  # as large as any element


def _zeros(shape: tuple, dtype: Any) -> Tensor:
    """Zeros that are one element in memory: large ones would take longer to make than many a rule to read."""
    return np.ndarray(shape, dtype, _ZERO, 0, (0,) * len(shape)).view(Tensor)


def reads(rule: Callable) -> frozenset[str]:
    """The parameters that a function's body reads. The tape keeps only those for it."""
    code = rule.__code__
    loads = [i.argval for i in dis.get_instructions(code) if i.opname.startswith("LOAD_")]
    names = {n for load in loads for n in (load if isinstance(load, tuple) else (load,))}
    return frozenset(n for n in (*code.co_varnames, *code.co_cellvars) if n in names or n in code.co_cellvars)


def vjp(op: Callable) -> Callable[[Callable], Callable]:
    """Registers the gradient rule of an op: `rule(g, y, *arguments)`.

    It returns a gradient for each tensor argument, a list for a sequence of them, None where
    there is none; a single one needs no tuple. A gradient may be of a shape that the
    argument's broadcasts to: the tape sums it back. A rule with fewer parameters than the op
    has arguments gets the first ones.
    """

    def register(rule: Callable) -> Callable:
        found = op.op
        used = reads(rule)
        names = rule.__code__.co_varnames[: rule.__code__.co_argcount]
        found.vjp = Rule(rule, names[1] in used, [n in used for n in names[2:]])
        return rule

    return register


def vjps(**rules: Callable) -> None:
    """Registers gradient rules of one expression, by the ops' names."""
    for name, rule in rules.items():
        vjp(getattr(ops, name))(rule)


def recorded_as(op: Callable) -> Callable[[Callable], Callable]:
    """Registers what runs in place of an op while it is recorded: a function of its arguments.

    For an op whose gradient needs something that its definition finds on the way and does not
    return. The function calls private ops that do return it, and have the rules.
    """

    def register(function: Callable) -> Callable:
        op.op.vjp = Detour(function)
        return function

    return register


def recorded_rather_as(op: Callable) -> Callable[[Callable], Callable]:
    """Registers what is tried in place of an op that has a rule, while it is recorded: None from it declines.

    For a gradient that is cheaper, in some cases, from something else than the op's arguments and result.
    """

    def register(function: Callable) -> Callable:
        op.op.vjp.rather = function
        return function

    return register


class Detour:
    """Stands where an op's gradient rule would: the function to run instead while recording."""

    __slots__ = ("function",)

    def __init__(self, function: Callable) -> None:
        self.function = function


class Rule:
    """A gradient rule and what it reads: of the result, and of each argument by position; and what is tried first."""

    __slots__ = ("function", "keeps", "keeps_y", "rather")

    def __init__(self, function: Callable, keeps_y: bool, keeps: list[bool]) -> None:
        self.function, self.keeps_y, self.keeps = function, keeps_y, keeps
        self.rather: Callable | None = None


def tracked(args: Any) -> bool:
    """Whether any argument, or element of a list argument, has a history."""
    for a in args:
        if isinstance(a, (list, tuple)):
            if tracked(a):
                return True
        elif getattr(a, "_node", None) is not None:  # another backend's tensor, where it takes these rules for its own
            return True
    return False


def parents_of(roles: list[str], args: list) -> list[Any] | None:
    """(node, output, shape, dtype) for each tensor argument, None for an untracked one; None if none is tracked."""
    parents: list[Any] = []
    found = False
    for role, a in zip(roles, args):
        if role == "tensor":
            parent = _parent(a)
            parents.append(parent)
            found = found or parent is not None
        elif role == "tensors":
            for x in a:
                parent = _parent(x)
                parents.append(parent)
                found = found or parent is not None
    return parents if found else None


def conj(x: Any) -> Any:
    """The complex conjugate: what gradient rules multiply by. Real tensors, nearly all, are handed back."""
    return ops.conj(x) if x.dtype.kind == "c" else x


def run_recorded(rule: Rule | Detour, roles: list[str], fn: Callable, args: list, parents: list) -> Any:
    """Runs a definition on plain arrays and leaves a node on its result."""
    if isinstance(rule, Detour):
        return rule.function(*args)
    if rule.rather is not None:
        found = rule.rather(*args)
        if found is not None:
            return found
    y = fn(*[_plain(a) for a in args])
    # A definition may hand an argument back; a node must not end up on the caller's tensor.
    if isinstance(y, (tuple, list)):
        y = tree.map_structure(lambda r: np.asarray(r).view(Tensor), y)
    else:
        y = (y if isinstance(y, np.ndarray) else np.asarray(y)).view(Tensor)
    keeps = rule.keeps
    kept = [a if keep or role == "plain" else None for a, keep, role in zip(args, keeps, roles)]
    Node(rule.function, kept, parents, y, rule.keeps_y)
    return y


def _plain(a: Any) -> Any:
    if isinstance(a, Tensor):
        return a.view(np.ndarray)
    return [_plain(x) for x in a] if isinstance(a, list) else a


def _parent(x: Any) -> Any:
    node = getattr(x, "_node", None)
    return None if node is None else (node, x._output, x.shape, x.dtype)


def outside(outputs: list, start: int) -> list[Tensor]:
    """The tracked tensors from before serial `start` that these depend on, without their values."""
    seen: set[int] = set()
    found: dict[tuple[int, int], Tensor] = {}
    todo = [_parent(y) for y in outputs]
    while todo:
        parent = todo.pop()
        if parent is None:
            continue
        node, output, shape, dtype = parent
        if node.serial < start:
            x = np.broadcast_to(np.zeros((), dtype), shape).view(Tensor)
            x._node, x._output = node, output
            found.setdefault((node.serial, output), x)
        elif node.serial not in seen:
            seen.add(node.serial)
            todo += node.parents
    return list(found.values())


def _identity(g: Any, _: Any) -> Any:
    return g


def leaf(x: Any) -> Tensor:
    """The same values, tracked from here on; an outer gradient still sees `x` behind it."""
    y = wrap(x).view(Tensor)
    Node(_identity, [], [_parent(x)], y, False)
    return y


def backward(outputs: list, gs: list, leaves: list[Tensor], once: bool = False) -> list[Any]:
    """The gradients of `leaves`, given those of `outputs`; zeros where nothing connects them.

    With `once`, the list of outputs is emptied: if nobody else has them, what a node keeps dies as soon as its rule
    has read it.
    """
    nodes: dict[int, Node] = {}
    pending: dict[int, dict[int, Any]] = {}
    queue: list[int] = []
    serials = [x._node.serial for x in leaves]
    first = min(serials, default=0)

    def add(node: Node, output: int, g: Any) -> None:
        serial = node.serial
        sums = pending.get(serial)
        if sums is None:
            nodes[serial] = node
            pending[serial] = {output: g}
            heapq.heappush(queue, -serial)
        else:
            sums[output] = g if output not in sums else ops.add(sums[output], g)

    for y, g in zip(outputs, gs, strict=True):
        if getattr(y, "_node", None) is not None and y._node.serial >= first:
            add(y._node, y._output, g)
    y = None
    if once:
        outputs.clear()
    ends = set(serials)
    found: dict[int, dict[int, Any]] = {}
    while queue:
        serial = -heapq.heappop(queue)
        node, sums = nodes.pop(serial), pending.pop(serial)
        if serial in ends:
            found[serial] = sums
            continue
        parents = node.parents
        for p in parents:
            if p is not None and p[0].serial >= first:
                break
        else:
            continue
        for parent, g in zip(parents, node.gradients(sums), strict=True):
            if parent is not None and g is not None:
                up, output, shape, dtype = parent
                if up.serial >= first:  # an older one can't depend on a leaf
                    add(up, output, g if g.shape == shape and g.dtype is dtype else fitted(g, shape, dtype))
    grads = [found.get(s, {}).get(x._output) for s, x in zip(serials, leaves, strict=True)]
    return [ops.zeros(x.shape, dtypes.name_of(x.dtype)) if g is None else g for g, x in zip(grads, leaves, strict=True)]


def fitted(g: Any, shape: tuple, dtype: Any) -> Any:
    """A gradient summed back, or broadcast, to its argument's shape, and cast to its dtype."""
    if g.shape != shape:
        extra = g.ndim - len(shape)
        if extra >= 0:
            folded = tuple(range(extra)) + tuple(
                i + extra for i, size in enumerate(shape) if size == 1 and g.shape[i + extra] != 1
            )
            if folded:
                g = ops.sum(g, folded)
        if g.shape != shape:
            g = ops.reshape(g, shape) if g.size == int(np.prod(shape)) else ops.broadcast_to(g, shape)
    if g.dtype != dtype:
        if g.dtype.kind == "c" and np.dtype(dtype).kind != "c":
            g = ops.real(g)
        g = ops.cast(g, dtypes.name_of(dtype))
    return g
