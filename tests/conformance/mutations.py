"""Generic bugs, planted in one op after another, and the share of them that a conformance run reports.

    python -m tests.conformance.mutations [PATTERN ...]

prints the share for each kind of bug, and the ops in which it was not found.
"""

from __future__ import annotations

import copy
import sys
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from kcore import dtypes, tree
from kcore.conformance import runner
from kcore.conformance.checks import Check
from kcore.conformance.record import Case
from kcore.conformance.trials import Trials
from tests.conformance.planting import judge, planted


def _floats(change: Callable) -> Callable:
    """A bug that changes the float results."""

    def wrong(right, *arguments):
        y = right(*arguments)
        return tree.map_structure(lambda e: change(np.asarray(e)) if np.asarray(e).dtype.kind == "f" else e, y)

    return wrong


def _last_element(y):
    y = y.copy()
    y.reshape(-1)[-1:] += 0.01
    return y


def _nan_as_zero(y):
    return np.nan_to_num(y, posinf=np.inf, neginf=-np.inf) if np.isnan(y).any() else y


def _changes_an_argument(right, *arguments):
    y = right(*arguments)
    for a in arguments:
        if isinstance(a, np.ndarray) and a.size and a.dtype.kind == "f" and a.flags.writeable:
            np.copyto(a, a + 1)
            break
    return y


def _reads_in_order(right, *arguments):
    def in_order(a):
        if not isinstance(a, np.ndarray) or a.flags.c_contiguous:
            return a
        y = a.ravel(order="K").reshape(a.shape)
        return a if _alike(a, y) else y  # another order of sums is no bug

    return right(*[in_order(a) for a in arguments])


def _next_axis(right, *arguments):
    """The first two sizes of a result exchanged, as by a mix-up of axes."""
    y = right(*arguments)
    return np.swapaxes(y, 0, 1).reshape(y.shape) if isinstance(y, np.ndarray) and y.ndim > 1 else y


# name -> the bug. Where an op's results cannot show one (no float in them, say), it is not counted.
VALUES = {
    "a thousandth too large": _floats(lambda y: (y * 1.001).astype(y.dtype)),
    "float64 in float32": _floats(lambda y: y.astype("float32").astype(y.dtype) if y.dtype == np.float64 else y),
    "last element wrong": _floats(_last_element),
    "nan as zero": _floats(_nan_as_zero),
    "another dtype": _floats(lambda y: y.astype("float32" if y.dtype == np.float64 else "float64")),
    "another shape": _floats(lambda y: y[None]),
    "axes mixed up": _next_axis,
    "changes an argument": _changes_an_argument,
    "strides ignored": _reads_in_order,
}


def _doubled(right, g, y, *arguments):
    return tree.map_structure(lambda e: None if e is None else e * 2, right(g, y, *arguments))


def _detached(right, g, y, *arguments):
    """The gradient as a constant: right, but not differentiable again."""
    found = right(g, y, *arguments)
    return tree.map_structure(lambda e: None if e is None else np.asarray(e) * np.ones(()), found)


def _first_element(right, g, y, *arguments):
    def off(e):
        if e is None or not e.ndim or not e.size:
            return e
        bump = np.zeros(e.shape, dtypes.to_numpy(dtypes.name_of(e.dtype)))
        bump.reshape(-1)[0] = 0.01
        return e + bump

    return tree.map_structure(off, right(g, y, *arguments))


GRADIENTS = {
    "gradient doubled": _doubled,
    "gradient's first element wrong": _first_element,
    "second gradient cut": _detached,
}


def _curved(case: Case) -> bool:
    """Whether the op has a second gradient that is not 0, so that its loss can show."""
    from kcore import backends

    reference = backends.load("reference")
    with backends.use(reference), np.errstate(all="ignore"):
        for probe in Check(Trials(case), reference).probes():
            if probe.twice and any(q.any() for q in probe.arrays(probe.both(*probe.tensors()))[2]):
                return True
    return False


def _watched(bug: Callable, touched: list) -> Callable:
    """`bug`, noting whether it ever made a difference."""

    def wrong(right, *arguments):
        kept = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        want = right(*arguments)  # in the memory as it lies: another order of sums is no bug
        got = bug(right, *arguments)
        same = all(_alike(a, b) for a, b in zip(tree.flatten(want), tree.flatten(got), strict=True))
        same = same and all(_alike(a, b) for a, b in zip(kept, arguments, strict=True))
        touched.append(not same)
        return got

    return wrong


def _alike(a, b) -> bool:
    if not isinstance(a, (np.ndarray, np.generic)) or not isinstance(b, (np.ndarray, np.generic)):
        return True
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def plant(patterns: list[str] | None = None, every: int = 1) -> Iterator[tuple[str, str, bool]]:
    """(kind of bug, op, whether it was found) for each bug and op in which it makes a difference.

    With `every`, one op in so many, chosen by its name: what is chosen stays so when other ops come and go.
    """
    from kcore import backends

    runner.load_records()
    jobs = [case for _, case in runner.chosen(patterns) if case is not None and hasattr(case.op, "op")]
    reference = backends.load("reference")
    for case in jobs:
        if zlib.crc32(case.name.encode()) % every or judge(case, "reference").verdict not in ("pass", "differs"):
            continue
        own = case.name in reference.ops
        if own or case.op.op.body is not None:
            for kind, bug in VALUES.items():
                wrong = _watched(bug if own else _of_body(bug), touched := [])
                yield from _found(
                    kind, case if own else _by_values(case), "function" if own else "body", wrong, touched
                )
        if case.op.op.vjp is not None and case.grad:
            for kind, bug in GRADIENTS.items():
                yield from _found(kind, case, "vjp", bug, [kind != "second gradient cut" or _curved(case)])


def _of_body(bug: Callable) -> Callable:
    """`bug` for a portable body, whose arguments and results are tensors."""
    from kcore import backends

    convert = backends.load("reference").convert

    def wrong(right, *arguments):
        return tree.map_structure(lambda e: convert(e) if isinstance(e, np.ndarray) else e, bug(right, *arguments))

    return wrong


def _by_values(case: Case) -> Case:
    """The record without gradients: a bug that goes through NumPy cuts those anyway, and should be found by its values."""
    plain = copy.copy(case)
    plain.grad = False
    return plain


def _found(kind: str, case: Case, part: str, bug: Callable, touched: list) -> Iterator[tuple[str, str, bool]]:
    with planted(case, "reference", part, bug):
        result = judge(case, "reference")
    if any(touched):
        yield kind, case.name, result.verdict == "FAIL"


def main(patterns: list[str]) -> None:
    tally: dict[str, list[tuple[str, bool]]] = {}
    for kind, op, found in plant(patterns or None):
        tally.setdefault(kind, []).append((op, found))
    for kind, each in tally.items():
        missed = [op for op, found in each if not found]
        print(f"{kind:32} {len(each) - len(missed):4} of {len(each):4}   {', '.join(missed)}")
    total = [found for each in tally.values() for _, found in each]
    print(
        f"{'all':32} {sum(total):4} of {len(total):4}   in {len({op for each in tally.values() for op, _ in each})} ops"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
