"""Activations: pointwise non-linearities, and those that normalize along axes.

Unless a docstring says otherwise, integers and bools are taken as the default float, nan in
gives nan out, and a gradient at a kink is the one that the docstring names.
"""

from __future__ import annotations

import math

from kcore import dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Axes, Plan, Tensor, op
from kcore.ops.symbolic import Spec

# -- rules of this family ---------------------------------------------------------------


def _float_map_with(x: Spec, *plain: object) -> Plan:
    """As `rules.float_map`, for ops with further plain arguments."""
    return rules.float_map(x)


def _spread(x: Spec, axis: Axes) -> Plan:
    """A float result of x's shape that is normalized along one axis, several, or all of them."""
    dtype = dtypes.float_of(x.dtype)
    return Plan(x.shape, dtype, cast=dtype, axis=rules.normalize_axes(axis, x.shape))


def _nonzero_alpha(x: Spec, alpha: float) -> Plan:
    if isinstance(alpha, (int, float)) and alpha == 0:
        raise ValueError("alpha=0 divides by 0; expected another number.")
    return rules.float_map(x)


def _halved(x: Spec, axis: int) -> Plan:
    at = rules.normalize_axis(axis, x.ndim, x.shape)
    size = x.shape[at]
    if size is not None and size % 2:
        raise ValueError(
            f"x of shape {x.shape} has {size} elements along axis={axis!r}, which don't split in two halves."
        )
    shape = tuple(d // 2 if i == at and d is not None else d for i, d in enumerate(x.shape))
    dtype = dtypes.float_of(x.dtype)
    return Plan(shape, dtype, cast=dtype, axis=at)


# -- rectifiers -------------------------------------------------------------------------


@op(rule=rules.numeric_map)
def relu(x: Tensor) -> Tensor:
    """max(x, 0). The gradient at 0 is 0. Integers stay integers.

    >>> ops.relu([-1.0, 0.0, 2.0])
    Tensor([0., 0., 2.], dtype=float32)
    """
    return ops.where(x <= 0, 0, x)


@op(rule=rules.numeric_map)
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6). The gradient at 0 and at 6 is 0. Integers stay integers.

    >>> ops.relu6([-1.0, 3.0, 8.0])
    Tensor([0., 3., 6.], dtype=float32)
    """
    return ops.where(x <= 0, 0, ops.where(x >= 6, 6, x))


@op(rule=_float_map_with)
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x above 0, else negative_slope * x. The gradient at 0 is `negative_slope`.

    >>> ops.leaky_relu([-1.0, 0.0, 2.0], negative_slope=0.1)
    Tensor([-0.1,  0. ,  2. ], dtype=float32)
    """
    return ops.where(x > 0, x, negative_slope * x)


@op(rule=_float_map_with)
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x above 0, else alpha * (exp(x) - 1). The gradient at 0 is `alpha`.

    >>> ops.elu([-1.0, 0.0, 2.0])
    Tensor([-0.6321,  0.    ,  2.    ], dtype=float32)
    """
    above = x > 0
    return ops.where(above, x, alpha * ops.expm1(ops.where(above, 0, x)))


@op(rule=_nonzero_alpha)
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x above 0, else alpha * (exp(x / alpha) - 1). The gradient is continuous.

    Raises:
        ValueError: `alpha` is 0.

    >>> ops.celu([-1.0, 0.0, 2.0], alpha=2.0)
    Tensor([-0.7869,  0.    ,  2.    ], dtype=float32)
    """
    above = x > 0
    return ops.where(above, x, alpha * ops.expm1(ops.where(above, 0, x) / alpha))


# The fixed point of mean 0 and variance 1, from Klambauer et al. 2017, equation 14.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@op(rule=rules.float_map)
def selu(x: Tensor) -> Tensor:
    """scale * elu(x, alpha), with the constants that keep mean 0 and variance 1. The gradient at 0 is scale * alpha.

    >>> ops.selu([-1.0, 0.0, 1.0])
    Tensor([-1.1113,  0.    ,  1.0507], dtype=float32)
    """
    return _SELU_SCALE * ops.elu(x, _SELU_ALPHA)


@op(rule=_float_map_with)
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """x where it is above `threshold`, else `default_value`. The gradient at the threshold is 0.

    >>> ops.threshold([0.5, 1.0, 1.5], threshold=1.0, default_value=-1.0)
    Tensor([-1. , -1. ,  1.5], dtype=float32)
    """
    return ops.where(x <= threshold, default_value, x)


# -- sigmoids and their kin -------------------------------------------------------------


@op(rule=rules.float_map)
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), precise far below 0 too.

    >>> ops.sigmoid([-100.0, 0.0, 1.0])
    Tensor([0.    , 0.5   , 0.7311], dtype=float32)
    """


@op(rule=rules.float_map)
def log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), precise on both sides: near x far below 0, near -exp(-x) far above.

    >>> ops.log_sigmoid([-100.0, 0.0, 1.0])
    Tensor([-100.    ,   -0.6931,   -0.3133], dtype=float32)
    """
    return -ops.softplus(-x)


