"""Records of the reductions."""

from __future__ import annotations

import numpy as np
from numpy import inf, nan

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import FLOATS, PRECISE, arrays, draw, folds, ints, whole

OUT_OF_RANGE = Bad(np.ones((2, 3)), axis=2, match=r"axis=2 is out of range .* \(2, 3\)")
TWICE = Bad(np.ones((2, 3)), axis=(0, -2), match=r"names an axis twice")
NO_INT = Bad(np.ones((2, 3)), axis=0.5, match=r"should be an integer", error=TypeError)
NO_ORDER = Bad(np.ones(3) * 1j, match="complex numbers have no order", error=TypeError)
ERRORS = [OUT_OF_RANGE, TWICE, NO_INT]
NO_AXIS = Sample(draw(2, 3), axis=(), why="no axis is folded")
SPECIAL = arrays([[1.0, nan], [inf, -inf], [inf, 2.0]], axis=1, grad=False, why="nan and infinities")
# float32 alone would round the mean of these by more than their spread's variance allows.
FAR = Sample(
    draw(2000, 2, low=-1.0, high=1.0) + 1e4, axis=0, grad=False, dtypes=("float32",), why="near 1e4 with unit spread"
)


ONE_BY_ONE = "TensorFlow adds up all axes but the last one by one"


def widened(formula):
    """The formula with integers below 32 bits as 32 bits, as sums and products take them."""

    def run(x, dtype=None, **kw):
        if x.dtype.kind in "uib" and x.dtype.itemsize < 4:
            x = x.astype("uint32" if x.dtype.kind == "u" else "int32")
        return formula(x, dtype=dtype or x.dtype, **kw)

    return run


def cumulated(formula):
    """The formula in the elements' own dtype, bools as int32."""

    def run(x, axis=None, dtype=None):
        x = x.astype("int32") if x.dtype == bool else x
        return formula(x, axis, dtype or x.dtype)

    return run


# -- sums and products ------------------------------------------------------------------

Case(
    ops.sum,
    reference=widened(np.sum),
    samples=[
        *folds((), (5,), (2, 3, 4)),
        SPECIAL,
        NO_AXIS,
        Sample(np.zeros((3, 0)), axis=1, expect=[0.0] * 3, why="nothing adds up to 0"),
        Sample(
            draw(3000, 2, low=0.0, high=1.0), axis=0, grad=False, why="many elements along an axis that is not the last"
        ),
        arrays([1e8, 1.0, -1e8], expect=1.0, grad=False, dtypes=("float64",), why="cancellation"),
        ints([200, 100], expect=300, why="small integers widen", dtype="uint8"),
        ints([2**31 - 1, 1], expect=-(2**31), why="int32 wraps around"),
        arrays([True, True, False], expect=2, why="bools are counted"),
    ],
    errors=ERRORS,
    dtypes=FLOATS,
    tol={"float64": 4e-15, "float32": 5e-7},
    differs={"tensorflow": ONE_BY_ONE},
    differs_tol={"tensorflow": {"float32": 3e-6}},
)
Case(
    ops.prod,
    reference=widened(np.prod),
    samples=[
        *folds((), (5,), (2, 3, 4)),
        SPECIAL,
        NO_AXIS,
        Sample(np.zeros((3, 0)), axis=1, expect=[1.0] * 3, why="the product of nothing is 1"),
        arrays(
            [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [2.0, 3.0, 4.0]],
            axis=1,
            expect=[0.0, 0.0, 24.0],
            why="one zero, two, none",
        ),
        arrays(
            [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0]],
            axis=1,
            gradient=[[0.0, 6.0, 0.0], [0.0, 0.0, 0.0]],
            why="each gradient is the product of the others",
        ),
        arrays([0.0, 5.0, 0.0], axis=0, why="two zeros: the second gradient between them is not 0"),
        ints([16, 17], expect=272, why="small integers widen", dtype="uint8"),
        Sample(whole(3, 4, low=1), axis=1, dtype="float64", why="in another dtype"),
    ],
    errors=ERRORS,
    dtypes=FLOATS,
    tol={"float64": 2e-15, "float32": 1e-6},
)
Case(
    ops.mean,
    reference=np.mean,
    samples=[
        *folds((), (5,), (2, 3, 4)),
        SPECIAL,
        NO_AXIS,
        Sample(np.zeros((3, 0)), axis=1, expect=[nan] * 3, grad=False, why="nothing has no mean"),
        Sample(
            np.full((4, 3), 60000.0), axis=0, expect=[60000.0] * 3, why="the sum overflows float16, the mean does not"
        ),
        Sample(whole(3, 4), axis=0, why="integers become floats"),
    ],
    errors=ERRORS,
    dtypes=FLOATS,
)


