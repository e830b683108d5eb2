"""Whether a result is what the oracle says, and how far off it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import backends, dtypes, gradients, tree
from kcore.conformance.comparison import distance
from kcore.conformance.lockstep.observe import array_of, converted, listening, results_of
from kcore.conformance.lockstep.trace import Differentiated, OpEvent, is_inexact
from kcore.conformance.record import CASES, EXACT_TO_ROUNDING
from kcore.conformance.trials import tolerance

# Rounding of the inputs moves a result by its condition; so many times that much is no bug. In half precision,
# sums are taken in float32.
CONDITION, HALF_CONDITION = 16, 2
# The relative change of the arguments that the condition is measured with.
NUDGE = 1e-7
# A gradient is a few ops more than its op. In half precision, most of them are in float32.
GRADIENT, HALF_GRADIENT = 20, 4
HALF = 1e-4  # a rounding unit above this is that of float16 or bfloat16

Arrays = list[np.ndarray]


@dataclasses.dataclass
class Gap:
    """How far one array is from another.

    Attributes:
        max_abs: The largest |got - want|.
        relative: The largest |got - want| / max(|want|, r), r the root mean square of `want`, or 1 if that is less.
        ulp: The largest |got - want| in units in the last place of `want`.
        where: The index of the element that is worst, relatively; None where there is none.
        got, want: Its values.
        problem: What is wrong whatever the tolerance (a nan out of place, another shape); else empty.
        tolerance: What `relative` may be.
        basis: Where the tolerance is from.
    """

    max_abs: float = 0.0
    relative: float = 0.0
    ulp: float = 0.0
    where: tuple[int, ...] | None = None
    got: Any = None
    want: Any = None
    problem: str = ""
    tolerance: float = 0.0
    basis: str = ""

    def __str__(self) -> str:
        at = "" if self.where is None else f" at {list(self.where)}: got {number(self.got)}, want {number(self.want)};"
        if self.problem:
            return f"{self.problem}{at.rstrip(';')}"
        return (
            f"off{at} max abs {self.max_abs:.2g}, relative {self.relative:.2g} (allowed {self.tolerance:.1g}, {self.basis}), "
            f"{self.ulp:.3g} ULP"
        )


def number(x: Any) -> str:
    return "nothing" if x is None else f"{x:.7g}" if isinstance(x, (float, complex)) else str(x)


def gap(got: Any, want: Any, floor: float = 1.0, least: float = 0.0) -> Gap:
    """Compares two arrays.

    Args:
        got, want: Arrays; numbers where an op gives them.
        floor: The root mean square of `want` counts as at most this.
        least: What errors are measured by at least.
    """
    got, want = np.asarray(got), np.asarray(want)
    found = distance(got, want)
    if found.problem:
        at = found.where
        return Gap(float("inf"), float("inf"), float("inf"), at, _item(got, at), _item(want, at), found.problem)
    if not is_inexact(got) or not got.size:
        return Gap()
    wide = "complex128" if got.dtype.kind == "c" else "float64"
    a, b = got.astype(wide), want.astype(wide)
    off, size = _off(a, b), np.where(np.isfinite(b), np.abs(b), 0)
    relative = off / np.maximum(scale_of(size, floor), least)
    where = tuple(int(i) for i in np.unravel_index(int(np.argmax(relative)), relative.shape))
    return Gap(float(off.max()), float(relative.max()), found.ulp, where, _item(got, where), _item(want, where))


def _off(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    finite = np.isfinite(a) & np.isfinite(b)
    return np.where(finite, np.abs(np.where(finite, a - b, 0)), 0)


def scale_of(size: np.ndarray, floor: float = 1.0) -> np.ndarray:
    """What errors are measured by: each element's size, or that of the whole where it is smaller."""
    whole = float(np.sqrt(np.mean(np.square(size)))) if size.size else 0.0
    return np.maximum(size, min(floor, whole) or 1.0)


def _item(x: np.ndarray, where: Any) -> Any:
    if where is None or len(where) != x.ndim:
        return None
    value = x[where]
    return complex(value) if x.dtype.kind == "c" else value.item() if x.dtype.kind in "biu" else float(value)


