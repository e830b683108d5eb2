"""The samples of a record with sparse operands: values, kinds and gradients must be those of dense ones.

Every op that takes sparse tensors is run with each of its operands sparse, and with all of them, on a few samples
in which some elements were set to 0. The result must be sparse where the op's table says so, symbolically and
eagerly, and stand for the values that the record's formula gives; gradients must be those by a
dense operand, where elements are stored.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import kcore
from kcore import ops, tree
from kcore.backends import coo
from kcore.backends.contract import Backend
from kcore.conformance import ahead
from kcore.conformance.calls import Call
from kcore.conformance.trials import Trial
from kcore.ops.sparse import MAPS
from kcore.ops.symbolic import KerasTensor

SAMPLES, THIN_SAMPLES = 2, 1
GRADIENT_TOL = 1e-9
# Where only what is stored counts, so that the formula is for a tensor with -inf in place of the rest.
OVER_STORED = ("softmax",)


def check(run: Any) -> None:
    """Adds to a `Check` what is found of its op's calls on sparse tensors."""
    if run.op is None or run.op.sparse is None or type(run.backend).from_coo is Backend.from_coo:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operands that are made dense
        calls = list(_calls(run))
        ready = _together(run, calls) if run.batched else {}
        for number, (trial, call, native) in enumerate(calls):
            got = ready[number] if number in ready else run.attempt("sparse", trial, native.run)
            if got is not None:
                _judge(run, trial, call, native, got)
        # Where shapes are compiled, one of the ops that map the stored values stands for all of them.
        spared = run.thin and run.case.name in MAPS and run.case.name != "tanh"
        spared = spared or (run.trials.wanted is not None and "float64" not in run.trials.wanted)
        for trial, call, native in [] if spared else calls[:1] if run.thin else calls:
            if trial.sample.grad and run.case.grad and run.case.name not in OVER_STORED:
                _gradients(run, trial, call, native)
        if not run.batched and type(run.backend).jit is not Backend.jit:
            for trial, call, native in calls[:1]:
                if run.compilable(trial):
                    function, tensors = _opened(native, run.backend)
                    got = run.attempt("sparse, compiled", trial, lambda: run.backend.jit(function)(*tensors))  # noqa: B023
                    if got is not None:
                        _judge(run, trial, call, native, got)


def _calls(run: Any) -> Iterator[tuple[Trial, Call, Call]]:
    """(trial, the call with zeros in its operands, the same with some of them sparse)."""
    numbers = run.trials.unlike(SAMPLES if not run.thin else THIN_SAMPLES)
    for number in numbers:
        trial = run.trials.first(number)
        if trial is None or trial.problem or trial.refused:
            continue
        which = [i for i, (_, v) in enumerate(trial.call.operands()) if isinstance(v, np.ndarray) and v.ndim]
        choices = [[i] for i in which] + ([which] if len(which) > 1 else [])
        if "sparse" in run.op.signature.parameters:
            asked = Call(trial.call.case, trial.call.args, trial.call.arguments | {"sparse": True})
            yield trial, asked, asked.native(run.backend)
        for chosen in choices:
            call = _with_zeros(trial.call, chosen)
            made = [run.backend.convert(coo.from_dense(call.operands()[i][1])) for i in chosen]
            yield trial, call, call.native(run.backend).replaced(made, chosen)


def _with_zeros(call: Call, chosen: list[int]) -> Call:
    """About every other element of these operands set to 0, in no regular pattern."""
    arrays = []
    for i in chosen:
        x = call.operands()[i][1]
        places = np.arange(x.size).reshape(x.shape)
        arrays.append(np.where((places * 7 + 3) % 5 % 2 == 0, x, np.zeros((), x.dtype)))
    return call.replaced(arrays, chosen)


def _opened(native: Call, backend: Any) -> tuple[Callable, list[Any]]:
    operands = native.operands()
    which = [i for i, (_, v) in enumerate(operands) if backend.is_tensor(v)]
    return lambda *xs: native.replaced(list(xs), which).run(), [operands[i][1] for i in which]


