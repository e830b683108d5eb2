"""What stands for a tensor while a step is captured: a shape and a dtype, and where the value will be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import numpy as np

# How many captures are under way, over all threads. Where it is 0, ops don't look for tracers that variables give.
active = 0


class CannotCapture(Exception):
    """A step asked for something that a capture can't answer: a tensor's values, or what changes from step to step."""


class Disturbed(CannotCapture):
    """A capture that may have failed for a reason outside of the step."""


class Tracer:
    """A tensor without values: the result of a call that a `Capture` has noted.

    Whoever asks for its values ends the capture.

    Attributes:
        capture: The capture that it belongs to.
        slot: The number of the value in the captured step.
    """

    __kcore_traced__ = True  # see kcore.ops.rules.is_traced
    __array_ufunc__ = None  # NumPy's arrays on the left give way
    _node: Any = None
    _output = 0

    def __init__(self, capture: Any, slot: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.capture, self.slot, self.shape, self.dtype = capture, slot, shape, dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def view(self, *_: Any) -> Tracer:
        """The same value without history, as `Tensor.view` gives it."""
        return Tracer(self.capture, self.slot, self.shape, self.dtype)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a scalar tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))  # type: ignore[index]

    def __getattr__(self, name: str) -> Any:
        if hasattr(np.ndarray, name):  # NumPy's own way with arrays
            self._asked()
        raise AttributeError(f"'Tensor' object has no attribute {name!r}")

    def _asked(self, *_: Any, **__: Any) -> NoReturn:
        raise self.capture.refusal("the step looks at a tensor's values")

    __array__ = __bool__ = __float__ = __int__ = __index__ = __complex__ = _asked
    __repr__ = __str__ = __format__ = __contains__ = __reduce_ex__ = __setitem__ = _asked


def found_in(values: Iterable[Any]) -> Any:
    """The capture that tracers among the values, in lists and tuples too, belong to; None without any."""
    for value in values:
        if value.__class__ is Tracer:
            return value.capture
        if isinstance(value, (list, tuple)):
            capture = found_in(value)
            if capture is not None:
                return capture
    return None
