"""Numbers of categories as vectors: CategoryEncoding, and Discretization of numbers into categories."""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore import ops
from kcore.layers.arguments import config_of
from kcore.layers.preprocess import DataLayer, batches
from kcore.ops.symbolic import KerasTensor

MODES = ("one_hot", "multi_hot", "count")


def check_sparse(layer: Any, sparse: bool, output_mode: Any) -> None:
    """Raises ValueError where a layer is asked for sparse results that are no vectors."""
    if sparse and output_mode == "int":
        raise ValueError(f"{layer.name}: sparse=True is for vectors; output_mode should not be 'int'.")


def encoded(indices: Any, mode: str, depth: int, dtype: str, weights: Any = None, sparse: bool = False) -> Any:
    """Categories as vectors.

    Args:
        indices: Integers. Those not from 0 to depth - 1 count as no category.
        mode: "one_hot" for a vector for each; "multi_hot" and "count" for one for those along the last axis.
        weights: For "count": what each counts as.
        sparse: Whether the result is a sparse tensor.
    """
    if mode == "one_hot":
        if len(indices.shape) > 1 and indices.shape[-1] == 1:
            indices = ops.squeeze(indices, -1)
        return ops.one_hot(indices, depth, dtype=dtype, sparse=sparse)
    if not len(indices.shape):
        indices = ops.expand_dims(indices, -1)
        weights = None if weights is None else ops.reshape(weights, (1,))
    if sparse:
        hot = ops.one_hot(indices, depth, dtype=dtype, sparse=True)
        if weights is not None:
            hot = ops.multiply(hot, ops.cast(ops.expand_dims(weights, -1), dtype))
        total = ops.cast(ops.sum(hot, -2), dtype)
        return ops.sign(total) if mode == "multi_hot" else total
    if None in indices.shape[:-1]:  # how many rows there are is known only when it runs
        hot = ops.one_hot(indices, depth, dtype=dtype)
        if mode == "multi_hot":
            return ops.max(hot, -2)
        return ops.sum(hot if weights is None else hot * ops.cast(ops.expand_dims(weights, -1), dtype), -2)
    lead = tuple(indices.shape[:-1])
    rows = int(np.prod(lead))
    flat = ops.reshape(ops.cast(indices, "int32"), (rows, -1) if rows else (0, 1))
    known = ops.logical_and(flat >= 0, flat < depth)
    places = ops.where(known, flat, depth) + ops.expand_dims(ops.arange(rows, dtype="int32"), -1) * (depth + 1)
    each = ops.ones_like(flat, dtype) if weights is None else ops.cast(ops.reshape(weights, tuple(flat.shape)), dtype)
    total = ops.segment_sum(ops.reshape(each, (-1,)), ops.reshape(places, (-1,)), rows * (depth + 1))
    total = ops.reshape(total, (*lead, depth + 1))[..., :depth]
    return ops.cast(total > 0, dtype) if mode == "multi_hot" else total


def encoded_shape(shape: Any, mode: str, depth: int) -> tuple:
    """The shape of `encoded` for indices of that shape; of "int" the shape itself."""
    shape = tuple(shape)
    if mode == "int":
        return shape
    if mode == "one_hot" and not (len(shape) > 1 and shape[-1] == 1):
        return (*shape, depth)
    return (*shape[:-1], depth)


class CategoryEncoding(DataLayer):
    """Numbers of categories as vectors.

    Args:
        num_tokens: The number of categories, which are 0 to num_tokens - 1.
        output_mode: "one_hot" for a vector for each number, a last axis of size 1 behind others left out; "multi_hot" for one
            vector for all along the last axis, 1 where a category occurs; "count" for how often it does.
        sparse: Whether the vectors come as a sparse tensor.

    Call arguments:
        inputs: Integers. Others than the categories count as none.
        count_weights: For "count": what each number counts as.

    Raises:
        ValueError: An argument is off.
    """

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_tokens is None or isinstance(num_tokens, bool) or int(num_tokens) < 1:
            raise ValueError(f"{self.name}: num_tokens={num_tokens!r} should be an integer of at least 1.")
        output_mode = "count" if output_mode == "binary_count" else output_mode
        if output_mode not in MODES:
            raise ValueError(f"{self.name}: output_mode={output_mode!r} should be one of {', '.join(MODES)}.")
        self.num_tokens, self.output_mode, self.sparse = int(num_tokens), output_mode, bool(sparse)

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(f"{self.name}: count_weights are for output_mode='count', not {self.output_mode!r}.")
        indices = ops.cast(inputs, "int32")
        return encoded(indices, self.output_mode, self.num_tokens, self.compute_dtype, count_weights, self.sparse)

    def compute_output_spec(self, inputs: Any, count_weights: Any = None) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype, sparse=self.sparse)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return encoded_shape(input_shape, self.output_mode, self.num_tokens)

    def get_config(self) -> dict:
        own = config_of(self, "num_tokens", "output_mode")  # Keras's has no `sparse`: it is there where it is true
        return super().get_config() | own | ({"sparse": True} if self.sparse else {})


