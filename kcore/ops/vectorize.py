"""`vectorize`: a function of small tensors as one of stacks of them."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

from kcore import backends, ops
from kcore.ops import rules
from kcore.ops.symbolic import KerasTensor

__all__ = ["vectorize"]

_DIMENSIONS = r"\(\s*(?:\w+\s*(?:,\s*\w+\s*)*)?\)"
_SIGNATURE = re.compile(
    rf"^\s*{_DIMENSIONS}(?:\s*,\s*{_DIMENSIONS})*\s*->\s*{_DIMENSIONS}(?:\s*,\s*{_DIMENSIONS})*\s*$"
)


def vectorize(pyfunc: Callable, *, excluded: Any = None, signature: str | None = None) -> Callable:
    """A function that maps `pyfunc` over the leading axes of its arguments, which broadcast as in NumPy.

    Args:
        pyfunc: Takes tensors, one for each positional argument, and gives a tensor or a tuple of them.
        excluded: Positions of arguments that `pyfunc` gets as they are. Keyword arguments always are such.
        signature: The trailing axes that one call takes and gives, as "(m,n),(n)->(m)"; scalars for None.

    Returns:
        The vectorized function, see `vectorized_map`.

    Raises:
        TypeError: `pyfunc` is no function.
        ValueError: `signature` can't be read. When called: arguments have too few dimensions, differ in the size of an axis
            with a name, or don't broadcast.

    >>> apart = ops.vectorize(lambda a, b: ops.maximum(a - b, b - a))
    >>> apart([1, 5], 3)
    Tensor([2, 2], dtype=int32)
    """
    if not callable(pyfunc):
        raise TypeError(f"vectorize: pyfunc should be a function, not {type(pyfunc).__name__}.")
    left_out = {e for e in excluded or () if not isinstance(e, str)}
    cores = None if signature is None else _parsed(signature)

    @functools.wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        at = [i for i in range(len(args)) if i not in left_out]
        tensors = [a if isinstance(a, KerasTensor) else ops.convert_to_tensor(a) for a in (args[i] for i in at)]

        def call(rows: Any) -> Any:
            full = list(args)
            for i, row in zip(at, rows, strict=True):
                full[i] = row
            return pyfunc(*full, **kwargs)

        return _mapped(call, tensors, cores)

    return vectorized


def _parsed(signature: str) -> list[list[str]]:
    """The names of each argument's axes."""
    if not _SIGNATURE.match(signature):
        raise ValueError(f"vectorize: signature={signature!r} should look like '(m,n),(n)->(m)'.")
    given = signature.split("->")[0]
    return [re.findall(r"\w+", one) for one in re.findall(r"\(([^)]*)\)", given)]


def _mapped(call: Callable, tensors: list[Any], cores: list[list[str]] | None) -> Any:
    names = cores if cores is not None else [[] for _ in tensors]
    if len(names) != len(tensors):
        raise ValueError(f"vectorize: the signature has {len(names)} arguments, the call {len(tensors)}.")
    shapes = [_shape(t) for t in tensors]
    sizes: dict[str, int | None] = {}
    for shape, axes in zip(shapes, names, strict=True):
        if len(shape) < len(axes):
            raise ValueError(f"vectorize: an argument of shape {shape} has too few dimensions for ({', '.join(axes)}).")
        for axis, size in zip(axes, shape[len(shape) - len(axes) :], strict=True):
            if None not in (size, sizes.setdefault(axis, size)) and sizes[axis] != size:
                raise ValueError(f"vectorize: axis {axis} has size {sizes[axis]} in one argument, {size} in another.")
    own = [shape[: len(shape) - len(axes)] for shape, axes in zip(shapes, names, strict=True)]
    outer = rules.broadcast(*own)
    if not outer:
        return call(tensors)
    flat = [_flattened(t, len(o), outer) for t, o in zip(tensors, own, strict=True)]
    ys = ops.vectorized_map(call, tuple(flat))
    if len(outer) == 1:
        return ys
    many = tuple(ys) if isinstance(ys, (tuple, list)) else (ys,)
    unflat = tuple(ops.reshape(y, _open(outer + _shape(y)[1:])) for y in many)
    return unflat if isinstance(ys, (tuple, list)) else unflat[0]


def _shape(x: Any) -> tuple[int | None, ...]:
    return x.shape if isinstance(x, KerasTensor) else backends.active().shape(x)


def _flattened(x: Any, ndim: int, outer: tuple[int | None, ...]) -> Any:
    """`x` with its `ndim` leading axes broadcast to `outer`, as one axis."""
    core = _shape(x)[ndim:]
    x = ops.reshape(x, _open((1,) * (len(outer) - ndim) + _shape(x)))
    if _shape(x)[: len(outer)] != outer:
        x = ops.broadcast_to(x, outer + core)
    count = None if None in outer else math.prod(outer)  # type: ignore[arg-type]
    return x if len(outer) == 1 else ops.reshape(x, _open((count, *core)))


def _open(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(-1 if d is None else d for d in shape)
