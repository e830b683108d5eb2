"""Definitions and gradient rules of the losses that training spends its time in.

The portable bodies in `kcore/ops/loss.py` say the same in ops; here each is one node on the tape.
"""

from __future__ import annotations

import math

import numpy as np

from kcore import _native, config, dtypes, ops
from kcore._native.threads import threads_for
from kcore.backends.reference import tape
from kcore.backends.reference.activate import log_softmax as _log_softmax
from kcore.backends.reference.activate import softmax as _softmax
from kcore.backends.reference.layouts import contiguous
from kcore.backends.reference.tape import recorded_as, vjp
from kcore.ops.loss import _without
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.symbolic import Spec


def _rows(target, output, axis):
    """(output as (positions, classes), the class number of each position, which of them are classes)."""
    last = axis in (-1, output.ndim - 1)
    rows = (output if last else np.moveaxis(output, axis, -1)).reshape(-1, output.shape[axis])
    at = target.reshape(-1)
    valid = (at >= 0) & (at < rows.shape[1])
    return rows, np.where(valid, at, 0).astype("int64"), valid


def _logit_rows(output, from_logits, axis) -> bool:
    """Whether kernels can take the output as a matrix with a row of logits for each sample."""
    last = axis == output.ndim - 1
    return bool(from_logits and last and _native.available and output.dtype.char in "fd" and output.size > 0)


def _score_rows(output, from_logits, axis) -> bool:
    """The same for rows of scores, which are divided by their sum."""
    return _logit_rows(output, not from_logits, axis)


def _matrix(x):
    return contiguous(x).reshape(-1, x.shape[-1])


def _spread(g, shape):
    return contiguous(g if g.shape == shape else np.broadcast_to(g, shape))


def _numbers(target):
    return target.astype("int64").reshape(-1)


def sparse_categorical_crossentropy(target, output, from_logits, axis):
    if _logit_rows(output, from_logits, axis):
        return _labelled(target, output, False)[0]
    if _score_rows(output, from_logits, axis):
        loss = _native.kernels.picked_crossentropy_rows(
            _matrix(output), _numbers(target), config.epsilon(), threads_for(output.size)
        )
        return loss.reshape(output.shape[:-1])
    rows, at, valid = _rows(target, output, axis)
    number = np.arange(len(at))
    if from_logits:
        picked = _log_softmax(rows, (1,))[number, at]
    else:
        p, epsilon = rows, config.epsilon()
        with np.errstate(all="ignore"):
            q = p[number, at] / np.add.reduce(p, 1)
            picked = np.log(np.minimum(np.maximum(q, p.dtype.type(epsilon)), p.dtype.type(1 - epsilon)))
    shape = target.shape if target.ndim < output.ndim else np.squeeze(target, axis).shape
    return np.where(valid, -picked, 0).astype(output.dtype, copy=False).reshape(shape)


@private_op(rule=lambda g, target, output, from_logits, axis: Plan(output.shape, output.dtype))
def sparse_crossentropy_grad(g: Tensor, target: Tensor, output: Tensor, from_logits, axis):
    """The gradient of `sparse_categorical_crossentropy` by its output."""
    if _score_rows(output, from_logits, axis) and g.dtype == output.dtype:
        given = _spread(g, output.shape[:-1]), _matrix(output), _numbers(target), config.epsilon()
        dx = _native.kernels.picked_crossentropy_rows_grad(*given, threads_for(output.size))
        return dx.reshape(output.shape)
    if _logit_rows(output, from_logits, axis) and g.dtype == output.dtype:
        # As where exponentials are kept: the same bits.
        return _labelled_grad(g, target, *_labelled(target, output, True)[1:])
    rows, at, valid = _rows(target, output, axis)
    number, g = np.arange(len(at)), np.where(valid, g.reshape(-1), 0)
    with np.errstate(all="ignore"):
        if from_logits:
            y = _softmax(rows, (1,)) * g[:, None]
            y[number, at] -= g
        else:
            # With s = sum(output) and q = output / s: -log(q_t) falls by 1 / output_t and rises by 1 / s,
            # unless q_t lies outside of the clipping.
            chosen, total, epsilon = rows[number, at], np.add.reduce(rows, 1), config.epsilon()
            q = chosen / total
            inside = (q >= epsilon) & (q <= 1 - epsilon)
            y = np.empty_like(rows)
            y[:] = np.where(inside, g / total, 0)[:, None]
            y[number, at] -= np.where(inside, g / chosen, 0)
    y = y.astype(output.dtype, copy=False)
    if axis in (-1, output.ndim - 1):
        return y.reshape(output.shape)
    return np.moveaxis(y.reshape(np.moveaxis(output, axis, -1).shape), -1, axis)


