"""Records of the activations."""

from __future__ import annotations

import numpy as np
import scipy.special as special
from numpy import inf, nan

from kcore import ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import FLOATS, arrays, draw, points, unaries, whole

# Roundings of float32 intermediates add up in formulas of several steps.
SEVERAL_STEPS = {"float64": 4e-15, "float32": 1e-6, "float16": 1e-2, "bfloat16": 6e-2}


def curve(
    op, reference, *more, kinks=(), saturated=(-100.0, 100.0), limits=(), tol=None, low=-4.0, high=4.0, **arguments
):
    """A pointwise activation: draws, far points, its kinks as (x, y, gradient), and its values at infinities.

    `limits` are the results at -inf and inf; nan in gives nan out. `more` are further samples.
    """
    samples = [*unaries(low=low, high=high, **arguments), points(*saturated, why="far out", **arguments)]
    if kinks:
        x, y, gradient = (np.array(part) for part in zip(*kinks))
        samples.append(Sample(x, expect=y, gradient=gradient, why="the kinks", **arguments))
    if limits:
        samples.append(points(-inf, inf, expect=list(limits), grad=False, why="the limits", **arguments))
    samples += [points(nan, 1.0, grad=False, why="nan in, nan out", **arguments), *more]
    return Case(op, reference, samples, tol=tol or SEVERAL_STEPS, dtypes=FLOATS)


def relu_formula(x):
    return np.maximum(x, 0)


def hard_sigmoid_formula(x):
    return np.clip(x + 3, 0, 6) / 6


# -- rectifiers -------------------------------------------------------------------------

curve(ops.relu, relu_formula, kinks=[(0.0, 0.0, 0.0)], limits=(0.0, inf))
curve(ops.relu6, lambda x: np.clip(x, 0, 6), kinks=[(0.0, 0.0, 0.0), (6.0, 6.0, 0.0)], limits=(0.0, 6.0), high=9.0)
curve(
    ops.leaky_relu,
    lambda x, negative_slope=0.2: np.where(x > 0, x, negative_slope * x),
    Sample(draw(3, 4), 0.5, why="another slope"),
    kinks=[(0.0, 0.0, 0.2)],
    limits=(-inf, inf),
)
curve(
    ops.elu,
    lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    arrays([0.0], 0.5, expect=[0.0], gradient=[0.5], why="the gradient at 0 is alpha"),
    points(-1e-6, expect=np.expm1([-1e-6]), why="exp(x) - 1 cancels near 0"),
    kinks=[(0.0, 0.0, 1.0)],
    limits=(-1.0, inf),
)
curve(
    ops.celu,
    lambda x, alpha=1.0: np.maximum(x, 0) + np.minimum(alpha * np.expm1(np.minimum(x, 0) / alpha), 0),
    Sample(draw(3, 4), 0.5, why="another alpha"),
    kinks=[(0.0, 0.0, 1.0)],
    limits=(-1.0, inf),
)
curve(
    ops.selu,
    lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    kinks=[(0.0, 0.0, 1.0507009873554805 * 1.6732632423543772)],
    limits=(-1.0507009873554805 * 1.6732632423543772, inf),
)
Case(
    ops.threshold,
    lambda x, threshold, default_value: np.where(x <= threshold, default_value, x),
    samples=[
        Sample(draw(3, 5), 0.5, -1.0),
        arrays([0.5], 0.5, 7.0, expect=[7.0], gradient=[0.0], why="at the threshold"),
        arrays([nan, -inf, inf], 0.5, 7.0, expect=[nan, 7.0, inf], grad=False, why="nan stays"),
    ],
)

# -- sigmoids and their kin -------------------------------------------------------------

curve(ops.sigmoid, special.expit, limits=(0.0, 1.0))
curve(ops.log_sigmoid, special.log_expit, limits=(-inf, 0.0))
curve(
    ops.softplus,
    lambda x: np.logaddexp(x, 0),
    saturated=(-100.0, 30.0, 100.0),
    kinks=[(0.0, np.log(2), 0.5)],
    limits=(0.0, inf),
)
curve(ops.silu, lambda x: x * special.expit(x), saturated=(-80.0, 100.0))
curve(ops.swish, lambda x: x * special.expit(x), saturated=(-80.0, 100.0))