@op(rule=rules.float_map)
def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), without overflow.

    >>> ops.softplus([-1.0, 0.0, 100.0])
    Tensor([  0.3133,   0.6931, 100.    ], dtype=float32)
    """


@op(rule=rules.float_map)
def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x); nan at -inf, where the formula is -inf * 0.

    >>> ops.silu([-1.0, 0.0, 1.0])
    Tensor([-0.2689,  0.    ,  0.7311], dtype=float32)
    """
    return x * ops.sigmoid(x)


@op(rule=rules.float_map)
def swish(x: Tensor) -> Tensor:
    """x * sigmoid(x), by its other name: see `silu`.

    >>> ops.swish([-1.0, 0.0, 1.0])
    Tensor([-0.2689,  0.    ,  0.7311], dtype=float32)
    """
    return ops.silu(x)


@op(rule=_float_map_with)
def gelu(x: Tensor, approximate: bool = True) -> Tensor:
    """x times the normal distribution function at x: x * (1 + erf(x / sqrt(2))) / 2.

    Args:
        x: Any shape.
        approximate: Take x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2 instead, which
            is within 5e-4.

    nan at -inf, where the formula is -inf * 0.

    >>> ops.gelu([-1.0, 0.0, 1.0], approximate=False)
    Tensor([-0.1587,  0.    ,  0.8413], dtype=float32)
    """
    if approximate:  # (1 + tanh(u)) / 2 is sigmoid(2 u), which does not cancel below 0
        return x * ops.sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x * x * x))
    return x * (0.5 + 0.5 * ops.erf(x * math.sqrt(0.5)))


@op(rule=_halved)
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half of x along `axis` times the sigmoid of the second half.

    Returns:
        The shape of x with half the size along `axis`.

    Raises:
        ValueError: The size is odd, or `axis` is out of range.

    >>> ops.glu([1.0, 2.0, 0.0, -100.0])
    Tensor([0.5, 0. ], dtype=float32)
    """
    first, second = ops.split(x, 2, axis)
    return first * ops.sigmoid(second)


@op(rule=rules.float_map)
def hard_sigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6. The gradient at -3 and at 3 is 0.

    >>> ops.hard_sigmoid([-4.0, 0.0, 1.5])
    Tensor([0.  , 0.5 , 0.75], dtype=float32)
    """
    return ops.relu6(x + 3) / 6


@op(rule=rules.float_map)
def hard_silu(x: Tensor) -> Tensor:
    """x * hard_sigmoid(x). The gradient at -3 is 0, at 3 it is 1; nan at -inf, where the formula is -inf * 0.

    >>> ops.hard_silu([-4.0, 0.0, 1.5])
    Tensor([-0.   ,  0.   ,  1.125], dtype=float32)
    """
    return x * ops.hard_sigmoid(x)


@op(rule=rules.float_map)
def hard_swish(x: Tensor) -> Tensor:
    """x * hard_sigmoid(x), by its other name: see `hard_silu`.

    >>> ops.hard_swish([-4.0, 0.0, 1.5])
    Tensor([-0.   ,  0.   ,  1.125], dtype=float32)
    """
    return ops.hard_silu(x)


@op(rule=rules.float_map)
def hard_tanh(x: Tensor) -> Tensor:
    """min(max(x, -1), 1). The gradient at -1 and at 1 is 1.

    >>> ops.hard_tanh([-4.0, 0.5, 4.0])
    Tensor([-1. ,  0.5,  1. ], dtype=float32)
    """
    return ops.where(x > 1, 1, ops.where(x < -1, -1, x))


@op(rule=rules.float_map)
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|); nan at the infinities, where the formula is inf / inf.

    >>> ops.softsign([-1.0, 0.0, 3.0])
    Tensor([-0.5 ,  0.  ,  0.75], dtype=float32)
    """
    return x / (1 + ops.absolute(x))


@op(rule=rules.float_map)
def sparse_sigmoid(x: Tensor) -> Tensor:
    """0 up to -1, (x + 1) / 2 to 1, then 1. The gradient at -1 and at 1 is 0.

    >>> ops.sparse_sigmoid([-2.0, 0.0, 0.5, 2.0])
    Tensor([0.  , 0.5 , 0.75, 1.  ], dtype=float32)
    """
    return ops.where(x <= -1, 0, ops.where(x >= 1, 1, 0.5 * (x + 1)))


@op(rule=rules.float_map)
def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, ((x + 1) / 2)**2 to 1, then x. The gradient is continuous.

    >>> ops.sparse_plus([-2.0, 0.0, 0.5, 2.0])
    Tensor([0.    , 0.25  , 0.5625, 2.    ], dtype=float32)
    """
    return ops.where(x <= -1, 0, ops.where(x >= 1, x, 0.25 * ops.square(x + 1)))


