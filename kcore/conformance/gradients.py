"""First and second gradients on a backend, against differences of the record's formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import backends, dtypes, tree
from kcore import gradients as kcore_gradients
from kcore.conformance.calls import Call
from kcore.conformance.record import Case, Sample

# Steps of the differences: the errors of the formula's rounding and of its fifth derivative balance at
# the first; the second is for samples that have a kink within the first's reach.
STEPS = (1e-4, 2e-6)

Finding = tuple[str, float, float, str | None]  # check, error, tolerance, problem


def differentiable(case: Case, sample: Sample, call: Call) -> list[int]:
    """The numbers of the operands to differentiate by: arrays of floats, and named if the record names any."""
    chosen = sample.grad if sample.grad not in (True, False) else case.grad
    names = None if chosen in (True, False) else set(chosen)
    return [
        i
        for i, (name, value) in enumerate(call.operands())
        if isinstance(value, np.ndarray) and value.dtype == np.float64 and (names is None or name in names)
    ]


def check(case: Case, trial: Any, number: int, twice: bool, backend: Any) -> list[Finding]:
    """What is found for one sample: a Finding for each gradient that was compared."""
    which = differentiable(case, trial.sample, trial.call)
    points = [trial.call.operands()[i][1] for i in which]
    rng = np.random.default_rng([number, *case.name.encode()])
    probe = Probe(trial, which, points)
    leaves = [backend.convert(p) for p in points]
    y, pull = kcore_gradients.vjp(probe.run, *leaves)
    if not y:
        return []
    shapes = [backend.shape(e) for e in y]
    if trial.sample.gradient is not None:
        ones = [np.ones(s) for s in shapes]
        return [_exact(case, trial.sample, backend, points, pull([backend.convert(w) for w in ones]))]
    weights = [rng.uniform(0.5, 1.5, s) * rng.choice([-1.0, 1.0], s) for s in shapes]
    native = [backend.convert(w) for w in weights]
    gs = [backend.numpy(g) for g in pull(native)]
    problem = _malformed(gs, points)
    if problem:
        return [("gradient", np.inf, case.grad_tol, problem)]
    directions = [_direction(p, rng) for p in points]
    found = [
        ("gradient", *_compared(gs, directions, lambda step: probe.slope(weights, directions, step), case.grad_tol))
    ]
    if twice and not found[0][3] and found[0][1] <= case.grad_tol:
        found += _second(case, probe, backend, leaves, native, weights, directions, rng)
    return found


class Probe:
    """The op and its formula as functions of the operands that are differentiated."""

    def __init__(self, trial: Any, which: list[int], points: list[np.ndarray]) -> None:
        self.trial, self.which, self.points = trial, which, points
        self.inexact: list[int] = []  # numbers of the results that have a gradient

    def run(self, *leaves: Any) -> list[Any]:
        """The results of the op that gradients flow from; complex ones as their parts."""
        from kcore import ops

        backend = backends.active()
        call = self.trial.call.native(backend).replaced(list(leaves), self.which)
        outputs, self.inexact = [], []
        for i, y in enumerate(tree.flatten(call.run())):
            dtype = backend.dtype(y)
            if dtypes.is_complex(dtype):
                outputs += [ops.real(y), ops.imag(y)]
            elif dtypes.is_float(dtype):
                outputs.append(y)
            else:
                continue
            self.inexact.append(i)
        return outputs

    def formula(self, directions: list[np.ndarray], step: float) -> list[np.ndarray]:
        moved = [p + step * d for p, d in zip(self.points, directions, strict=True)]
        found = self.trial.call.replaced(moved, self.which).formula(self.trial.plan, "float64")
        parts = []
        for i in self.inexact:
            parts += [found[i].real, found[i].imag] if found[i].dtype.kind == "c" else [found[i]]
        return parts

    def slope(self, weights: list[np.ndarray], directions: list[np.ndarray], step: float) -> float:
        """The derivative of sum(weights * formula) along `directions`."""

        def total(part: Callable[[float], list[np.ndarray]]) -> float:
            near = zip(weights, part(step), part(-step), strict=True)
            far = zip(weights, part(2 * step), part(-2 * step), strict=True)
            return (8 * _gaps(near) - _gaps(far)) / (12 * step)

        return total(lambda s: self.formula(directions, s))


def _gaps(triples: Any) -> float:
    return float(sum(np.sum(w * (above - below)) for w, above, below in triples))


def _second(
    case: Case,
    probe: Probe,
    backend: Any,
    leaves: list[Any],
    native: list[Any],
    weights: list[np.ndarray],
    directions: list[np.ndarray],
    rng: np.random.Generator,
) -> list[Finding]:
    """The gradient of (first gradient . v), against differences of the first gradient."""
    from kcore import ops

    vs = [rng.uniform(0.5, 1.5, p.shape) * rng.choice([-1.0, 1.0], p.shape) for p in probe.points]
    vs_native = [backend.convert(v) for v in vs]

    def first(*xs: Any) -> Any:
        _, pull = kcore_gradients.vjp(probe.run, *xs)
        parts = [ops.sum(ops.multiply(g, v)) for g, v in zip(pull(native), vs_native, strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = ops.add(total, part)
        return total

    _, pull = kcore_gradients.vjp(first, *leaves)
    qs = [backend.numpy(q) for q in pull(backend.convert(np.asarray(1.0)))]
    problem = _malformed(qs, probe.points)
    if problem:
        return [("second gradient", np.inf, case.grad_tol, problem)]

    def along(step: float) -> float:
        def at(s: float) -> list[np.ndarray]:
            moved = [backend.convert(p + s * d) for p, d in zip(probe.points, directions, strict=True)]
            _, pulled = kcore_gradients.vjp(probe.run, *moved)
            return [backend.numpy(g) for g in pulled(native)]

        near = _gaps(zip(vs, at(step), at(-step), strict=True))
        far = _gaps(zip(vs, at(2 * step), at(-2 * step), strict=True))
        return (8 * near - far) / (12 * step)

    return [("second gradient", *_compared(qs, directions, along, case.grad_tol))]


def _compared(
    gs: list[np.ndarray], directions: list[np.ndarray], slope: Callable[[float], float], tol: float
) -> tuple[float, float, str | None]:
    """(error, tolerance, problem) of gradients against a slope along `directions`."""
    products = [g * d for g, d in zip(gs, directions, strict=True)]
    got = float(sum(np.sum(p) for p in products))
    size = float(sum(np.sum(np.abs(p)) for p in products))
    best, told = np.inf, None
    for step in STEPS:
        want = slope(step)
        if not np.isfinite(want):
            return np.inf, tol, "the formula is not finite here; say grad=False"
        error = abs(got - want) / max(1.0, size)
        if error < best or not np.isfinite(error):
            best = error
            told = None if error <= tol else f"along a random direction it is {got:.9g}; differences give {want:.9g}"
        if best <= tol:
            break
    return best, tol, told


def _exact(case: Case, sample: Sample, backend: Any, points: list[np.ndarray], found: Any) -> Finding:
    """Compares with the gradient that the record promises."""
    from kcore.conformance.checks import tolerance

    promised = sample.gradient
    if len(points) == 1 and not (isinstance(promised, (tuple, list)) and len(promised) == 1 != len(np.shape(points[0]))):
        promised = [promised] if np.shape(promised) == points[0].shape or np.ndim(promised) == 0 else promised
    gs = [backend.numpy(g) for g in found]
    problem = _malformed(gs, points)
    tol = max(tolerance(case, "float64"), 1e-14)
    if problem:
        return ("gradient", np.inf, tol, problem)
    worst = 0.0
    for g, p in zip(gs, promised, strict=True):
        want = np.broadcast_to(np.asarray(p, "float64"), g.shape)
        same = (g == want) | (np.isnan(g) & np.isnan(want))
        gap = np.where(same, 0.0, np.abs(g - want) / np.maximum(1, np.abs(want)))
        gap = np.where(np.isnan(gap), np.inf, gap)
        worst = max(worst, float(gap.max(initial=0.0)))
    problem = None if worst <= tol else f"{[g.tolist() for g in gs]} instead of {[np.asarray(p).tolist() for p in promised]}"
    return ("gradient", worst, tol, problem)


def _malformed(gs: list[np.ndarray], points: list[np.ndarray]) -> str | None:
    for g, p in zip(gs, points, strict=True):
        if g.shape != p.shape:
            return f"shape {g.shape} for an argument of shape {p.shape}"
        if g.dtype != p.dtype:
            return f"dtype {g.dtype} for an argument of {p.dtype}"
    return None


def _direction(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random direction that keeps signs, and so mostly domains: as large as x, and 1 where x is 0."""
    size = np.abs(x)
    size = np.where((size == 0) | ~np.isfinite(size), 1.0, size)
    return rng.uniform(0.5, 1.5, x.shape) * rng.choice([-1.0, 1.0], x.shape) * size
