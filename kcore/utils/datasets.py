"""Data sets from arrays: timeseries_dataset_from_array, split_dataset."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np

from kcore import tree
from kcore.utils.py_dataset import PyDataset


class Windows(PyDataset):
    """Batches of windows on a series.

    Args:
        data: The series, along the first axis.
        targets: One for each window, by the position of its start; or None.
        starts: Where the windows start, in order.
        offsets: The positions in a window, from its start.
        batch_size: None for single windows without an axis for batches.
    """

    def __init__(
        self, data: Any, targets: Any, starts: np.ndarray, offsets: np.ndarray, batch_size: int | None
    ) -> None:
        super().__init__()
        self._data, self._targets, self._starts, self._offsets = data, targets, starts, offsets
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._starts) / (self._batch_size or 1))

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"There is no batch {index} of {len(self)}.")
        size = self._batch_size or 1
        starts = self._starts[index * size : (index + 1) * size]
        windows = self._data[starts[:, None] + self._offsets]
        found = windows if self._targets is None else (windows, self._targets[starts])
        return found if self._batch_size is not None else tree.map_structure(lambda a: a[0], found)


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Any:
    """Batches of windows on a series, with a target for each.

    Args:
        data: An array with the series along the first axis.
        targets: targets[i] belongs to the window that starts at i; None for windows alone.
        sequence_length: How many values a window has.
        sequence_stride: From one window's start to the next.
        sampling_rate: From one value in a window to the next.
        batch_size: None for single windows.
        shuffle, seed: Whether, and by what seed, the windows are shuffled.
        start_index, end_index: The part of the series that is used.
        format: "tf": a tf.data.Dataset, where TensorFlow is installed.

    Returns:
        A tf.data.Dataset; without TensorFlow a PyDataset with the same batches.

    Raises:
        ValueError: A number is out of its range.
    """
    if format != "tf":
        raise ValueError(f"timeseries_dataset_from_array: format={format!r} should be 'tf'.")
    data = np.asarray(data)
    targets = None if targets is None else np.asarray(targets)
    positive = {"sequence_length": sequence_length, "sequence_stride": sequence_stride, "sampling_rate": sampling_rate}
    for what, value in positive.items():
        if value < 1:
            raise ValueError(f"timeseries_dataset_from_array: {what}={value} should be at least 1.")
    for what, place in (("start_index", start_index), ("end_index", end_index)):
        if place is not None and not 0 <= place < len(data):
            raise ValueError(
                f"timeseries_dataset_from_array: {what}={place} is no position in data of length {len(data)}."
            )
    start, end = start_index or 0, len(data) if end_index is None else end_index
    if end <= start:
        raise ValueError(f"timeseries_dataset_from_array: end_index={end} should be above start_index={start}.")
    count = max(end - start - (sequence_length - 1) * sampling_rate, 0)
    if targets is not None:
        count = min(count, len(targets))
    starts = np.arange(0, count, sequence_stride) + start
    if shuffle:
        np.random.default_rng(seed).shuffle(starts)
    windows = Windows(data, targets, starts, np.arange(sequence_length) * sampling_rate, batch_size)
    if importlib.util.find_spec("tensorflow") is None:
        return windows
    from kcore.backends.tensorflow.data import dataset_of

    lead: tuple[Any, ...] = () if batch_size is None else (None,)
    spec: Any = ((*lead, sequence_length, *data.shape[1:]), data.dtype)
    if targets is not None:
        spec = (spec, ((*lead, *targets.shape[1:]), targets.dtype))
    return dataset_of(windows, spec)