@op(rule=_float_map_with)
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """(x + sqrt(x**2 + b)) / 2, without cancellation below 0.

    Args:
        x: Any shape.
        b: How far it is from relu at 0; above 0. With 0 the gradient at 0 is nan.

    >>> ops.squareplus([-1.0, 0.0, 3.0])
    Tensor([0.618 , 1.    , 3.3028], dtype=float32)
    """
    root = ops.sqrt(x * x + b)
    above = x >= 0
    # Below 0, x + root cancels: there it is b / (root - x).
    return ops.where(above, 0.5 * (x + root), 0.5 * b / (root - ops.where(above, 0, x)))


# -- shrinkage --------------------------------------------------------------------------


@op(rule=_float_map_with)
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """0 where |x| is at most `threshold`, else x. The gradient at the jumps is 0.

    >>> ops.hard_shrink([-1.0, 0.25, 0.75])
    Tensor([-1.  ,  0.  ,  0.75], dtype=float32)
    """
    return ops.where(ops.absolute(x) <= threshold, 0, x)


@op(rule=_float_map_with)
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x moved towards 0 by `threshold`, and 0 where |x| is at most that. The gradient at the kinks is 0.

    >>> ops.soft_shrink([-1.0, 0.25, 0.75])
    Tensor([-0.5 ,  0.  ,  0.25], dtype=float32)
    """
    return ops.where(ops.absolute(x) <= threshold, 0, x - threshold * ops.sign(x))


@op(rule=rules.float_map)
def tanh_shrink(x: Tensor) -> Tensor:
    """x - tanh(x).

    >>> ops.tanh_shrink([-1.0, 0.0, 2.0])
    Tensor([-0.2384,  0.    ,  1.036 ], dtype=float32)
    """
    return x - ops.tanh(x)


# -- along axes -------------------------------------------------------------------------


@op(rule=_spread)
def softmax(x: Tensor, axis: Axes = -1) -> Tensor:
    """exp(x) / sum(exp(x)) over `axis`, without overflow.

    Args:
        x: At least one dimension.
        axis: An int, several, or None for all. Negative axes count from the end.

    Returns:
        The shape of x, adding up to 1 over `axis`. A slice that holds nan or inf, or nothing
        but -inf, is nan.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.softmax([[1.0, 1.0], [0.0, 1000.0]])
    Tensor([[0.5, 0.5],
           [0. , 1. ]], dtype=float32)
    """
    e = ops.exp(x - ops.stop_gradient(ops.max(x, axis, keepdims=True, initial=-math.inf)))
    return e / ops.sum(e, axis, keepdims=True)


@op(rule=_spread)
def log_softmax(x: Tensor, axis: Axes = -1) -> Tensor:
    """x - log(sum(exp(x))) over `axis`, without overflow: the logarithm of `softmax`.

    Args:
        x: At least one dimension.
        axis: An int, several, or None for all. Negative axes count from the end.

    Returns:
        The shape of x. A slice that holds nan or inf, or nothing but -inf, is nan.

    Raises:
        ValueError: An axis is out of range or named twice.

    >>> ops.log_softmax([[1.0, 1.0], [0.0, 1000.0]])
    Tensor([[   -0.6931,    -0.6931],
           [-1000.    ,     0.    ]], dtype=float32)
    """
    x = x - ops.stop_gradient(ops.max(x, axis, keepdims=True, initial=-math.inf))
    return x - ops.log(ops.sum(ops.exp(x), axis, keepdims=True))


@op(rule=rules.along())
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The point of the probability simplex nearest to x along `axis` (Martins & Astudillo 2016).

    max(x - tau, 0), with the tau that makes it add up to 1. Many elements are exactly 0. The
    gradient is that of the elements above 0; those at tau get none. A slice that holds nan or inf,
    or nothing but -inf, is nan.

    Raises:
        ValueError: `axis` is out of range.

    >>> ops.sparsemax([0.5, 1.0, -1.0])
    Tensor([0.25, 0.75, 0.  ], dtype=float32)
    """
    z = ops.stop_gradient(x - ops.max(x, axis, keepdims=True))  # a shift changes only tau
    ordered = ops.flip(ops.sort(z, axis), axis)
    count = ops.cumsum(ops.ones_like(x), axis)
    inside = 1 + count * ordered > ops.cumsum(ordered, axis)
    held = ops.cast(ops.sum(ops.cast(inside, "int32"), axis, keepdims=True), dtypes.name_of(x.dtype))
    tau = (ops.sum(ops.where(inside, ordered, 0), axis, keepdims=True) - 1) / held
    support = z > tau
    # With the support known, tau is the mean of its elements less 1 / their number: that is differentiable.
    tau = (ops.sum(ops.where(support, x, 0), axis, keepdims=True) - 1) / ops.sum(
        ops.cast(support, dtypes.name_of(x.dtype)), axis, keepdims=True
    )
    return ops.where(ops.isfinite(tau), ops.where(support, x - tau, 0), math.nan)
