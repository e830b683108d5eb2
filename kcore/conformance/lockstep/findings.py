"""What a comparison finds."""

from __future__ import annotations

import dataclasses
from typing import Any

from kcore.conformance.lockstep.judge import Gap
from kcore.conformance.lockstep.observe import Source

# What parted, in words: "value" and "gradient" are of one op that was given the oracle's arguments.
KINDS = {
    "value": "result",
    "gradient": "gradient",
    "argument": "argument, before the op runs",
    "changed": "argument, changed by the op",
    "layer": "result of the layer, though no op in it parts",
    "variable": "value of a variable, before anything runs",
    "whole gradient": "gradient of a variable, though no op's own gradient parts",
    "update": "variable after the step, though no op in it parts",
    "native": "result of the whole as the backend runs it by itself, though no op in it parts",
    "error": "exception",
}


@dataclasses.dataclass
class Finding:
    """One place where a backend parts from the oracle.

    Attributes:
        backend: Its name.
        kind: What parts; see `KINDS`.
        op: The op, or the name of the layer or variable.
        layer: The path of the layer that it is in, "" outside of any.
        source: The line that called it; None where there is none.
        gap: How far off, and what is allowed.
        step: The training step, from 0; None outside of training.
        result: Which result of the op, or which argument, it is.
        number: Which op of the program it is.
        inner: For an op that runs by its portable body: the first op in there that parts.
        suspect: "reference" where the other backends agree with one another, or the record's formula with them.
        note: More, in a sentence.
        script: A program of a few lines that shows it; empty where there can't be one.
    """

    backend: str
    kind: str
    op: str
    layer: str = ""
    source: Source | None = None
    gap: Gap | None = None
    step: int | None = None
    result: str = ""
    number: int | None = None
    inner: Finding | None = None
    suspect: str = ""
    note: str = ""
    script: str = ""
    event: Any = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def place(self) -> str:
        """The op in its layer."""
        return f"{self.op} in {self.layer}" if self.layer else self.op

    def __str__(self) -> str:
        step = "" if self.step is None else f"step {self.step}: "
        lines = [f"{self.backend}: {step}{self.place}: {KINDS[self.kind]}{f' ({self.result})' if self.result else ''}"]
        if self.source is not None:
            lines.append(f"  called at {self.source}")
        if self.gap is not None:
            lines.append(f"  {self.gap}")
        if self.inner is not None:
            lines.append(f"  inside it, {self.inner.op} is the first to part: {self.inner.gap}")
        if self.suspect:
            lines.append(f"  suspect: {self.suspect}, not {self.backend}")
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        """As plain numbers, strings, lists and dicts."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "event"}
        found["source"] = None if self.source is None else self.source._asdict()
        found["gap"] = None if self.gap is None else {k: plain(v) for k, v in dataclasses.asdict(self.gap).items()}
        found["inner"] = None if self.inner is None else self.inner.json()
        return found


def plain(x: Any) -> Any:
    """`x` as JSON can say it: infinities, nan and complex numbers as text."""
    if isinstance(x, tuple):
        return [plain(e) for e in x]
    if isinstance(x, complex) or (isinstance(x, float) and (x != x or x in (float("inf"), float("-inf")))):
        return str(x)
    return x