def gelu_formula(x, approximate=True):
    if approximate:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x * special.ndtr(x)


curve(
    ops.gelu,
    gelu_formula,
    *unaries(low=-4, high=4, approximate=False),
    points(-20.0, 20.0, approximate=False, why="far out"),
    points(-3.0, approximate=False, expect=[-0.00404969409489031], why="published value"),
    saturated=(-20.0, 20.0),
)
curve(ops.hard_sigmoid, hard_sigmoid_formula, kinks=[(-3.0, 0.0, 0.0), (3.0, 1.0, 0.0)], limits=(0.0, 1.0))
for silu in (ops.hard_silu, ops.hard_swish):
    curve(silu, lambda x: x * hard_sigmoid_formula(x), kinks=[(-3.0, 0.0, 0.0), (3.0, 3.0, 1.0)])
curve(ops.hard_tanh, lambda x: np.clip(x, -1, 1), kinks=[(-1.0, -1.0, 1.0), (1.0, 1.0, 1.0)], limits=(-1.0, 1.0))
curve(ops.softsign, lambda x: x / (1 + np.abs(x)), kinks=[(0.0, 0.0, 1.0)])
curve(
    ops.sparse_sigmoid,
    lambda x: np.clip((x + 1) / 2, 0, 1),
    kinks=[(-1.0, 0.0, 0.0), (1.0, 1.0, 0.0)],
    limits=(0.0, 1.0),
)
curve(
    ops.sparse_plus,
    lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, ((x + 1) / 2) ** 2)),
    kinks=[(-1.0, 0.0, 0.0), (1.0, 1.0, 1.0)],
    limits=(0.0, inf),
)
curve(
    ops.squareplus,
    # x + root cancels below 0
    lambda x, b=4: np.where(x >= 0, x + np.sqrt(x * x + b), b / (np.sqrt(x * x + b) - np.minimum(x, 0))) / 2,
    Sample(draw(3, 4), 0.25, why="another b"),
    arrays([-1e4], expect=[1 / 1e4], dtypes=("float32",), why="x + sqrt(x**2 + b) would be 0"),
    kinks=[(0.0, 1.0, 0.5)],
    limits=(0.0, inf),
)
Case(
    ops.glu,
    lambda x, axis=-1: np.multiply(*[f(h) for f, h in zip((np.asarray, special.expit), np.split(x, 2, axis))]),
    samples=[
        Sample(draw(6)),
        Sample(draw(3, 4)),
        Sample(draw(4, 3, 2), axis=0),
        Sample(draw(2, 4, 3), axis=-2),
        Sample(np.zeros((2, 0)), why="nothing to halve"),
    ],
    errors=[
        Bad(np.ones((2, 3)), match=r"3 elements along axis=-1"),
        Bad(np.ones((2, 4)), axis=2, match=r"axis=2 is out of range"),
    ],
    tol=SEVERAL_STEPS,
)

# -- shrinkage --------------------------------------------------------------------------

curve(
    ops.hard_shrink,
    lambda x, threshold=0.5: np.where(np.abs(x) <= threshold, 0, x),
    Sample(draw(3, 4), 1.25, why="another threshold"),
    kinks=[(-0.5, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.0, 0.0)],
    limits=(-inf, inf),
)
curve(
    ops.soft_shrink,
    lambda x, threshold=0.5: np.sign(x) * np.maximum(np.abs(x) - threshold, 0),
    Sample(draw(3, 4), 1.25, why="another threshold"),
    kinks=[(-0.5, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.0, 0.0)],
    limits=(-inf, inf),
)
curve(ops.tanh_shrink, lambda x: x - np.tanh(x), kinks=[(0.0, 0.0, 0.0)], limits=(-inf, inf))

# -- along axes -------------------------------------------------------------------------


def spreads():
    """Over each axis, several of them and all."""
    found = [Sample(draw(5, low=-5, high=5))]
    for shape in ((3, 7), (2, 3, 5)):
        x = draw(*shape, low=-5, high=5)
        found += [Sample(x, axis=axis) for axis in range(-len(shape), len(shape))]
        found += [Sample(x, axis=(0, -1)), Sample(x, axis=(-1, 0)), Sample(x, axis=None)]
    return found


