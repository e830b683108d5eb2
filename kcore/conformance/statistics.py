"""Records of statistics, and of the reductions that pass over nan."""

from __future__ import annotations

import functools
import warnings

import numpy as np
from numpy import inf, nan

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.reduce import EMPTY, ERRORS, FAR, NO_ORDER, OUT_OF_RANGE, cumulated, widened
from kcore.conformance.samples import AS_COMPLEX, FLOATS, arrays, draw, folds, ints, whole

STEPS = {"float64": 4e-15, "float32": 1e-6}
statistic = functools.partial(Case, tol=STEPS, dtypes=FLOATS)
METHODS = ("linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf")

# -- quantiles --------------------------------------------------------------------------


def quietly(formula):
    """NumPy warns of rows that hold nothing but nan."""

    def run(*args, **arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return formula(*args, **arguments)

    return run


def exactly(quantile, scale):
    """The formula; at an element itself without interpolation, in which NumPy multiplies infinities by 0."""

    def formula(x, q, axis=None, method="linear", keepdims=False):
        count = x.size if axis is None else np.prod([x.shape[a] for a in np.atleast_1d(axis)])
        at = np.asarray(q) / scale * (count - 1)
        if method in ("linear", "midpoint") and (at == np.rint(at)).all() and np.isinf(x).any():
            method = "lower"
        return quantile(x, q, axis=axis, method=method, keepdims=keepdims)

    return quietly(formula)


def quantile_samples(scale):
    return [
        *(Sample(draw(2, 3, 4), 0.3 * scale, axis=a) for a in (None, 0, -1, (0, 2))),
        Sample(draw(2, 3, 4), 0.3 * scale, axis=(1, 2), keepdims=True),
        Sample(draw(5, 4), [0.1 * scale, 0.5 * scale, 1.0 * scale], axis=0, why="several, in front"),
        arrays(draw(5, 4), [[0.0, 0.25 * scale]], axis=0, keepdims=True, grad=False, why="several in a matrix"),
        *(Sample(draw(6, 4), [0.35 * scale, 0.8 * scale], axis=0, method=m) for m in METHODS),
        *(
            Sample(
                np.arange(5.0),
                [0.125 * scale, 0.25 * scale, 0.625 * scale],
                method=m,
                grad=False,
                why="halfway, and exactly at one",
            )
            for m in METHODS
        ),
        Sample(
            np.arange(11.0), 0.6 * scale, method="higher", expect=6.0, grad=False, why="0.6 * 10 is above 6 if rounded"
        ),
        arrays([[1.0, nan, 2.0]], 0.5 * scale, axis=1, grad=False, why="nan"),
        arrays([[1.0, inf, 2.0], [-inf, inf, 1.0]], 0.5 * scale, axis=1, grad=False, why="infinities"),
        arrays([7.0], 0.3 * scale, expect=7.0, why="one element"),
        Sample(whole(3, 4), 0.5 * scale, axis=1, grad=False, why="integers become floats"),
    ]


def quantile_errors(scale):
    return [
        Bad(np.ones((2, 3)), 0.5, axis=2, match="axis=2 is out of range"),
        Bad(np.ones(3), 1.5 * scale, match=f"should be from 0 to {scale:g}"),
        Bad(np.ones(3), 0.5, method="hazen", match="method='hazen' should be one of 'linear'"),
        Bad(np.ones((2, 0)), 0.5, axis=1, match="no elements along axis=1"),
        Bad(np.ones(3) * 1j, 0.5, match="complex numbers have no order", error=TypeError),
    ]


MISSING = arrays(
    [[1.0, nan, 5.0, 2.0], [nan, nan, nan, nan], [nan, nan, 3.0, nan]],
    0.3,
    axis=1,
    grad=False,
    why="nan in some, all, all but one",
)
MISSING_PERCENT = Sample(MISSING.args[0], 30.0, axis=1, grad=False, why=MISSING.why)
statistic(ops.quantile, exactly(np.quantile, 1.0), quantile_samples(1.0), errors=quantile_errors(1.0))
statistic(ops.percentile, exactly(np.percentile, 100.0), quantile_samples(100.0), errors=quantile_errors(100.0))
statistic(ops.nanquantile, exactly(np.nanquantile, 1.0), [*quantile_samples(1.0), MISSING], errors=quantile_errors(1.0))
statistic(
    ops.nanpercentile,
    exactly(np.nanpercentile, 100.0),
    [*quantile_samples(100.0), MISSING_PERCENT],
    errors=quantile_errors(100.0),
)
MIDDLES = [
    *folds((), (5,), (2, 3, 4)),
    arrays([[3.0, 1.0, 2.0, 10.0]], axis=1, expect=[2.5], why="the mean of the two middle ones"),
    arrays([[1.0, nan, 2.0], [1.0, inf, 2.0]], axis=1, grad=False, why="nan and infinities"),
]
statistic(ops.median, quietly(np.median), MIDDLES, errors=[*ERRORS, EMPTY, NO_ORDER])
statistic(
    ops.nanmedian,
    quietly(np.nanmedian),
    [*MIDDLES, Sample(MISSING.args[0], axis=1, grad=False, why=MISSING.why)],
    errors=[*ERRORS, EMPTY, NO_ORDER],
)

# -- averages and correlations ----------------------------------------------------------


def average_formula(x, axis=None, weights=None):
    if weights is None:
        return np.mean(x, axis)
    if weights.shape != x.shape:
        weights = np.broadcast_to(
            np.reshape(weights, [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]), x.shape
        )
    return np.sum(x * weights, axis) / np.sum(weights, axis)


Case(
    ops.average,
    average_formula,
    samples=[
        *(Sample(draw(2, 3, 4), axis=a) for a in (None, 0, (0, 2))),
        Sample(draw(2, 3, 4), axis=1, weights=draw(3, low=0.1, seed=1), why="a vector of weights"),
        Sample(draw(2, 3, 4), axis=-1, weights=draw(4, low=0.1, seed=1), why="a vector of weights"),
        Sample(draw(3, 4), axis=0, weights=draw(3, 4, low=0.1, seed=1), why="a weight for each element"),
        Sample(draw(3, 4), weights=draw(3, 4, low=0.1, seed=1), why="over all"),
        arrays(
            [1.0, 2.0], axis=0, weights=np.array([1.0, -1.0]), expect=-inf, grad=False, why="weights that add up to 0"
        ),
        arrays([1.0, 2.0], axis=0, weights=np.array([0.0, 0.0]), expect=nan, grad=False, why="no weight"),
        Sample(whole(3, 4), axis=1, weights=np.arange(4), dtypes=("int32",), why="integers become floats"),
    ],
    errors=[
        Bad(np.ones((2, 3)), weights=np.ones(3), match="should have the shape of x"),
        Bad(np.ones((2, 3)), axis=0, weights=np.ones(3), match="there are 3 weights for 2 elements"),
        OUT_OF_RANGE,
    ],
    tol=STEPS,
)


Case(
    ops.corrcoef,
    np.corrcoef,
    samples=[
        Sample(draw(3, 7)),
        Sample(draw(2, 5)),
        Sample(draw(5), expect=1.0, grad=False, why="one variable"),
        Sample(draw(3, 200) + 1e3, grad=False, dtypes=("float32",), why="far from 0"),
        arrays([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]], expect=[[1.0, nan], [nan, nan]], grad=False, why="a constant row"),
        Sample(draw(2, 4) + 1j * draw(2, 4, seed=1), **AS_COMPLEX),
        Sample(whole(3, 5), why="integers become floats"),
    ],
    errors=[
        Bad(np.ones((2, 3, 4)), match="should have 1 to 2 dimensions"),
        Bad(np.ones(()), match="should have 1 to 2 dimensions"),
    ],
    tol={"float64": 4e-15, "float32": 1e-5},
)
Case(
    ops.correlate,
    lambda x1, x2, mode="valid": np.correlate(x1, x2, mode),
    samples=[
        *(
            Sample(draw(n), draw(m, seed=1), mode=mode)
            for mode in ("valid", "same", "full")
            for n, m in ((7, 3), (6, 4), (3, 5), (4, 4), (5, 1))
        ),
        arrays([1.0, 2.0, 3.0], [0.0, 1.0, 0.5], expect=[3.5], why="one shift"),
        arrays([1.0, np.nan, 3.0], [2.0], expect=[2.0, np.nan, 6.0], grad=False, why="nan"),
        Sample(
            draw(5) + 1j * draw(5, seed=1),
            draw(3) + 1j * draw(3, seed=2),
            mode="full",
            grad=False,
            dtypes=("float64",),
            why="the conjugate of the second",
        ),
        Sample(whole(5), whole(3, seed=1), why="integers become floats"),
    ],
    errors=[
        Bad(np.ones((2, 3)), np.ones(3), match="x1 should have 1 dimensions"),
        Bad(np.ones(0), np.ones(3), match="x1 is empty"),
        Bad(np.ones(3), np.ones(3), mode="half", match="mode='half' should be one of"),
    ],
    tol=STEPS,
)
Case(
    ops.psnr,
    lambda x1, x2, max_val: 20 * np.log10(max_val) - 10 * np.log10(np.mean((x1 - x2) ** 2)),
    samples=[
        Sample(draw(3, 4), draw(3, 4, seed=1), 1.0),
        Sample(draw(2, 3, 4, low=0.0, high=255.0), draw(2, 3, 4, low=0.0, high=255.0, seed=1), 255.0, why="bytes"),
        Sample(np.ones(4), np.zeros(4), 1.0, expect=0.0, why="an error of 1"),
        Sample(np.ones(4), np.ones(4), 1.0, expect=inf, grad=False, why="equal"),
        Sample(whole(3, 4), whole(3, 4, seed=1), 255, why="integers become floats"),
    ],
    errors=[Bad(np.ones((3, 2)), np.ones(2), 1.0, match=r"one shape, not \(3, 2\) and \(2,\)")],
    tol=STEPS,
)

