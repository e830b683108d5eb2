"""Backends in lockstep: the same model on each of them, op by op. `kcore.conformance.compare` starts here.

observe   hooks into ops, layers and gradients while they run
trace     what a program does on the oracle
follow    another backend, in step with that
judge     whether a result is right
run       the comparison of models and functions;  report, scripts: what comes of it
transfer  a model, copied to another backend
"""

from __future__ import annotations

from kcore.conformance.lockstep.findings import Finding
from kcore.conformance.lockstep.report import Comparison
from kcore.conformance.lockstep.run import compare

__all__ = ["Comparison", "Finding", "compare"]