def allowed(op: str, dtype: str, backend: str) -> tuple[float, str, str]:
    """(the tolerance for an op's results of that dtype, where it is from, why it may be more on this backend)."""
    case = CASES.get(op)
    if case is None:
        return EXACT_TO_ROUNDING.get(dtype, 0.0), "the default, for want of a record", ""
    reason = case.differs.get(backend, "")
    if reason:
        looser = case.differs_tol.get(backend, {})
        return max(looser.get(dtype, 0.0 if looser else np.inf), tolerance(case, dtype)), f"the record of {op}", reason
    return tolerance(case, dtype), f"the record of {op}", ""


class Exact:
    """A call of an op on the oracle in float64, and how much rounding of its arguments moves the result.

    Args:
        call: arguments -> flat arrays, on the oracle.
        args: The arguments as they were.
    """

    def __init__(self, call: Callable[[tuple], Arrays], args: tuple) -> None:
        self.call, self.args = call, args
        self._results: Arrays | None = None
        self._moved: Arrays | None = None

    def results(self) -> Arrays | None:
        """In float64; None where that can't be."""
        if self._results is None:
            self._results = self._run(lambda x: x) or []
        return self._results or None

    def moved(self) -> Arrays | None:
        """The largest change of each result under two draws of relative changes of the arguments, for a change of 1."""
        base = self.results()
        if base is None:
            return None
        if self._moved is None:
            self._moved = [np.zeros(y.shape) for y in base]
            for seed in (0, 1):
                ys = self._run(_nudge(np.random.default_rng(seed))) or []
                for i, (y, b) in enumerate(zip(ys, base, strict=False)):
                    if y.shape == b.shape and is_inexact(y):
                        self._moved[i] = np.maximum(self._moved[i], _off(y, b) / NUDGE)
        return self._moved

    def _run(self, change: Callable[[np.ndarray], np.ndarray]) -> Arrays | None:
        def wide(x: Any) -> Any:
            if not is_inexact(x):
                return x
            return change(x.astype("complex128" if x.dtype.kind == "c" else "float64"))

        try:
            with np.errstate(all="ignore"):
                return self.call(tree.map_structure(wide, self.args))
        except Exception:  # the op takes no float64 here
            return None


def _nudge(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x * (1 + NUDGE * rng.choice([-1.0, 1.0], x.shape))


def _epsilon(x: np.ndarray) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(x.dtype).eps)


def judged(
    got: Any, want: Any, tol: float, basis: str, exact: Exact, index: int, epsilon: float, floor: float = 1.0
) -> Gap | None:
    """What is wrong with a result; None if nothing.

    It is right if it agrees with the oracle in the same dtype or in float64; and it may be off by more
    than the tolerance as far as rounding errors in the arguments explain that.
    """
    found = gap(got, want, floor)
    found.tolerance, found.basis = tol, basis
    if not found.problem and found.relative <= tol:
        return None
    got = np.asarray(got)
    if not is_inexact(got) or found.problem.startswith(("shape", "dtype")):
        return found
    wide = exact.results()
    if wide is None or index >= len(wide) or wide[index].shape != got.shape or not is_inexact(wide[index]):
        return found
    better = gap(got, wide[index], floor)
    if not better.problem and better.relative <= tol:
        return None
    if better.problem or found.problem:
        return found if better.problem else _over(got, wide[index], tol, basis, exact, index, epsilon, floor, better)
    best = min((found, np.asarray(want)), (better, wide[index]), key=lambda pair: pair[0].relative)
    return _over(got, best[1], tol, basis, exact, index, epsilon, floor, best[0])


def _over(
    got: np.ndarray,
    want: Any,
    tol: float,
    basis: str,
    exact: Exact,
    index: int,
    epsilon: float,
    floor: float,
    best: Gap,
) -> Gap | None:
    """`best`, unless the condition of the op explains it."""
    best.tolerance, best.basis = tol, basis
    moved = exact.moved()
    if moved is None:
        return best
    kind = "complex128" if got.dtype.kind == "c" else "float64"
    a, b = got.astype(kind), np.asarray(want).astype(kind)
    shift = moved[index] * epsilon
    spread = np.sqrt(np.mean(np.square(shift))) if shift.size else 0.0
    times = HALF_CONDITION if epsilon > HALF else CONDITION
    room = tol * scale_of(np.where(np.isfinite(b), np.abs(b), 0), floor) + times * np.maximum(shift, spread)
    return None if (_off(a, b) <= room).all() else best


