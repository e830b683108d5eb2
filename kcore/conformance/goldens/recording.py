"""Goldens of ops: what the float64 oracle gives for samples of their conformance records."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import backends, dtypes, tree
from kcore.conformance import runner
from kcore.conformance.calls import Call
from kcore.conformance.checks import without_kernels
from kcore.conformance.goldens.calls import Recorded, bound, drawn_weights, widened
from kcore.conformance.goldens.files import Golden
from kcore.conformance.goldens.values import Writer
from kcore.conformance.record import UNSET, Case, Sample
from kcore.conformance.trials import Trial, Trials, tolerance

# A gradient's tolerance over a value's in the same dtype: it comes of a few such values. The four backends need 4.3.
GRADIENT_FACTOR = 10.0
# Results whose order is the library's own business.
UNORDERED = {"eig"}


def record(
    ops: Sequence[str] | None = None,
    dtype: str = "float32",
    samples: int | None = 2,
    progress: Callable[[str, int, int], None] | None = None,
) -> Golden:
    """Records what the float64 oracle gives for samples of ops' conformance records.

    Args:
        ops: Names or shell patterns; None is every op.
        dtype: The dtype of float inputs, where the record has it; else the first that it has.
        samples: How many samples of each op; None is all.
        progress: Called as progress(op, done, total) after each op.

    Returns:
        A Golden, to be written with `goldens.write`.

    Raises:
        UnknownName: No op matches, or there is no such dtype; a ValueError.
    """
    runner.load_records()
    try:
        dtype = dtypes.name_of(dtype)
        jobs = runner.chosen(ops)
    except ValueError as error:
        raise runner.UnknownName(str(error)) from None
    writer, entries, left_out = Writer(), [], {}
    reference = backends.load("reference")
    with backends.use(reference), runner._quiet(), np.errstate(all="ignore"):
        for done, (name, case) in enumerate(jobs, 1):
            found, reason = ([], "it has no record.") if case is None else _of_case(case, dtype, samples, writer)
            entries += found
            if not found:
                left_out[name] = reason
            if progress is not None:
                progress(name, done, len(jobs))
    return Golden(entries, writer.arrays, left_out=left_out)


def _of_case(case: Case, dtype: str, samples: int | None, writer: Writer) -> tuple[list[dict[str, Any]], str]:
    """(entries for the first samples that can be recorded, why there are none)."""
    entries: list[dict[str, Any]] = []
    reason = "it has no samples."
    for trial in _in_order(Trials(case), dtype, samples is None):
        if len(entries) == samples:
            break
        alone = Writer()
        try:
            entries.append(_entry(case, trial, f"{case.name}/{len(entries)}", alone))
            writer.arrays.update(alone.arrays)
        except (TypeError, NotImplementedError) as error:
            reason = str(error)
    return entries, reason


def _in_order(trials: Trials, dtype: str, every: bool) -> list[Trial]:
    """The trials to record, the best first: one that is like many calls, one picked by hand, then the others."""
    numbers = list(range(len(trials.samples)))
    if not every:
        large = trials.unlike(len(numbers))
        picked = [n for n in numbers if trials.samples[n].expect is not UNSET]
        numbers = list(dict.fromkeys([*large[:1], *picked[:1], *large, *numbers]))
    found = []
    for number in numbers:
        sample = trials.samples[number]
        own = list(sample.dtypes or trials.case.dtypes)
        # Beyond the record's own dtypes an op may take more, but not where a sample was picked for its values.
        tried = [dtype] if dtype in own or (sample.dtypes is None and not sample.why) else []
        for each in (*tried, own[0]):
            trial = trials.get(number, each)
            if trial is not None and not trial.problem and not trial.refused:
                found.append(trial)
                break
    return found


def _entry(case: Case, trial: Trial, name: str, writer: Writer) -> dict[str, Any]:
    """What the oracle gives for a trial.

    Raises:
        TypeError: An argument can't be recorded.
    """
    reference = backends.load("reference")
    call = trial.call.map(lambda v, _: np.array(v) if isinstance(v, np.ndarray) else v)  # each array by itself
    arguments = {k: writer.value(v, f"{name}/{k}") for k, v in bound(case.op, call.args, call.arguments).items()}
    entry: dict[str, Any] = {"id": name, "op": case.name, "dtype": trial.dtype, "call": _told(trial.call)}
    if _is_static(case, trial):
        entry["static"] = True
    if trial.sample.why:
        entry["why"] = trial.sample.why
    entry |= {"arguments": arguments, "outputs": []}
    with without_kernels():
        run = Recorded(entry, writer.arrays)
        given = [np.asarray(reference.numpy(y)) for y in run.call(run.tensors(reference))]
        wanted = trial.want
        # Where the formula gives something else (`nextafter`: operands), the definition in the same dtype is the oracle.
        exact = [w.shape for w in wanted] != [y.shape for y in given]
        for i, y in enumerate(given):
            kind = dtypes.name_of(y.dtype)
            want = y if exact else np.asarray(wanted[i])
            want = want.astype(y.dtype) if y.dtype.kind in "biu" else widened(want)
            output = writer.array(want, f"{name}/output{i}")
            allowed = 0.0 if exact else tolerance(case, kind)
            entry["outputs"].append({**output, "given": kind, "tolerance": _rounded(allowed), **_comparison(case)})
        _add_gradients(case, trial, call, entry, name, writer)
    _add_differences(case, trial, entry)
    return entry


def _told(call: Call) -> str:
    """The call as people write it; long arrays by their dtype and shape, functions without their address."""
    text = repr(Sample(*call.args, **call.arguments))[len("Sample(") : -1]
    return re.sub(r"<function \S+ at 0x[0-9a-f]+>", "<function>", text)


def _rounded(tolerance: float) -> float:
    return float(f"{tolerance:.3g}")


def _is_static(case: Case, trial: Trial) -> bool:
    """Whether the shapes of the results follow from the arguments' shapes, so that the call may be compiled."""
    if not case.symbolic or not trial.call.arrays():
        return False
    return trial.plan is None or all(None not in s.shape for s in tree.flatten(trial.plan.outputs))


