"""Loss ops: crossentropies between targets and predictions.

Predictions are logits (any real numbers), or probabilities, which are kept `config.epsilon()`
away from 0 (and, for two classes, from 1) so that no loss is infinite. Probabilities in
16-bit floats are taken as float32, where 1 - epsilon is not 1.
"""

from __future__ import annotations

from kcore import config, dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.symbolic import Shape, Spec


def _agree(a: Shape, b: Shape) -> bool:
    return len(a) == len(b) and all(None in pair or pair[0] == pair[1] for pair in zip(a, b, strict=True))


def _require_same(target: Spec, output: Spec) -> None:
    if not _agree(target.shape, output.shape):
        raise ValueError(f"target and output should have the same shape, not {target.shape} and {output.shape}.")


def _merged(a: Shape, b: Shape) -> Shape:
    """One shape from two that agree: a size that either knows is known."""
    return tuple(y if x is None else x for x, y in zip(a, b, strict=True))


def _without(shape: Shape, axis: int) -> Shape:
    return tuple(d for i, d in enumerate(shape) if i != axis)


def _classwise(target: Spec, output: Spec, from_logits: bool, axis: int) -> Plan:
    if output.ndim < 1:
        raise ValueError("output should have at least 1 dimension: that of the classes.")
    _require_same(target, output)
    at = rules.normalize_axis(axis, output.ndim, output.shape)
    dtype = dtypes.float_of(output.dtype)
    return Plan(_without(_merged(output.shape, target.shape), at), dtype, cast=dtype, axis=at)


def _sparse(target: Spec, output: Spec, from_logits: bool, axis: int) -> Plan:
    if output.ndim < 1:
        raise ValueError("output should have at least 1 dimension: that of the classes.")
    at = rules.normalize_axis(axis, output.ndim, output.shape)
    shape = _without(output.shape, at)
    given = target.shape
    if len(given) == output.ndim and given[at] == 1:
        given = _without(given, at)
    if not _agree(given, shape):
        raise ValueError(
            f"target should have the shape of output without its classes, {shape}, "
            f"not {target.shape}; output has shape {output.shape} and axis={axis!r}."
        )
    dtype = dtypes.float_of(output.dtype)
    integer = target.dtype if dtypes.is_int(target.dtype) and not dtypes.is_weak(target.dtype) else "int32"
    return Plan(_merged(shape, given), dtype, cast={"target": integer, "output": dtype}, axis=at)


def _elementwise(target: Spec, output: Spec, from_logits: bool) -> Plan:
    _require_same(target, output)
    dtype = dtypes.float_of(output.dtype)
    return Plan(_merged(output.shape, target.shape), dtype, cast=dtype)


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    """log(p) for each class, where p adds up to 1 along `axis`; for 16-bit probabilities in float32."""
    if from_logits:
        return ops.log_softmax(output, axis)
    p = _widened(output)
    p = p / ops.sum(p, axis, keepdims=True)
    epsilon = config.epsilon()
    return ops.log(ops.clip(p, epsilon, 1 - epsilon))


def _widened(x: Tensor) -> Tensor:
    dtype = dtypes.name_of(x.dtype)
    wide = dtypes.accumulator(dtype)
    return x if wide == dtype else ops.cast(x, wide)


def _narrowed(y: Tensor, like: Tensor) -> Tensor:
    dtype = dtypes.name_of(like.dtype)
    return y if dtypes.name_of(y.dtype) == dtype else ops.cast(y, dtype)


@op(rule=_classwise)
def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Tensor:
    """-sum(target * log(p)) over the classes.

    Args:
        target: Probabilities (or one-hot), of the shape of `output`.
        output: Logits, or probabilities in any scale: they are divided by their sum.
        from_logits: Whether `output` holds logits; p is then their softmax.
        axis: The axis of the classes.

    Returns:
        The shape of `output` without `axis`, in its float dtype. Probabilities that are all 0
        give nan.

    Raises:
        ValueError: The shapes differ, there is no axis, or it is out of range.
    """
    log_p = _log_probabilities(output, from_logits, axis)
    return _narrowed(-ops.sum(target * log_p, axis), output)


@op(rule=_sparse)
def sparse_categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log(p) of the class that each target names.

    Args:
        target: Class numbers, of the shape of `output` without `axis`, or with size 1 there.
            Floats are cut to integers. A number that is no class gives loss and gradient 0.
        output: Logits, or probabilities in any scale: they are divided by their sum.
        from_logits: Whether `output` holds logits; p is then their softmax.
        axis: The axis of the classes.

    Returns:
        The shape of `output` without `axis`, in its float dtype.

    Raises:
        ValueError: The shapes don't fit, there is no axis, or it is out of range.
    """
    log_p = _log_probabilities(output, from_logits, axis)
    if len(target.shape) < len(output.shape):
        target = ops.expand_dims(target, axis)
    valid = ops.logical_and(target >= 0, target < output.shape[axis])
    picked = ops.take_along_axis(log_p, ops.where(valid, target, 0), axis)
    return _narrowed(ops.squeeze(ops.where(valid, -picked, 0), axis), output)


@op(rule=_elementwise)
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """-target * log(p) - (1 - target) * log(1 - p), element by element.

    Args:
        target: Probabilities, of the shape of `output`.
        output: Logits, or probabilities.
        from_logits: Whether `output` holds logits; p is then their sigmoid.

    Returns:
        The shape of `output`, in its float dtype.

    Raises:
        ValueError: The shapes differ.
    """
    if from_logits:
        # softplus(x) - x target, with the large parts, which cancel, taken apart from the small one
        positive = ops.relu(output)
        return positive - output * target + ops.softplus(output - 2 * positive)
    epsilon = config.epsilon()
    p = ops.clip(_widened(output), epsilon, 1 - epsilon)
    loss = -(target * ops.log(p) + (1 - target) * ops.log1p(-p))
    return _narrowed(loss, output)
