"""The samples of a record in the dtypes that a run asks for, with what the formula gives for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kcore import dtypes
from kcore.conformance.calls import Call, typed
from kcore.conformance.record import EXACT_TO_ROUNDING, Case, Sample

# Dtypes that every op is tried in on one sample, besides those of its record, where its rule takes them.
FURTHER = ("float16", "bfloat16", "bool", "int32", "uint8", "uint16", "uint32", "uint64")
ALL_FURTHER = ("float16", "bfloat16", *dtypes.BOOL, *dtypes.INTEGERS)


class Trial:
    """One sample in one dtype.

    Attributes:
        sample, number: The sample, and which of the record's it is.
        dtype: The dtype it was cast to.
        required: Whether the record promises this dtype; else the op or the formula may refuse it.
        call: The arguments.
        plan: The rule's answer; None for a function that has no rule.
        want: The formula's results, flat.
        refused: What the rule raised, if it did; then there is no more.
        problem: What is wrong with the formula; then there is nothing to compare with.
    """

    def __init__(self, sample: Sample, number: int, dtype: str, call: Call, required: bool) -> None:
        self.sample, self.number, self.dtype, self.call, self.required = sample, number, dtype, call, required
        self.plan: Any = None
        self.want: list[np.ndarray] = []
        self.refused: Exception | None = None
        self.problem: str | None = None
        try:
            self.plan = call.plan()
        except (ValueError, TypeError, IndexError, NotImplementedError) as error:
            self.refused = error
            return
        try:
            with np.errstate(all="ignore"):
                self.want = call.formula(self.plan, dtype)
        except Exception as error:
            self.problem = f"the formula raised {type(error).__name__}: {error}"


class Trials:
    """The trials of a record. Made once for all backends, and each trial when it is first asked for.

    Args:
        case: The record.
        wanted: The dtypes to try; None is the record's, and `FURTHER` for one sample.
        full: Every sample in every dtype.
    """

    def __init__(self, case: Case, wanted: Sequence[str] | None = None, full: bool = False) -> None:
        self.case, self.wanted, self.full = case, wanted, full
        self.samples = _samples(case)
        self.probe = self._probe()
        self._made: dict[tuple[int, str], Trial | None] = {}

    def __iter__(self) -> Iterator[Trial]:
        """Each sample in each of its dtypes, without those that change nothing."""
        for number, sample in enumerate(self.samples):
            own, further = self._dtypes(sample)
            seen = set()
            for dtype in (*own, *further):
                trial = self.get(number, dtype, dtype in own)
                if trial is None:
                    continue
                kinds = tuple(str(a.dtype) for a in trial.call.arrays())
                if kinds not in seen:
                    seen.add(kinds)
                    yield trial

    def get(self, number: int, dtype: str, required: bool = True) -> Trial | None:
        """That sample in that dtype; None where its values have no counterpart in it."""
        if (number, dtype) not in self._made:
            sample = self.samples[number]
            call = typed(Call(self.case, sample.args, sample.arguments), dtype)
            self._made[number, dtype] = None if call is None else Trial(sample, number, dtype, call, required)
        return self._made[number, dtype]

    def first(self, number: int) -> Trial | None:
        """That sample in the first of its dtypes that is wanted; None if none is."""
        own, further = self._dtypes(self.samples[number])
        return self.get(number, (*own, *further)[0], bool(own)) if own or further else None

    def unlike(self, count: int, numbers: Sequence[int] | None = None) -> list[int]:
        """Up to `count` samples (of those numbered) that hold more than one number, of shapes as unlike as can be.

        Those of most dimensions come first, then other shapes, then whatever else there is.
        """
        shapes = {}
        for number in range(len(self.samples)) if numbers is None else numbers:
            sample = self.samples[number]
            found = tuple(a.shape for a in Call(self.case, sample.args, sample.arguments).arrays())
            if any(np.prod(s) > 1 for s in found):
                shapes[number] = found
        ranked = sorted(shapes, key=lambda n: -max(map(len, shapes[n])))
        new = [n for i, n in enumerate(ranked) if shapes[n] not in [shapes[m] for m in ranked[:i]]]
        return [*new, *(n for n in ranked if n not in new)][:count]

    def _dtypes(self, sample: Sample) -> tuple[list[str], list[str]]:
        """The dtypes of a sample that the record promises, and those that are tried besides."""
        own = list(sample.dtypes or self.case.dtypes)
        if self.wanted is not None:
            further = [d for d in self.wanted if d not in own] if sample.dtypes is None else []
            return [d for d in own if d in self.wanted], further
        if sample.dtypes is not None:
            return own, []
        if self.full and (sample is self.probe or not sample.why):  # picked by hand for the values in its own dtypes
            return own, [d for d in ALL_FURTHER if d not in own]
        if sample is self.probe:
            return own, [d for d in FURTHER if d not in own]
        return own if self.full else own[:2], []

    def _probe(self) -> Sample | None:
        """The sample that stands for all in further dtypes: the first that holds more than a number."""
        plain = [s for s in self.samples if s.dtypes is None]
        large = (s for s in plain if any(a.size > 1 for a in Call(self.case, s.args, s.arguments).arrays()))
        return next(large, plain[0] if plain else None)


def tolerance(case: Case, dtype: str) -> float:
    """The record's tolerance for results of that dtype; 0 for integers and bools.

    For a dtype that the record does not name, it is as many units in the last place as for
    float32, and no less than a few.
    """
    if dtype not in EXACT_TO_ROUNDING:
        return 0.0
    if dtype in case.tol:
        return case.tol[dtype]
    parts = dtypes.real_of(dtype)
    if parts in case.tol:
        return 2 * case.tol[parts]
    scale = case.tol.get("float32", 0.0) / EXACT_TO_ROUNDING["float32"]
    return EXACT_TO_ROUNDING[dtype] * max(1.0, scale)


def _samples(case: Case) -> list[Sample]:
    """The samples of a record, drawn if they are a function of a generator."""
    if callable(case.samples):
        return list(case.samples(np.random.default_rng(list(case.name.encode()))))
    return list(case.samples)