def narrowest(arrays: Sequence[Any]) -> float:
    """The largest rounding unit among the float arrays; that of float32 if there is none."""
    found = [_epsilon(x) for x in arrays if is_inexact(x)]
    return max(found, default=float(np.finfo("float32").eps))


# -- gradients of one op ----------------------------------------------------------------


def inexact_arguments(args: tuple) -> list[int]:
    """The numbers, among the flat arguments, of those that can be differentiated by."""
    return [i for i, x in enumerate(tree.flatten(args)) if is_inexact(x)]


def op_gradients(op: Any, args: tuple, cotangents: Sequence[Any], backend: Any) -> Arrays:
    """The gradients of an op's float arguments on a backend, given those of its results (None for no float)."""
    which = inexact_arguments(args)
    flat = tree.flatten(args)
    with backends.use(backend), listening(None):
        leaves = [backend.convert(flat[i]) for i in which]

        def run(*xs: Any) -> list[Any]:
            full = list(flat)
            for i, x in zip(which, xs, strict=True):
                full[i] = x
            given = converted(backend, op, tree.pack_sequence_as(args, full))
            ys = tree.flatten(op.dispatch(given))
            return [y for y, g in zip(ys, cotangents, strict=True) if g is not None]

        ys, pull = gradients.vjp(run, *leaves)
        gs = [
            backend.convert(g, backend.dtype(y))
            for g, y in zip([g for g in cotangents if g is not None], ys, strict=True)
        ]
        return [array_of(backend, g) for g in pull(gs)]


def gradient_origin(call: Differentiated, backend: Any) -> tuple[OpEvent, list[np.ndarray]] | None:
    """(the last op whose gradients are not finite though what reached it is, these gradients); None if there is none."""
    for event in reversed(list(call.ops(nested=False))):
        gs = event.gradients
        if gs is None or all(g is None for g in gs) or not all(_finite(g) for g in gs if g is not None):
            continue
        try:
            found = op_gradients(event.op, event.args, gs, backend)
        except Exception:  # it has no gradient by itself
            continue
        if not all(_finite(g) for g in found):
            return event, found
    return None


def _finite(x: np.ndarray) -> bool:
    return bool(np.isfinite(x.astype("complex128" if x.dtype.kind == "c" else "float64")).all())


def unit(cotangents: Sequence[Any]) -> list[Any] | None:
    """The gradients of the results, scaled so that the largest is 1; None where there is nothing to pull back."""
    peak = max(
        (
            float(np.max(np.abs(g.astype("complex128" if g.dtype.kind == "c" else "float64")), initial=0))
            for g in cotangents
            if g is not None
        ),
        default=0.0,
    )
    if not peak or not np.isfinite(peak):
        return None
    return [
        None if g is None else (g.astype("complex128" if g.dtype.kind == "c" else "float64") / peak).astype(g.dtype)
        for g in cotangents
    ]


def exact_call(event: OpEvent, oracle: Any) -> Exact:
    """The event's op on the oracle, for `judged`."""

    def call(args: tuple) -> Arrays:
        with backends.use(oracle), listening(None):
            return results_of(oracle, event.op.dispatch(converted(oracle, event.op, args)))

    return Exact(call, event.args)


def exact_gradient(event: OpEvent, cotangents: Sequence[Any], oracle: Any) -> Exact:
    """The gradient of the event's op on the oracle, for `judged`."""
    wide = [None if g is None else g.astype("complex128" if g.dtype.kind == "c" else "float64") for g in cotangents]
    # The gradient that is pulled back is rounded as well.
    return Exact(lambda both: op_gradients(event.op, both[0], both[1], oracle), (event.args, wide))


def dtype_of(x: Any) -> str:
    return dtypes.name_of(np.asarray(x).dtype)
