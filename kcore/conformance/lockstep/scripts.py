"""A finding as a program of a few lines that anybody can run."""

from __future__ import annotations

import base64
import dataclasses
import math
import zlib
from typing import Any

import numpy as np

from kcore import dtypes, ops, tree
from kcore.conformance.lockstep import follow, judge
from kcore.conformance.lockstep.findings import Finding
from kcore.conformance.lockstep.observe import results_of
from kcore.conformance.lockstep.trace import OpEvent, is_inexact

SHORT = 48  # elements of an array that is written out
WIDTH = 110


def script_of(finding: Finding, backend: Any, oracle: Any) -> str:
    """The program; empty where the finding is not of one op."""
    event = finding.event
    if event is None or finding.kind not in ("value", "gradient", "changed", "error"):
        return ""
    # Drawn inputs are easier to read than the ones that were met, where they show it too.
    drawn = _drawn(event)
    if drawn is not None and not _shows(drawn, finding, backend, oracle):
        drawn = None
    plainly = drawn is not None or _shows(dataclasses.replace(event), finding, backend, oracle)
    weights = None if finding.kind != "gradient" or plainly else judge.unit(event.gradients or [])
    return _text(event, finding, drawn, oracle.name, weights)


def _drawn(event: OpEvent) -> OpEvent | None:
    """The same call with every large float array drawn with a seed; None where there is no such array."""
    found = [False]

    def draw(x: Any) -> Any:
        if not (is_inexact(x) and x.dtype.kind != "c" and x.size > SHORT) or not np.isfinite(x.astype("float64")).all():
            return x
        found[0] = True
        return _normal(x)

    args = tree.map_structure(draw, event.args)
    return dataclasses.replace(event, args=args) if found[0] else None


def _normal(x: np.ndarray) -> np.ndarray:
    mean, spread = _moments(x)
    return np.random.default_rng(0).normal(mean, spread, x.shape).astype(x.dtype)


def _moments(x: np.ndarray) -> tuple[float, float]:
    wide = x.astype("float64")
    return float(f"{wide.mean():.2g}"), float(f"{wide.std():.2g}")


def _shows(event: OpEvent, finding: Finding, backend: Any, oracle: Any) -> bool:
    try:
        event.results = results_of(oracle, event.on(oracle))
        if finding.kind == "value":
            return follow.value_gap(event, results_of(backend, event.on(backend)), backend, oracle) is not None
        if finding.kind == "gradient":
            cotangents = [np.ones_like(y) if is_inexact(y) else None for y in event.results]
            sides = [judge.op_gradients(event.op, event.args, cotangents, b) for b in (backend, oracle)]
            return follow.gradient_gap(event, cotangents, sides[0], sides[1], backend, oracle) is not None
    except Exception:
        return False
    return False


def _text(event: OpEvent, finding: Finding, drawn: OpEvent | None, oracle: str, weights: Any) -> str:
    lines: list[str] = []
    imports = {"import numpy as np", "import kcore", "from kcore import ops"}
    names: list[str] = []

    def literal(x: Any) -> str:
        if not isinstance(x, np.ndarray):
            return _plain(x)
        name = f"x{len(names) + 1}"
        names.append(name)
        lines.append(f"{name} = {_array(x, imports, drawn is not None)}")
        return name

    source = (drawn or event).args
    # The arrays that were met are the ones whose moments the drawn ones have.
    rendered = [
        [literal(x) for x in met] if role == "tensors" else _structure(met, literal)
        for role, met in zip(event.op.roles.values(), event.args if drawn is None else source, strict=True)
    ]
    if drawn is not None:
        lines = _as_draws(lines, event)
    call = _call(event, rendered, imports)
    run = ["def run(backend):", "    with kcore.backend(backend):"]
    if finding.kind == "gradient":
        floats = [n for n, x in zip(names, _arrays_of(source), strict=True) if is_inexact(x)]
        total = f"sum(ops.sum(y) for y in kcore.tree.flatten({call}) if 'float' in str(y.dtype))"
        if weights is not None and len(weights) == 1:  # not every gradient shows it
            total = f"ops.sum(ops.multiply({call}, g))"
            lines.append(f"g = {_array(weights[0], imports, False)}")
        run = [
            f"def loss({', '.join(floats)}):",
            f"    return {total}",
            *run,
            f"        found = kcore.grad(loss, argnums={tuple(range(len(floats)))})({', '.join(floats)})",
            "        return [ops.convert_to_numpy(g) for g in found]",
        ]
    else:
        run.append(f"        return [ops.convert_to_numpy(y) for y in kcore.tree.flatten({call})]")
    shown = [
        f"for want, got in zip(run({oracle!r}), run({finding.backend!r})):",
        "    print(np.abs(np.asarray(got, 'float64') - np.asarray(want, 'float64')).max(initial=0.0), got.dtype, want.dtype)",
    ]
    head = f"# {finding.backend} parts from the oracle: the {finding.kind} of {finding.place}"
    order = sorted(imports, key=lambda i: (i.startswith("from kcore"), i))
    return "\n".join([head, *order, "", *lines, "", *run, "", *shown, ""])