# -- reductions that pass over nan ------------------------------------------------------

GAPS = np.array([[1.0, nan, 3.0, -2.0], [nan, nan, nan, nan], [nan, 5.0, nan, 5.0], [nan, inf, 1.0, -inf]])


def gaps(*more):
    return [
        *folds((5,), (2, 3, 4)),
        arrays([[1.5, nan, 3.0, -2.0], [nan, 5.0, nan, 6.0]], axis=1, grad=False, why="nan here and there"),
        Sample(GAPS, axis=1, grad=False, why="nan in some, all; infinities"),
        Sample(whole(3, 4, low=1), axis=1, why="integers"),
        *more,
    ]


SUMMED = arrays([1.0, nan, 3.0], gradient=[1.0, 0.0, 1.0], why="no gradient for nan")
statistic(
    ops.nansum,
    widened(np.nansum),
    gaps(SUMMED, arrays([nan + 1j, 2j], expect=2j, **AS_COMPLEX)),
    errors=ERRORS,
)
statistic(
    ops.nanprod,
    widened(np.nanprod),
    gaps(arrays([2.0, nan, 3.0], gradient=[3.0, 0.0, 2.0], why="no gradient for nan")),
    errors=ERRORS,
)
statistic(
    ops.nanmean,
    quietly(np.nanmean),
    gaps(arrays([1.0, nan, 3.0], gradient=[0.5, 0.0, 0.5], why="no gradient for nan")),
    errors=ERRORS,
)
ALONE = arrays([1.0, nan], expect=0.0, gradient=[0.0, 0.0], why="one element that is not nan")
statistic(ops.nanvar, quietly(np.nanvar), gaps(FAR, ALONE), errors=ERRORS)
statistic(ops.nanstd, quietly(np.nanstd), gaps(FAR, ALONE), errors=ERRORS)
LOST = arrays([[nan, 2.0, 2.0]], axis=1, gradient=[[0.0, 0.5, 0.5]], why="ties, and no gradient for nan")
for op, formula in ((ops.nanmax, np.nanmax), (ops.nanmin, np.nanmin)):
    Case(op, quietly(formula), gaps(LOST), errors=[*ERRORS, EMPTY, NO_ORDER], dtypes=FLOATS)


