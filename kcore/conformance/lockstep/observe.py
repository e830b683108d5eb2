"""Being told of ops, layers and gradients as they run.

While a backend is observed, what it binds for an op is wrapped: the observer of this thread or task is told of
the call, and decides what comes of it. Nothing of this is in place otherwise, so it costs nothing when it is not
used: plans bound while observing are dropped at the end, and the backend has its own methods again.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

import kcore
from kcore import dtypes, tree
from kcore.layers.layer import Layer
from kcore.ops.mechanism import forget_plans
from kcore.ops.symbolic import any_symbolic

_told: ContextVar[Observer | None] = ContextVar("kcore_observer", default=None)
_lock = threading.RLock()
_observed: Counter[Any] = Counter()
_before: dict[Any, dict[str, Any]] = {}  # what an observed backend's instance had in place of a method

_HOME = os.path.dirname(os.path.abspath(kcore.__file__)) + os.sep
# Frames that no reader looks for: between the line that calls an op and the op itself.
_MACHINERY = tuple(
    _HOME + part
    for part in (
        *(f"{folder}{os.sep}" for folder in ("ops", "backends", "random", "conformance", "models")),
        *(f"{name}.py" for name in ("state", "operation", "gradients", "tree", "rematerialization")),
        f"layers{os.sep}layer.py",
        f"training{os.sep}loop.py",
    )
)
_OPERATORS = _HOME + f"ops{os.sep}operators.py"
# Between an op's public function and its observer.
_CALLING = (_HOME + f"conformance{os.sep}", _HOME + f"ops{os.sep}mechanism.py")


class Source(NamedTuple):
    """The line that called an op."""

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        if not self.file:
            return "an unknown line"
        inside = self.file.startswith(_HOME)
        name = "kcore/" + os.path.relpath(self.file, _HOME).replace(os.sep, "/") if inside else self.file
        return f"{name}:{self.line} in {self.function}: {self.text}"


def caller() -> tuple[Source, bool]:
    """(the line that called the op that is running, whether it did so by an operator such as `+`)."""
    frame: Any = sys._getframe(1)
    by_operator, inside = False, True
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith("<"):
            if inside and not name.startswith(_CALLING):
                by_operator, inside = name == _OPERATORS, False
            if not name.startswith(_MACHINERY):
                text = linecache.getline(name, frame.f_lineno).strip()
                return Source(name, frame.f_lineno, frame.f_code.co_name, text), by_operator
        frame = frame.f_back
    return Source("", 0, "", ""), by_operator


class Observer:
    """Told of what runs on `backend` within `observing`. By default everything runs as it would.

    Attributes:
        backend: The backend that it is told of; what runs on others passes by.
        path: The names of the layers that are running, outermost first.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.path: list[str] = []

    def op(self, op: Any, args: tuple, run: Callable[..., Any]) -> Any:
        """An op is called; what is returned is its result. Ops called in here are not told of."""
        return run(*args)

    def layer(self, layer: Any, args: tuple, kwargs: dict, run: Callable[[], Any]) -> Any:
        """A layer is called; `run()` runs it, told of."""
        return run()

    def vjp(self, fn: Callable, leaves: list[Any], run: Callable[..., Any]) -> Any:
        """Something is differentiated: `run(fn, leaves)` answers (outputs, aux, pullback). Not told of by itself."""
        with listening(self):
            outputs, aux, pull = run(fn, leaves)
        return outputs, aux, pull

    def cast(self, x: Any, dtype: str, y: Any) -> None:
        """A tensor was converted to a dtype, by no op."""


@contextlib.contextmanager
def listening(observer: Observer | None) -> Iterator[None]:
    """This thread or task tells `observer` inside; None: nobody."""
    token = _told.set(observer)
    try:
        yield
    finally:
        _told.reset(token)


@contextlib.contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """The backend of `observer` is observed, and by it, inside."""
    with _patched(observer.backend), listening(observer):
        yield


@contextlib.contextmanager
def _patched(backend: Any) -> Iterator[None]:
    with _lock:
        if not _observed:
            Layer._call_at_home = _layer_call  # type: ignore[method-assign]
            Layer._simple_call = _simple_layer_call  # type: ignore[method-assign]
        _observed[backend] += 1
        if _observed[backend] == 1:
            _before[backend] = {name: vars(backend)[name] for name in _WRAPPED if name in vars(backend)}
            _wrap(backend)
            forget_plans()
    try:
        yield
    finally:
        with _lock:
            _observed[backend] -= 1
            if not _observed[backend]:
                del _observed[backend]
                for name in _WRAPPED:
                    delattr(backend, name)
                vars(backend).update(_before.pop(backend))
                forget_plans()
            if not _observed:
                Layer._call_at_home = _own_layer_call  # type: ignore[method-assign]
                Layer._simple_call = _own_simple_call  # type: ignore[method-assign]


_WRAPPED = ("bind", "implementation", "convert", "vjp", "optimizer_step", "increase", "compile")
_own_layer_call, _own_simple_call = Layer._call_at_home, Layer._simple_call


