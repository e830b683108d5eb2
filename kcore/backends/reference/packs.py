"""Packed convolution kernels that are kept between calls: weights that stand still are packed once.

What is kept for an array is used only while the array is what it was. A variable's memory counts how often it was
written; of other arrays the bits are compared, by their fingerprint: whoever wrote into one, and by whatever path, is
noticed. Reading it costs far less than packing would.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from kcore import _native
from kcore._native.threads import threads_for
from kcore.backends.reference.tensor import Memory, root

SMALLEST = 1 << 14  # bytes of weights; smaller ones are packed in no time
LIMIT = 1 << 29  # bytes of packed weights that are kept, of all arrays together


class _Kept:
    """What is known of the array at some address."""

    __slots__ = ("changes", "owner", "packs", "rest", "state")

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.state: Any = None  # that it was packed in
        self.packs: Any = None
        self.changes = 0  # between looks, one after the other
        self.rest = 0  # looks to leave out


_kept: dict[tuple, _Kept] = {}  # the least recently used first


def packs_for(w: np.ndarray) -> Any:
    """Where to find and keep what `w` packed is, or None: it is new, or has changed since the last call.

    Arrays that are written between calls are looked at ever more rarely.
    """
    if w.nbytes < SMALLEST:
        return None
    owner = root(w)
    key = id(owner), w.nbytes == owner.nbytes or w.__array_interface__["data"], w.shape, w.dtype.char
    kept = _kept.get(key)
    if kept is None:
        kept = _kept[key] = _Kept(weakref.ref(owner, lambda _: _kept.pop(key, None)))
    elif kept.rest:
        kept.rest -= 1
        return None
    counted = owner.__class__ is Memory
    state = owner.changes if counted else _native.kernels.fingerprint(w, threads_for(w.size))
    if state != kept.state:
        if not counted:
            kept.rest = (1 << min(kept.changes, 6)) - 1
            kept.changes += 1
        kept.state, kept.packs = state, None
        return None
    kept.changes = 0
    if kept.packs is None:
        kept.packs = _native.kernels.Packs()
        _make_room()
    _kept[key] = _kept.pop(key, kept)  # the most recently used
    return kept.packs


def packs_of_variable(w: np.ndarray) -> Any:
    """`packs_for` weights that lie in a variable's memory; None for others, for comparing their bits would take too long."""
    return packs_for(w) if w.nbytes >= SMALLEST and root(w).__class__ is Memory else None


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
