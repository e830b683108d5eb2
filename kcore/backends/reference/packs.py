"""Packed convolution kernels that are kept between calls: weights that stand still are packed once.

What is kept for an array is used only while the array's bits are what they were, by their fingerprint: whoever
wrote into it, and by whatever path, is noticed. Reading it costs far less than packing would.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from kcore import _native
from kcore._native.threads import threads_for

SMALLEST = 1 << 14  # bytes of weights; smaller ones are packed in no time
LIMIT = 1 << 29  # bytes of packed weights that are kept, of all arrays together


class _Kept:
    """What is known of the array at some address."""

    __slots__ = ("changes", "fingerprint", "owner", "packs", "rest")

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.fingerprint: tuple[int, int] | None = None  # and the address
        self.packs: Any = None
        self.changes = 0  # between looks, one after the other
        self.rest = 0  # looks to leave out


_kept: dict[tuple, _Kept] = {}  # the least recently used first


def packs_for(w: np.ndarray) -> Any:
    """Where to find and keep what `w` packed is, or None: it is new, or has changed since the last call.

    Weights that training changes are looked at ever more rarely.
    """
    if w.nbytes < SMALLEST:
        return None
    owner = w if w.base is None else w.base
    key = id(owner), w.shape, w.dtype.char
    kept = _kept.get(key)
    if kept is None:
        try:
            kept = _Kept(weakref.ref(owner, lambda _: _kept.pop(key, None)))
        except TypeError:  # memory of a kind that has no weak references
            return None
        _kept[key] = kept
    elif kept.rest:
        kept.rest -= 1
        return None
    fingerprint = _native.kernels.fingerprint(w, threads_for(w.size)), w.__array_interface__["data"][0]
    if fingerprint != kept.fingerprint:
        kept.rest = (1 << min(kept.changes, 6)) - 1
        kept.changes += 1
        kept.fingerprint, kept.packs = fingerprint, None
        return None
    kept.changes = 0
    if kept.packs is None:
        kept.packs = _native.kernels.Packs()
        _make_room()
    _kept[key] = _kept.pop(key, kept)  # the most recently used
    return kept.packs


def _make_room() -> None:
    total = kept_bytes()
    for kept in list(_kept.values()):
        if total <= LIMIT:
            return
        if kept.packs is not None:
            total -= kept.packs.nbytes
            kept.packs = None


def kept_bytes() -> int:
    """The bytes of packed weights that are kept now."""
    return sum(k.packs.nbytes for k in list(_kept.values()) if k.packs is not None)


def forget() -> None:
    """Drops all that is kept."""
    _kept.clear()
