"""Masks that travel with tensors: which time steps count.

A mask is kept on the tensor itself where the framework lets us, else beside it for the
length of the outermost layer call.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

# id(tensor) -> (tensor, mask): the tensor is held, so that its id stays its own.
_beside: ContextVar[dict[int, tuple[Any, Any]] | None] = ContextVar("kcore_masks", default=None)


def get_mask(x: Any) -> Any:
    """The mask of a tensor, None if it has none."""
    mask = getattr(x, "_keras_mask", None)
    if mask is None:
        kept = _beside.get()
        if kept:
            mask = kept.get(id(x), (None, None))[1]
    return mask


def set_mask(x: Any, mask: Any) -> None:
    """Gives a tensor a mask."""
    try:
        x._keras_mask = mask
    except AttributeError:
        kept = _beside.get()
        if kept is not None:
            kept[id(x)] = (x, mask)


class mask_scope:
    """Masks that tensors can't carry live until this ends."""

    def __enter__(self) -> None:
        self._token = _beside.set({}) if _beside.get() is None else None

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _beside.reset(self._token)
