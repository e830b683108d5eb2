"""What a conformance run answers: one Result for each op and backend."""

from __future__ import annotations

import bisect
import dataclasses
from typing import Any

PASS, FAIL, DIFFERS, UNSUPPORTED, NO_RECORD = "pass", "FAIL", "differs", "unsupported", "no record"

# The upper bounds of the classes in which errors are counted, as parts of their tolerances. Beyond the last one
# is a class for what is out of tolerance.
SPREAD = (0.0, 1e-3, 1e-2, 0.1, 0.25, 0.5, 1.0)


@dataclasses.dataclass
class Failure:
    """One thing that is wrong.

    Attributes:
        check: Which check found it: "value", "symbolic", "error", "body", "variant", "compiled", "gradient"...
        sample: The call, abbreviated.
        dtype: The dtype it was made in; None where that does not matter.
        problem: What is wrong, in a sentence.
        where: The index of the worst element.
        got, want: The values there.
        error, tolerance: By the measure of the check.
        rerun: A shell command that checks this again.
    """

    check: str
    sample: str
    dtype: str | None
    problem: str
    where: tuple[int, ...] | None = None
    got: Any = None
    want: Any = None
    error: float | None = None
    tolerance: float | None = None
    rerun: str = ""


@dataclasses.dataclass
class Result:
    """How one op does on one backend.

    Attributes:
        op, backend: Their names.
        verdict: "pass", "FAIL", "differs" (as its record says it may), "unsupported" or "no record".
        reason: Why it differs or is unsupported, from the record or the backend.
        cases: How many results were compared.
        ulp: The worst error of a value, in units in the last place of its dtype.
        error, tolerance, dtype: The worst |got - want| / max(1, |want|) beside its tolerance, and the dtype of
            that result.
        gradient_error, gradient_tolerance: The same for gradients.
        spread: How many errors, of values and gradients, fell into each class of `SPREAD`, and beyond.
        seconds: How long it took.
        failures: Everything that is wrong.
    """

    op: str
    backend: str
    verdict: str = PASS
    reason: str = ""
    cases: int = 0
    ulp: float | None = None
    error: float | None = None
    tolerance: float | None = None
    dtype: str | None = None
    gradient_error: float | None = None
    gradient_tolerance: float | None = None
    spread: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(SPREAD) + 1))
    seconds: float = 0.0
    failures: list[Failure] = dataclasses.field(default_factory=list)

    @property
    def failed(self) -> bool:
        return self.verdict in (FAIL, NO_RECORD)

    def note(self, error: float, tolerance: float, dtype: str, ulp: float = 0.0, gradient: bool = False) -> None:
        """Takes in the error of one value or gradient: the worst is kept, and each is counted in `spread`."""
        part = share(error, tolerance)
        self.spread[bisect.bisect_left(SPREAD, part) if part == part else len(SPREAD)] += 1
        if gradient:
            if self.gradient_error is None or part > share(self.gradient_error, self.gradient_tolerance):
                self.gradient_error, self.gradient_tolerance = error, tolerance
            return
        self.ulp = max(self.ulp or 0.0, ulp)
        if self.error is None or part > share(self.error, self.tolerance):
            self.error, self.tolerance, self.dtype = error, tolerance, dtype


def share(error: float, tolerance: float | None) -> float:
    """The error as a part of what is allowed."""
    return error / tolerance if tolerance else float("inf") if error else 0.0