def _together(run: Any, calls: list) -> dict[int, Any]:
    """Results from one compilation, by number, of the calls that can be compiled."""
    jobs = [(i, _opened(call, run.backend)) for i, (trial, _, call) in enumerate(calls) if run.compilable(trial)]
    return dict(ahead.together(run.backend, jobs))


def _judge(run: Any, trial: Trial, call: Call, native: Call, got: Any) -> None:
    """The result's kind, and its values."""
    plan = run.op.plan(native.bound())
    wanted = tree.flatten(plan.outputs)
    results = tree.flatten(got)
    for y, spec in zip(results, wanted, strict=False):
        if run.backend.is_sparse(y) != spec.sparse:
            kinds = ("dense", "sparse")
            run.fail("sparse", trial, f"a {kinds[not spec.sparse]} result where the table says {kinds[spec.sparse]}")
        elif problem := run._unlike(y, spec):
            run.fail("sparse", trial, problem)
    for y, spec in zip(tree.flatten(_symbolic(native).run()), wanted, strict=True):
        if isinstance(y, KerasTensor) and y.sparse != spec.sparse:
            run.fail("sparse", trial, f"symbolically .sparse is {y.sparse}, but the result is not")
    arrays = [np.asarray(run.backend.numpy(y)) for y in results]
    run.compare("sparse", trial, arrays, _formula(run, trial, call, plan))


def _formula(run: Any, trial: Trial, call: Call, plan: Any) -> list[np.ndarray]:
    with np.errstate(all="ignore"):
        if run.case.name not in OVER_STORED:
            return call.formula(plan, trial.dtype)
        alone = call.map(lambda v, _: np.where(v == 0, -np.inf, v) if isinstance(v, np.ndarray) else v)
        return [np.nan_to_num(w, nan=0.0) for w in alone.formula(plan, trial.dtype)]


def _symbolic(native: Call) -> Call:
    def leaf(value: Any, _: str) -> Any:
        if not hasattr(value, "shape"):
            return value
        return KerasTensor(tuple(value.shape), kcore.dtypes.name_of(value.dtype), sparse=coo.is_sparse(value))

    return native.map(leaf)


def _gradients(run: Any, trial: Trial, call: Call, native: Call) -> None:
    """By each sparse operand as by the dense one, where elements are stored."""
    named = run.case.grad if isinstance(run.case.grad, (list, tuple)) else None
    operands = native.operands()
    which = [
        i
        for i, (name, v) in enumerate(operands)
        if coo.is_sparse(v) and kcore.dtypes.is_float(run.backend.dtype(v)) and (named is None or name in named)
    ]
    if not which:
        return

    def gradients(values: list[Any]) -> Any:
        def loss(*xs: Any) -> Any:
            total: Any = 0.0
            for y in tree.flatten(native.replaced(list(xs), which).run()):
                if kcore.dtypes.is_float(run.backend.dtype(y)):
                    y = ops.ravel(ops.array(y))
                    weights = ops.cast(ops.arange(1, 1 + y.shape[0]), "float64")
                    total = ops.add(total, ops.sum(ops.multiply(y, weights)))
            return total

        return kcore.grad(loss, argnums=tuple(range(len(which))))(*values)

    wide = [run.backend.convert(operands[i][1], "float64") for i in which]
    found = run.attempt("sparse gradient", trial, lambda: gradients(wide))
    if found is None:
        return
    for g, w, x in zip(found, gradients([ops.array(x) for x in wide]), wide, strict=True):
        if not run.backend.is_sparse(g):
            run.fail("sparse gradient", trial, "the gradient by a sparse tensor is dense")
        stored = coo.densified(x) != 0
        got, want = run.backend.numpy(g), np.where(stored, run.backend.numpy(w), 0)
        with np.errstate(all="ignore"):
            off = np.abs(got - want) / np.maximum(1, np.abs(want))
        off[(got == want) | (np.isnan(got) & np.isnan(want))] = 0  # infinities, where zeros are divided by
        error = float(np.max(off, initial=0.0))
        run._gradient(trial, "sparse gradient", error, GRADIENT_TOL, None)
