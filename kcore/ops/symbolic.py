"""Values without numbers: `Spec` for rules, `KerasTensor` and `Operation` for symbolic models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from kcore import dtypes, tree

Shape = tuple[int | None, ...]


class Spec:
    """What a rule knows of a tensor: its shape, where None is a size not known yet, and dtype.

    A Python scalar has shape () and a weak dtype: "int", "float" or "complex". `sparse` tells whether
    it is a sparse tensor; rules seldom look (see `kcore.ops.sparsity`).
    """

    __slots__ = ("dtype", "shape", "sparse")

    def __init__(self, shape: Iterable[int | None], dtype: str, sparse: bool = False) -> None:
        self.shape: Shape = tuple(shape)
        self.dtype = dtype
        self.sparse = sparse

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and (self.shape, self.dtype, self.sparse) == (
            other.shape,
            other.dtype,
            other.sparse,
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.sparse))

    def __repr__(self) -> str:
        return f"Spec({self.shape}, {self.dtype!r}{', sparse=True' if self.sparse else ''})"


class KerasTensor:
    """A symbolic tensor: shape and dtype, and the operation that makes it, if any.

    Ops and layers called on one run their rule alone and answer with another.
    """

    def __init__(
        self,
        shape: Iterable[int | None],
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        ragged_rank: int | None = None,
        row_splits_dtype: Any = None,
    ) -> None:
        self.shape: Shape = tuple(None if d is None else int(d) for d in shape)
        # Strings are for layers that read them; no op does.
        self.dtype = "string" if getattr(dtype, "name", dtype) == "string" else dtypes.name_of(dtype)
        self.sparse = bool(sparse)
        self.ragged = bool(ragged)
        if sparse and ragged:
            raise ValueError("KerasTensor: sparse=True and ragged=True don't go together.")
        self.record_history = record_history
        self.name = name or "keras_tensor"
        self._keras_history: History | None = None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, sparse={self.sparse}, name={self.name}>"

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise ValueError(
            "A KerasTensor is symbolic: it has a shape and a dtype, but no values, so it cannot become a "
            "NumPy array. Use kcore.ops on it, or put NumPy code into a Layer's call."
        )

    def __bool__(self) -> bool:
        raise TypeError("A KerasTensor has no truth value; it is symbolic. Use ops.where or ops.cond.")

    def __iter__(self) -> Any:
        raise TypeError("A KerasTensor cannot be iterated; it is symbolic. Use ops.unstack.")

    def __float__(self) -> float:
        raise TypeError("A KerasTensor has no value; it is symbolic.")

    __int__ = __index__ = __float__  # type: ignore[assignment]

    def __len__(self) -> int:
        raise TypeError("A KerasTensor has no len(); use its shape.")

    # Operators (+, [], ...) are attached by kcore.ops.operators.


class Node(NamedTuple):
    """One symbolic call: what was called, on what, giving what."""

    operation: Any
    args: tuple
    kwargs: dict
    outputs: list[KerasTensor]

    @property
    def inputs(self) -> list[KerasTensor]:
        return [t for t in tree.flatten((self.args, self.kwargs)) if isinstance(t, KerasTensor)]


class History(NamedTuple):
    """Where a KerasTensor comes from: a call of an operation, and which of its results it is."""

    operation: Any
    node_index: int
    tensor_index: int


def record(operation: Any, args: tuple, kwargs: dict, outputs: Any) -> None:
    """Notes that calling `operation` symbolically on these gave `outputs`."""
    flat = [t for t in tree.flatten(outputs) if isinstance(t, KerasTensor)]
    operation._inbound_nodes.append(Node(operation, args, kwargs, flat))
    at = len(operation._inbound_nodes) - 1
    for i, tensor in enumerate(flat):
        tensor._keras_history = History(operation, at, i)


def any_symbolic(*structures: Any) -> bool:
    """Whether a KerasTensor is anywhere in them."""
    return any(isinstance(leaf, KerasTensor) for leaf in tree.flatten(structures))
