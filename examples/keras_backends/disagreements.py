"""Where the backends of an installed Keras give different answers, and what the right one is.

    python disagreements.py [PATTERN ...] [--backends jax,torch,tensorflow] [--most N]

The calls are the samples of kcore's conformance records, the answers are those of their formulas, and results
are judged as `kcore.conformance.compare` judges them. Each backend runs in a process of its own, by public functions alone.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from kcore.conformance.lockstep import judge
from kcore.conformance.record import CASES
from kcore.conformance.runner import load_records
from kcore.conformance.trials import Trials

WORKER = Path(__file__).with_name("worker.py")
# A result this many times further off than its record allows is another answer, and no matter of rounding.
MARGIN = 50


def trials(patterns, most):
    """key -> trial, for every sample that can be handed to Keras as arrays and plain values."""
    load_records()
    found = {}
    for name, case in CASES.items():
        # Ops on functions (scan, cond...) can't be sent to another process.
        public = (
            hasattr(case.op, "op") and not name.startswith("random_") and "control" not in case.op.op.roles.values()
        )
        if not public or (patterns and not any(fnmatch.fnmatchcase(name, p) for p in patterns)):
            continue
        good = [t for t in Trials(case, ["float32"]) if t.refused is None and t.problem is None and t.want]
        # Those that were picked by hand, for the places where ops go wrong, come first.
        for trial in sorted(good, key=lambda t: not t.sample.why)[:most]:
            found[name, trial.number] = trial
    return found


def answers(calls, backend):
    """key -> what Keras gives on that backend."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "calls"), Path(folder, "results")
        given.write_bytes(pickle.dumps(calls))
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run([sys.executable, str(WORKER), str(given), str(made)], env=environment, check=True)
        return pickle.loads(made.read_bytes())


def verdict(result, want, tolerance):
    """What is wrong with a result; empty if nothing."""
    if isinstance(result, str):
        return result
    if len(result) != len(want):
        return f"{len(result)} results instead of {len(want)}"
    for got, right in zip(result, want, strict=True):
        if got.dtype.kind != "c" and right.dtype.kind == "c":
            return f"dtype {got.dtype}"
        found = judge.gap(got, right.astype(got.dtype) if got.dtype.kind in "biu" else right)
        if found.problem or found.relative > MARGIN * max(tolerance, 1e-6):
            return str(found)
    return ""


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*")
    parser.add_argument("--backends", default="jax,torch,tensorflow")
    parser.add_argument("--most", type=int, default=4, help="samples of each op")
    args = parser.parse_args(argv)
    chosen = trials(args.patterns, args.most)
    calls = [(key, key[0], list(t.call.args), dict(t.call.arguments)) for key, t in chosen.items()]
    names = args.backends.split(",")
    given = {backend: answers(calls, backend) for backend in names}
    for key, trial in chosen.items():
        tolerance = judge.allowed(key[0], "float32", "")[0]
        with np.errstate(all="ignore"):
            said = {b: verdict(given[b][key], trial.want, tolerance) for b in names}
        wrong = {b: v for b, v in said.items() if v}
        if wrong and len(wrong) < len(names):  # where all agree with one another, it is a matter of definition
            print(f"{key[0]}: {trial.sample!r}".replace("Sample", "", 1), trial.sample.why)
            for backend, what in said.items():
                print(f"    {backend}: {what or 'right'}")


if __name__ == "__main__":
    main(sys.argv[1:])
