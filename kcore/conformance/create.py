"""Records of the ops that make tensors: constants, ranges, matrices and their diagonals."""

from __future__ import annotations

import numpy as np

from kcore import dtypes, ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import arrays, draw, whole
from kcore.conformance.shape import EXACT, FEW_BITS, exact

nan, inf = np.nan, np.inf


def _dtype(dtype, default="float32"):
    """The NumPy dtype that `dtype=` asks for."""
    return dtypes.to_numpy(default if dtype is None else dtype)


# -- constants --------------------------------------------------------------------------


def constant(value):
    """Samples and formula of zeros, ones and empty."""
    return {
        "reference": lambda shape, dtype=None: np.full(shape, value, _dtype(dtype)),
        "samples": [
            Sample((2, 3)),
            Sample((2, 3), dtype="int8"),
            Sample((), dtype="bool"),
            Sample((0, 2), dtype="float16"),
            Sample(3, dtype="uint32", why="one size needs no tuple"),
            Sample([2, 1], dtype="complex64"),
        ],
        "errors": [
            Bad((2, -1), match=r"shape=\(2, -1\) has a negative size"),
            Bad((2.5,), match="should be integers"),
            Bad((2,), dtype="float31", match="'float31' is no dtype"),
        ],
        "tol": EXACT,
    }


def constant_like(value):
    """The same of zeros_like, ones_like and empty_like."""
    return {
        "reference": lambda x, dtype=None: np.full(
            x.shape, value, x.dtype if dtype is None else dtypes.to_numpy(dtype)
        ),
        "samples": [
            Sample(draw(2, 3)),
            Sample(draw(2, 3), dtype="int8"),
            Sample(draw(), dtype="bool"),
            Sample(np.zeros((0, 2))),
        ],
        "errors": [Bad(np.ones(2), dtype="float31", match="'float31' is no dtype")],
        "tol": EXACT,
        "grad": False,
    }


Case(ops.zeros, **constant(0))
Case(ops.ones, **constant(1))
Case(ops.empty, **constant(0))
Case(ops.zeros_like, **constant_like(0))
Case(ops.ones_like, **constant_like(1))
Case(ops.empty_like, **constant_like(0))

exact(
    ops.full,
    reference=lambda shape, fill_value, dtype=None: np.full(shape, fill_value).astype(_dtype(dtype)),
    samples=[
        Sample((2, 3), draw(3), grad=False, why="float32, whatever the value's dtype"),
        Sample((2, 3), draw(2, 1), dtype="float64"),
        Sample((2, 3), 1.5),
        Sample((2,), 3, why="the default float, though 3 is an integer"),
        Sample((2,), 2.7, dtype="int32"),
        Sample((2,), True),
        Sample((), -inf),
        Sample((0, 3), draw(3)),
    ],
    errors=[
        Bad((2, 3), np.ones(2), match=r"fill_value of shape \(2,\) does not broadcast|don't broadcast"),
        Bad((2, -3), 1.0, match="negative size"),
    ],
    dtypes=("float32",),
)

exact(
    ops.full_like,
    reference=lambda x, fill_value, dtype=None: np.full(
        x.shape, fill_value, x.dtype if dtype is None else dtypes.to_numpy(dtype)
    ),
    samples=[
        Sample(draw(2, 3), draw(3)),
        Sample(draw(2, 3), 1.5),
        Sample(draw(2, 3), 2, dtype="int8"),
        Sample(whole(4), 2.7, expect=[2] * 4, why="cast to the dtype of x"),
        Sample(np.zeros((0, 2)), 1.0),
    ],
    errors=[Bad(np.ones((2, 3)), np.ones(2), match="broadcast")],
    grad=["fill_value"],
)

# -- ranges -----------------------------------------------------------------------------


def _arange(start, stop=None, step=None, dtype=None):
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    floats = any(isinstance(v, float) for v in (start, stop, step))
    count = max(0, int(np.ceil((stop - start) / step)))
    return (start + np.arange(count) * step).astype(_dtype(dtype, "float32" if floats else "int32"))


exact(
    ops.arange,
    reference=_arange,
    samples=[
        Sample(5),
        Sample(2.5, expect=[0.0, 1.0, 2.0]),
        Sample(1, 3, 0.5),
        Sample(2, 9, 3),
        Sample(3, 0, -1),
        Sample(3, 0, expect=np.zeros(0), why="there is nothing on the way"),
        Sample(0, 1, 0.1, why="rounded once, not added up"),
        Sample(0, 4, dtype="int8"),
        Sample(0, 250, 60, dtype="uint8"),
        Sample(4, dtype="float16"),
        Sample(2**31, 2**31 + 2, dtype="int64", why="beyond 32 bits"),
        Sample(0, 1, 0.3, dtype="float64"),
        Sample(np.int64(3), why="a NumPy integer counts as Python's"),
    ],
    errors=[
        Bad(0, 3, 0, match="step=0 never arrives"),
        Bad(3, dtype="bool", match="no dtype bool"),
    ],
)


