"""Control flow on the reference backend: Python's own, recorded by the tape step by step."""

from __future__ import annotations

from kcore.backends.reference import tape
from kcore.backends.reference.tensor import Tensor, detach, wrap


def stop_gradient(variable):
    return variable


def custom_call(f, xs):
    if not (tape.active and tape.tracked(xs)):
        return wrap(f(xs)[0])
    ys, pull = f([detach(x) for x in xs])
    ys = [wrap(y).view(Tensor) for y in ys]

    def rule(gs, _):
        # Where this is differentiated again, what `pull` uses should depend on xs.
        return (f(xs)[1] if tape.active else pull)(gs)

    tape.Node(rule, [], [tape._parent(x) for x in xs], ys, False)
    return ys
