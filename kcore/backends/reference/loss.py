"""Definitions and gradient rules of the losses that training spends its time in.

The portable bodies in `kcore/ops/loss.py` say the same in ops; here each is one node on the tape.
"""

from __future__ import annotations

import numpy as np

from kcore import _native, config, dtypes, ops
from kcore._native.threads import threads_for
from kcore.backends.reference import tape
from kcore.backends.reference.activate import log_softmax as _log_softmax
from kcore.backends.reference.activate import softmax as _softmax
from kcore.backends.reference.tape import recorded_as, vjp
from kcore.ops.mechanism import Plan, Tensor, private_op


def _log_p(output, from_logits, axis):
    """log(p) in the accumulation dtype."""
    if from_logits:
        return _log_softmax(output, (axis,))
    p = output.astype(dtypes.to_numpy(dtypes.accumulator(dtypes.name_of(output.dtype))), copy=False)
    epsilon = config.epsilon()
    with np.errstate(all="ignore"):
        p = p / np.sum(p, axis, keepdims=True)
        return np.log(np.clip(p, p.dtype.type(epsilon), p.dtype.type(1 - epsilon)))


def _classes(target, output, axis):
    """(class numbers with the axis of the classes as size 1, which of them are classes)."""
    if target.ndim < output.ndim:
        target = np.expand_dims(target, axis)
    valid = (target >= 0) & (target < output.shape[axis])
    return np.where(valid, target, 0), valid


def _logit_rows(output, from_logits, axis) -> bool:
    """Whether kernels can take the output as a matrix with a row of logits for each sample."""
    last = axis == output.ndim - 1
    return bool(from_logits and last and _native.available and output.dtype.char in "fd" and output.size > 0)


def _rows(x):
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def _numbers(target):
    return target.astype("int64").reshape(-1)


def sparse_categorical_crossentropy(target, output, from_logits, axis):
    if _logit_rows(output, from_logits, axis):
        loss = _native.kernels.sparse_crossentropy_rows(_rows(output), _numbers(target), threads_for(output.size))
        return loss.reshape(output.shape[:-1])
    at, valid = _classes(target, output, axis)
    picked = np.take_along_axis(_log_p(output, from_logits, axis), at.astype("int64"), axis)
    return np.squeeze(np.where(valid, -picked, 0), axis).astype(output.dtype)


@private_op(rule=lambda g, target, output, from_logits, axis: Plan(output.shape, output.dtype))
def sparse_crossentropy_grad(g: Tensor, target: Tensor, output: Tensor, from_logits, axis):
    """The gradient of `sparse_categorical_crossentropy` by its output."""
    if _logit_rows(output, from_logits, axis) and g.dtype == output.dtype:
        g = np.ascontiguousarray(np.broadcast_to(g, output.shape[:-1]))
        dx = _native.kernels.sparse_crossentropy_rows_grad(g, _rows(output), _numbers(target), threads_for(output.size))
        return dx.reshape(output.shape)
    at, valid = _classes(target, output, axis)
    g = np.where(valid, np.expand_dims(g, axis), 0)
    at = at.astype("int64")
    with np.errstate(all="ignore"):
        if from_logits:
            y = _softmax(output, (axis,)) * g
            np.put_along_axis(y, at, np.take_along_axis(y, at, axis) - g, axis)
            return y.astype(output.dtype, copy=False)
        # With s = sum(output) and q = output / s: -log(q_t) falls by 1 / output_t and rises by 1 / s,
        # unless q_t lies outside of the clipping.
        chosen, total = np.take_along_axis(output, at, axis), np.sum(output, axis, keepdims=True)
        q, epsilon = chosen / total, config.epsilon()
        inside = (q >= epsilon) & (q <= 1 - epsilon)
        rise, fall = np.where(inside, g / total, 0), np.where(inside, g / chosen, 0)
        y = np.broadcast_to(rise, output.shape).astype(output.dtype)
        np.put_along_axis(y, at, (rise - fall).astype(output.dtype), axis)
        return y