@private_op(rule=lambda target, output, from_logits, axis: Plan(_without(output.shape, axis), output.dtype))
def sparse_crossentropy(target: Tensor, output: Tensor, from_logits, axis):
    """`sparse_categorical_crossentropy`, where no kernel keeps something for the gradient."""
    return sparse_categorical_crossentropy(target, output, from_logits, axis)


@vjp(sparse_crossentropy)
def _(g, y, target, output, from_logits, axis):
    return None, sparse_crossentropy_grad(g, target, output, from_logits, axis)


def _hot(target, output, axis):
    """1 at each target, in the shape of the output: zeros for a number that is no class."""
    if target.ndim < output.ndim:
        target = ops.expand_dims(target, axis)
    return ops.one_hot(ops.squeeze(target, axis), output.shape[axis], axis=axis, dtype=dtypes.name_of(output.dtype))


@recorded_as(sparse_crossentropy_grad)
def _(g, target, output, from_logits, axis):
    hot = _hot(target, output, axis)
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


# A kernel of logits keeps their exponentials instead of them, so that the gradient is a product, and a number for each row:
# softmax = exps * share. These have no gradient of their own: where there may be a second derivative, logits are kept.


def _with_exponentials(target: Spec, output: Spec) -> Plan:
    loss = Spec(output.shape[:-1], output.dtype)
    return Plan.many((loss, Spec(output.shape, output.dtype), Spec((math.prod(loss.shape),), output.dtype)))


@private_op(rule=_with_exponentials)
def labelled_crossentropy(target: Tensor, output: Tensor):
    """`sparse_categorical_crossentropy` of logits along the last axis, by a kernel; and what it keeps."""
    return _labelled(target, output, True)


def _labelled(target, output, kept):
    rows = _matrix(output), _numbers(target)
    loss, exps, share = _native.kernels.sparse_crossentropy_rows(*rows, kept, threads_for(output.size))
    return loss.reshape(output.shape[:-1]), exps.reshape(output.shape) if kept else None, share


@private_op(rule=lambda g, target, exps, share: Plan(exps.shape, exps.dtype, cast={"g": exps.dtype}))
def labelled_crossentropy_grad(g: Tensor, target: Tensor, exps: Tensor, share: Tensor):
    """The gradient of `labelled_crossentropy` by its output, for its first result; exps and share are its others."""
    return _labelled_grad(g, target, exps, share)


def _labelled_grad(g, target, exps, share):
    given = _spread(g, exps.shape[:-1]), _numbers(target), _matrix(exps), share
    return _native.kernels.sparse_crossentropy_rows_grad(*given, threads_for(exps.size)).reshape(exps.shape)


@vjp(labelled_crossentropy)
def _(gs, ys, target, output):
    return None, labelled_crossentropy_grad(gs[0], target, *ys[1:])


