"""Records of control flow. The functions handed in use operators alone, so that NumPy's arrays suit them too."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from kcore import backends, ops, tree
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import arrays, draw
from kcore.ops import control, differentiate


def rows_of(xs: Any) -> list[Any]:
    """The structures of the rows of a structure of arrays."""
    count = len(tree.flatten(xs)[0])
    return [tree.map_structure(lambda x, i=i: x[i], xs) for i in range(count)]


def stacked(rows: list[Any]) -> Any:
    return tree.map_structure(lambda *xs: np.stack(xs), *rows)


def scan(f, init, xs=None, length=None, reverse=False, unroll=1):
    rows = [None] * length if xs is None else rows_of(xs)
    carry, ys = init, []
    for row in reversed(rows) if reverse else rows:
        carry, y = f(carry, row)
        ys.append(y)
    return carry, stacked(ys[::-1] if reverse else ys)


def while_loop(cond, body, loop_vars, maximum_iterations=None):
    several = isinstance(loop_vars, (list, tuple))
    count = 0
    while (maximum_iterations is None or count < maximum_iterations) and cond(*loop_vars if several else [loop_vars]):
        loop_vars = body(*loop_vars if several else [loop_vars])
        count += 1
    return loop_vars


def fori_loop(lower, upper, body_fun, init_val):
    for i in range(lower, upper):
        init_val = body_fun(i, init_val)
    return init_val


def associative_scan(f, elems, reverse=False, axis=0):
    moved = tree.map_structure(lambda x: np.moveaxis(x, axis, 0), elems)
    rows = rows_of(moved)[::-1] if reverse else rows_of(moved)
    found = rows[:1]
    for row in rows[1:]:
        found.append(f(row, found[-1]) if reverse else f(found[-1], row))
    return tree.map_structure(lambda x: np.moveaxis(x, 0, axis), stacked(found[::-1] if reverse else found))


def over_rows(function, elements):
    return stacked([function(row) for row in rows_of(elements)])


def directional(fun, primals, tangents, has_aux=False):
    """By complex steps: exact to rounding for what is analytic."""
    step = 1e-30
    y = fun(*primals)
    moved = fun(*(x + 1j * step * t for x, t in zip(primals, tangents, strict=True)))
    return y, np.imag(moved) / step


Case(
    ops.stop_gradient,
    lambda variable: variable,
    samples=[
        *(Sample(draw(*shape), grad=False, gradient=np.zeros(shape)) for shape in ((), (5,), (3, 7), (0, 3))),
        arrays([np.nan, np.inf, -0.0], grad=False, why="values stay"),
    ],
)
FLOATS = ("float32", "float64")


def sample(*args: Any, **arguments: Any) -> Sample:
    """A call in floats alone: what the functions handed in do with others is the framework's own promotion."""
    return Sample(*args, dtypes=FLOATS, **arguments)


PRODUCTS = {"float32": 2e-6, "float64": 4e-15}
product = functools.partial(Case, tol=PRODUCTS, dtypes=FLOATS)

product(
    ops.switch,
    lambda index, branches, *operands: branches[min(max(int(index), 0), len(branches) - 1)](*operands),
    samples=[
        sample(
            np.array(i, "int32"),
            (lambda x, y: x + y, lambda x, y: x * y, lambda x, y: y - x),
            draw(3, 2),
            draw(3, 2, seed=1),
        )
        for i in (-4, 0, 1, 2, 9)
    ],
    errors=[
        Bad(np.array(0, "int32"), (), draw(3), match="branches should be functions in a list"),
        Bad(np.array([0, 1], "int32"), (abs,), draw(3), match=r"index should be a scalar, not of shape \(2,\)"),
    ],
)
product(
    ops.while_loop,
    while_loop,
    samples=[
        sample(lambda i, x: i < 4, lambda i, x: (i + 1, x * 0.5), (np.array(0, "int32"), draw(3, 2)), 6),
        sample(lambda i, x: i < 4, lambda i, x: (i + 1, x * x), (np.array(0, "int32"), draw(3)), 2, why="cut off"),
        sample(lambda i, x: i < 0, lambda i, x: (i + 1, x * x), (np.array(0, "int32"), draw(3)), 2, why="no step"),
        sample(lambda x: x < 9, lambda x: x * x + 1, draw(), 8),
    ],
    errors=[
        Bad(lambda x: x[0] < 3, lambda x: x[:2], draw(4), match=r"the body turns float64\(4,\) into float64\(2,\)"),
        Bad(lambda x: x < 3, lambda x: x + 1, draw(4), match="the result of cond should be a scalar"),
    ],
)
product(
    ops.fori_loop,
    fori_loop,
    samples=[
        sample(0, 3, lambda i, x: x * x, draw(3, 2)),
        sample(2, 5, lambda i, v: {"a": v["b"], "b": v["a"] + v["b"]}, {"a": draw(3), "b": draw(3, seed=1)}),
        sample(5, 2, lambda i, x: x * x, draw(3), why="no step"),
    ],
    errors=[Bad(0, 3, lambda i, x: x[:2], draw(4), match=r"body_fun turns float64\(4,\) into float64\(2,\)")],
)
product(
    ops.scan,
    scan,
    samples=[
        sample(lambda c, x: (c + x, c * x), draw(), draw(5, seed=1)),
        sample(lambda c, x: (c * x, c + x), draw(3), draw(4, 3, seed=1), reverse=True),
        sample(lambda c, x: (c * x["a"], {"y": x["b"] * c}), draw(), {"a": draw(4), "b": draw(4, 2)}, unroll=2),
        sample(lambda c, x: (c * 0.5, c), draw(2), length=3),
        sample(lambda c, x: (c, x), draw(2), draw(1, 3), why="one row"),
    ],
    errors=[
        Bad(lambda c, x: (c, x), draw(), (draw(4), draw(2)), match=r"the numbers of rows differ; .* \(4,\), \(2,\)"),
        Bad(lambda c, x: (c, x), draw(), draw(4), 5, match=r"length=5, but the shapes are \(4,\)"),
        Bad(lambda c, x: (x, c), draw(2), draw(4), match=r"f turns float64\(2,\) into float64\(\)"),
        Bad(lambda c, x: (c, x), draw(2), draw(), match="a scalar has no rows"),
    ],
)
for op in (ops.map, ops.vectorized_map):
    product(
        op,
        over_rows,
        samples=[
            sample(lambda x: x * x, draw(5)),
            sample(lambda x: (x["a"] * x["b"], x["a"][:2]), {"a": draw(4, 3), "b": draw(4)}),
        ],
        errors=[Bad(lambda x: x, (draw(4), draw(2)), match="the numbers of rows differ")],
    )
