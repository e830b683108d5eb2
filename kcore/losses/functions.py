"""Loss functions: a loss for each sample, or each position of one.

Most fold the last axis by a mean. `y_true` is cast to the dtype of `y_pred`, integers are
taken as the default float, and where one has one more axis than the other, of size 1, that
axis is matched.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from kcore import backends, config, dtypes, ops
from kcore.ops.mechanism import Axes

Tensor = Any


def in_full_width(function: Callable) -> Callable:
    """The function of (y_true, y_pred, ...), with the operators in it keeping 64-bit dtypes."""

    @functools.wraps(function)
    def run(y_true: Tensor, y_pred: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        names = [dtypes.name_of(y.dtype) for y in (y_true, y_pred) if hasattr(y, "dtype")]
        with backends.active().full_width(*filter(dtypes.is_float, names)):
            return function(y_true, y_pred, *args, **kwargs)

    return run


def same_rank(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Both with as many axes, where they differ by a last one of size 1."""
    a, b = len(y_true.shape), len(y_pred.shape)
    if a == b + 1 and y_true.shape[-1] == 1:
        return (y_true, ops.expand_dims(y_pred, -1)) if b == 1 else (ops.squeeze(y_true, -1), y_pred)
    if b == a + 1 and y_pred.shape[-1] == 1:
        return (ops.expand_dims(y_true, -1), y_pred) if a == 1 else (y_true, ops.squeeze(y_pred, -1))
    return y_true, y_pred


