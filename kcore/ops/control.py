"""Control flow: branches, loops, scans, vectorization.

Functions that are handed in take and return tensors in any nested structure, and None. Here structures are
flattened and results checked; a backend only supplies the control flow itself, on flat lists of its tensors: `branch`,
`loop`, `scan_steps`, `map_rows`. Their portable bodies are Python's own control flow.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from kcore import backends, dtypes, ops, tree
from kcore.ops import rules
from kcore.ops.mechanism import SCALARS, control_op, require_callable, spec_of
from kcore.ops.symbolic import KerasTensor, Spec

__all__ = [
    "associative_scan",
    "cond",
    "fori_loop",
    "map",
    "scan",
    "switch",
    "vectorized_map",
    "while_loop",
]

Fn = Callable[..., Any]


# -- structures -------------------------------------------------------------------------


def _tensors(structure: Any) -> Any:
    """The structure with every leaf as a tensor; None and symbolic tensors stay."""
    return tree.map_structure(_tensor, structure)


def _tensor(x: Any, dtype: str | None = None) -> Any:
    if x is None or isinstance(x, KerasTensor):
        return x
    if hasattr(x, "__kcore_value__"):
        x = x.__kcore_value__()
    backend = backends.active()
    return x if dtype is None and backend.is_tensor(x) else backend.convert(x, dtype)


def _leaves(structure: Any) -> list[Any]:
    return [x for x in tree.flatten(structure) if x is not None]


def _filled(like: Any, leaves: Sequence[Any]) -> Any:
    """The structure of `like`, with these leaves where it does not have None."""
    left = iter(leaves)
    return tree.map_structure(lambda x: None if x is None else next(left), like)


def _specs(structure: Any) -> Any:
    backend = backends.active()

    def spec(x: Any) -> Any:
        if backend.is_tensor(x):
            return Spec(backend.shape(x), backend.dtype(x))
        found = spec_of(x)
        return found if found is None else Spec(found.shape, dtypes.concrete(found.dtype))

    return tree.map_structure(spec, structure)


def _symbols(specs: Any) -> Any:
    """KerasTensors of these shapes and dtypes, which record nothing."""
    return tree.map_structure(
        lambda s: None if s is None else KerasTensor(s.shape, s.dtype, record_history=False), specs
    )


def _alike(a: Any, b: Any) -> bool:
    """Whether two structures of Specs agree, as far as sizes are known."""
    try:
        tree.assert_same_structure(a, b)
    except ValueError:
        return False
    return all(_same_kind(s, t) for s, t in zip(tree.flatten(a), tree.flatten(b), strict=True))


def _same_kind(a: Spec | None, b: Spec | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and rules.agree(a.shape, b.shape)


def _told(specs: Any) -> str:
    """A structure of Specs for an error."""
    named = tree.map_structure(lambda s: None if s is None else f"{s.dtype}{s.shape}", specs)
    return str(named).replace("'", "")


def _require_alike(name: str, one: tuple[str, Any], other: tuple[str, Any]) -> None:
    if not _alike(one[1], other[1]):
        raise ValueError(f"{name}: {one[0]} gives {_told(one[1])}, but {other[0]} gives {_told(other[1])}.")


def _scalar(x: Any, name: str, what: str, dtype: str) -> Any:
    """`x` as a scalar of that dtype.

    Raises:
        ValueError: It has another shape.
    """
    x = _tensor(x)
    shape = x.shape if isinstance(x, KerasTensor) else backends.active().shape(x)
    if shape != ():
        raise ValueError(f"{name}: {what} should be a scalar, not of shape {tuple(shape)}.")
    return ops.cast(x, dtype)


# -- branches ---------------------------------------------------------------------------


@control_op(trace=lambda index, functions: None)
def branch(index: Any, functions: Any) -> Any:
    """The list of tensors that one of the functions, of no arguments, gives. `index` is an int32 scalar in range."""
    return functions[int(index)]()


def _branched(name: str, index: Any, labels: list[str], functions: list[Fn]) -> Any:
    seen: list[tuple[str, Any]] = []

    def flat(label: str, function: Fn) -> Fn:
        def run() -> list[Any]:
            y = _tensors(function())
            specs = _specs(y)
            if seen:
                _require_alike(name, seen[0], (label, specs))
            seen.append((label, specs))
            return _leaves(y)

        return run

    leaves = branch(index, [flat(label, f) for label, f in zip(labels, functions, strict=True)])
    return _filled(seen[0][1], leaves)


def cond(pred: Any, true_fn: Fn, false_fn: Fn) -> Any:
    """`true_fn()` if `pred` else `false_fn()`.

    Where `pred` has a value, only that function is called. Inside a compiled function both are traced, one runs, and
    they must give the same structure, shapes and dtypes. On symbolic tensors both become part of the model, which
    selects. Gradients flow through the function that was taken.

    Args:
        pred: A scalar; nonzero is true.
        true_fn, false_fn: Functions of no arguments; they may use any tensors around them.

    Raises:
        ValueError: `pred` is no scalar, or both functions were traced and their results differ.

    >>> ops.cond(True, lambda: 1, lambda: 2)
    Tensor(1, dtype=int32)
    """
    require_callable("cond", true_fn=true_fn, false_fn=false_fn)
    if isinstance(pred, (bool, int, float)):
        return _tensors(true_fn() if pred else false_fn())
    pred = _scalar(pred, "cond", "pred", "bool")
    if isinstance(pred, KerasTensor):
        one, other = true_fn(), false_fn()
        _require_alike("cond", ("true_fn", _specs(one)), ("false_fn", _specs(other)))
        return tree.map_structure(lambda a, b: None if a is None else ops.where(pred, a, b), one, other)
    index = ops.cast(ops.logical_not(pred), "int32")
    return _branched("cond", index, ["true_fn", "false_fn"], [true_fn, false_fn])


def _labels(branches: Any) -> list[str]:
    if not isinstance(branches, (list, tuple)) or not branches:
        raise ValueError(f"switch: branches should be functions in a list, at least one, not {branches!r}.")
    labels = [f"branches[{i}]" for i in range(len(branches))]
    require_callable("switch", **dict(zip(labels, branches, strict=True)))
    return labels


def _trace_switch(index: Any, branches: Any, *operands: Any) -> Any:
    _scalar(index, "switch", "index", "int32")
    inner = _symbols(_specs(operands))
    found = [(label, _specs(f(*inner))) for label, f in zip(_labels(branches), branches, strict=True)]
    for other in found[1:]:
        _require_alike("switch", found[0], other)
    return _symbols(found[0][1])


@control_op(trace=_trace_switch)
def switch(index: Any, branches: Any, *operands: Any) -> Any:
    """`branches[index](*operands)`, the index brought into range.

    Where `index` has a value, only that function is called. Inside a compiled function all are traced, one runs, and
    they must give the same structure, shapes and dtypes.

    Args:
        index: An integer scalar; below 0 the first function is called, beyond the last the last.
        branches: Functions, at least one.
        *operands: Tensors, or structures of them, for the function.

    Raises:
        ValueError: `index` is no scalar, there is no function, or several were traced and their results differ.

    >>> ops.switch(1, [ops.square, ops.negative], 3.0)
    Tensor(-3., dtype=float32)
    """
    labels = _labels(branches)
    index = ops.clip(_scalar(index, "switch", "index", "int32"), 0, len(branches) - 1)
    given = _tensors(operands)
    return _branched("switch", index, labels, [functools.partial(f, *given) for f in branches])


# -- loops ------------------------------------------------------------------------------


@control_op(trace=lambda test, body, values, limit: None)
def loop(test: Any, body: Any, values: Any, limit: Any) -> Any:
    """`values = body(values)` while `test(values)`, at most `limit` times (an int or None): lists of tensors."""
    count = 0
    while (limit is None or count < limit) and bool(test(values)):
        values = body(values)
        count += 1
    return values


def _kept(name: str, what: str, before: Any, after: Any) -> Any:
    """`after` with Python numbers in the dtypes of `before`.

    Raises:
        ValueError: Structure, shapes or dtypes have changed.
    """
    specs = _specs(before)
    given = tree.flatten(after)
    if len(given) == len(tree.flatten(specs)):
        pairs = zip(given, tree.flatten(specs), strict=True)
        cast = [_tensor(x, s.dtype if s is not None and type(x) in SCALARS else None) for x, s in pairs]
        after = tree.pack_sequence_as(after, cast)
    found = _specs(after)
    if not _alike(specs, found):
        raise ValueError(f"{name}: {what} turns {_told(specs)} into {_told(found)}; it should keep all of that.")
    return after


class _LoopVariables:
    """How the functions of a while loop are called: with several variables as arguments, or with one structure."""

    def __init__(self, values: Any) -> None:
        self.values = values
        self.several = isinstance(values, (list, tuple)) and not hasattr(values, "_fields")

    def call(self, fn: Fn, values: Any) -> Any:
        return fn(*values) if self.several else fn(values)

    def after(self, fn: Fn, values: Any) -> Any:
        y = self.call(fn, values)
        if self.several and len(self.values) == 1 and not isinstance(y, (list, tuple)):
            y = (y,)
        if self.several and isinstance(y, (list, tuple)):
            y = type(self.values)(y)
        return _kept("while_loop", "the body", values, y)


def _trace_while_loop(cond: Fn, body: Fn, loop_vars: Any, maximum_iterations: Any) -> Any:
    variables = _LoopVariables(_symbols(_specs(loop_vars)))
    _scalar(variables.call(cond, variables.values), "while_loop", "the result of cond", "bool")
    variables.after(body, variables.values)
    return variables.values


@control_op(trace=_trace_while_loop)
def while_loop(cond: Fn, body: Fn, loop_vars: Any, maximum_iterations: Any = None) -> Any:
    """Calls `body` on the loop variables again and again, while `cond` of them is true.

    Gradients flow through the steps that ran. On JAX, reverse-mode gradients need `maximum_iterations`, an int; the loop
    is then a scan of so many steps, of which those beyond the last do nothing.

    Args:
        cond: A function of the loop variables that gives a scalar.
        body: A function of the loop variables that gives new ones, of the same structure, shapes and dtypes.
        loop_vars: A list or tuple: the arguments of both functions. Anything else is their one argument.
        maximum_iterations: The most steps, None for any number.

    Returns:
        The last loop variables, in the structure of `loop_vars`.

    Raises:
        ValueError: `cond` gives no scalar, or `body` changes structure, shapes or dtypes.

    >>> ops.while_loop(lambda n: n < 100, lambda n: 2 * n, 3)
    Tensor(192, dtype=int32)
    """
    variables = _LoopVariables(_tensors(loop_vars))

    def test(leaves: list[Any]) -> Any:
        found = variables.call(cond, _filled(variables.values, leaves))
        return _scalar(found, "while_loop", "the result of cond", "bool")

    def step(leaves: list[Any]) -> list[Any]:
        return _leaves(variables.after(body, _filled(variables.values, leaves)))

    limit = maximum_iterations
    if limit is not None and not backends.active().is_tensor(limit):
        limit = operator.index(limit)
    return _filled(variables.values, loop(test, step, _leaves(variables.values), limit))


def _trace_fori_loop(lower: Any, upper: Any, body_fun: Fn, init_val: Any) -> Any:
    values = _symbols(_specs(init_val))
    i = KerasTensor((), "int32", record_history=False)
    return _symbols(_specs(_kept("fori_loop", "body_fun", values, body_fun(i, values))))


@control_op(trace=_trace_fori_loop)
def fori_loop(lower: Any, upper: Any, body_fun: Fn, init_val: Any) -> Any:
    """`value = body_fun(i, value)` for i from lower to upper - 1.

    Gradients flow through; on JAX only if both bounds are Python integers.

    Args:
        lower, upper: Integer scalars.
        body_fun: A function of i, an int32 scalar, and the value, that gives a new value of the same structure, shapes and
            dtypes.
        init_val: The first value.

    Raises:
        ValueError: `body_fun` changes structure, shapes or dtypes.

    >>> ops.fori_loop(0, 5, lambda i, total: total + i, 0)
    Tensor(10, dtype=int32)
    """
    init_val = _tensors(init_val)

    def step(i: Any, value: Any) -> Any:
        return _kept("fori_loop", "body_fun", value, body_fun(i, value))

    if isinstance(lower, int) and isinstance(upper, int):
        return scan(
            lambda value, i: (step(i, value), None), init_val, ops.arange(lower, max(lower, upper), dtype="int32")
        )[0]
    lower, upper = (_scalar(b, "fori_loop", n, "int32") for b, n in ((lower, "lower"), (upper, "upper")))
    return while_loop(lambda i, _: ops.less(i, upper), lambda i, v: (ops.add(i, 1), step(i, v)), (lower, init_val))[1]


@control_op(trace=lambda *_: None)
def scan_steps(step: Any, carry: Any, xs: Any, length: Any, reverse: Any, unroll: Any) -> Any:
    """Folds `carry, y = step(carry, row)` over the rows of `xs`; gives the last carry and the stacked ys.

    All are lists of tensors. `length` is the number of rows, at least 1, or None inside a compiled function.
    """
    rows = [ops.unstack(x, length) for x in xs]
    ys: list[Any] = [None] * length
    for i in reversed(range(length)) if reverse else range(length):
        carry, ys[i] = step(carry, [r[i] for r in rows])
    return carry, [ops.stack(column) for column in zip(*ys, strict=True)]


def _texts(many: Any) -> list[str]:
    return [str(e) for e in many]


def _rows(name: str, xs: Any, length: int | None = None) -> int | None:
    """The common number of rows; None where it is not known.

    Raises:
        ValueError: The numbers differ, a tensor is a scalar, or there is neither a tensor nor a length.
    """
    shapes = [s.shape for s in _leaves(_specs(xs))]
    if () in shapes:
        raise ValueError(f"{name}: a scalar has no rows to go over; the shapes are {', '.join(_texts(shapes))}.")
    sizes = {s[0] for s in shapes} - {None}
    if len(sizes) > 1:
        raise ValueError(f"{name}: the numbers of rows differ; the shapes are {', '.join(_texts(shapes))}.")
    if length is not None:
        length = operator.index(length)
        if sizes - {length}:
            raise ValueError(f"{name}: length={length}, but the shapes are {', '.join(_texts(shapes))}.")
        return length
    if not shapes:
        raise ValueError(f"{name}: give xs or length.")
    return sizes.pop() if sizes else None


def _row_symbols(xs: Any) -> Any:
    return tree.map_structure(
        lambda s: None if s is None else KerasTensor(s.shape[1:], s.dtype, record_history=False), _specs(xs)
    )


def _many_rows(specs: Any, length: int | None) -> Any:
    return tree.map_structure(lambda s: None if s is None else Spec((length, *s.shape), s.dtype), specs)


def _pair(name: str, y: Any) -> tuple[Any, Any]:
    if not isinstance(y, (tuple, list)) or len(y) != 2:
        raise ValueError(f"{name}: f should give (carry, y), not {type(y).__name__}.")
    return y[0], y[1]


def _trace_scan(f: Fn, init: Any, xs: Any, length: Any, reverse: bool, unroll: Any) -> Any:
    count = _rows("scan", xs, length)
    carry = _symbols(_specs(init))
    after, y = _pair("scan", f(carry, _row_symbols(xs)))
    _kept("scan", "f", carry, after)
    return carry, _symbols(_many_rows(_specs(y), count))


@control_op(trace=_trace_scan)
def scan(f: Fn, init: Any, xs: Any = None, length: Any = None, reverse: bool = False, unroll: Any = 1) -> Any:
    """Goes over the rows of `xs` with a value that is carried along: `carry, y = f(carry, row)`.

    Gradients flow through, on every backend.

    Args:
        f: A function of the carry and a row. The carry that it gives has the same structure, shapes and dtypes.
        init: The first carry.
        xs: A tensor or a structure of them, with as many rows; None, with `length`, for no rows.
        length: The number of steps.
        reverse: Go from the last row to the first. The ys come in the order of the rows all the same.
        unroll: How many steps of the compiled loop are one, on JAX; True for all.

    Returns:
        (the last carry, the ys stacked along a new first axis).

    Raises:
        ValueError: The numbers of rows differ, there is neither `xs` nor `length`, or f changes the carry's structure,
            shapes or dtypes.

    >>> last, sums = ops.scan(lambda total, x: (total + x, total + x), 0, ops.array([1, 2, 3]))
    >>> last, sums
    (Tensor(6, dtype=int32), Tensor([1, 3, 6], dtype=int32))
    """
    if not isinstance(unroll, bool) and not (isinstance(unroll, int) and unroll > 0):
        raise ValueError(f"scan: unroll={unroll!r} should be a positive integer or a bool.")
    carry, xs = _tensors(init), _tensors(xs)
    count = _rows("scan", xs, length)
    shells: list[Any] = [None]

    def step(leaves: list[Any], row: list[Any]) -> tuple[list[Any], list[Any]]:
        before = _filled(carry, leaves)
        after, y = _pair("scan", f(before, _filled(xs, row)))
        y = _tensors(y)
        shells[0] = y
        return _leaves(_kept("scan", "f", before, after)), _leaves(y)

    if count == 0:
        _, y = step(_leaves(carry), _leaves(_zero_row(xs)))
        return carry, _filled(shells[0], _no_rows(y))
    last, ys = scan_steps(step, _leaves(carry), _leaves(xs), count, bool(reverse), unroll)
    return _filled(carry, last), _filled(shells[0], ys)


def _zero_row(xs: Any) -> Any:
    """A row to try a function on, where there is none."""
    return tree.map_structure(lambda s: None if s is None else ops.zeros(s.shape[1:], s.dtype), _specs(xs))


def _no_rows(leaves: list[Any]) -> list[Any]:
    return [ops.zeros((0, *s.shape), s.dtype) for s in _specs(leaves)]


def _trace_rows(name: str) -> Fn:
    return lambda f, xs: _symbols(_many_rows(_specs(f(_row_symbols(xs))), _rows(name, xs)))


@control_op(trace=_trace_rows("map"))
def map(f: Fn, xs: Any) -> Any:
    """`f` of each row, one after the other, stacked. See `vectorized_map` for all at once.

    Args:
        f: A function of a row: a tensor without the first axis, or a structure of them.
        xs: A tensor or a structure of them, with as many rows.

    Raises:
        ValueError: The numbers of rows differ.

    >>> ops.map(lambda row: ops.sum(row), ops.array([[1, 2], [3, 4]]))
    Tensor([3, 7], dtype=int32)
    """
    xs = _tensors(xs)
    _rows("map", xs)
    return scan(lambda _, row: (None, f(row)), None, xs)[1]


def _trace_associative_scan(f: Fn, elems: Any, reverse: bool, axis: int) -> Any:
    specs = _specs(elems)
    _axis_of(specs, axis)
    symbols = _symbols(specs)
    _kept("associative_scan", "f", symbols, f(symbols, symbols))
    return symbols


def _axis_of(specs: Any, axis: int) -> tuple[int, int | None]:
    """(the axis from the front, its size)."""
    leaves = _leaves(specs)
    try:
        axes = {rules.normalize_axis(axis, s.ndim, s.shape) for s in leaves}
    except ValueError as error:
        raise ValueError(f"associative_scan: {error}") from None
    if len(axes) != 1:
        raise ValueError(f"associative_scan: axis={axis} means different axes for {_told(specs)}.")
    at = axes.pop()
    sizes = {s.shape[at] for s in leaves} - {None}
    if len(sizes) > 1:
        raise ValueError(f"associative_scan: the sizes along axis={axis} differ in {_told(specs)}.")
    return at, sizes.pop() if sizes else None


@control_op(trace=_trace_associative_scan)
def associative_scan(f: Fn, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All partial results of an associative function along an axis, in about 2 log2(n) vectorized steps.

    Args:
        f: A function of two structures like `elems`, of any number of slices, that combines them slice by slice. It is
            taken to be associative, and is not checked.
        elems: A tensor or a structure of them, of the same size along the axis.
        reverse: Combine from the end.
        axis: An int.

    Returns:
        The structure of `elems`: slice i is f of slices 0 to i, or of i to the last.

    Raises:
        ValueError: The axis is out of range, the sizes differ, or f changes structure, shapes or dtypes.

    >>> ops.associative_scan(ops.maximum, ops.array([2, 1, 3, 2]))
    Tensor([2, 2, 3, 3], dtype=int32)
    """
    elems = _tensors(elems)
    at, size = _axis_of(_specs(elems), axis)
    if size is None:
        raise ValueError(f"associative_scan: the size along axis={axis} is unknown.")
    leaves = _leaves(elems)
    if reverse:
        leaves = [ops.flip(x, at) for x in leaves]

    def combine(a: list[Any], b: list[Any]) -> list[Any]:
        one, other = _filled(elems, a), _filled(elems, b)
        if reverse:
            one, other = other, one
        return _leaves(_kept("associative_scan", "f", one, f(one, other)))

    found = _partial(combine, leaves, at, size) if size else leaves
    return _filled(elems, [ops.flip(x, at) for x in found] if reverse else found)


