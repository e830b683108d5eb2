"""A copy of the torch backend, for bugs to be planted in."""

from __future__ import annotations

import contextlib

from kcore import backends

NAME = "planted"


def install():
    """The copy, known to kcore as "planted"."""
    from kcore.backends.torch import TorchBackend

    class Planted(TorchBackend):
        name = NAME
        _lacking: set = set()

    planted = Planted()
    planted.ops = dict(TorchBackend.ops)
    backends._loaded[NAME] = planted
    return planted


def uninstall():
    backends._loaded.pop(NAME, None)


@contextlib.contextmanager
def planted_op(backend, name, bug):
    """`bug(right, *arguments)` in place of the backend's function for an op, or of its portable body."""
    from kcore.ops.mechanism import REGISTRY, forget_plans

    own = backend.ops.get(name)
    right = own or REGISTRY[name].body
    backend.ops[name] = lambda *arguments: bug(right, *arguments)
    forget_plans()
    try:
        yield
    finally:
        if own is None:
            del backend.ops[name]
        else:
            backend.ops[name] = own
        forget_plans()