SPREADS = [
    *folds((), (5,), (2, 3, 4)),
    NO_AXIS,
    arrays([[1.0, nan], [inf, 2.0]], axis=1, expect=[nan, nan], grad=False, why="nan and infinities"),
    Sample(np.zeros((3, 0)), axis=1, expect=[nan] * 3, grad=False, why="nothing has no spread"),
    Sample(np.full((3, 4), 2.7), axis=1, expect=[0.0] * 3, gradient=np.zeros((3, 4)), why="no spread"),
    arrays([1 + 2j, 3 - 1j, 0.5], grad=False, dtypes=("float64",), why="complex numbers have a real one"),
    FAR,
]
for op, formula in ((ops.var, np.var), (ops.std, np.std)):
    Case(op, formula, SPREADS, errors=ERRORS, dtypes=FLOATS, tol={"float64": 4e-15, "float32": 1e-6})


def moments_formula(x, axes=None, keepdims=False, synchronized=False):
    axes = tuple(axes) if isinstance(axes, list) else axes
    return np.mean(x, axes, keepdims=keepdims), np.var(x, axes, keepdims=keepdims)


Case(
    ops.moments,
    moments_formula,
    samples=[
        Sample(draw(2, 3, 4), axes=[0]),
        Sample(draw(2, 3, 4), axes=(0, -1), keepdims=True),
        Sample(draw(5), axes=None),
        Sample(draw(4, 3), axes=0, synchronized=True, why="one replica alone"),
        Sample(*FAR.args, axes=0, grad=False, dtypes=FAR.dtypes, why=FAR.why),
        Sample(draw(30, 2, low=300.0, high=400.0), axes=0, grad=False, why="squares overflow float16"),
    ],
    errors=[Bad(np.ones((2, 3)), axes=2, match=r"axes=2 is out of range")],
    dtypes=FLOATS,
    tol={"float64": 4e-15, "float32": 1e-6},
    differs={"tensorflow": ONE_BY_ONE},
    differs_tol={"tensorflow": {"float32": 3e-6}},
)

# -- order ------------------------------------------------------------------------------

TIES = np.array([[1.0, 3.0, 3.0], [-2.0, -2.0, -2.0]])
EMPTY = Bad(np.ones((2, 0)), axis=1, match=r"no elements along axis=1")


def peaks(op, reference, shared, neutral):
    """`shared` is the gradient at TIES, `neutral` the result of nothing but `initial`."""
    case = Case(
        op,
        reference,
        samples=[
            *folds((), (5,), (2, 3, 4)),
            SPECIAL,
            NO_AXIS,
            Sample(TIES, axis=1, gradient=shared, why="ties share the gradient"),
            arrays([0.0, -0.0], grad=False, why="both zeros"),
            Sample(whole(3, 4, low=-9), axis=1, why="integers"),
            ints([2**63 - 1, 2**63 - 2], why="numbers that no float64 holds", dtype="int64"),
            arrays([[True, False], [False, False]], axis=1, why="bools"),
        ],
        errors=[*ERRORS, EMPTY, NO_ORDER],
        dtypes=FLOATS,
    )
    if neutral is not None:
        case.samples += [
            Sample(
                np.zeros((2, 0)), axis=1, initial=neutral, expect=[neutral] * 2, grad=False, why="nothing but initial"
            ),
            Sample(draw(3, 4), axis=1, initial=0.5, why="one more element"),
            arrays([2.0, 2.0], initial=2.0, gradient=[0.25, 0.25], why="a tie with initial"),
            arrays([nan, 1.0], initial=0.0, expect=nan, grad=False, why="nan beside initial"),
        ]
    return case