def _partial(combine: Fn, xs: list[Any], axis: int, size: int) -> list[Any]:
    """Pairs are combined, the scan of the pairs is every other result, and one more step gives those between."""
    if size < 2:
        return xs

    def every(start: int, stop: int | None, step: int, many: list[Any]) -> list[Any]:
        key = (*[slice(None)] * axis, slice(start, stop, step))
        return [ops.get_item(x, key) for x in many]

    half = size // 2
    odd = _partial(combine, combine(every(0, 2 * half, 2, xs), every(1, 2 * half, 2, xs)), axis, half)
    even = every(0, 1, 1, xs)
    if size > 2:
        between = combine(every(0, (size - 1) // 2, 1, odd), every(2, None, 2, xs))
        even = [ops.concatenate([a, b], axis) for a, b in zip(even, between, strict=True)]
    return [_interleaved(a, b, axis, size) for a, b in zip(even, odd, strict=True)]


def _interleaved(even: Any, odd: Any, axis: int, size: int) -> Any:
    def slices(x: Any, start: int, stop: int) -> Any:
        return ops.get_item(x, (*[slice(None)] * axis, slice(start, stop)))

    half = size // 2
    pairs = ops.stack([slices(even, 0, half), odd], axis + 1)
    shape = list(backends.active().shape(odd))
    shape[axis] = 2 * half
    y = ops.reshape(pairs, [-1 if d is None else d for d in shape])
    return ops.concatenate([y, slices(even, half, half + 1)], axis) if size % 2 else y


# -- vectorization ----------------------------------------------------------------------


@control_op(trace=lambda *_: None)
def map_rows(f: Any, xs: Any) -> Any:
    """`f(row)` of each row of `xs`, stacked: f takes and gives a list of tensors. There is at least one row."""
    ys = [f(list(row)) for row in zip(*(ops.unstack(x) for x in xs), strict=True)]
    return [ops.stack(column) for column in zip(*ys, strict=True)]


@control_op(trace=_trace_rows("vectorized_map"))
def vectorized_map(function: Fn, elements: Any) -> Any:
    """`function` of each row, all at once where the backend can, stacked.

    The reference backend goes over the rows one by one. Elsewhere Python control flow in `function` can't depend on
    values.

    Args:
        function: A function of a row: a tensor without the first axis, or a structure of them.
        elements: A tensor or a structure of them, with as many rows.

    Raises:
        ValueError: The numbers of rows differ.

    >>> ops.vectorized_map(lambda row: ops.sum(row), ops.array([[1, 2], [3, 4]]))
    Tensor([3, 7], dtype=int32)
    """
    elements = _tensors(elements)
    shells: list[Any] = [None]

    def flat(row: list[Any]) -> list[Any]:
        shells[0] = _tensors(function(_filled(elements, row)))
        return _leaves(shells[0])

    if _rows("vectorized_map", elements) == 0:
        ys = _no_rows(flat(_leaves(_zero_row(elements))))
    else:
        ys = map_rows(flat, _leaves(elements))
    return _filled(shells[0], ys)
