"""Training data in, batches out: one adapter for each kind of data.

An adapter knows how many batches there are (None: not known) and gives the batches of an epoch,
as tuples (x,), (x, y) or (x, y, sample_weight) of arrays or tensors. Frameworks' data sets are
recognized by what they are, without importing the framework.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kcore import tree
from kcore.backends.coo import Rows, is_sparse


class ArrayAdapter:
    """Arrays in memory, shuffled and cut into batches.

    Args:
        x, y, sample_weight: Arrays or tensors, in any structure, with samples along the first axis.
        batch_size: 32 unless given.
        shuffle: Whether each epoch has its own order; "batch" keeps batches together.
        seed: Draws the next epoch's order; a function of nothing that gives an integer.
    """

    def __init__(
        self, x: Any, y: Any, sample_weight: Any, batch_size: int | None, shuffle: bool | str, seed: Callable[[], int]
    ) -> None:
        self._data = _packed(x, y, sample_weight)
        self._size = checked_length(self._data)
        self._batch_size = 32 if batch_size is None else batch_size
        if self._batch_size < 1:
            raise ValueError(f"batch_size={batch_size} should be at least 1.")
        self._shuffle, self._seed = shuffle, seed
        self.num_batches: int | None = math.ceil(self._size / self._batch_size)
        self.has_fixed_size = True

    def batches(self) -> Iterator[tuple]:
        """One epoch."""
        size, step = self._size, self._batch_size
        order = None
        if self._shuffle == "batch":
            order = _by_batch(size, step, np.random.default_rng(self._seed()))
        elif self._shuffle:
            order = np.random.default_rng(self._seed()).permutation(size)
        flat = tree.flatten(self._data)
        nested = any(map(tree.is_nested, self._data))
        for start in range(0, size, step):
            if order is None:
                part = [a[start : start + step] if a is not None else None for a in flat]
            else:
                chosen = order[start : start + step]
                part = [None if a is None else _taken(a, chosen) for a in flat]
            yield tree.pack_sequence_as(self._data, part) if nested else tuple(part)

    def on_epoch_end(self) -> None:
        """Nothing to do."""


def _by_batch(size: int, step: int, generator: np.random.Generator) -> np.ndarray:
    whole = size // step * step
    order = np.arange(whole).reshape(-1, step)
    generator.shuffle(order)
    return np.concatenate([order.reshape(-1), np.arange(whole, size)])


def _taken(a: Any, chosen: np.ndarray) -> Any:
    return a.take(chosen, axis=0) if isinstance(a, np.ndarray) else a[chosen]


class IterableAdapter:
    """Something that gives batches: a generator, an iterator, a tf.data.Dataset, a DataLoader.

    Args:
        source: Iterated once, or anew each epoch where it can be.
        convert: Applied to each batch's leaves.
        count: The number of batches, if known.
    """

    def __init__(self, source: Any, convert: Callable[[Any], Any] | None = None, count: int | None = None) -> None:
        self._source, self._convert = source, convert
        self.num_batches = count
        self.has_fixed_size = False
        # A generator goes on where it was: its epochs are what steps_per_epoch says.
        self.runs_on = iter(source) is source

    def batches(self) -> Iterator[tuple]:
        """One epoch, or for a generator whatever comes next."""
        for batch in self._source:
            batch = tuple(batch) if isinstance(batch, list) else batch if isinstance(batch, tuple) else (batch,)
            if len(batch) > 3:
                raise ValueError(f"A batch is (x,), (x, y) or (x, y, sample_weight), not {len(batch)} things.")
            yield batch if self._convert is None else tree.map_structure(self._convert, batch)

    def on_epoch_end(self) -> None:
        """Nothing to do."""


class PyDatasetAdapter:
    """A PyDataset: batches by index, in another order each epoch if shuffled, read ahead by workers."""

    def __init__(self, dataset: Any, shuffle: bool, seed: Callable[[], int]) -> None:
        self._dataset, self._shuffle, self._seed = dataset, shuffle, seed
        self.num_batches = dataset.num_batches
        self.has_fixed_size = self.num_batches is not None
        self._epochs = 0

    def batches(self) -> Iterator[tuple]:
        """One epoch."""
        count = self._dataset.num_batches
        order: Any = range(count) if count is not None else _endless()
        if self._shuffle and count is not None:
            order = np.random.default_rng(self._seed()).permutation(count).tolist()
        if self._epochs == 0:
            self._dataset.on_epoch_begin()
        self._epochs += 1
        for batch in _read_ahead(self._dataset, order):
            batch = tuple(batch) if isinstance(batch, (list, tuple)) else (batch,)
            yield batch

    def on_epoch_end(self) -> None:
        """Tells the data set."""
        self._dataset.on_epoch_end()
        self._dataset.on_epoch_begin()
        self.num_batches = self._dataset.num_batches


def _endless() -> Iterator[int]:
    i = 0
    while True:
        yield i
        i += 1


def _read_ahead(dataset: Any, order: Any) -> Iterator[Any]:
    """The batches in order; with several workers, those to come are read meanwhile."""
    workers = dataset.workers or 0
    if workers <= 1 and not dataset.use_multiprocessing:
        for i in order:
            yield dataset[i]
        return
    import collections
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    pool: Any = (ProcessPoolExecutor if dataset.use_multiprocessing else ThreadPoolExecutor)(max(workers, 1))
    with pool:
        waiting: collections.deque = collections.deque()
        indices = iter(order)
        for i in indices:
            waiting.append(pool.submit(dataset.__getitem__, i))
            if len(waiting) >= max(dataset.max_queue_size, 1):
                break
        while waiting:
            yield waiting.popleft().result()
            upcoming = next(indices, None)
            if upcoming is not None:
                waiting.append(pool.submit(dataset.__getitem__, upcoming))


def get_adapter(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    shuffle: bool | str = False,
    seed: Callable[[], int] = lambda: 0,
) -> Any:
    """The adapter for this kind of data.

    Raises:
        ValueError: Arguments don't go together, lengths differ, or the kind is not known.
    """
    from kcore.utils.py_dataset import PyDataset

    kind = _kind(x)
    if kind is None and isinstance(x, PyDataset):
        kind = "PyDataset"
    if kind is None and hasattr(x, "__next__"):
        kind = "generator"
    if kind is not None:
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(f"x is a {kind}, which brings its own targets and weights; leave {name} out.")
        if batch_size is not None and kind != "Dataset":
            raise ValueError(f"x is a {kind}, which comes in batches; leave batch_size out.")
    if kind == "PyDataset":
        return PyDatasetAdapter(x, bool(shuffle), seed)
    if kind == "Dataset":
        count = int(x.cardinality())
        return IterableAdapter(x, _tf_to_any, count if count >= 0 else None)
    if kind == "DataLoader":
        return IterableAdapter(x, None, len(x) if hasattr(x, "__len__") else None)
    if kind == "generator":
        return IterableAdapter(x)
    if x is None:
        raise ValueError("x is None; give the data.")
    return ArrayAdapter(_as_arrays(x), _as_arrays(y), _as_arrays(sample_weight), batch_size, shuffle, seed)


def _kind(x: Any) -> str | None:
    """ "Dataset" for tf.data, "DataLoader" for torch's; a framework that isn't loaded has made no object."""
    tf = sys.modules.get("tensorflow")
    if tf is not None and hasattr(tf, "data") and isinstance(x, (tf.data.Dataset, getattr(tf.data, "Iterator", ()))):
        return "Dataset"
    torch_data = sys.modules.get("torch.utils.data")
    if torch_data is not None and isinstance(x, torch_data.DataLoader):
        return "DataLoader"
    return None


def _tf_to_any(a: Any) -> Any:
    """tf tensors stay as they are under the tensorflow backend, and become arrays elsewhere."""
    from kcore import backends

    return a if backends.active().is_tensor(a) or is_sparse(a) else np.asarray(a)


def _as_arrays(data: Any) -> Any:
    """pandas objects and lists of numbers as arrays; sparse tensors ready to be cut; arrays and tensors as they are."""
    if data is None:
        return None
    if (
        isinstance(data, list)
        and data
        and not any(hasattr(e, "shape") or isinstance(e, (list, tuple, dict)) for e in data)
    ):
        return np.asarray(data)
    if (
        isinstance(data, (list, tuple))
        and data
        and isinstance(data[0], (list, tuple))
        and not any(hasattr(e, "shape") for e in tree.flatten(data))
    ):
        return np.asarray(data)
    return tree.map_structure(_as_array, data)


def _as_array(a: Any) -> Any:
    if a is None or isinstance(a, np.ndarray):
        return a
    if is_sparse(a):
        return Rows(a)
    if hasattr(a, "to_numpy") and hasattr(a, "index"):  # pandas
        values = a.to_numpy()
        values = values[:, None] if values.ndim == 1 and hasattr(a, "name") else values
        return values.astype("float32") if values.dtype == object else values
    if hasattr(a, "shape") and hasattr(a, "dtype"):
        return a
    return np.asarray(a)


def _packed(x: Any, y: Any, sample_weight: Any) -> tuple:
    if y is None and sample_weight is None:
        return (x,)
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def checked_length(data: Any) -> int:
    """The number of samples.

    Raises:
        ValueError: The parts differ in length, or one has no first axis.
    """
    names = ("x", "y", "sample_weight")
    lengths: dict[str, list[int]] = {}
    for name, part in zip(names, data, strict=False):
        for a in tree.flatten(part):
            if a is None:
                continue
            if not getattr(a, "shape", ()):
                raise ValueError(
                    f"{name} holds {type(a).__name__} without a first axis; samples go along the first axis."
                )
            lengths.setdefault(name, []).append(int(a.shape[0]))
    found = {n for many in lengths.values() for n in many}
    if len(found) > 1:
        text = ", ".join(f"{name}: {'/'.join(map(str, many))}" for name, many in lengths.items())
        raise ValueError(f"The data differ in length ({text} samples).")
    if not found:
        raise ValueError("There is no data: x holds nothing.")
    return found.pop()


def split(data: tuple, share: float) -> tuple[tuple, tuple]:
    """(all but the last `share` of the samples, the last share).

    Raises:
        ValueError: One side would be empty, or the data are no arrays.
    """
    if not 0 < share < 1:
        raise ValueError(f"validation_split={share} should be between 0 and 1.")
    data = tuple(_as_arrays(part) for part in data)
    if not all(a is None or hasattr(a, "shape") for a in tree.flatten(data)):
        raise ValueError("validation_split needs arrays or tensors; give validation_data instead.")
    size = checked_length(data)
    at = math.floor(size * (1 - share))
    if at in (0, size):
        raise ValueError(f"validation_split={share} of {size} samples leaves one side without any.")

    def cut(part: slice) -> tuple:
        return tree.map_structure(lambda a: None if a is None else a[part], data)

    return cut(slice(0, at)), cut(slice(at, None))