def _arrays_of(args: tuple) -> list[np.ndarray]:
    return [x for x in tree.flatten(args) if isinstance(x, np.ndarray)]


def _structure(value: Any, literal: Any) -> str:
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        inside = ", ".join(_structure(v, literal) for v in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, list):
        return f"[{', '.join(_structure(v, literal) for v in value)}]"
    return literal(value)


def _plain(x: Any) -> str:
    if isinstance(x, float) and not math.isfinite(x):
        return f"float({str(x)!r})"
    if x is Ellipsis:
        return "..."
    if isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic)):
        return repr(dtypes.name_of(x))
    return repr(x)


def _array(x: np.ndarray, imports: set[str], drawn: bool) -> str:
    dtype = repr(x.dtype.name)
    if x.dtype.kind == "V" or x.dtype.name in ("bfloat16", *dtypes.FLOAT8):
        imports.add("import ml_dtypes")
        dtype = f"ml_dtypes.{x.dtype.name}"
    if x.size <= SHORT:
        wide = x.astype("float64") if is_inexact(x) and x.dtype.kind not in "fc" else x
        return f"np.array({_numbers(wide)}, {dtype})" + (f".reshape({x.shape})" if not x.size else "")
    if drawn and is_inexact(x) and x.dtype.kind != "c":
        return f"DRAW {x.shape} {dtype}"
    imports |= {"import base64", "import zlib"}
    text = base64.b85encode(zlib.compress(np.ascontiguousarray(x).tobytes(), 9)).decode()
    parts = [text[i : i + WIDTH] for i in range(0, len(text), WIDTH)]
    joined = "\n    ".join(repr(p) for p in parts)
    return f"np.frombuffer(zlib.decompress(base64.b85decode(\n    {joined}\n)), {dtype}).reshape({x.shape})"


def _as_draws(lines: list[str], event: OpEvent) -> list[str]:
    """The lines of drawn arrays, with the mean and spread of those that were met."""
    met = _arrays_of(event.args)
    found = []
    for line, x in zip(lines, met, strict=True):
        name, _, rest = line.partition(" = ")
        if rest.startswith("DRAW"):
            mean, spread = _moments(x)
            dtype = rest.rpartition(" ")[2]
            line = f"{name} = np.random.default_rng(0).normal({mean}, {spread}, {x.shape}).astype({dtype})"
        found.append(line)
    return found


def _numbers(x: np.ndarray) -> str:
    text = " ".join(repr(x.tolist()).split())
    for word in ("nan", "inf"):
        text = text.replace(word, f"np.{word}")
    return text


def _call(event: OpEvent, rendered: list[Any], imports: set[str]) -> str:
    op = event.op
    public = getattr(ops, op.name, None)
    if public is not None and public.op is op:
        name = f"ops.{op.name}"
    else:
        imports.add("from kcore.ops.mechanism import REGISTRY")
        name = f"REGISTRY[{op.name!r}].call"
    parts = []
    for (parameter, p), value in zip(op.signature.parameters.items(), rendered, strict=True):
        text = f"[{', '.join(value)}]" if isinstance(value, list) else value
        if p.kind is p.VAR_POSITIONAL:
            parts.append(f"*{text}")
        elif p.kind is p.KEYWORD_ONLY:
            parts.append(f"{parameter}={text}")
        elif op.roles[parameter] == "plain":
            if p.default is p.empty or text != _plain(p.default):
                parts.append(f"{parameter}={text}")
        else:
            parts.append(text)
    return f"{name}({', '.join(parts)})"
