"""Custom gradients. Loops and branches come from the portable bodies: Python's own."""

from __future__ import annotations

from kcore_array_api import tape
from kcore_array_api.tensor import Tensor


def custom_call(f, xs):
    if not tape.tracked(xs):
        return f(xs)[0]
    ys, pull = f([tape.detach(x) for x in xs])
    ys = [Tensor(y.data, y.dtype) for y in ys]

    def rule(gs, _):
        # Where this is differentiated again, what `pull` uses should depend on xs.
        return (f(xs)[1] if tape.active else pull)(gs)

    tape.Node(rule, [], [x if x._node is not None else None for x in xs], ys, ys)
    return ys