def _wrap(backend: Any) -> None:
    own = {name: getattr(backend, name) for name in _WRAPPED}

    def here() -> Observer | None:
        observer = _told.get()
        return observer if observer is not None and observer.backend is backend else None

    def bind(op: Any, plan: Any, sources: Sequence[Any], once: bool = False) -> Callable:
        run = own["bind"](op, plan, sources, once)
        if op.definition is not None:  # a private op of a gradient rule
            return run

        def told(*args: Any) -> Any:
            observer = here()
            if observer is None:
                return run(*args)
            with listening(None):
                return observer.op(op, args, run)

        return told

    def implementation(op: Any) -> Callable:
        # Control flow as Python's own: inside a framework's, ops have no values.
        if here() is not None and "control" in op.roles.values():
            if op.name == "custom_call":
                return _called
            if op.body is not None:
                return op.body
        return own["implementation"](op)

    def convert(x: Any, dtype: str | None = None) -> Any:
        if _told.get() is None:
            return own["convert"](x, dtype)
        observer = here()
        with listening(None):  # the reference backend casts tracked tensors by an op
            y = own["convert"](x, dtype)
            if observer is not None and dtype is not None and y is not x and backend.is_tensor(x):
                observer.cast(x, dtype, y)
        return y

    def vjp(fn: Callable, leaves: list[Any], once: bool = False) -> Any:
        observer = here()
        if observer is None:
            return own["vjp"](fn, leaves, once)
        with listening(None):
            # Not `once`: an observer may pull twice.
            outputs, aux, pull = observer.vjp(fn, leaves, lambda f, xs: own["vjp"](f, xs))
        return outputs, aux, _silent(pull)

    def optimizer_step(*args: Any, **kwargs: Any) -> bool:
        return False if here() is not None else own["optimizer_step"](*args, **kwargs)

    def increase(*args: Any) -> Any:
        return False if here() is not None else own["increase"](*args)

    def compile(step: Callable, assigned: list[Any], read: list[Any], *, jit: bool | str) -> Callable:
        return step if here() is not None else own["compile"](step, assigned, read, jit=jit)

    wrapped = (bind, implementation, convert, vjp, optimizer_step, increase, compile)
    for name, function in zip(_WRAPPED, wrapped, strict=True):
        setattr(backend, name, function)


def _called(f: Callable, xs: Any) -> Any:
    return f(xs)[0]


def _silent(pull: Callable) -> Callable:
    """A pullback whose own ops are nobody's concern."""

    def pulled(gs: list[Any]) -> list[Any]:
        with listening(None):
            return pull(gs)

    return pulled


def _layer_call(self: Any, args: tuple, kwargs: dict) -> Any:
    return _layer_told(self, args, kwargs, lambda: _own_layer_call(self, args, kwargs))


def _simple_layer_call(self: Any, x: Any) -> Any:
    return _layer_told(self, (x,), {}, lambda: _own_simple_call(self, x))


def _layer_told(layer: Any, args: tuple, kwargs: dict, run: Callable[[], Any]) -> Any:
    observer = _told.get()
    if observer is None or observer.backend is not layer._backend or any_symbolic(args, kwargs):
        return run()
    observer.path.append(layer.name)
    try:
        return observer.layer(layer, args, kwargs, run)
    finally:
        observer.path.pop()


# -- calls of ops, as values ------------------------------------------------------------


def stored(backend: Any, op: Any, args: tuple) -> tuple:
    """The arguments of a call with every tensor as an array of its own.

    Raises:
        Exception: A tensor has no value: it belongs to a framework's trace.
    """
    return tuple(_stored(backend, role, a) for role, a in zip(op.roles.values(), args, strict=True))


def _stored(backend: Any, role: str, a: Any) -> Any:
    if role == "tensors":
        return [_stored(backend, "tensor", x) for x in a]
    if role == "tensor":
        return array_of(backend, a)
    return tree.map_structure(lambda x: _plain(backend, x), a)


def _plain(backend: Any, x: Any) -> Any:
    if _is_tensor(backend, x):
        return array_of(backend, x)
    # Frameworks have dtypes of their own for what a name says.
    return dtypes.name_of(x) if isinstance(x, np.dtype) or type(x).__name__ in ("dtype", "DType") else x


def _is_tensor(backend: Any, x: Any) -> bool:
    return hasattr(x, "__kcore_value__") or backend.is_tensor(x)


def array_of(backend: Any, x: Any) -> Any:
    """A tensor, variable or array as a NumPy array of its own; a number or None as it is."""
    if hasattr(x, "__kcore_value__"):
        x = x.__kcore_value__()
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return np.array(backend.numpy(x))
    return x


def converted(backend: Any, op: Any, args: tuple) -> tuple:
    """What `stored` gave, with arrays as the backend's tensors."""

    def tensor(x: Any) -> Any:
        return backend.convert(x) if hasattr(x, "shape") and hasattr(x, "dtype") else x

    return tuple(tree.map_structure(tensor, a) if a is not None else None for a in args)


def results_of(backend: Any, y: Any) -> list[Any]:
    """The tensors of a result as arrays, flat."""
    return [array_of(backend, e) for e in tree.flatten(y)]
