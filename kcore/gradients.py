"""Gradients, with one meaning on every backend.

Functions take and return tensors or nested structures of them (`kcore.tree`). What is
differentiated is checked here and flattened; a backend only supplies `Backend.vjp`. All of
these can be nested, for second derivatives and beyond.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from kcore import backends, dtypes, tree


def vjp(fn: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """The value of `fn(*primals)` and the function that pulls gradients back through it.

    Args:
        fn: Takes the primals; returns tensors in any structure, or (that, aux) with `has_aux`.
        primals: Structures of inexact tensors.
        has_aux: Whether `fn` returns something more, which is not differentiated.

    Returns:
        (y, pullback), or (y, pullback, aux). `pullback(g)` takes the gradient of y, in y's
        structure, and returns a tuple with one gradient for each primal, in its structure:
        zeros where y does not depend on it.

    Raises:
        TypeError: A primal or a result is not of a float or complex dtype.
    """
    backend = backends.active()
    leaves = [_inexact(backend, x, "vjp", "the primals") for x in tree.flatten(primals)]
    shell: list[Any] = [None]

    def flat(*xs: Any) -> tuple[list[Any], Any]:
        y = fn(*tree.pack_sequence_as(primals, xs))
        y, aux = _split(y, has_aux, "vjp")
        shell[0] = tree.map_structure(lambda _: None, y)
        return [_inexact(backend, e, "vjp", "the function's result") for e in tree.flatten(y)], aux

    outputs, aux, pull = backend.vjp(flat, leaves)
    shapes = [(backend.shape(o), backend.dtype(o)) for o in outputs]
    structure = shell[0]

    def pullback(g: Any) -> tuple:
        tree.assert_same_structure(structure, tree.map_structure(lambda _: None, g))
        gs = []
        for e, (shape, dtype) in zip(tree.flatten(g), shapes, strict=True):
            e = backend.convert(e, dtype)
            if backend.shape(e) != shape:
                raise ValueError(f"vjp: a gradient has shape {backend.shape(e)}, its output {shape}.")
            gs.append(e)
        return tree.pack_sequence_as(primals, pull(gs))

    y = tree.pack_sequence_as(structure, outputs)
    return (y, pullback, aux) if has_aux else (y, pullback)


def value_and_grad(fn: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """A function that returns `fn`'s value and its gradient.

    Args:
        fn: Returns a real scalar tensor, or (that, aux) with `has_aux`.
        argnums: The positional arguments to differentiate by. Each may be a structure.
        has_aux: Whether `fn` returns something more, which is not differentiated.

    Returns:
        A function with fn's arguments that returns (value, gradient), or
        ((value, aux), gradient). The gradient has the structure of the argument; for several
        argnums it is a tuple of these.

    Raises:
        ValueError: The value is no scalar, or an argnum is out of range.
        TypeError: An argument or the value is of an integer dtype, or the value is complex.
    """
    return _value_and_grad(fn, argnums, has_aux, "value_and_grad")


def grad(fn: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the gradient of the scalar function `fn`; see `value_and_grad`.

    With `has_aux` it returns (gradient, aux).
    """
    both = _value_and_grad(fn, argnums, has_aux, "grad")

    @functools.wraps(fn)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def _value_and_grad(fn: Callable, argnums: int | Sequence[int], has_aux: bool, name: str) -> Callable:
    several = not isinstance(argnums, int)
    numbers = tuple(argnums) if several else (argnums,)  # type: ignore[arg-type]

    @functools.wraps(fn)
    def both(*args: Any, **kwargs: Any) -> Any:
        for n in numbers:
            if not -len(args) <= n < len(args):
                raise ValueError(f"{name}: argnums={argnums!r}, but the call has {len(args)} positional arguments.")
        at = [n % len(args) for n in numbers]
        backend = backends.active()
        chosen = [args[i] for i in at]
        leaves = [_inexact(backend, x, name, f"argument {argnums}") for x in tree.flatten(chosen)]

        def flat(*xs: Any) -> tuple[list[Any], Any]:
            full = list(args)
            for i, part in zip(at, tree.pack_sequence_as(chosen, xs), strict=True):
                full[i] = part
            y, aux = _split(fn(*full, **kwargs), has_aux, name)
            y = _inexact(backend, y, name, "the function's value")
            if backend.shape(y) != ():
                raise ValueError(f"{name}: the function's value should be a scalar, not of shape {backend.shape(y)}.")
            if dtypes.is_complex(backend.dtype(y)):
                raise TypeError(f"{name}: the function's value is complex; take its real part.")
            return [y], aux

        (value,), aux, pull = backend.vjp(flat, leaves, once=True)
        ones = backend.convert(1.0, backend.dtype(value))
        found = tree.pack_sequence_as(chosen, pull([ones]))
        return ((value, aux) if has_aux else value), (tuple(found) if several else found[0])

    return both


def _split(y: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return y, None
    if not (isinstance(y, (tuple, list)) and len(y) == 2):
        raise TypeError(f"{name}: with has_aux=True the function should return (value, aux), not {type(y).__name__}.")
    return y[0], y[1]


def _inexact(backend: Any, x: Any, name: str, what: str) -> Any:
    if hasattr(x, "__kcore_value__"):
        x = x.__kcore_value__()
    x = x if backend.is_tensor(x) else backend.convert(x)
    dtype = backend.dtype(x)
    if not (dtypes.is_float(dtype) or dtypes.is_complex(dtype)):
        raise TypeError(f"{name}: gradients need floats, but {what} holds {dtype}.")
    return x
