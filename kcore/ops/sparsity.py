"""What becomes of sparse operands: which ops take them, and what the result is.

Ops that take them have an `Entry`; `kcore/ops/sparse.py` is the table. Any other op is run on dense tensors,
with one warning, or refuses. It is decided where the rule is asked, so for symbolic
and real tensors alike, and bound once: a sparse tensor has a plan of its own, and calls on dense
ones know nothing of all this.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kcore import tree
from kcore.backends.coo import is_sparse

# What a plan says of its sparse operands.
SPARSE = "sparse"  # the op takes them, and its result is sparse
DENSE = "dense"  # the op takes them, and its result is dense
MADE_DENSE = "made dense"  # they are made dense first

# Ops that refuse sparse tensors, and why.
REFUSED = {
    "view": "it reads the bytes of every element, and a sparse tensor does not store them",
    "slice_update": "it writes into a block that is not stored",
}

_warned: set[str] = set()


class Entry(NamedTuple):
    """What one op does with sparse tensors.

    Attributes:
        result: result(*arguments) is SPARSE, DENSE or MADE_DENSE: a Spec for each tensor, Python numbers as they are, and
            plain arguments as backends get them.
        run: The definition. It takes what a backend's function of the op takes, with sparse tensors of the
            backend among it.
        says: The result in words, for the documentation.
    """

    result: Callable[..., str]
    run: Callable
    says: str


def decide(op: Any, plan: Any, given: Sequence[Any], args: Sequence[Any]) -> None:
    """Notes in the plan what becomes of sparse operands, and which results are sparse.

    Args:
        op: The op.
        plan: The rule's answer.
        given: The arguments as the rule got them.
        args: The arguments as the caller gave them.

    Raises:
        ValueError: The op refuses sparse tensors.
    """
    asked = any(s.sparse for s in tree.flatten(plan.outputs))  # one_hot(..., sparse=True)
    if not asked and not any(getattr(s, "sparse", False) for s in tree.flatten(list(given))):
        return
    if op.name in REFUSED:
        raise ValueError(
            f"a sparse tensor is refused: {REFUSED[op.name]}. Make it dense: convert_to_tensor(x, sparse=False)."
        )
    seen = [
        a if role == "tensor" and isinstance(a, (bool, int, float, complex)) else plan.arguments.get(name, s)
        for (name, role), s, a in zip(op.roles.items(), given, args, strict=True)
    ]
    plan.sparse = MADE_DENSE if op.sparse is None else op.sparse.result(*seen)
    for spec in tree.flatten(plan.outputs):
        spec.sparse = plan.sparse == SPARSE


def bind(op: Any, backend: Any, plan: Any, sources: Sequence[Any]) -> Callable:
    """The function that runs the op on arguments of this kind, some of which are sparse."""
    if plan.sparse == MADE_DENSE:
        return lambda *args: op.dispatch(tuple(_all_dense(op, backend, args)))
    fn = backend.sparse_ops.get(op.name, op.sparse.run)
    steps = [source.step(backend) for source in sources]
    return lambda *args: fn(*[a if step is None else step(a) for a, step in zip(args, steps, strict=True)])


def _all_dense(op: Any, backend: Any, args: Sequence[Any]) -> list[Any]:
    if op.name not in _warned:
        _warned.add(op.name)
        warnings.warn(
            f"{op.name}: a sparse tensor is made dense; the op has no sparse form (for these arguments).", stacklevel=4
        )
    return tree.map_structure(lambda a: to_dense(backend, a) if is_sparse(a) else a, list(args))


def to_dense(backend: Any, x: Any) -> Any:
    """A sparse tensor of any framework as a dense one of the backend; gradients flow to the stored values."""
    from kcore.ops import stored

    return stored.dense_of(backend.coo(backend.convert(x)))
