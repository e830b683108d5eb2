"""What gradients do: stop, follow a rule of the user's own, run forward, recompute.

As in `kcore.ops.control`, functions that are handed in work on nested structures, and a backend only supplies
`custom_call` and `checkpoint`, on flat lists of its tensors.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from kcore import backends, dtypes, gradients, ops, tree
from kcore.ops import rules, symbolic
from kcore.ops.control import (
    _filled,
    _leaves,
    _pair,
    _specs,
    _symbols,
    _tensor,
    _tensors,
)
from kcore.ops.mechanism import Tensor, control_op, op, require_callable

__all__ = ["custom_gradient", "jvp", "stop_gradient"]

Fn = Callable[..., Any]


@op(rule=rules.same)
def stop_gradient(variable: Tensor) -> Tensor:
    """The same values, which gradients do not flow through.

    Args:
        variable: A tensor, of any dtype.

    >>> kcore.grad(lambda x: x * ops.stop_gradient(x))(3.0)
    Tensor(3., dtype=float32)
    """


@control_op(trace=lambda f, xs: None)
def custom_call(f: Any, xs: Any) -> Any:
    """`f(xs)[0]`, differentiated by `f(xs)[1]`: a list of tensors, and gradients of that list -> gradients of `xs`.

    A gradient of the gradient is taken through a second run of f.
    """


def custom_gradient(f: Fn) -> Fn:
    """A decorator: `f` returns its result and the function that pulls gradients back through it.

    Gradients of gradients go through that function, so it should be written in ops.

    Args:
        f: Returns (y, gradient). `gradient` takes the gradient of each tensor in y by position (or one structure like y, if
            it has but one parameter), or the keyword `upstream`, and returns a gradient for each positional argument of
            f; None for none.

    Returns:
        A function with f's arguments that returns y.

    >>> @ops.custom_gradient
    ... def straight_through(x):
    ...     return ops.round(x), lambda upstream: upstream
    >>> kcore.grad(straight_through)(1.7)
    Tensor(1., dtype=float32)
    """
    require_callable("custom_gradient", f=f)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if symbolic.any_symbolic(args, kwargs):
            return _with_gradient(f(*args, **kwargs))[0]
        return _custom(f, args, kwargs)

    return call


def _with_gradient(found: Any) -> tuple[Any, Fn]:
    if not isinstance(found, (tuple, list)) or len(found) != 2 or not callable(found[1]):
        raise ValueError("custom_gradient: the function should return its result and a gradient function.")
    return found[0], found[1]


def _custom(f: Fn, args: tuple, kwargs: dict) -> Any:
    backend = backends.active()
    given = tree.map_structure(lambda a: _tensor(a) if hasattr(a, "dtype") else a, args)
    leaves = tree.flatten(given)
    inexact = [i for i, a in enumerate(leaves) if backend.is_tensor(a) and dtypes.is_inexact(backend.dtype(a))]
    shells: list[Any] = [None]

    def flat(xs: Sequence[Any]) -> tuple[list[Any], Fn]:
        full = list(leaves)
        for i, x in zip(inexact, xs, strict=True):
            full[i] = x
        y, gradient = _with_gradient(f(*tree.pack_sequence_as(given, full), **kwargs))
        shells[0] = y = _tensors(y)

        def pull(gs: Sequence[Any]) -> list[Any]:
            found = _called(gradient, y, list(gs))
            flat_found = tree.flatten(_by_argument(found, given))
            return [_gradient_like(flat_found[i], xs[j]) for j, i in enumerate(inexact)]

        return _leaves(y), pull

    ys = custom_call(flat, [leaves[i] for i in inexact])
    return _filled(shells[0], ys)


def _called(gradient: Fn, y: Any, gs: list[Any]) -> Any:
    """The gradient function's result, called the way that it is written for."""
    try:
        parameters = list(inspect.signature(gradient).parameters.values())
    except (TypeError, ValueError):
        return gradient(*gs)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not positional and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return gradient(upstream=_filled(y, gs))
    required = [p for p in positional if p.default is p.empty]
    if len(gs) > 1 and len(required) == 1 and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return gradient(_filled(y, gs))
    return gradient(*gs)


def _by_argument(found: Any, args: tuple) -> tuple:
    """The gradients, one for each argument of the function, in its structure.

    Raises:
        ValueError: There are more or fewer.
    """
    many = tuple(found) if isinstance(found, (tuple, list)) else (found,)
    if len(args) == 1 and isinstance(args[0], (tuple, list)) and len(many) != 1:
        many = (many,)
    tensors = [i for i, a in enumerate(args) if any(hasattr(x, "dtype") for x in tree.flatten(a))]
    if len(many) == len(tensors) != len(args):  # only for the arguments that are tensors
        spread: list[Any] = [None] * len(args)
        for i, g in zip(tensors, many, strict=True):
            spread[i] = g
        many = tuple(spread)
    if len(many) != len(args):
        raise ValueError(f"custom_gradient: there are {len(args)} arguments, but {len(many)} gradients.")
    return tuple(tree.map_structure(lambda _: None, a) if g is None else g for a, g in zip(args, many, strict=True))


def _gradient_like(g: Any, x: Any) -> Any:
    if g is None:
        return ops.zeros_like(x)
    backend = backends.active()
    g = _tensor(g, backend.dtype(x))
    return g if backend.shape(g) == backend.shape(x) else ops.broadcast_to(g, backend.sizes(x))


@control_op(trace=lambda f, xs: None)
def checkpoint(f: Any, xs: Any) -> Any:
    """`f(xs)`, lists of tensors. Where a backend can, gradients run f again, instead of keeping what is between."""
    return f(xs)


def _trace_jvp(fun: Fn, primals: Any, tangents: Any, has_aux: bool) -> Any:
    primals, _ = gradients.require_tangents(primals, tangents)
    y = fun(*_symbols(_specs(primals)))
    y, aux = _pair("jvp", y) if has_aux else (y, None)
    specs = _specs(y)
    return (_symbols(specs), _symbols(specs), aux) if has_aux else (_symbols(specs), _symbols(specs))


@control_op(trace=_trace_jvp)
def jvp(fun: Fn, primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """The value of `fun(*primals)` and its derivative in the direction of `tangents`.

    Args:
        fun: Returns tensors in any structure, or (that, aux) with `has_aux`.
        primals: A list or tuple of the arguments; structures of float tensors.
        tangents: As `primals`, in structure, shapes and dtypes.
        has_aux: Whether `fun` returns something more, which is not differentiated.

    Returns:
        (y, tangent of y), or (y, tangent of y, aux).

    Raises:
        ValueError: `tangents` has another structure or other shapes than `primals`.
        TypeError: A primal or a result is not of a float or complex dtype.

    >>> value, slope = ops.jvp(ops.square, (3.0,), (1.0,))
    >>> value, slope
    (Tensor(9., dtype=float32), Tensor(6., dtype=float32))
    """
    return gradients.jvp(fun, primals, tangents, has_aux)