# Making it spread would cost a second pass over x.
TF_SOFTMAX = {"tensorflow": "its float32 kernel for the CPU leaves a nan in its place and gives the others 0"}
SPREAD_ERRORS = [
    Bad(np.ones((2, 3)), axis=2, match=r"axis=2 is out of range .* \(2, 3\)"),
    Bad(np.ones((2, 3)), axis=(0, -2), match=r"names an axis twice"),
]

Case(
    ops.softmax,
    lambda x, axis=-1: special.softmax(x, axis) if x.size else x,
    samples=[
        *spreads(),
        points(1e3, 1e3, expect=[0.5, 0.5], why="exp(1e3) overflows"),
        points(-1e3, 0.0, expect=[0.0, 1.0], why="exp(-1e3) is 0"),
        points(-inf, 0.0, 0.0, expect=[0.0, 0.5, 0.5], grad=False, why="no mass at -inf"),
        points(-inf, -inf, expect=[nan, nan], grad=False, why="0 / 0"),
        points(inf, 0.0, expect=[nan, nan], grad=False, differs=TF_SOFTMAX, why="inf / inf"),
        points(nan, 0.0, expect=[nan, nan], grad=False, differs=TF_SOFTMAX, why="nan spreads"),
        Sample(np.zeros((3, 0)), expect=np.zeros((3, 0)), why="nothing adds up to nothing"),
        Sample(np.zeros((0, 3)), expect=np.zeros((0, 3)), why="no rows"),
        Sample(whole(2, 3), expect=special.softmax(whole(2, 3).astype("float64"), -1), why="integers"),
    ],
    errors=SPREAD_ERRORS,
    tol={"float64": 1e-15, "float32": 5e-7, "float16": 1e-3, "bfloat16": 8e-3},
    dtypes=FLOATS,
)
Case(
    ops.log_softmax,
    lambda x, axis=-1: special.log_softmax(x, axis) if x.size else x,
    samples=[
        *spreads(),
        points(1e3, 1e3, expect=[-np.log(2)] * 2, why="exp(1e3) overflows"),
        points(-1e3, 0.0, expect=[-1e3, 0.0], why="the log of the softmax would be -inf"),
        points(-inf, 0.0, expect=[-inf, 0.0], grad=False, why="no mass at -inf"),
        points(-inf, -inf, expect=[nan, nan], grad=False, why="inf - inf"),
        points(nan, 0.0, expect=[nan, nan], grad=False, why="nan spreads"),
        Sample(np.zeros((3, 0)), expect=np.zeros((3, 0)), why="nothing to do"),
    ],
    errors=SPREAD_ERRORS,
    tol={"float64": 2e-15, "float32": 7e-7, "float16": 4e-3, "bfloat16": 3e-2},
    dtypes=FLOATS,
)


def sparsemax_formula(x, axis=-1):
    """tau by bisection: sum(max(x - tau, 0)) falls with tau, from at least 1 to 0."""
    peak = np.max(x, axis, keepdims=True)
    x = x - peak
    low, high = -np.ones_like(x), np.zeros_like(x)
    for _ in range(200):
        tau = (low + high) / 2
        above = np.sum(np.maximum(x - tau, 0), axis, keepdims=True) > 1
        low, high = np.where(above, tau, low), np.where(above, high, tau)
    return np.where(np.isfinite(peak), np.maximum(x - low, 0), nan)


Case(
    ops.sparsemax,
    sparsemax_formula,
    samples=[
        Sample(draw(6)),
        Sample(draw(3, 5)),
        Sample(draw(3, 5), axis=0),
        Sample(draw(2, 4, 3), axis=-2),
        points(0.0, 5.0, expect=[0.0, 1.0], gradient=[0.0, 0.0], why="one takes all"),
        points(1.0, 1.0, 1.0, expect=[1 / 3] * 3, why="ties share"),
        points(1e3, 1e3, expect=[0.5, 0.5], why="only differences count"),
        points(-inf, 1.0, expect=[0.0, 1.0], grad=False, why="-inf has no part"),
        *(points(x, 0.0, expect=[nan, nan], grad=False, why="nan spreads, and so does inf") for x in (nan, inf)),
        points(-inf, -inf, expect=[nan, nan], grad=False, why="nothing is greatest"),
    ],
    errors=[Bad(np.ones((2, 3)), axis=2, match=r"axis=2 is out of range")],
    tol={"float64": 2e-15, "float32": 7e-7},
)
