"""The report of a comparison."""

from __future__ import annotations

from typing import Any, NamedTuple

from kcore.conformance.lockstep.findings import Finding

MOST_SHOWN = 12
MOST_LAYERS = 12
LONG_SCRIPT = 30


class Drift(NamedTuple):
    """The variable that is furthest off after a step, and how far."""

    variable: str
    gap: float


class Comparison:
    """What `compare` found. True where every backend agrees with the oracle.

    Attributes:
        name: The model's or function's.
        oracle, backends: Names.
        findings: Everything that parts, in the order in which it happens.
        ops: How many ops the oracle ran; `checked`: how many were compared on each backend.
        nonfinite: backend -> the op that makes the first nan or infinity of finite arguments there.
        spread: backend -> [(layer, how far its result is from the oracle's when nothing is aligned)].
        drift: backend -> after each training step, the variable that is furthest off, when each trains by itself.
        notes: What could not be matched, op by op.
    """

    def __init__(self, name: str, oracle: str, backends: list[str]) -> None:
        self.name, self.oracle, self.backends = name, oracle, backends
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.ops = 0
        self.checked: dict[str, int] = {}
        self.nonfinite: dict[str, Finding] = {}
        self.spread: dict[str, list[tuple[str, float]]] = {}
        self.op_gaps: dict[str, dict[int, float]] = {}
        self.drift: dict[str, list[Drift]] = {}
        self.events: list[tuple[int | None, Any]] = []

    def __bool__(self) -> bool:
        return not self.findings

    def first(self, backend: str | None = None) -> Finding | None:
        """What parts first, on that backend or on any; None if nothing does."""
        return next((f for f in self.findings if backend in (None, f.backend)), None)

    def amplification(self, backend: str) -> list[tuple[str, float, float]]:
        """(layer, error of its result, that divided by the largest error before it), in order, with nothing aligned."""
        rows, before = [], 0.0
        for path, error in self.spread.get(backend, []):
            rows.append((path, error, error / before if before else float("nan")))
            before = max(before, error)
        return rows

    def __str__(self) -> str:
        parts = [self._headline(), *self._first_in_full(), *self._others(), *self._origins(), *self._spreads()]
        parts += self._drifts()
        parts += [f"note: {note}" for note in self.notes]
        return "\n".join(parts)

    def _headline(self) -> str:
        counts = ", ".join(f"{n} on {b}" for b, n in self.checked.items())
        head = f"{self.name}: {self.ops} ops on the oracle ({self.oracle}); compared {counts or 'none'}"
        if not self.findings:
            return f"{head}\nall agree"
        by = {b: sum(f.backend == b for f in self.findings) for b in self.backends}
        return f"{head}\n" + ", ".join(f"{b} parts in {n} places" if n else f"{b} agrees" for b, n in by.items())

    def _first_in_full(self) -> list[str]:
        lines = []
        for backend in self.backends:
            found = self.first(backend)
            if found is None:
                continue
            lines += ["", f"first on {found}"]
            script = found.script.rstrip().splitlines()
            if len(script) > LONG_SCRIPT:
                lines.append("  to see it: run the finding's `script`, which holds the arrays that were met")
            elif script:
                lines += ["  to see it:", *(f"    {line}" for line in script)]
        return lines

    def _others(self) -> list[str]:
        firsts = {id(self.first(b)) for b in self.backends}
        rest = [f for f in self.findings if id(f) not in firsts]
        lines = [f"  {str(f).splitlines()[0]}: {f.gap}" for f in rest[:MOST_SHOWN]]
        if len(rest) > MOST_SHOWN:
            lines.append(f"  and {len(rest) - MOST_SHOWN} more")
        return ["", "then", *lines] if lines else []

    def _origins(self) -> list[str]:
        found = [(b, f) for b, f in self.nonfinite.items()]
        return [""] * bool(found) + [
            f"first nan or infinity on {b}: {f.place}, at {f.source}; {f.note}" for b, f in found
        ]

    def _spreads(self) -> list[str]:
        lines = []
        for backend in self.backends:
            rows = [r for r in self.amplification(backend) if r[1]]
            if not rows:
                continue
            if len(rows) > MOST_LAYERS:
                rows = sorted(sorted(rows, key=lambda r: -r[1])[:MOST_LAYERS], key=[*rows].index)
            width = max(len(r[0]) for r in rows)
            lines += ["", f"error through the network on {backend}, nothing aligned (relative; growth)"]
            lines += [f"  {path:{width}}  {e:.1e}" + (f"  x{g:.3g}" if g == g else "") for path, e, g in rows]
        return lines

    def _drifts(self) -> list[str]:
        lines = []
        for backend, rows in self.drift.items():
            if rows:
                lines += ["", f"training by itself on {backend}: the variable that is furthest off after each step"]
                lines += [f"  step {i}: {row.variable}  {row.gap:.1e}" for i, row in enumerate(rows)]
        return lines

    def json(self) -> dict[str, Any]:
        """As plain numbers, strings, lists and dicts."""
        return {
            "name": self.name,
            "oracle": self.oracle,
            "backends": self.backends,
            "agree": bool(self),
            "ops": self.ops,
            "checked": self.checked,
            "findings": [f.json() for f in self.findings],
            "nonfinite": {b: f.json() for b, f in self.nonfinite.items()},
            "error_by_layer": {b: [list(row) for row in rows] for b, rows in self.spread.items()},
            "drift": {b: [list(row) for row in rows] for b, rows in self.drift.items()},
            "notes": self.notes,
        }