@recorded_as(labelled_crossentropy_grad)
def _(g, target, exps, share):
    hot = _hot(target, exps, len(exps.shape) - 1)
    inside = ops.greater(ops.sum(hot, -1, keepdims=True), 0)  # the exponentials of other rows are not set
    p = ops.where(inside, exps * ops.reshape(share, (*exps.shape[:-1], 1)), 0)
    return ops.expand_dims(g, -1) * (p - hot)


@recorded_as(ops.sparse_categorical_crossentropy)
def _(target, output, from_logits, axis):
    if _logit_rows(output, from_logits, axis) and not tape.nested():
        return labelled_crossentropy(target, output)[0]
    return sparse_crossentropy(target, output, from_logits, axis)


def categorical_crossentropy(target, output, from_logits, axis):
    if _logit_rows(output, from_logits, axis):
        return logits_crossentropy.op.definition(target, output)[0]
    with np.errstate(all="ignore"):
        if from_logits:
            total = np.sum(target * _log_softmax(output, (axis,)), axis)
        else:
            p, epsilon = output, config.epsilon()
            q = np.clip(p / np.sum(p, axis, keepdims=True), p.dtype.type(epsilon), p.dtype.type(1 - epsilon))
            total = np.sum(target * np.log(q), axis)
    return np.negative(total).astype(output.dtype)


# A kernel keeps two numbers of each row: softmax = exp(logits - peak) * share. So a gradient is one pass.


def _with_shares(target: Spec, output: Spec) -> Plan:
    rows = Spec((math.prod(output.shape[:-1]),), output.dtype)
    return Plan.many((Spec(output.shape[:-1], output.dtype), rows, rows))


@private_op(rule=_with_shares)
def logits_crossentropy(target: Tensor, output: Tensor):
    """`categorical_crossentropy` of logits along the last axis; and what a kernel keeps."""
    if _logit_rows(output, True, output.ndim - 1):
        rows = _matrix(output), _matrix(target)
        loss, *kept = _native.kernels.crossentropy_rows(*rows, threads_for(output.size))
        return loss.reshape(output.shape[:-1]), *kept
    with np.errstate(all="ignore"):
        peak = np.max(output, -1, keepdims=True, initial=-np.inf)
        share = 1 / np.sum(np.exp(output - peak), -1)
    return categorical_crossentropy(target, output, True, output.ndim - 1), peak.reshape(-1), share.reshape(-1)


@private_op(rule=lambda g, target, output, peak, share: Plan(output.shape, output.dtype, cast=output.dtype))
def logits_crossentropy_grad(g: Tensor, target: Tensor, output: Tensor, peak: Tensor, share: Tensor):
    """g * (softmax(output) * sum(target) - target): the gradient of `logits_crossentropy` by logits, for its first result."""
    g = _spread(g, output.shape[:-1])
    if _logit_rows(output, True, output.ndim - 1):
        given = g, _matrix(output), _matrix(target), peak, share
        return _native.kernels.crossentropy_rows_grad(*given, threads_for(output.size)).reshape(output.shape)
    peak, share = (t.reshape(*g.shape, 1) for t in (peak, share))
    with np.errstate(all="ignore"):
        p = np.exp(output - peak) * share
        return (p * np.sum(target, -1, keepdims=True) - target) * g[..., None]


@vjp(logits_crossentropy)
def _(gs, ys, target, output):
    by_target = -ops.expand_dims(gs[0], -1) * ops.log_softmax(output, -1) if tape.tracked([target]) else None
    return by_target, logits_crossentropy_grad(gs[0], target, output, *ys[1:])


@recorded_as(logits_crossentropy_grad)
def _(g, target, output, peak, share):
    return ops.expand_dims(g, -1) * (ops.softmax(output, -1) * ops.sum(target, -1, keepdims=True) - target)


@recorded_as(ops.categorical_crossentropy)
def _(target, output, from_logits, axis):
    if from_logits and axis == len(output.shape) - 1:
        return logits_crossentropy(target, output)[0]
    return ops.categorical_crossentropy.op.body(target, output, from_logits, axis)