class Discretization(DataLayer):
    """Numbers as the numbers of the bins that they are in.

    Args:
        bin_boundaries: The boundaries between bins, ascending. A number on one is in the bin above it.
        num_bins: Instead: how many bins, of as many numbers each, `adapt` should make.
        epsilon: How far off the boundaries may be then, as a share of the data.
        output_mode: "int", or "one_hot", "multi_hot" or "count" as for `CategoryEncoding`.
        sparse: Whether the vectors come as a sparse tensor.

    Returns:
        Bins from 0 to the number of boundaries, int32; or the encoding of them. nan is in the last bin.

    Raises:
        ValueError: An argument is off, or the layer is called before it has boundaries.
    """

    def __init__(
        self,
        bin_boundaries: Any = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError(f"{self.name}: give one of {bin_boundaries=} and {num_bins=}.")
        if num_bins is not None and num_bins < 1:
            raise ValueError(f"{self.name}: num_bins={num_bins!r} should be at least 1.")
        if output_mode not in ("int", *MODES):
            raise ValueError(f"{self.name}: output_mode={output_mode!r} should be one of int, {', '.join(MODES)}.")
        check_sparse(self, sparse, output_mode)
        self.num_bins, self.epsilon, self.output_mode, self.sparse = num_bins, epsilon, output_mode, bool(sparse)
        self.bin_boundaries = None if bin_boundaries is None else [float(b) for b in bin_boundaries]
        if self.bin_boundaries is not None and self.bin_boundaries != sorted(self.bin_boundaries):
            raise ValueError(f"{self.name}: bin_boundaries={self.bin_boundaries} should ascend.")
        self._given = self.bin_boundaries is not None
        self.reset_state()

    @property
    def input_dtype(self) -> str:
        return self.compute_dtype

    @property
    def output_dtype(self) -> str:
        """Of the result."""
        return self.compute_dtype if self.output_mode != "int" else "int32"

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Takes bins of as many numbers each from data, forgetting earlier ones.

        Args:
            data: An array or tensor, or a data set of batches.
            steps: How many batches at most.

        Raises:
            ValueError: The layer was given its boundaries, or the data has no numbers.
        """
        self.reset_state()
        for batch in batches(data, steps):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Counts a batch in."""
        if self._given:
            raise ValueError(f"{self.name}: the layer was given its bin_boundaries; adapt is for layers without.")
        values = np.asarray(ops.convert_to_numpy(data), "float64").ravel()
        values = values[~np.isnan(values)]
        self._values = np.concatenate([self._values, values])
        self._counts = np.concatenate([self._counts, np.ones(values.size)])
        if self._values.size > max(100_000, 100 / self.epsilon):
            self._thin_out(max(1000, int(10 / self.epsilon)))

    def _thin_out(self, count: int) -> None:
        """Keeps `count` quantiles in place of the numbers."""
        total = self._counts.sum()
        self._values = self._quantiles((np.arange(count) + 0.5) / count)
        self._counts = np.full(count, total / count)

    def _quantiles(self, shares: np.ndarray) -> np.ndarray:
        order = np.argsort(self._values, kind="stable")
        counts = self._counts[order]
        # Each number stands in the middle of what it counts for; the ends reach to 0 and 1.
        middles = np.cumsum(counts) - counts / 2
        first, last = middles[0], middles[-1]
        places = (middles - first) / (last - first) if last > first else middles * 0
        return np.interp(shares, places, self._values[order])

    def finalize_state(self) -> None:
        """Makes the bins of what was counted."""
        if self._given or self.num_bins is None:
            return
        if not self._values.size:
            raise ValueError(f"{self.name}: there is no data to adapt to.")
        shares = np.arange(1, self.num_bins) / self.num_bins
        self.bin_boundaries = self._quantiles(shares).astype("float32").tolist()

    def reset_state(self) -> None:
        """Forgets what was counted, and bins that were made of it."""
        if not self._given:
            self.bin_boundaries = None
        self._values, self._counts = np.zeros(0), np.zeros(0)

    def call(self, inputs: Any) -> Any:
        if self.bin_boundaries is None:
            raise ValueError(f"{self.name}: the layer has no bins yet; give it bin_boundaries, or call adapt.")
        x = ops.cast(inputs, "float32") if self.bin_boundaries else inputs
        edges = np.asarray(self.bin_boundaries, "float32")
        indices = ops.searchsorted(edges, x, side="right") if edges.size else ops.zeros_like(x, "int32")
        indices = ops.where(ops.isnan(x), edges.size, indices) if edges.size else indices
        if self.output_mode == "int":
            return ops.cast(indices, "int32")
        return encoded(indices, self.output_mode, edges.size + 1, self.compute_dtype, sparse=self.sparse)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), self.output_dtype, sparse=self.sparse)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        depth = self.num_bins if self.bin_boundaries is None else len(self.bin_boundaries) + 1
        return encoded_shape(input_shape, self.output_mode, depth or 1)

    def load_own_variables(self, store: Any) -> None:
        """There are none: the boundaries are in the config."""

    def get_config(self) -> dict:
        own = config_of(self, "bin_boundaries", "num_bins", "epsilon", "output_mode", "sparse", "name")
        return own | {"dtype": self.compute_dtype}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The layer of a config, with the boundaries that it was adapted to."""
        if config.get("bin_boundaries") is None or config.get("num_bins") is None:
            return cls(**config)
        layer = cls(**{**config, "bin_boundaries": None})
        layer.bin_boundaries = list(config["bin_boundaries"])
        return layer
