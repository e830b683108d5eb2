"""What a row is: one thing that several peers do, and how they are held side by side."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FAMILIES = (
    "eager",
    "matmul",
    "conv",
    "pool",
    "elementwise",
    "reduce",
    "norms",
    "gather",
    "resample",
    "attention",
    "recurrent",
    "optimize",
    "half",
    "models",
    "memory",
)
OWN = "kcore"  # the subject that a ratio is about: the reference backend


@dataclass(frozen=True)
class Subject:
    """One peer's part in a row, built and ready.

    Attributes:
        run: What is timed. In a row whose unit is not seconds, it returns the number.
        result: What must agree with the other peers', as NumPy arrays.
    """

    run: Callable[[], Any]
    result: Callable[[], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: With its shapes and batch, unique within the family.
        peers: Peer -> what builds its Subject. The first word of a peer's name is its library, as in "torch nchw";
            "kcore-jax" and "keras-jax" are kcore and Keras on JAX.
        goal: What the ratio, fastest peer / kcore, should at least be; None where nothing was promised.
        tolerance: How far the peers' results may part, in units of kcore's largest number.
        apart: Whether each peer needs a process of its own, as Keras does, which fixes its backend at import.
        threads: For BLAS, OpenMP and the frameworks alike; a peer named "... one thread" has one.
        unit: "s", or "MiB", of which a smaller number is better, too.
        seconds: To spend on timing all peers, warming up aside.
        numerics: kcore's setting of that name.
    """

    name: str
    peers: Mapping[str, Callable[[], Subject]]
    goal: float | None = None
    tolerance: float = 1e-4
    apart: bool = False
    threads: int = 1
    unit: str = "s"
    seconds: float = 1.5
    numerics: str = "standard"
    family: str = ""

    @property
    def key(self) -> str:
        return f"{self.family}/{self.name}"

    def threads_of(self, peer: str) -> int:
        return 1 if peer.endswith("one thread") else self.threads


class UnknownRow(ValueError):
    """No row has that name, or none matches."""


def family(name: str) -> list[Row]:
    """The rows of one family."""
    module = importlib.import_module(f"{__package__}.bench_{name}")
    return [Row(**(vars(row) | {"family": name})) for row in module.ROWS]


def chosen(patterns: Iterable[str] = ()) -> list[Row]:
    """The rows whose key, "family/name", has one of the patterns in it; all of them without patterns.

    A pattern with * or ? has to match the whole key.

    Raises:
        UnknownRow: A pattern matches none.
    """
    rows = [row for name in FAMILIES for row in family(name)]
    patterns = list(patterns)
    matched = {p: {row.key for row in rows if _matches(row.key, p)} for p in patterns}
    for pattern, keys in matched.items():
        if not keys:
            raise UnknownRow(f"No row matches {pattern!r}; the families are {', '.join(FAMILIES)}.")
    return [row for row in rows if not patterns or any(row.key in keys for keys in matched.values())]


def by_key(key: str) -> Row:
    """One row by its key."""
    name = key.partition("/")[0]
    for row in family(name) if name in FAMILIES else ():
        if row.key == key:
            return row
    raise UnknownRow(f"There is no row {key!r}.")


def _matches(key: str, pattern: str) -> bool:
    if any(c in pattern for c in "*?["):
        return fnmatch.fnmatchcase(key, pattern)
    return pattern in key