Case(
    ops.associative_scan,
    associative_scan,
    samples=[
        *(sample(lambda a, b: a + b, draw(n)) for n in (1, 2, 5, 8)),
        sample(lambda a, b: a * b, draw(2, 7), axis=-1),
        sample(lambda f, g: (g[0] * f[0], g[0] * f[1] + g[1]), (draw(6), draw(6, seed=1)), why="does not commute"),
        sample(lambda f, g: (g[0] * f[0], g[0] * f[1] + g[1]), (draw(6), draw(6, seed=1)), reverse=True),
    ],
    errors=[
        Bad(lambda a, b: a + b, (draw(4), draw(2)), match="the sizes along axis=0 differ"),
        Bad(lambda a, b: a + b, draw(4), axis=1, match="axis=1 is out of range"),
        Bad(lambda a, b: a[:1], draw(4), match=r"f turns float64\("),
    ],
    tol={"float32": 4e-6, "float64": 1e-14},
    dtypes=FLOATS,
)
product(
    ops.jvp,
    directional,
    samples=[
        sample(lambda x: x * x * x, (draw(3),), (draw(3, seed=1),)),
        sample(lambda x, y: x * y + y, (draw(3, 2), draw(2)), (draw(3, 2, seed=1), draw(2, seed=1))),
    ],
    errors=[
        Bad(lambda x: x, (draw(4),), (draw(2),), match=r"a tangent has shape \(2,\), its primal \(4,\)"),
        Bad(lambda x: x, (draw(4),), (draw(4), draw(4)), match="tangents should have the structure of primals"),
    ],
)

# -- what backends supply: flat lists of tensors ------------------------------------------


def on_tensors(op: Any) -> Any:
    """The op, with the arrays in its arguments made the active backend's tensors, as its callers do."""

    def call(*args):
        backend = backends.active()
        return op(*tree.map_structure(lambda x: backend.convert(x) if hasattr(x, "dtype") else x, args))

    call.__name__ = op.op.name
    call.__signature__ = op.op.signature
    return call


def internal(op: Any, formula: Any, *samples: Sample) -> Case:
    return product(on_tensors(op), formula, samples=samples, symbolic=False)


internal(
    control.branch,
    lambda index, functions: functions[int(index)](),
    *(Sample(np.array(i, "int32"), [lambda: [], lambda: []], dtypes=("int32",)) for i in (0, 1)),
)
internal(
    control.loop,
    lambda test, body, values, limit: while_loop(lambda *v: test(list(v)), lambda *v: body(list(v)), values, limit),
    *(
        Sample(lambda v: v[0] < 4, lambda v: [v[0] + 1, v[1] * v[1]], [np.array(0, "int32"), draw(3)], n, dtypes=FLOATS)
        for n in (2, 5)
    ),
)
internal(
    control.scan_steps,
    lambda step, carry, xs, length, reverse, unroll: scan(step, carry, xs, length, reverse),
    *(
        Sample(lambda c, x: ([c[0] * x[0]], [c[0] + x[1]]), [draw()], [draw(4), draw(4, 2)], 4, back, 1, dtypes=FLOATS)
        for back in (False, True)
    ),
)
internal(
    control.map_rows,
    over_rows,
    Sample(lambda x: [x[0] * x[1], x[0]], [draw(4, 3), draw(4)], dtypes=FLOATS),
)
internal(
    differentiate.custom_call,
    lambda f, xs: f(xs)[0],
    Sample(
        lambda xs: ([xs[0] * xs[1]], lambda gs: [gs[0] * xs[1], gs[0] * xs[0]]),
        [draw(3, 2), draw(3, 2, seed=1)],
        dtypes=FLOATS,
    ),
    Sample(lambda xs: ([xs[0] * xs[0], xs[0]], lambda gs: [2 * gs[0] * xs[0] + gs[1]]), [draw(3)], dtypes=FLOATS),
)
internal(
    differentiate.checkpoint,
    lambda f, xs: f(xs),
    Sample(lambda xs: [xs[0] * xs[1] * xs[1], xs[0]], [draw(3, 2), draw(3, 2, seed=1)], dtypes=FLOATS),
)