def _pair(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Two float tensors of one dtype and rank."""
    y_pred = ops.convert_to_tensor(y_pred)
    dtype = dtypes.float_of(dtypes.name_of(y_pred.dtype))
    y_pred, y_true = ops.cast(y_pred, dtype), ops.cast(ops.convert_to_tensor(y_true), dtype)
    return same_rank(y_true, y_pred)


# -- regression -------------------------------------------------------------------------


@in_full_width
def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean((y_true - y_pred)**2) over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), -1)


@in_full_width
def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean(|y_true - y_pred|) over the last axis. The gradient where they agree is 0."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.mean(ops.absolute(y_true - y_pred), -1)


@in_full_width
def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """100 * mean(|y_true - y_pred| / |y_true|) over the last axis; |y_true| counts as at least `config.epsilon()`."""
    y_true, y_pred = _pair(y_true, y_pred)
    size = ops.maximum(ops.absolute(y_true), config.epsilon())
    return 100 * ops.mean(ops.absolute((y_true - y_pred) / size), -1)


@in_full_width
def mean_squared_logarithmic_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean((log(1 + y_true) - log(1 + y_pred))**2) over the last axis; what is below `config.epsilon()` counts as that."""
    y_true, y_pred = _pair(y_true, y_pred)
    epsilon = config.epsilon()
    gap = ops.log1p(ops.maximum(y_pred, epsilon)) - ops.log1p(ops.maximum(y_true, epsilon))
    return ops.mean(ops.square(gap), -1)


@in_full_width
def huber(y_true: Tensor, y_pred: Tensor, delta: float = 1.0) -> Tensor:
    """The mean over the last axis of e**2 / 2 where |e| is at most `delta`, else of delta * |e| - delta**2 / 2."""
    y_true, y_pred = _pair(y_true, y_pred)
    size = ops.absolute(y_pred - y_true)
    return ops.mean(ops.where(size <= delta, 0.5 * ops.square(size), delta * size - 0.5 * delta * delta), -1)


@in_full_width
def log_cosh(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean(log(cosh(y_pred - y_true))) over the last axis, without overflow."""
    y_true, y_pred = _pair(y_true, y_pred)
    e = y_pred - y_true
    return ops.mean(e + ops.softplus(-2 * e) - math.log(2), -1)


@in_full_width
def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """The negative cosine of the angle between them along `axis`: -1 is alike, 0 at a right angle or where one is 0."""
    y_true, y_pred = _pair(y_true, y_pred)
    return -ops.sum(_unit(y_true, axis) * _unit(y_pred, axis), axis)


def _unit(x: Tensor, axis: int) -> Tensor:
    """x / |x| along `axis`, and 0 with a finite gradient where x is 0."""
    square = ops.sum(ops.square(x), axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, config.epsilon() ** 2))


# -- hinges -----------------------------------------------------------------------------


def _signs(y_true: Tensor) -> Tensor:
    """Labels of 0 and 1 as -1 and 1; others as they are."""
    binary = ops.all(ops.logical_or(y_true == 0, y_true == 1))
    return ops.where(binary, 2 * y_true - 1, y_true)


@in_full_width
def hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean(max(1 - y_true * y_pred, 0)) over the last axis. Labels are -1 and 1; all 0 and 1 count as these."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.mean(ops.relu(1 - _signs(y_true) * y_pred), -1)


@in_full_width
def squared_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean(max(1 - y_true * y_pred, 0)**2) over the last axis. Labels are -1 and 1; all 0 and 1 count as these."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.mean(ops.square(ops.relu(1 - _signs(y_true) * y_pred)), -1)


@in_full_width
def categorical_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """max(neg - pos + 1, 0): pos is y_pred at the true class of a one-hot y_true, neg the greatest at another."""
    y_true, y_pred = _pair(y_true, y_pred)
    pos = ops.sum(y_true * y_pred, -1)
    neg = ops.max((1 - y_true) * y_pred, -1)
    return ops.relu(neg - pos + 1)


# -- probabilities ----------------------------------------------------------------------


@in_full_width
def kl_divergence(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """sum(y_true * log(y_true / y_pred)) over the last axis; both are kept between `config.epsilon()` and 1."""
    y_true, y_pred = _pair(y_true, y_pred)
    epsilon = config.epsilon()
    y_true, y_pred = ops.clip(y_true, epsilon, 1), ops.clip(y_pred, epsilon, 1)
    return ops.sum(y_true * ops.log(y_true / y_pred), -1)


@in_full_width
def poisson(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean(y_pred - y_true * log(y_pred)) over the last axis, with `config.epsilon()` added inside the logarithm."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + config.epsilon()), -1)


@in_full_width
def categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """-sum(y_true * log(p)) over the classes; see `kcore.ops.categorical_crossentropy`.

    Args:
        y_true: Probabilities (or one-hot), of the shape of `y_pred`.
        y_pred: Logits, or probabilities.
        from_logits: Whether `y_pred` holds logits.
        label_smoothing: The share of each target that is spread evenly over all classes.
        axis: The axis of the classes.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.categorical_crossentropy(_smoothed(y_true, label_smoothing, axis), y_pred, from_logits, axis)


def _smoothed(y_true: Tensor, share: float, axis: int) -> Tensor:
    return y_true * (1 - share) + share / y_true.shape[axis] if share else y_true


@in_full_width
def categorical_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """sum(alpha * (1 - p)**gamma * -y_true * log(p)) over the classes (Lin et al. 2018).

    Args:
        y_true, y_pred, from_logits, label_smoothing, axis: As for `categorical_crossentropy`.
        alpha: The weight, of all classes or each.
        gamma: How much less an easy sample counts.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, axis)
    p = ops.softmax(y_pred, axis) if from_logits else y_pred / ops.sum(y_pred, axis, keepdims=True)
    epsilon = config.epsilon()
    p = ops.clip(p, epsilon, 1 - epsilon)
    weight = alpha * (1 - p) ** gamma
    return ops.sum(weight * -(y_true * ops.log(p)), axis)


@in_full_width
def sparse_categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """-log(p) of the class that each target names; see `kcore.ops.sparse_categorical_crossentropy`.

    Args:
        y_true: Class numbers, of the shape of `y_pred` without `axis`.
        y_pred: Logits, or probabilities.
        from_logits: Whether `y_pred` holds logits.
        ignore_class: A class number whose samples have loss 0, and don't count in a mean.
        axis: The axis of the classes.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits, axis)
    y_true = ops.cast(y_true, "int32")
    valid = y_true != ignore_class
    loss = ops.sparse_categorical_crossentropy(ops.where(valid, y_true, 0), y_pred, from_logits, axis)
    return _masked(ops.where(valid, loss, 0), valid)


def _masked(loss: Tensor, valid: Tensor) -> Tensor:
    """The loss, carrying which of its elements count."""
    from kcore.layers.masks import set_mask

    set_mask(loss, valid)
    return loss


@in_full_width
def binary_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """mean(-y_true * log(p) - (1 - y_true) * log(1 - p)) over `axis`; see `kcore.ops.binary_crossentropy`.

    Args:
        y_true: Probabilities.
        y_pred: Logits, or probabilities.
        from_logits: Whether `y_pred` holds logits.
        label_smoothing: The share of each target that is moved to 1/2.
        axis: The axis that the mean is over.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.mean(ops.binary_crossentropy(_halfway(y_true, label_smoothing), y_pred, from_logits), axis)


def _halfway(y_true: Tensor, share: float) -> Tensor:
    return y_true * (1 - share) + 0.5 * share if share else y_true


@in_full_width
def binary_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """mean((1 - p_t)**gamma * crossentropy) over `axis`, with p_t the probability of the true class (Lin et al. 2018).

    Args:
        y_true, y_pred, from_logits, label_smoothing, axis: As for `binary_crossentropy`.
        apply_class_balancing: Whether class 1 has weight `alpha` and class 0 has 1 - alpha.
        alpha: See there.
        gamma: How much less an easy sample counts.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    y_true = _halfway(y_true, label_smoothing)
    p = ops.sigmoid(y_pred) if from_logits else y_pred
    p_t = y_true * p + (1 - y_true) * (1 - p)
    loss = (1 - p_t) ** gamma * ops.binary_crossentropy(y_true, p)
    if apply_class_balancing:
        loss = (y_true * alpha + (1 - y_true) * (1 - alpha)) * loss
    return ops.mean(loss, axis)


@in_full_width
def categorical_generalized_cross_entropy(y_true: Tensor, y_pred: Tensor, q: float) -> Tensor:
    """(1 - p**q) / q with p the probability of the true class: robust against wrong labels (Zhang & Sabuncu 2018).

    Args:
        y_true: Class numbers, of the shape of `y_pred` without its last axis, or with size 1 there.
        y_pred: Probabilities.
        q: Between 0 (crossentropy) and 1 (absolute error).
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(ops.convert_to_tensor(y_true), "int32")
    if len(y_true.shape) < len(y_pred.shape):
        y_true = ops.expand_dims(y_true, -1)
    p = ops.squeeze(ops.take_along_axis(y_pred, y_true, -1), -1)
    return (1 - ops.clip(p, config.epsilon(), 1) ** q) / q


# -- overlaps ---------------------------------------------------------------------------


def _overlaps(y_true: Tensor, y_pred: Tensor, axis: Axes) -> tuple[Tensor, Tensor, Tensor]:
    """(sum(y_true * y_pred), sum(y_true), sum(y_pred)) over `axis`."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.sum(y_true * y_pred, axis), ops.sum(y_true, axis), ops.sum(y_pred, axis)


@in_full_width
def dice(y_true: Tensor, y_pred: Tensor, axis: Axes = None) -> Tensor:
    """1 - 2 * overlap / (size of y_true + size of y_pred), over `axis`, all axes unless given.

    `config.epsilon()` is added to the divisor, so the loss of two empty sets is 1.
    """
    both, true, pred = _overlaps(y_true, y_pred, axis)
    return 1 - 2 * both / (true + pred + config.epsilon())


@in_full_width
def tversky(y_true: Tensor, y_pred: Tensor, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None) -> Tensor:
    """1 - overlap / (overlap + alpha * missed + beta * added), over `axis` (Salehi et al. 2017).

    What y_pred misses of y_true has weight alpha, and what it adds to it beta, as in Keras.

    `config.epsilon()` is added to the divisor, so the loss of two empty sets is 1.

    Args:
        y_true, y_pred: Shares of membership.
        alpha, beta: The weights of false negatives and false positives.
        axis: What is folded; all axes unless given.
    """
    both, true, pred = _overlaps(y_true, y_pred, axis)
    return 1 - both / (both + alpha * (true - both) + beta * (pred - both) + config.epsilon())


# -- sequences and pairs ----------------------------------------------------------------


@in_full_width
def ctc(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Connectionist temporal classification; see `kcore.ops.ctc_loss`.

    Args:
        y_true: (batch, labels) class numbers, filled up with 0, which is the blank.
        y_pred: (batch, steps, classes) logits.

    Raises:
        ValueError: A shape has other dimensions.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) != 2:
        raise ValueError(f"ctc: y_true should have shape (batch, labels), not {tuple(y_true.shape)}.")
    if len(y_pred.shape) != 3:
        raise ValueError(f"ctc: y_pred should have shape (batch, steps, classes), not {tuple(y_pred.shape)}.")
    y_true = ops.cast(y_true, "int32")
    target_length = ops.sum(ops.cast(y_true != 0, "int32"), -1)
    steps = ops.ones_like(target_length) * ops.shape(y_pred)[1]
    return ops.ctc_loss(y_true, y_pred, target_length, steps, mask_index=0)


@in_full_width
def circle(
    y_true: Tensor,
    y_pred: Tensor,
    ref_labels: Tensor | None = None,
    ref_embeddings: Tensor | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """Pulls embeddings of one class together and pushes others apart (Sun et al. 2020).

    log(1 + sum over others exp(gamma * a_n * (s - m)) * sum over its own exp(-gamma * a_p * (s - 1 + m)))
    for each sample, where s is the inner product with another one, m the margin, a_n = max(s + m, 0)
    and a_p = max(1 + m - s, 0). The gradient goes through these weights too, as in Keras.

    Args:
        y_true: Class numbers, (batch,) or (batch, 1).
        y_pred: Embeddings of length 1, (batch, size).
        ref_labels, ref_embeddings: What to compare with; the batch itself unless given.
        remove_diagonal: Whether sample i is not compared with reference i.
        gamma: The scale.
        margin: m.

    Returns:
        (batch,). A sample that has no other of its class has loss 0, and does not count in a mean.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    labels = ops.reshape(ops.cast(ops.convert_to_tensor(y_true), "int32"), (-1, 1))
    references = y_pred if ref_embeddings is None else ops.cast(ops.convert_to_tensor(ref_embeddings), y_pred.dtype)
    others = labels if ref_labels is None else ops.cast(ops.convert_to_tensor(ref_labels), "int32")
    alike = labels == ops.reshape(others, (1, -1))
    apart = ops.logical_not(alike)
    if remove_diagonal:
        rows, columns = ops.shape(alike)
        alike = ops.logical_and(alike, ops.expand_dims(ops.arange(rows), 1) != ops.arange(columns))
    s = ops.matmul(y_pred, ops.transpose(references))
    pull, push = ops.relu(1 + margin - s), ops.relu(s + margin)
    positive = ops.where(alike, -gamma * pull * (s - (1 - margin)), -math.inf)
    negative = ops.where(apart, gamma * push * (s - margin), -math.inf)
    valid = ops.logical_and(ops.any(alike, 1), ops.any(apart, 1))
    total = ops.logsumexp(_rows(positive, valid), 1) + ops.logsumexp(_rows(negative, valid), 1)
    loss = ops.where(valid, ops.softplus(total), 0)
    return _masked(loss, ops.any(alike, 1))


def _rows(x: Tensor, valid: Tensor) -> Tensor:
    """Rows that don't count as 0, so that no infinity meets their gradient."""
    return ops.where(ops.expand_dims(valid, 1), x, 0)
