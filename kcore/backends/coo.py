"""Sparse tensors by their stored elements, and every framework's sparse tensors as such.

`Coo` is what ops on sparse tensors compute with, on any backend: the coordinates and the values
of the stored elements. With NumPy arrays in it, it is how sparse data get from one
framework to another. Nothing here imports a framework: its tensors are known by their class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import dtypes
from kcore.backends.host import to_array

# The classes of sparse tensors, and where they are at home.
_CLASSES = {
    ("scipy", "sparray"): "scipy",
    ("scipy", "spmatrix"): "scipy",
    ("jax", "JAXSparse"): "jax",
    ("tensorflow", "SparseTensor"): "tensorflow",
    ("torch", "Tensor"): "torch",
}
_BY_LAYOUT = "torch"  # torch's sparse tensors are of the same class as dense ones

_homes: dict[type, str | None] = {}
_met: list[str] = []
_on_meeting: list[Callable[[], None]] = []


class Coo:
    """A tensor as the coordinates and values of its stored elements; any other element is 0.

    Args:
        indices: Integers (stored, ndim). A row that is out of range stands for no element: it is padding.
        values: (stored,).
        shape: The tensor's; None for a size that is not known yet.
        sizes: As `shape`, with a scalar tensor for a size that only the run will tell.
        unique: Whether no element is stored twice; one that is, is the sum.
        ordered: Whether the elements are in row-major order, padding last.
    """

    __slots__ = ("indices", "ordered", "shape", "sizes", "unique", "values")

    def __init__(
        self, indices: Any, values: Any, shape: Any, sizes: Any = None, unique: bool = True, ordered: bool = True
    ) -> None:
        self.indices, self.values, self.shape = indices, values, tuple(shape)
        self.sizes = self.shape if sizes is None else tuple(sizes)
        self.unique, self.ordered = unique, ordered

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def with_values(self, values: Any) -> Coo:
        """The same pattern with other values."""
        return Coo(self.indices, values, self.shape, self.sizes, self.unique, self.ordered)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} shape={self.shape}, dtype={dtypes.name_of(self.dtype)}, stored={len(self.values)}>"
        )


def home_of(x: Any) -> str | None:
    """Where a sparse tensor is at home: "scipy", "coo", or the name of a backend. None for anything else."""
    kind = x.__class__
    try:
        home = _homes[kind]
    except KeyError:
        home = _homes[kind] = _home(kind)
    if home != _BY_LAYOUT:
        return home
    if not str(x.layout).startswith("torch.sparse"):
        return None
    if not _met:
        _met.append(home)
        for listener in _on_meeting:
            listener()
    return home


def met_by_layout() -> bool:
    """Whether a sparse tensor of a class that dense ones have too was ever seen in this process."""
    return bool(_met)


def on_meeting(listener: Callable[[], None]) -> None:
    """Has `listener()` called when the first one is seen."""
    _on_meeting.append(listener)


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse tensor of any framework, or a SciPy sparse array."""
    return home_of(x) is not None


def _home(kind: type) -> str | None:
    if issubclass(kind, Coo):
        return getattr(kind, "_home", "coo")
    names = ((base.__module__.partition(".")[0], base.__name__) for base in kind.__mro__)
    return next((_CLASSES[name] for name in names if name in _CLASSES), None)


# -- on the host ------------------------------------------------------------------------


def to_coo(x: Any) -> Coo:
    """A sparse tensor of any framework with NumPy arrays, each element once, in order and without padding."""
    home = home_of(x)
    if home == "scipy":
        c = x.tocoo()
        return canonical(np.stack(c.coords, 1), c.data, c.shape)
    if home == "tensorflow":
        return canonical(to_array(x.indices), to_array(x.values), to_array(x.dense_shape).tolist())
    if home == "torch":
        x = x.detach()
        x = x if str(x.layout) == "torch.sparse_coo" else x.to_sparse_coo()
        if x.dense_dim():
            return from_dense(to_array(x.to_dense()))
        return canonical(to_array(x._indices()).T, to_array(x._values()), x.shape)
    if home == "jax":
        x = x if hasattr(x, "n_batch") and type(x).__name__ == "BCOO" else x.to_bcoo() if hasattr(x, "to_bcoo") else x
        if getattr(x, "n_batch", 1) or x.n_dense:
            return from_dense(to_array(x.todense()))
        return canonical(to_array(x.indices), to_array(x.data), x.shape)
    return canonical(to_array(x.indices), to_array(x.values), x.shape)