def _comparison(case: Case) -> dict[str, str]:
    return {"compare": "unordered"} if case.name in UNORDERED else {}


def _add_gradients(case: Case, trial: Trial, call: Any, entry: dict[str, Any], name: str, writer: Writer) -> None:
    """The gradients of a weighted sum of the results by the float arguments that have one."""
    chosen = case.grad if isinstance(trial.sample.grad, bool) else trial.sample.grad
    if not (case.grad and trial.sample.grad) or case.name in UNORDERED:
        return
    by = [
        writer.names[id(value)]
        for argument, value in call.operands()
        if isinstance(value, np.ndarray)
        and dtypes.name_of(value.dtype) in dtypes.FLOATS
        and (isinstance(chosen, bool) or argument in chosen)
    ]
    floats = [o["given"] in dtypes.FLOATS for o in entry["outputs"]]
    if not by or not any(floats):
        return
    reference = backends.load("reference")
    rng = np.random.default_rng(list(name.encode()))
    cotangents: list[Any] = []
    for i, (output, is_float) in enumerate(zip(entry["outputs"], floats, strict=True)):
        weights = drawn_weights(rng, output["shape"])
        cotangents.append(writer.array(weights, f"{name}/cotangent{i}") if is_float else None)
    probe = {**entry, "cotangents": cotangents, "gradients": [{"argument": b} for b in by]}
    run = Recorded(probe, writer.arrays)
    wide = {n: reference.convert(widened(x)) for n, x in run.inputs.items()}
    _, found = run.results(reference, wide)
    entry["cotangents"], entry["gradients"] = cotangents, []
    for argument, g in zip(by, found, strict=True):
        value = widened(np.asarray(reference.numpy(g)))
        worst = max(tolerance(case, o["given"]) for o, f in zip(entry["outputs"], floats, strict=True) if f)
        entry["gradients"].append(
            {
                "argument": argument,
                **writer.array(value, f"{argument}.gradient"),
                "tolerance": _rounded(GRADIENT_FACTOR * worst),
            }
        )


def _add_differences(case: Case, trial: Trial, entry: dict[str, Any]) -> None:
    """The backends that may differ here, why, and by how much."""
    found: dict[str, Any] = {}
    for name, reason in {**case.differs, **trial.sample.differs}.items():
        by_dtype = {} if name in trial.sample.differs else case.differs_tol.get(name, {})
        if by_dtype and trial.dtype not in by_dtype:
            continue
        found[name] = {"reason": reason, "tolerance": by_dtype.get(trial.dtype)}
    if found:
        entry["differs"] = found