@vjp(ops.sparse_categorical_crossentropy)
def _(g, y, target, output, from_logits, axis):
    return None, sparse_crossentropy_grad(g, target, output, from_logits, axis)


@recorded_as(sparse_crossentropy_grad)
def _(g, target, output, from_logits, axis):
    if target.ndim < output.ndim:
        target = ops.expand_dims(target, axis)
    # A number that is no class has a row of zeros here, and so no gradient.
    hot = ops.one_hot(ops.squeeze(target, axis), output.shape[axis], axis=axis, dtype=dtypes.name_of(output.dtype))
    g = ops.expand_dims(g, axis)
    if from_logits:
        return g * (ops.softmax(output, axis) * ops.sum(hot, axis, keepdims=True) - hot)
    total, chosen = ops.sum(output, axis, keepdims=True), ops.sum(hot * output, axis, keepdims=True)
    q, epsilon = chosen / total, config.epsilon()
    inside = ops.logical_and(ops.greater_equal(q, epsilon), ops.less_equal(q, 1 - epsilon))
    inside = ops.logical_and(inside, ops.greater(ops.sum(hot, axis, keepdims=True), 0))
    rise = ops.where(inside, g / total, 0)
    fall = ops.where(inside, g / ops.where(inside, chosen, 1), 0)
    return rise - fall * hot


def categorical_crossentropy(target, output, from_logits, axis):
    if _logit_rows(output, from_logits, axis) and target.dtype == output.dtype:
        loss = _native.kernels.crossentropy_rows(_rows(output), _rows(target), threads_for(output.size))
        return loss.reshape(output.shape[:-1])
    wide = dtypes.to_numpy(dtypes.accumulator(dtypes.name_of(output.dtype)))
    with np.errstate(all="ignore"):
        log_p = _log_p(output, from_logits, axis)
        total = np.sum((target if from_logits else target.astype(wide)) * log_p, axis)
    return np.negative(total).astype(output.dtype)


@private_op(rule=lambda g, target, output: Plan(output.shape, output.dtype, cast=output.dtype))
def logits_crossentropy_grad(g: Tensor, target: Tensor, output: Tensor):
    """g * (softmax(output) * sum(target) - target): the gradient of `categorical_crossentropy` by logits along the last axis."""
    g = np.ascontiguousarray(np.broadcast_to(g, output.shape[:-1]))
    if _logit_rows(output, True, output.ndim - 1):
        dx = _native.kernels.crossentropy_rows_grad(g, _rows(output), _rows(target), threads_for(output.size))
        return dx.reshape(output.shape)
    with np.errstate(all="ignore"):
        p = _softmax(output, (output.ndim - 1,))
        return (p * np.sum(target, -1, keepdims=True) - target) * g[..., None]


@recorded_as(logits_crossentropy_grad)
def _(g, target, output):
    return ops.expand_dims(g, -1) * (ops.softmax(output, -1) * ops.sum(target, -1, keepdims=True) - target)


@private_op(rule=lambda target, output: Plan(output.shape[:-1], output.dtype, cast=output.dtype))
def logits_crossentropy(target: Tensor, output: Tensor):
    """`categorical_crossentropy` of logits along the last axis."""
    return categorical_crossentropy(target, output, True, output.ndim - 1)


@vjp(logits_crossentropy)
def _(g, y, target, output):
    by_target = -ops.expand_dims(g, -1) * ops.log_softmax(output, -1) if tape.tracked([target]) else None
    return by_target, logits_crossentropy_grad(g, target, output)


@recorded_as(ops.categorical_crossentropy)
def _(target, output, from_logits, axis):
    if from_logits and axis == len(output.shape) - 1:
        return logits_crossentropy(target, output)
    return ops.categorical_crossentropy.op.body(target, output, from_logits, axis)
