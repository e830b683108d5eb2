"""Control flow, and what gradients do: branches, loops, scans, vectorization, custom gradients."""

from __future__ import annotations

from kcore.ops import rules
from kcore.ops.mechanism import Tensor, op


@op(rule=rules.same)
def stop_gradient(variable: Tensor) -> Tensor:
    """The same values, which gradients do not flow through.

    Args:
        variable: A tensor, of any dtype.
    """