def place_formula(find, neutral):
    def formula(x, axis=None, keepdims=False):
        if x.dtype.kind != "f":
            return find(x, axis, keepdims=keepdims)
        valid = ~np.isnan(x)
        # nan moves behind every number: the first of the greatest that is not nan wins.
        order = np.where(valid, x, neutral)
        best = find(order, axis, keepdims=keepdims)
        only = (np.where(valid, order, neutral) == neutral).all(axis, keepdims=keepdims)
        first = np.argmax(valid, axis, keepdims=keepdims)
        return np.where(valid.any(axis, keepdims=keepdims), np.where(only, first, best), -1)

    return formula


PLACES = [
    *(Sample(draw(2, 3, 4), axis=a) for a in (None, 0, 2)),
    Sample(draw(2, 3), keepdims=True),
    Sample(GAPS, axis=1, why="nan in some, all; infinities"),
    arrays([[nan, -inf, -inf], [nan, inf, inf]], axis=1, expect=[1, 1], why="nothing but one infinity"),
    ints([[2, 5, 5]], axis=1, why="integers"),
]
for op, formula in ((ops.nanargmax, place_formula(np.argmax, -inf)), (ops.nanargmin, place_formula(np.argmin, inf))):
    Case(op, formula, PLACES, errors=[OUT_OF_RANGE, EMPTY, NO_ORDER], dtypes=FLOATS, grad=False)


RUNNING = [
    *(Sample(draw(2, 3, 4), axis=a) for a in (None, 0, -1)),
    arrays([[1.0, nan, 3.0, -2.0], [nan, nan, 2.0, inf]], axis=1, grad=False, why="nan is passed over"),
    Sample(whole(3, 4, low=1, high=4), axis=1, dtype="float64", why="in another dtype"),
]
statistic(ops.nancumsum, cumulated(np.nancumsum), RUNNING, errors=[OUT_OF_RANGE])
statistic(ops.nancumprod, cumulated(np.nancumprod), RUNNING, errors=[OUT_OF_RANGE])
