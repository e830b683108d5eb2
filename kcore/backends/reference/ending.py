"""How sums end: what happens to each, element by element, as a convolution or a product stores it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kcore import _native
from kcore._native.threads import threads_for
from kcore.backends.reference.quiet import quiet

ENDS = ("linear", "relu", "relu6")  # the activations that sums may end with


class Ending(NamedTuple):
    """v + bias; (v - mean) * factor + offset; v + beside; then the activation. None leaves a step out.

    Attributes:
        bias, mean, factor, offset: One for each channel; channels come last.
        beside: Of the shape of v.
        activation: One of `ENDS`.
        spent: Whether `beside` may be written over: nobody will read it again.
    """

    bias: np.ndarray | None = None
    mean: np.ndarray | None = None
    factor: np.ndarray | None = None
    offset: np.ndarray | None = None
    beside: np.ndarray | None = None
    activation: str = "linear"
    spent: bool = False

    def compiled(self) -> Any:
        """The same for kernels."""
        *arrays, activation, spent = self
        arrays = [None if a is None else np.ascontiguousarray(a) for a in arrays]
        return _native.kernels.Ending(*arrays, activation, spent)


PLAIN = Ending()


def factor_of(variance: np.ndarray, scale: np.ndarray | None, epsilon: float) -> np.ndarray:
    """What normalizing by this variance multiplies a channel by."""
    with quiet():
        factor = 1 / np.sqrt(variance + variance.dtype.type(epsilon))
        return factor if scale is None else factor * scale


def plain_end(v: np.ndarray, ending: Ending) -> np.ndarray:
    """The definition."""
    bias, mean, factor, offset, beside, activation, _ = ending
    with quiet():
        v = v if bias is None else v + bias
        v = v if factor is None else (v - mean) * factor
        v = v if offset is None else v + offset
        v = v if beside is None else v + beside
        v = v if activation == "linear" else np.where(v <= 0, np.zeros((), v.dtype), v)
        return v if activation != "relu6" else np.where(v >= 6, np.full((), 6, v.dtype), v)


def end(v: np.ndarray, ending: Ending, out: np.ndarray | None = None) -> np.ndarray:
    """`plain_end` of contiguous v, by the kernel where it fits; it may use `out`, which may be v itself."""
    if not _native.available or v.dtype.char not in "fd":
        return plain_end(v, ending)
    return _native.kernels.end_rows(v, ending.compiled(), threads_for(v.size), out)