def _linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    y, step = np.linspace(start, stop, num, endpoint, True, axis=axis)
    if dtypes.is_int(dtype or "float32"):
        y = np.floor(y)
    y = y.astype(y.dtype if dtype is None else dtypes.to_numpy(dtype))
    return (y, step) if retstep else y


Case(
    ops.linspace,
    reference=_linspace,
    samples=[
        Sample(draw(3), draw(3, seed=1), num=4),
        Sample(draw(2, 1), draw(3), num=5, axis=-1),
        Sample(draw(2, 3), draw(2, 3, seed=1), num=3, endpoint=False, axis=1),
        Sample(draw(3), 2.0, num=4, retstep=True),
        Sample(0, 1, num=5),
        Sample(-3.0, 4.0, num=7, dtype="float16"),
        Sample(0, 10, num=4, dtype="int32", expect=[0, 3, 6, 10]),
        Sample(0, -10, num=4, dtype="int32", expect=[0, -4, -7, -10], why="rounded down, not towards 0"),
        Sample(0, 9, num=10, dtype="int32", expect=np.arange(10), why="9 * (7 / 9) is less than 7"),
        Sample(draw(2), draw(2, seed=1), num=1, why="a single number is the start"),
        Sample(0, 1, num=1, retstep=True, expect=[[0.0], nan]),
        Sample(draw(2), draw(2), num=0),
        Sample(whole(3), 5, num=3, why="integers become the default float"),
    ],
    errors=[
        Bad(0.0, 1.0, num=-1, match="num=-1 is negative"),
        Bad(np.ones(2), np.ones(3), num=2, match="don't broadcast"),
        Bad(np.ones(2), np.ones(2), num=2, axis=2, match="out of range"),
    ],
    tol={"float64": 2e-15, "float32": 1e-6},
)

Case(
    ops.logspace,
    reference=lambda start, stop, num=50, endpoint=True, base=10, dtype=None, axis=0: _logspace(
        start, stop, num, endpoint, base, dtype, axis
    ),
    samples=[
        Sample(draw(3, low=-1, high=1), draw(3, seed=1), num=4),
        Sample(draw(2, 1), draw(3), num=5, axis=-1, base=2.0),
        Sample(draw(3), 1.0, num=3, endpoint=False),
        Sample(0, 3, num=4, expect=[1.0, 10.0, 100.0, 1000.0]),
        Sample(0, 3, num=4, dtype="int32", expect=[1, 10, 100, 1000]),
        Sample(0, 3, num=4, base=-2, expect=[1.0, -2.0, 4.0, -8.0], grad=False),
        Sample(1.0, 2.0, num=0),
    ],
    errors=[
        Bad(0.0, 1.0, num=-1, match="num=-1 is negative"),
        Bad(0.0, 1.0, num=3, base=np.ones(2), match="base should have 0 dimensions"),
    ],
    tol={"float64": 1e-14, "float32": 5e-6},
)


