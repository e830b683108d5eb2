"""First and second gradients on a backend, against differences of the record's formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import backends, dtypes, tree
from kcore import gradients as differentiation
from kcore.conformance.record import EXACT_TO_ROUNDING, Case
from kcore.conformance.trials import Trial, tolerance

# Steps of the differences. At the first, the errors from rounding and from the fifth derivative are both
# small; the second is for samples that have a kink within the first's reach.
STEPS = (1e-4, 2e-6)

Arrays = list[np.ndarray]
Finding = tuple[str, float, float, str | None]  # which gradient, error, tolerance, problem


def differentiable(case: Case, trial: Trial) -> list[int]:
    """The numbers of the operands to differentiate by: float and complex arrays, and named if the record names any."""
    chosen = case.grad if isinstance(trial.sample.grad, bool) else trial.sample.grad
    names = None if isinstance(chosen, bool) else set(chosen)
    return [
        i
        for i, (name, value) in enumerate(trial.call.operands())
        if isinstance(value, np.ndarray)
        and value.dtype in (np.float64, np.complex128)
        and (names is None or name in names)
    ]


class Gradients:
    """The op at one sample as a function of the operands that it is differentiated by.

    Its results are combined with fixed random weights, and its gradients compared along one
    random direction: a wrong element shows, whichever it is.

    Args:
        case: The op's record.
        trial: The sample, in float64.
        backend: Where it runs; active while the methods are called.
        twice: Whether the second gradient is wanted.
    """

    def __init__(self, case: Case, trial: Trial, backend: Any, twice: bool) -> None:
        self.case, self.trial, self.backend, self.twice = case, trial, backend, twice
        self.which = differentiable(case, trial)
        operands = trial.call.operands()
        values: Arrays = [operands[i][1] for i in self.which]
        # A complex operand is taken as a function of its parts: so no convention for its gradient comes in.
        self.complex = [v.dtype.kind == "c" for v in values]
        self.points = [p for v in values for p in ((v.real, v.imag) if v.dtype.kind == "c" else (v,))]
        # A result in a narrower dtype has a gradient in it.
        kinds = [] if trial.plan is None else [s.dtype for s in tree.flatten(trial.plan.outputs)]
        self.tol = max([case.grad_tol, *(EXACT_TO_ROUNDING.get(d, 0.0) for d in kinds)])
        self.rng = np.random.default_rng([trial.number, *case.name.encode()])
        self.inexact = self._inexact()
        self.weights = [self._signed(y.shape) for y in self._parts(trial.want)]
        if trial.sample.gradient is not None:
            self.weights = [np.ones_like(w) for w in self.weights]
        self.directions = [self._direction(p) for p in self.points]
        self.others = [self._signed(p.shape) for p in self.points]

    # -- on the backend -----------------------------------------------------------------

    @property
    def inputs(self) -> Arrays:
        """What `first` and `both` take, as tensors: the points, the weights and the others."""
        return [*self.points, *self.weights, *self.others]

    def tensors(self) -> list[Any]:
        return [self.backend.convert(x) for x in self.inputs]

    def _apart(self, inputs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        i, j = len(self.points), len(self.points) + len(self.weights)
        return inputs[:i], inputs[i:j], inputs[j:]

    def first(self, *inputs: Any) -> tuple[list[Any], list[Any]]:
        """(results, gradients of sum(weights * results))."""
        leaves, weights, _ = self._apart(inputs)
        return _pulled(self, self.backend, weights, leaves)

    def both(self, *inputs: Any) -> tuple[list[Any], list[Any], list[Any]]:
        """(results, gradients, gradients of sum(others * gradients))."""
        from kcore import ops

        leaves, weights, others = self._apart(inputs)

        def along_others(*xs: Any) -> tuple[Any, Any]:
            y, gs = _pulled(self, self.backend, weights, xs)
            total = None
            for g, other in zip(gs, others, strict=True):
                part = ops.sum(ops.multiply(g, other))
                total = part if total is None else ops.add(total, part)
            return total, (y, gs)

        _, pull, (y, gs) = differentiation.vjp(along_others, *leaves, has_aux=True)
        return y, gs, list(pull(self.backend.convert(np.asarray(1.0))))

    def operands(self, points: Sequence[Any], join: Callable[[Any, Any], Any]) -> list[Any]:
        """The operands from the points that stand for them; `join` makes a complex one of its parts."""
        left = iter(points)
        return [join(next(left), next(left)) if parts else next(left) for parts in self.complex]

    def arrays(self, parts: Any) -> tuple[Arrays, ...]:
        """What `first` or `both` gave, as NumPy arrays."""
        return tuple([np.asarray(self.backend.numpy(e)) for e in part] for part in parts)

    # -- what is found ------------------------------------------------------------------

    def judge_first(self, gs: Arrays) -> Finding:
        """The first gradient, against what the record promises or differences of the formula."""
        tol = self.tol
        problem = self._malformed(gs)
        if problem:
            return ("gradient", np.inf, tol, problem)
        if self.trial.sample.gradient is not None:
            return self._promised(gs)
        return ("gradient", *self._compared(gs, self._formula_slope, tol))

    def judge_second(self, qs: Arrays) -> Finding:
        """The gradient of sum(others * gradients), against differences of the gradients."""
        tol = self.tol
        problem = self._malformed(qs)
        if problem:
            return ("second gradient", np.inf, tol, problem)
        return ("second gradient", *self._compared(qs, self._gradient_slope, tol))

    def _promised(self, gs: Arrays) -> Finding:
        tol = tolerance(self.case, "float64")
        wanted = self.trial.sample.gradient
        if len(self.points) == 1 and not _is_one_tuple(wanted, self.points[0]):
            wanted = [wanted]
        if len(wanted) != len(gs):
            return ("gradient", np.inf, tol, f"the record promises {len(wanted)} gradients, but there are {len(gs)}")
        worst = 0.0
        for g, w in zip(gs, wanted, strict=True):
            w = np.broadcast_to(np.asarray(w, "float64"), g.shape)
            same = (g == w) | (np.isnan(g) & np.isnan(w))
            gap = np.where(same, 0.0, np.abs(g - w) / np.maximum(1, np.abs(w)))
            worst = max(worst, float(np.where(np.isnan(gap), np.inf, gap).max(initial=0.0)))
        told = None if worst <= tol else f"{_listed(gs)} instead of {_listed(wanted)}, which the record promises"
        return ("gradient", worst, tol, told)

    def _compared(self, gs: Arrays, slope: Callable[[float], float], tol: float) -> tuple[float, float, str | None]:
        """(error, tolerance, problem) of gradients against a slope along `directions`."""
        products = [g * d for g, d in zip(gs, self.directions, strict=True)]
        got = float(sum(np.sum(p) for p in products))
        size = max(1.0, float(sum(np.sum(np.abs(p)) for p in products)))
        best, told = np.inf, None
        for step in STEPS:
            want = slope(step)
            if not np.isfinite(want):
                return np.inf, tol, "the formula is not finite here; say grad=False or write the gradient down"
            error = abs(got - want) / size
            if error < best or told is None:
                best = error if error == error else np.inf
                told = f"along a random direction it is {got:.9g}; differences give {want:.9g}"
            if best <= tol:
                return best, tol, None
        return best, tol, told

    # -- the formula --------------------------------------------------------------------

    def _formula_slope(self, step: float) -> float:
        def at(s: float) -> Arrays:
            values = self.operands(self._moved(s), lambda re, im: re + 1j * im)
            moved = self.trial.call.replaced(values, self.which)
            return self._parts(moved.formula(self.trial.plan, "float64"))

        return _slope(at, self.weights, step)

    def _gradient_slope(self, step: float) -> float:
        """The same of the first gradient on the reference backend, which is checked by itself."""
        try:
            return self._slope_on(backends.load("reference"), step)
        except NotImplementedError:  # it lists an op as unsupported
            return self._slope_on(self.backend, step)

    def _slope_on(self, backend: Any, step: float) -> float:
        def at(s: float) -> Arrays:
            with backends.use(backend):
                leaves = [backend.convert(p) for p in self._moved(s)]
                return [backend.numpy(g) for g in _pulled(self, backend, self.weights, leaves)[1]]

        return _slope(at, self.others, step)

    def _moved(self, s: float) -> Arrays:
        return [p + s * d for p, d in zip(self.points, self.directions, strict=True)]

    def _inexact(self) -> list[int]:
        """The numbers of the results that are floats or complex."""
        plan = self.trial.plan
        if plan is None:
            return [i for i, y in enumerate(self.trial.want) if y.dtype.kind in "fc"]
        specs = tree.flatten(plan.outputs)
        return [i for i, s in enumerate(specs) if dtypes.is_float(s.dtype) or dtypes.is_complex(s.dtype)]

    def _parts(self, results: Arrays) -> Arrays:
        specs = None if self.trial.plan is None else tree.flatten(self.trial.plan.outputs)
        parts = []
        for i in self.inexact:
            y = results[i]
            is_complex = y.dtype.kind == "c" if specs is None else dtypes.is_complex(specs[i].dtype)
            parts += [y.real, y.imag] if is_complex else [y]
        return parts

    def _malformed(self, gs: Arrays) -> str | None:
        for g, p in zip(gs, self.points, strict=True):
            if g.shape != p.shape:
                return f"shape {g.shape} for an argument of shape {p.shape}"
            if g.dtype != p.dtype:
                return f"dtype {g.dtype} for an argument of {p.dtype}"
        return None

    def _signed(self, shape: tuple) -> np.ndarray:
        """Random numbers of either sign, none of them near 0."""
        return self.rng.uniform(0.5, 1.5, shape) * self.rng.choice([-1.0, 1.0], shape)

    def _direction(self, x: np.ndarray) -> np.ndarray:
        """A direction that keeps signs, and so mostly domains: as large as x, and 1 where x is 0."""
        size = np.abs(x)
        return self._signed(x.shape) * np.where((size == 0) | ~np.isfinite(size), 1.0, size)


def _pulled(
    probe: Gradients, backend: Any, weights: Sequence[Any], leaves: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """(results that gradients flow from, complex ones as their parts; gradients of sum(weights * results))."""
    from kcore import ops

    def join(re: Any, im: Any) -> Any:
        return ops.add(ops.cast(re, "complex128"), ops.multiply(ops.cast(im, "complex128"), 1j))

    def run(*xs: Any) -> list[Any]:
        call = probe.trial.call.replaced(probe.operands(xs, join), probe.which)
        results = tree.flatten(call.native(backend).run())
        parts = []
        for i in probe.inexact:
            y = results[i]
            parts += [ops.real(y), ops.imag(y)] if dtypes.is_complex(backend.dtype(y)) else [y]
        return parts

    y, pull = differentiation.vjp(run, *leaves)
    return y, list(pull(list(weights)))


def _slope(at: Callable[[float], Arrays], weights: Arrays, step: float) -> float:
    """The derivative of sum(weights * at(s)) at s = 0, to fourth order in the step."""

    def gap(s: float) -> float:
        return float(sum(np.sum(w * (b - a)) for w, b, a in zip(weights, at(s), at(-s), strict=True)))

    return (8 * gap(step) - gap(2 * step)) / (12 * step)


def _is_one_tuple(gradient: Any, x: np.ndarray) -> bool:
    return isinstance(gradient, (tuple, list)) and len(gradient) == 1 and np.shape(gradient) != x.shape


def _listed(arrays: Any) -> str:
    return ", ".join(" ".join(str(np.asarray(a).tolist()).split()) for a in arrays)
