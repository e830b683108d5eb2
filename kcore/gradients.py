"""Gradients, with one meaning on every backend.

Functions take and return tensors or nested structures of them (`kcore.tree`). What is
differentiated is checked here and flattened; a backend only supplies `Backend.vjp`. All of
these can be nested, for second derivatives and beyond. A sparse tensor is differentiated by its
stored values: its gradient is sparse, with the same pattern.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import backends, dtypes, tree
from kcore.backends.coo import is_sparse


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
    leaves = Leaves(backend, [_inexact(backend, x, "vjp", "the primals") for x in tree.flatten(primals)])
    shell: list[Any] = [None, None]

    def flat(*xs: Any) -> tuple[list[Any], Any]:
        y = fn(*tree.pack_sequence_as(primals, leaves.filled(xs)))
        y, aux = _split(y, has_aux, "vjp")
        ends = Leaves(backend, [_inexact(backend, e, "vjp", "the function's result") for e in tree.flatten(y)])
        shell[:] = _skeleton(y), ends
        return ends.values, aux

    values, aux, pull = backend.vjp(flat, leaves.values)
    structure, ends = shell
    outputs = ends.filled(values)
    shapes = [(backend.shape(o), backend.dtype(o)) for o in outputs]
    arguments = _skeleton(primals)
    simple = not any(map(tree.is_nested, primals))  # then there is nothing to pack

    def pullback(g: Any) -> tuple:
        tree.assert_same_structure(structure, g)
        gs = []
        for e, (shape, dtype) in zip(tree.flatten(g), shapes, strict=True):
            e = backend.convert(e, dtype)
            if backend.shape(e) != shape:
                raise ValueError(f"vjp: a gradient has shape {backend.shape(e)}, its output {shape}.")
            gs.append(e)
        found = leaves.filled(pull(ends.like(gs)))
        return tuple(found) if simple else tree.pack_sequence_as(arguments, found)

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


def jvp(fn: Callable, primals: Any, tangents: Any, has_aux: bool = False) -> tuple:
    """The value of `fn(*primals)` and its derivative in the direction of `tangents`.

    Args:
        fn: Returns tensors in any structure, or (that, aux) with `has_aux`.
        primals: A list or tuple of the arguments; structures of inexact tensors.
        tangents: As `primals`, in structure and shapes.
        has_aux: Whether `fn` returns something more, which is not differentiated.

    Returns:
        (y, tangent of y), or (y, tangent of y, aux).

    Raises:
        ValueError: `tangents` has another structure or other shapes than `primals`.
        TypeError: A primal or a result is not of a float or complex dtype, or `primals` is no list or tuple.
    """
    backend = backends.active()
    primals, tangents = require_tangents(primals, tangents)
    leaves = Leaves(backend, [_inexact(backend, x, "jvp", "the primals") for x in tree.flatten(primals)])
    given = zip(tree.flatten(tangents), leaves.values, strict=True)
    directions = leaves.like([backend.convert(t, backend.dtype(x)) for t, x in given])
    shell: list[Any] = [None, None]

    def flat(*xs: Any) -> tuple[list[Any], Any]:
        y, aux = _split(fn(*tree.pack_sequence_as(primals, leaves.filled(xs))), has_aux, "jvp")
        ends = Leaves(backend, [_inexact(backend, e, "jvp", "the function's result") for e in tree.flatten(y)])
        shell[:] = _skeleton(y), ends
        return ends.values, aux

    outputs, aux, found = backend.jvp(flat, leaves.values, directions)
    structure, ends = shell
    y, dy = (tree.pack_sequence_as(structure, ends.filled(part)) for part in (outputs, found))
    return (y, dy, aux) if has_aux else (y, dy)


def require_tangents(primals: Any, tangents: Any) -> tuple[tuple, tuple]:
    """Both as tuples, of one structure and the same shapes, as far as they are known.

    Raises:
        TypeError, ValueError: They are not.
    """
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"jvp: {name} should be a list or tuple of arguments, not {type(given).__name__}.")
    primals, tangents = tuple(primals), tuple(tangents)
    try:
        tree.assert_same_structure(_skeleton(primals), _skeleton(tangents))
    except ValueError as error:
        raise ValueError(f"jvp: tangents should have the structure of primals. {error}") from None
    for x, t in zip(tree.flatten(primals), tree.flatten(tangents), strict=True):
        one, other = (tuple(v.shape) if hasattr(v, "shape") else np.shape(v) for v in (x, t))
        if len(one) != len(other) or any(d != e and None not in (d, e) for d, e in zip(one, other, strict=True)):
            raise ValueError(f"jvp: a tangent has shape {other}, its primal {one}.")
    return primals, tangents


def jacobian(fn: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """A function that returns the derivatives of every element of `fn`'s result by every element of its arguments.

    One reverse pass is made for each element of the result.

    Args:
        fn: Returns a real tensor or a structure of them.
        argnums: The positional arguments to differentiate by. Each may be a structure.

    Returns:
        A function with fn's arguments. For each tensor of the result, in its structure, it gives the structure of the
        argument (a tuple of these for several argnums) with a tensor of shape result.shape + argument.shape for each of
        its tensors.

    Raises:
        ValueError: An argnum is out of range.
        TypeError: An argument or the result is of an integer dtype, or the result is complex.
    """

    @functools.wraps(fn)
    def derivatives(*args: Any, **kwargs: Any) -> Any:
        from kcore import ops
        from kcore.ops import stored

        several, at = _positions(argnums, args, "jacobian")

        def partial(*chosen: Any) -> Any:
            full = list(args)
            for i, part in zip(at, chosen, strict=True):
                full[i] = part
            return fn(*full, **kwargs)

        backend = backends.active()
        if any(is_sparse(x) for i in at for x in tree.flatten(args[i])):
            raise TypeError("jacobian: an argument is sparse; make it dense, or write the function in its values.")
        y, pullback = vjp(partial, *(args[i] for i in at))
        outputs = [stored.dense(o) for o in tree.flatten(y)]
        if any(dtypes.is_complex(backend.dtype(o)) for o in outputs):
            raise TypeError("jacobian: the function's result is complex; differentiate its real and imaginary parts.")
        zeros = [ops.zeros_like(o) for o in outputs]

        def of_output(k: int) -> Any:
            shape, dtype = backend.shape(outputs[k]), backend.dtype(outputs[k])
            count = math.prod(shape)  # type: ignore[arg-type]
            rows = []
            for j in range(max(count, 1)):
                one = np.zeros(shape)  # type: ignore[type-var]
                one.flat[j : j + 1] = 1
                gs = [*zeros[:k], backend.convert(one, dtype), *zeros[k + 1 :]]
                rows.append(pullback(tree.pack_sequence_as(_skeleton(y), gs)))
            found = tree.map_structure(
                lambda *gs: ops.reshape(ops.stack(gs)[:count], shape + backend.shape(gs[0])), *rows
            )
            return found if several else found[0]

        return tree.pack_sequence_as(_skeleton(y), [of_output(k) for k in range(len(outputs))])

    return derivatives


def hessian(fn: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """A function that returns the second derivatives of the scalar function `fn`: the `jacobian` of its `grad`.

    For one tensor argument x the result has shape x.shape + x.shape. Otherwise it is nested: for each tensor of the
    arguments, the structure of the arguments.
    """
    return jacobian(grad(fn, argnums), argnums)


def _value_and_grad(fn: Callable, argnums: int | Sequence[int], has_aux: bool, name: str) -> Callable:
    @functools.wraps(fn)
    def both(*args: Any, **kwargs: Any) -> Any:
        several, at = _positions(argnums, args, name)
        backend = backends.active()
        chosen = [args[i] for i in at]
        leaves = Leaves(backend, [_inexact(backend, x, name, f"argument {argnums}") for x in tree.flatten(chosen)])

        def flat(*xs: Any) -> tuple[Any, Any]:
            full = list(args)
            for i, part in zip(at, tree.pack_sequence_as(chosen, leaves.filled(xs)), strict=True):
                full[i] = part
            return _split(fn(*full, **kwargs), has_aux, name)

        value, aux, grads = scalar_and_gradients(flat, leaves.values, name)
        found = tree.pack_sequence_as(chosen, leaves.filled(grads))
        return ((value, aux) if has_aux else value), (tuple(found) if several else found[0])

    return both


def scalar_and_gradients(fn: Callable, leaves: list[Any], name: str) -> tuple[Any, Any, list[Any]]:
    """(value, aux, gradient by each leaf) of `fn(*leaves)`, which returns (scalar, aux): the core of the above.

    Args:
        fn: Takes tensors of the active backend.
        leaves: Tensors of floats.
        name: Who asks, for the errors.
    """
    backend = backends.active()

    def checked(*xs: Any) -> tuple[list[Any], Any]:
        y, aux = fn(*xs)
        y = _inexact(backend, y, name, "the function's value")
        if backend.shape(y) != ():
            raise ValueError(f"{name}: the function's value should be a scalar, not of shape {backend.shape(y)}.")
        if dtypes.is_complex(backend.dtype(y)):
            raise TypeError(f"{name}: the function's value is complex; take its real part.")
        return [y], aux

    (value,), aux, pull = backend.vjp(checked, leaves, once=True)
    return value, aux, pull([backend.convert(1.0, backend.dtype(value))])


class Leaves:
    """Tensors to differentiate by, or to differentiate: of a sparse one its values, and its pattern stays aside.

    Attributes:
        values: Dense tensors.
    """

    def __init__(self, backend: Any, tensors: list[Any]) -> None:
        self._backend = backend
        self._patterns = [backend.coo(x) if is_sparse(x) else None for x in tensors]
        self.values = [x if c is None else c.values for x, c in zip(tensors, self._patterns)]

    def filled(self, values: Any) -> list[Any]:
        """Tensors of the same kinds, with these values."""
        from_coo = self._backend.from_coo
        return [v if c is None else from_coo(c.with_values(v)) for v, c in zip(values, self._patterns, strict=True)]

    def like(self, tensors: list[Any]) -> list[Any]:
        """Of other tensors, dense or sparse, what stands where these have their values."""
        pairs = list(zip(tensors, self._patterns))
        if all(c is None and not is_sparse(x) for x, c in pairs):  # nearly always
            return tensors
        from kcore.ops import stored

        return [stored.dense(x) if c is None else stored.values_at(x, c) for x, c in pairs]


def _positions(argnums: int | Sequence[int], args: tuple, name: str) -> tuple[bool, list[int]]:
    """(whether argnums are several, each as a position from the front)."""
    several = not isinstance(argnums, int)
    numbers: tuple[int, ...] = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if any(not -len(args) <= n < len(args) for n in numbers):
        raise ValueError(f"{name}: argnums={argnums!r}, but the call has {len(args)} positional arguments.")
    return several, [n % len(args) for n in numbers]


def _skeleton(structure: Any) -> Any:
    return tree.map_structure(lambda _: None, structure)


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
    if not dtypes.is_inexact(dtype):
        raise TypeError(f"{name}: gradients need floats, but {what} holds {dtype}.")
    return x