MOST, LEAST = [[0.0, 0.5, 0.5], [1 / 3] * 3], [[1.0, 0.0, 0.0], [1 / 3] * 3]
peaks(ops.max, np.max, MOST, -inf)
peaks(ops.min, np.min, LEAST, inf)
peaks(ops.amax, np.max, MOST, None)
peaks(ops.amin, np.min, LEAST, None)
Case(
    ops.ptp,
    np.ptp,
    samples=[
        *folds((5,), (2, 3, 4)),
        arrays(
            [[1.0, nan], [inf, 2.0], [inf, -inf]], axis=1, expect=[nan, inf, inf], grad=False, why="nan and infinities"
        ),
        arrays([[2.0, 2.0]], axis=1, expect=[0.0], gradient=[[0.0, 0.0]], why="ties"),
        Sample(whole(3, 4), axis=1, why="integers"),
    ],
    errors=[*ERRORS, EMPTY, NO_ORDER],
    dtypes=FLOATS,
)


def places(op, reference, first):
    """`first` is the result at the hand-picked rows."""
    rows = np.array([[1.0, 3.0, 3.0, 1.0], [nan, 9.0, nan, -9.0], [0.0, nan, inf, -inf], [-0.0, 0.0, 0.0, -0.0]])
    Case(
        op,
        reference,
        samples=[
            *(Sample(draw(2, 3, 4), axis=a) for a in (0, 1, 2, -1, None)),
            Sample(draw(2, 3, 4), keepdims=True),
            Sample(draw(2, 3, 4), 1, True),
            Sample(draw(), why="a scalar"),
            Sample(rows, axis=1, expect=first, why="the first of ties; nan wins; zeros are equal"),
            ints([[3, 9, 9], [4, 4, 4]], axis=1, why="integers", dtype="uint8"),
            ints([2**64 - 2, 2**64 - 1], why="numbers that no float64 holds", dtype="uint64"),
            arrays([False, True, True], why="bools"),
        ],
        errors=[OUT_OF_RANGE, Bad(np.ones((2, 3)), axis=(0, 1), match="should be an integer"), EMPTY, NO_ORDER],
        dtypes=FLOATS,
        grad=False,
    )


places(ops.argmax, lambda x, axis=None, keepdims=False: np.argmax(x, axis, keepdims=keepdims), [1, 0, 1, 0])
places(ops.argmin, lambda x, axis=None, keepdims=False: np.argmin(x, axis, keepdims=keepdims), [0, 0, 1, 0])

# -- logic ------------------------------------------------------------------------------

TRUTH = [
    *folds((), (5,), (2, 3, 4)),
    arrays([[0.0, -0.0], [0.0, nan], [1.0, 2.0]], axis=1, why="zeros are false, nan is true"),
    Sample(np.zeros((3, 0)), axis=1, why="nothing"),
    NO_AXIS,
    ints([[0, 3], [0, 0]], axis=1, why="integers"),
]
Case(ops.any, np.any, TRUTH, errors=ERRORS, grad=False)
Case(ops.all, np.all, TRUTH, errors=ERRORS, grad=False)
Case(
    ops.count_nonzero,
    np.count_nonzero,
    samples=[
        *(Sample(whole(2, 3, 4, high=3), axis=a, dtypes=("int32",)) for a in (None, 0, -1, (0, 2))),
        arrays([[0.0, -0.0], [0.0, nan], [1.0, inf]], axis=1, expect=[0, 1, 2], why="nan is not 0"),
        Sample(np.zeros((3, 0)), axis=1, expect=[0] * 3, why="nothing"),
        arrays([1j, 0, 2], dtypes=("float64",), why="complex numbers"),
    ],
    errors=[OUT_OF_RANGE, TWICE],
    grad=False,
)

# -- running ----------------------------------------------------------------------------


def runs(*more):
    return [
        *(Sample(draw(2, 3, 4), axis=a) for a in (None, 0, 1, 2, -1)),
        Sample(draw(5), 0),
        Sample(draw(3, 0), axis=1, grad=False, why="nothing"),
        arrays([1.0, nan, 2.0, inf], 0, grad=False, why="nan stays from there on"),
        Sample(whole(3, 4, low=1, high=4), axis=1, dtype="float64", why="in another dtype"),
        arrays([True, True, False, True], axis=0, why="bools as int32"),
        ints([100, 100, 3], axis=0, why="integers wrap around in their own dtype", dtype="int8"),
        *more,
    ]


