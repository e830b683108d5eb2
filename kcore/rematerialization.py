"""Rematerialization: gradients that compute intermediate values again, instead of keeping them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from kcore import backends, tree
from kcore.ops import control, differentiate, symbolic

MODES = ("full", "activations", "larger_than", "list_of_layers", None)

_scope: ContextVar[RematScope | None] = ContextVar("kcore_remat_scope", default=None)


class RematScope:
    """Layers made inside are rematerialized: their gradients run them again.

    Args:
        mode: "full": each layer; "activations": the activations of layers that have one; "larger_than": layers whose
            output has more elements than `output_size_threshold`; "list_of_layers": those named in `layer_names`;
            None: none of them, inside another scope.
        output_size_threshold: For "larger_than".
        layer_names: For "list_of_layers".

    Raises:
        ValueError: `mode` is none of these.
    """

    def __init__(
        self, mode: str | None = "full", output_size_threshold: int = 1024, layer_names: Sequence[str] | None = None
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"RematScope: mode={mode!r} should be one of {', '.join(map(repr, MODES))}.")
        self.mode, self.output_size_threshold = mode, output_size_threshold
        self.layer_names = list(layer_names or ())

    def __enter__(self) -> RematScope:
        self._token = _scope.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _scope.reset(self._token)


def current_scope() -> RematScope | None:
    """The innermost open scope; None outside, and inside one with mode None."""
    scope = _scope.get()
    return None if scope is None or scope.mode is None else scope


def remat(f: Callable) -> Callable:
    """A function that gives what `f` gives, but keeps nothing of it for gradients: they run f again.

    It saves memory for time. Variables that f assigns, those of seed generators too, are assigned once, and the second
    run sees the values that the first one saw. TensorFlow keeps everything.

    Args:
        f: Takes and returns tensors in any structure; other arguments are passed on as they are.
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if symbolic.any_symbolic(args, kwargs):
            return f(*args, **kwargs)
        backend = backends.active()
        leaves = tree.flatten((args, kwargs))
        tensors = [i for i, a in enumerate(leaves) if hasattr(a, "dtype") and hasattr(a, "shape")]
        shell: list[Any] = [None]

        def flat(xs: list[Any]) -> list[Any]:
            full = list(leaves)
            for i, x in zip(tensors, xs, strict=True):
                full[i] = x
            again, named = tree.pack_sequence_as((args, kwargs), full)
            y = tree.map_structure(control._tensor, f(*again, **named))
            shell[0] = tree.map_structure(lambda x: None if x is None else 0, y)
            return [x for x in tree.flatten(y) if x is not None]

        ys = iter(differentiate.checkpoint(flat, [backend.convert(leaves[i]) for i in tensors]))
        return tree.map_structure(lambda x: None if x is None else next(ys), shell[0])

    return call
