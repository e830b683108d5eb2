"""Strings in layers: reading them, and computing on them in Python whatever backend is active."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import backends, ops, tree


def is_graph_tensor(x: Any) -> bool:
    """Whether it is a tensor of a TensorFlow graph, such as a tf.data pipeline's."""
    return type(x).__module__.startswith("tensorflow.") and not hasattr(x, "numpy")


def as_array(x: Any, encoding: str = "utf-8") -> np.ndarray:
    """Values as a NumPy array: strings as objects of type str, numbers as they are."""
    if type(x).__module__.startswith("tensorflow.") and hasattr(x, "numpy"):
        x = x.numpy()
    elif backends.active().is_tensor(x) and not isinstance(x, np.ndarray):
        x = ops.convert_to_numpy(x)
    x = np.asarray(x)
    return as_text(x, encoding) if x.dtype.kind in "OSU" else x


def as_text(x: np.ndarray, encoding: str = "utf-8") -> np.ndarray:
    """An array of strings or bytes as one of str objects; other arrays as they are."""
    if x.dtype.kind not in "OSU":
        return x
    made = np.empty(x.shape, object)
    made.ravel()[:] = [v.decode(encoding, "replace") if isinstance(v, bytes) else v for v in x.ravel().tolist()]
    return made


def on_host(
    function: Callable[..., np.ndarray],
    inputs: Any,
    dtype: str,
    shape: Any = None,
    encoding: str = "utf-8",
) -> Any:
    """`function` of arrays, computed in Python: from strings to numbers, or back.

    Args:
        function: Takes an array for each of the inputs, strings as str objects.
        inputs: A tensor, array or nested list, or a list of tensors and arrays for several of them.
        dtype: Of the result; "string" too.
        shape: Of the result; that of the first input unless given.

    Returns:
        A tensor of the active backend; for strings an array. In a TensorFlow graph, a tensor of that.
    """
    many = isinstance(inputs, list) and function.__code__.co_flags & 4  # it takes *features
    leaves = inputs if many else [inputs]
    if any(is_graph_tensor(x) for x in tree.flatten(leaves)):
        shape = leaves[0].shape if shape is None else shape
        return backends.load("tensorflow").on_host(function, leaves, dtype, shape, as_array)
    made = function(*(as_array(x, encoding) for x in leaves))
    return made if dtype == "string" else ops.convert_to_tensor(made, dtype)