def from_dense(x: np.ndarray) -> Coo:
    """The elements of an array that are not 0; nan is stored."""
    where = np.nonzero(x)
    return Coo(np.stack(where, 1) if x.ndim else np.zeros((int(bool(where)), 0), "int64"), x[where], x.shape)


def canonical(indices: np.ndarray, values: np.ndarray, shape: Any) -> Coo:
    """NumPy arrays as a Coo with each element once, in order and without padding."""
    shape = tuple(int(d) for d in shape)
    indices = np.asarray(indices, "int64").reshape(len(values), len(shape))
    inside = (indices < np.array(shape, "int64")).all(1)
    if not inside.all():
        indices, values = indices[inside], values[inside]
    places = flat_places(indices, shape)
    if (places[1:] <= places[:-1]).any():
        places, numbers = np.unique(places, return_inverse=True)
        if len(places) == len(numbers):
            order = np.empty(len(numbers), "int64")
            order[numbers] = np.arange(len(numbers))
            values = values[order]
        else:
            wide = values.astype(dtypes.to_numpy(dtypes.accumulator(dtypes.name_of(values.dtype))))
            total = np.zeros(len(places), wide.dtype)
            np.add.at(total, numbers, wide)
            values = total.astype(values.dtype)
        indices = np.stack(np.unravel_index(places, shape), 1) if shape else indices[:1]
    return Coo(indices, values, shape)


def flat_places(indices: np.ndarray, shape: tuple) -> np.ndarray:
    """The row-major position of each row of indices."""
    places = np.zeros(len(indices), "int64")
    for axis, size in enumerate(shape):
        places = places * size + indices[:, axis]
    return places


def densified(x: Any) -> np.ndarray:
    """The array that a sparse tensor of any framework stands for."""
    c = to_coo(x)
    y = np.zeros(math.prod(c.shape), c.values.dtype)
    y[flat_places(c.indices, c.shape)] = c.values
    return y.reshape(c.shape)


def checked(indices: Any, values: Any, shape: Any) -> Coo:
    """A Coo of what a user gave, with NumPy arrays.

    Raises:
        TypeError: The indices are not integers.
        ValueError: Shapes don't go together, or an index is out of range.
    """
    shape = tuple(shape) if hasattr(shape, "__iter__") else (shape,)
    if any(not isinstance(d, (int, np.integer)) or d < 0 for d in shape):
        raise ValueError(f"shape={shape} should be sizes, all known.")
    indices, values = to_array(indices), to_array(values)
    if not indices.size:
        indices = indices.astype("int64").reshape(len(values) if values.ndim else 0, len(shape))
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices should be integers, not {dtypes.name_of(indices.dtype)}.")
    if indices.ndim != 2 or indices.shape[1] != len(shape):
        raise ValueError(
            f"indices should have shape (stored, {len(shape)}), a row for each stored element of shape={shape}; "
            f"they have shape {indices.shape}."
        )
    if values.shape != indices.shape[:1]:
        raise ValueError(
            f"values should have shape {indices.shape[:1]}, one for each row of indices, not {values.shape}."
        )
    outside = (indices < 0) | (indices >= np.array(shape, "int64"))
    if outside.any():
        row = int(outside.any(1).argmax())
        raise ValueError(f"indices[{row}]={tuple(indices[row].tolist())} is out of range for shape={shape}.")
    return canonical(indices, values, shape)


class Rows:
    """Sparse data with samples along the first axis, for cutting batches out of them.

    Args:
        x: A sparse tensor of any framework.
    """

    def __init__(self, x: Any) -> None:
        self._all = to_coo(x)
        self.shape, self.dtype = self._all.shape, self._all.values.dtype
        if self.shape:
            self._starts = np.searchsorted(self._all.indices[:, 0], np.arange(self.shape[0] + 1))

    def __getitem__(self, rows: Any) -> Coo:
        """The samples of a slice, or with these numbers."""
        rows = np.arange(self.shape[0])[rows]
        counts = self._starts[rows + 1] - self._starts[rows]
        number = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)
        stored = np.repeat(self._starts[rows], counts) + within
        indices = self._all.indices[stored]
        indices[:, 0] = number
        return Coo(indices, self._all.values[stored], (len(rows), *self.shape[1:]))