Case(
    ops.cumsum,
    cumulated(np.cumsum),
    runs(),
    errors=[OUT_OF_RANGE, NO_INT],
    dtypes=FLOATS,
    tol={"float64": 2e-15, "float32": 1e-6},
)
Case(
    ops.cumprod,
    cumulated(np.cumprod),
    runs(
        arrays([[2.0, 0.0, 3.0, 4.0], [0.0, 5.0, 0.0, 1.0]], axis=1, why="zeros"),
        arrays(
            [2.0, 0.0, 3.0], axis=0, expect=[2.0, 0.0, 0.0], gradient=[1.0, 2.0 + 6.0, 0.0], why="gradients pass a zero"
        ),
    ),
    errors=[OUT_OF_RANGE, NO_INT],
    dtypes=FLOATS,
    tol={"float64": 2e-15, "float32": 1e-6},
)

# -- exponentials and norms -------------------------------------------------------------


def logsumexp_formula(x, axis=None, keepdims=False):
    peak = np.max(x, axis=axis, keepdims=True, initial=-inf)
    peak = np.where(np.isfinite(peak), peak, 0)
    y = np.log(np.sum(np.exp(x - peak), axis=axis, keepdims=True)) + peak
    return y if keepdims else np.squeeze(y, axis)


Case(
    ops.logsumexp,
    logsumexp_formula,
    samples=[
        *folds((), (5,), (2, 3, 4), low=-5, high=5),
        NO_AXIS,
        arrays([1e3, 1e3], expect=1e3 + np.log(2), dtypes=PRECISE, why="exp(1e3) overflows"),
        arrays([-1e3, -1e3], expect=-1e3 + np.log(2), dtypes=PRECISE, why="exp(-1e3) underflows"),
        arrays([inf, 0.0], expect=inf, grad=False, why="not inf - inf"),
        arrays([-inf, -inf], expect=-inf, grad=False, why="no mass"),
        arrays([-inf, 1.0], expect=1.0, gradient=[0.0, 1.0], why="all of the mass in one element"),
        arrays([nan, 1.0], expect=nan, grad=False, why="nan"),
        Sample(np.zeros((3, 0)), axis=1, expect=[-inf] * 3, grad=False, why="nothing"),
    ],
    errors=ERRORS,
    dtypes=FLOATS,
    tol={"float64": 2e-15, "float32": 1e-6},
)


def normalize_formula(x, axis=-1, order=2, epsilon=1e-7):
    axis = tuple(range(x.ndim)) if axis is None else axis
    if order == inf:
        norm = np.max(np.abs(x), axis, keepdims=True)
    else:
        norm = np.sum(np.abs(x) ** order, axis, keepdims=True) ** (1 / order)
    return x / np.maximum(norm, epsilon)


Case(
    ops.normalize,
    normalize_formula,
    samples=[
        *(Sample(draw(2, 3, 4), axis=a) for a in (-1, 0, (0, 2), None)),
        *(Sample(draw(3, 4), order=o) for o in (1, 2.5, 3, inf)),
        arrays([[3.0, 4.0], [0.0, 0.0]], expect=[[0.6, 0.8], [0.0, 0.0]], grad=False, why="a row of zeros"),
        arrays([[3.0, 4.0], [nan, 1.0]], expect=[[0.6, 0.8], [nan, nan]], grad=False, why="nan spreads"),
        arrays([[0.3, 0.4]], epsilon=2.0, expect=[[0.15, 0.2]], why="the least divisor"),
        arrays([[300.0, 400.0]], expect=[[0.6, 0.8]], grad=False, why="squares overflow float16"),
        Sample(whole(3, 4), why="integers become floats"),
    ],
    errors=[OUT_OF_RANGE, *(Bad(np.ones(3), order=o, match="order=.* at least 1") for o in (0, "fro"))],
    dtypes=FLOATS,
    tol={"float64": 2e-15, "float32": 1e-6},
)
