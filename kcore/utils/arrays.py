"""Arrays from labels and sequences: to_categorical, normalize, pad_sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """One-hot rows for class indices.

    Args:
        x: Integers of any shape; a last axis of size 1 is dropped. Negative ones count from the last class.
        num_classes: The length of a row; one more than the largest index by default.

    Returns:
        The shape of `x` and an axis for the classes: an array in the default NumPy float, a tensor for a tensor.

    Raises:
        ValueError: An index is beyond the classes.
    """
    from kcore import backends, config, ops

    if backends.active().is_tensor(x) and type(x) is not np.ndarray:
        shape = tuple(x.shape)
        x = ops.squeeze(x, -1) if len(shape) > 1 and shape[-1] == 1 else x
        count = int(ops.max(x)) + 1 if num_classes is None else num_classes
        return ops.one_hot(x, count, dtype=config.floatx())
    labels = np.asarray(x, "int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    count = int(labels.max()) + 1 if num_classes is None else num_classes
    if labels.size and not -count <= labels.min() <= labels.max() < count:
        raise ValueError(f"to_categorical: {labels.max()} is no index of {count} classes.")
    return np.eye(count)[labels]


def normalize(x: Any, axis: int = -1, order: Any = 2) -> Any:
    """`x` divided by its norms along an axis; what has norm 0 stays 0.

    Args:
        x: An array, nested lists or a tensor.
        axis: An int.
        order: Of the norm: a positive number, or inf.
    """
    from kcore import ops

    if isinstance(x, np.ndarray):
        norms = np.atleast_1d(np.linalg.norm(x, order, axis))
        norms[norms == 0] = 1
        return x / np.expand_dims(norms, axis)
    return ops.normalize(ops.convert_to_tensor(x), axis=axis, order=order)


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array.

    Args:
        sequences: Lists of numbers, strings, or samples of one shape.
        maxlen: The length; that of the longest by default.
        dtype: Of the result; `object` for strings.
        padding: "pre" or "post": where `value` fills up shorter ones.
        truncating: "pre" or "post": where longer ones are cut.
        value: What fills up.

    Returns:
        Shape (number of sequences, maxlen, ...).

    Raises:
        ValueError: Something is no sequence, the samples' shapes differ, or an argument is not one of these.
    """
    for what, where in (("padding", padding), ("truncating", truncating)):
        if where not in ("pre", "post"):
            raise ValueError(f"pad_sequences: {what}={where!r} should be 'pre' or 'post'.")
    if not hasattr(sequences, "__len__"):
        raise ValueError(f"pad_sequences: sequences={sequences!r} should be a list of sequences.")
    for one in sequences:
        if not hasattr(one, "__len__"):
            raise ValueError(f"pad_sequences: {one!r} is no sequence.")
    length = maxlen if maxlen is not None else max((len(one) for one in sequences), default=0)
    shape = next((np.asarray(one).shape[1:] for one in sequences if len(one)), ())
    textual = np.issubdtype(dtype, np.str_)
    if isinstance(value, str) and dtype is not object and not textual:
        raise ValueError(f"pad_sequences: value={value!r} is a string, which dtype={dtype!r} can't hold; take object.")
    padded = np.full((len(sequences), length, *shape), value, dtype)
    for row, one in zip(padded, sequences, strict=True):
        if not len(one):
            continue
        kept = one[-length:] if truncating == "pre" else one[:length]
        kept = np.asarray(kept if length else one[:0], dtype)
        if kept.shape[1:] != shape:
            raise ValueError(f"pad_sequences: samples have shapes {shape} and {kept.shape[1:]}; they should have one.")
        if padding == "post":
            row[: len(kept)] = kept
        else:
            row[length - len(kept) :] = kept
    return padded