def _logspace(start, stop, num, endpoint, base, dtype, axis):
    y = np.power(float(base), np.linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else np.floor(y * (1 + 1e-12)).astype(dtype)


def _geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    y = np.geomspace(start, stop, num, endpoint, axis=axis)
    return y if dtype is None else np.floor(y * (1 + 1e-12)).astype(dtype)


Case(
    ops.geomspace,
    reference=_geomspace,
    samples=[
        Sample(draw(3, low=0.5, high=2), draw(3, low=2, high=9), num=4),
        Sample(draw(2, 1, low=0.5, high=2), draw(3, low=0.1, high=0.5), num=5, axis=-1),
        Sample(draw(3, low=-2, high=-0.5), draw(3, low=-9, high=-2), num=4, why="both below 0"),
        Sample(draw(3, low=1, high=2), 9.0, num=3, endpoint=False),
        Sample(1, 1000, num=4, dtype="int32", expect=[1, 10, 100, 1000]),
        Sample(draw(2, low=1, high=2), 5.0, num=1),
    ],
    errors=[Bad(1.0, 2.0, num=-1, match="num=-1 is negative")],
    tol={"float64": 1e-14, "float32": 5e-6},
)

# -- matrices ---------------------------------------------------------------------------

MATRICES = [
    Sample(3),
    Sample(2, 4),
    Sample(4, 2, 1),
    Sample(3, 4, -1),
    Sample(2, 2, 5, why="off the matrix"),
    Sample(2, 2, -5),
    Sample(0),
    Sample(2, 3, dtype="int8"),
    Sample(3, k=1, dtype="bool"),
]
MISFITS = [Bad(-1, match="negative size"), Bad(2, 2.5, match="should be integers")]

exact(
    ops.eye,
    reference=lambda N, M=None, k=0, dtype=None: np.eye(N, M, k).astype(_dtype(dtype)),
    samples=MATRICES,
    errors=MISFITS,
)

exact(
    ops.tri,
    reference=lambda N, M=None, k=0, dtype=None: np.tri(N, M, k).astype(_dtype(dtype)),
    samples=MATRICES,
    errors=MISFITS,
)

exact(
    ops.identity,
    reference=lambda n, dtype=None: np.identity(n).astype(_dtype(dtype)),
    samples=[Sample(3), Sample(0), Sample(2, dtype="int32")],
    errors=[Bad(-1, match="negative size")],
)


def triangles():
    """Samples of tril and triu."""
    return [
        Sample(draw(3, 3)),
        Sample(draw(2, 4), k=1),
        Sample(draw(4, 2), k=-1),
        Sample(draw(2, 3, 4)),
        Sample(draw(3, 3), k=9),
        Sample(draw(3, 3), k=-9),
        Sample(np.zeros((0, 3))),
        Sample(np.full((2, 2), inf), grad=False, why="0, not inf * 0"),
        Sample(np.arange(6.0).reshape(2, 3), **FEW_BITS),
    ]


exact(
    ops.tril, reference=lambda x, k=0: np.tril(x, k), samples=triangles(), errors=[Bad(np.ones(3), match="at least 2")]
)
exact(
    ops.triu, reference=lambda x, k=0: np.triu(x, k), samples=triangles(), errors=[Bad(np.ones(3), match="at least 2")]
)

# -- diagonals --------------------------------------------------------------------------

DIAGONALS = [
    Sample(draw(3, 4)),
    Sample(draw(4, 3), offset=1),
    Sample(draw(4, 3), offset=-2),
    Sample(draw(2, 3, 4), axis1=1, axis2=2),
    Sample(draw(2, 3, 4), offset=1, axis1=-1, axis2=0),
    Sample(draw(2, 3), offset=9, why="off the matrix"),
    Sample(draw(2, 3), offset=-9),
    Sample(np.zeros((0, 3))),
]
NO_PLANE = [
    Bad(np.ones(3), match="at least 2 dimensions"),
    Bad(np.ones((2, 3)), axis1=1, axis2=-1, match="the same axis"),
    Bad(np.ones((2, 3)), axis2=2, match="axis2=2 is out of range"),
]

exact(
    ops.diagonal,
    reference=lambda x, offset=0, axis1=0, axis2=1: np.diagonal(x, offset, axis1, axis2),
    samples=DIAGONALS,
    errors=NO_PLANE,
)

Case(
    ops.trace,
    reference=lambda x, offset=0, axis1=0, axis2=1: np.sum(
        np.diagonal(x, offset, axis1, axis2), -1, dtype=dtypes.to_numpy(_sum_dtype(x.dtype.name))
    ),
    samples=DIAGONALS,
    errors=NO_PLANE,
)


def _sum_dtype(name):
    return {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}.get(name, name)


exact(
    ops.diag,
    reference=lambda x, k=0: np.diag(x, k),
    samples=[
        *(Sample(draw(3), k=k) for k in (0, 1, -2)),
        *(Sample(draw(3, 4), k=k) for k in (0, 2, -1, 9)),
        Sample(np.zeros(0), k=1),
        arrays([inf, nan], grad=False, why="zeros beside them, not nan"),
    ],
    errors=[Bad(np.ones(()), match="1 to 2 dimensions"), Bad(np.ones((1, 2, 3)), match="1 to 2 dimensions")],
)

exact(
    ops.diagflat,
    reference=lambda x, k=0: np.diagflat(x, k),
    samples=[Sample(draw(2, 3)), Sample(draw(3), k=-2), Sample(draw(), k=1), Sample(np.zeros((0, 2)))],
)

Case(
    ops.vander,
    reference=lambda x, N=None, increasing=False: np.vander(x, N, increasing),
    samples=[
        Sample(draw(4)),
        Sample(draw(3), N=2),
        Sample(draw(3), N=5, increasing=True),
        Sample(draw(3), N=0),
        arrays([0.0, -1.0], N=3, expect=[[0, 0, 1], [1, -1, 1]], gradient=[1.0, -1.0], why="0**0 is 1"),
        Sample(whole(3, low=-3, high=4), N=4),
    ],
    errors=[
        Bad(np.ones((2, 3)), match="1 dimensions"),
        Bad(np.ones(3), N=-1, match="N=-1 is negative"),
    ],
    tol={"float64": 2e-15, "float32": 1e-6},
)
