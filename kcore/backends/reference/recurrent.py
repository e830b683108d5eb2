"""Definitions and gradient rules of recurrent layers along whole sequences.

The kernels go step by step with the batch in rows, so arrays are time-major here: (steps, batch, ...). The products
with what all steps share are one each, on both ways.
"""

from __future__ import annotations

import numpy as np

from kcore import _native, dtypes, gradients, ops
from kcore._native.threads import threads_for
from kcore.backends.reference.activate import _sigmoid_definition
from kcore.backends.reference.linalg import matmul
from kcore.backends.reference.quiet import quiet
from kcore.backends.reference.reduce import _column_sums
from kcore.backends.reference.tape import recorded_as, tracked, vjp
from kcore.ops.mechanism import Plan, Tensor, Tensors, private_op
from kcore.ops.normalize import _wide
from kcore.ops.numerics import narrow, present
from kcore.ops.symbolic import Spec

# -- definitions ------------------------------------------------------------------------


def _run(step, x, states, kernel, bias, mask, reverse):
    """(first states of all steps, last states) of `states = step(gates, states)`, in NumPy."""
    gates = np.matmul(np.swapaxes(x, 0, 1), kernel)
    if bias is not None:
        gates += bias
    hs = np.empty((len(gates), *states[0].shape), gates.dtype)
    for t in reversed(range(len(gates))) if reverse else range(len(gates)):
        made = step(gates[t], states)
        if mask is not None:
            there = mask[:, t, None]
            made = tuple(np.where(there, new, old) for new, old in zip(made, states, strict=True))
        states = made
        hs[t] = states[0]
    return hs, states


def _lstm_definition(x, h, c, kernel, recurrent_kernel, bias, mask, reverse):
    """(hs, h, c): `ops.lstm`, step by step."""

    def step(gates, states):
        h, c = states
        i, f, g, o = np.split(gates + h @ recurrent_kernel, 4, -1)
        c = _sigmoid_definition(f) * c + _sigmoid_definition(i) * np.tanh(g)
        return _sigmoid_definition(o) * np.tanh(c), c

    hs, (h, c) = _run(step, x, (h, c), kernel, bias, mask, reverse)
    return np.swapaxes(hs, 0, 1), h, c


def _gru_definition(x, h, kernel, recurrent_kernel, bias, mask, reverse, reset_after):
    """(hs, h): `ops.gru`, step by step."""
    first, second = _biases(bias, reset_after)
    units = len(recurrent_kernel)

    def step(gates, states):
        (h,) = states
        x_candidate = gates[:, 2 * units :]
        by_state = h @ (recurrent_kernel if reset_after else recurrent_kernel[:, : 2 * units])
        if second is not None:
            by_state = by_state + second
        update, reset = np.split(_sigmoid_definition(gates[:, : 2 * units] + by_state[:, : 2 * units]), 2, -1)
        if reset_after:
            candidate = np.tanh(x_candidate + reset * by_state[:, 2 * units :])
        else:
            candidate = np.tanh(x_candidate + (reset * h) @ recurrent_kernel[:, 2 * units :])
        return (update * h + (1 - update) * candidate,)

    hs, (h,) = _run(step, x, (h,), kernel, first, mask, reverse)
    return np.swapaxes(hs, 0, 1), h


def _biases(bias, reset_after):
    """The bias of the inputs' part and of the states' part."""
    if bias is None:
        return None, None
    return (bias[0], bias[1]) if reset_after else (bias, None)


# -- by kernels -------------------------------------------------------------------------


_NEAR = 4 << 20  # bytes of weights that a core still reads fast enough in each step


def _time_major(x):
    return None if x is None else np.ascontiguousarray(np.swapaxes(x, 0, 1))


def _plain(*arrays):
    return [None if a is None else np.ascontiguousarray(a) for a in arrays]


def _projected(x, kernel):
    """x @ kernel for all steps; x is time-major."""
    return matmul(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:2], kernel.shape[1])


def _threads(gates, recurrent_kernel):
    return threads_for(gates.size * len(recurrent_kernel))


def _last(hs, h, reverse):
    """The last state of a run that started from h."""
    return hs[0 if reverse else -1].copy() if len(hs) else h.copy()


def _run_lstm(x, states, kernel, recurrent_kernel, bias, mask, reverse, keep, reset_after=False):
    """(hs, the last states, gates, cells): the last two as the gradients need them with `keep`."""
    x = _time_major(x)
    kernel, recurrent_kernel, bias, h, c = _plain(kernel, recurrent_kernel, bias, *states)
    threads = threads_for(x.shape[0] * x.shape[1] * recurrent_kernel.size)
    # With some rows to a step, the weights of the inputs are used where they are met; with fewer, or with many weights,
    # reading them in each step would take longer than a product for all steps that writes its result.
    fused = x.shape[1] >= 4 and x.shape[2] > 0 and kernel.nbytes + recurrent_kernel.nbytes <= _NEAR
    gates, inputs = (None, {"x": x, "kernel": kernel}) if fused else (_projected(x, kernel), {})
    mask = _time_major(mask)
    hs, cells, gates = _native.kernels.lstm(gates, recurrent_kernel, bias, h, c, mask, reverse, keep, threads, **inputs)
    return hs, (_last(hs, h, reverse), _last(cells, c, reverse) if keep else cells), gates, cells


def _run_gru(x, states, kernel, recurrent_kernel, bias, mask, reverse, keep, reset_after):
    """(hs, the last state, gates, extra): the last two as the gradients need them with `keep`."""
    gates = _projected(_time_major(x), kernel)
    recurrent_kernel, h, *biases = _plain(recurrent_kernel, *states, *_biases(bias, reset_after))
    threads = _threads(gates, recurrent_kernel)
    hs, extra = _native.kernels.gru(
        gates, recurrent_kernel, *biases, h, _time_major(mask), reverse, reset_after, keep=keep, threads=threads
    )
    return hs, (_last(hs, h, reverse),), gates, extra


def _shared_grads(dgates, dstate, x, hs, h, kernel, reverse, of_x):
    """The gradients by x (if `of_x`), kernel and recurrent_kernel, and the sums of both gates' gradients."""
    wide = dgates.shape[-1]
    rows, state_rows = dgates.reshape(-1, wide), dstate.reshape(-1, wide)
    steps, batch, units = hs.shape
    x = _time_major(x)
    dx = [np.swapaxes(matmul(rows, kernel.T).reshape(x.shape), 0, 1)] if of_x else []
    dkernel = matmul(x.reshape(-1, x.shape[-1]).T, rows)
    # The state before the first step is h, before the others their neighbour's.
    before, first = (hs[1:], dstate[-1:]) if reverse else (hs[:-1], dstate[:1])
    later = state_rows[: (steps - 1) * batch] if reverse else state_rows[batch:]
    drecurrent = matmul(before.reshape(-1, units).T, later)
    with quiet():
        drecurrent += h.T @ first.reshape(-1, wide) if steps else 0
    sums = _column_sums(rows)
    state_sums = sums if dstate is dgates else _column_sums(state_rows)
    return dx, dkernel, drecurrent, sums, state_sums


# -- both, with what their gradients need -----------------------------------------------

# `weights` are kernel, recurrent_kernel and, if there is one, the bias; `how` is (reverse, sequence, reset_after).


def _kept(x: Spec, states, weights, *rest) -> Plan:
    (batch, steps, _), units, wide = x.shape, states[0].shape[1], weights[0].shape[1]
    shapes = (batch, steps, units), *(s.shape for s in states), (steps, batch, wide), (steps, batch, units)
    return Plan.many(tuple(Spec(shape, x.dtype) for shape in shapes))


@private_op(rule=_kept)
def kept_sequence(x: Tensor, states: Tensors, weights: Tensors, mask: Tensor | None, how):
    """`ops.lstm` of two states, or `ops.gru` of one, by kernels; and, time-major, the gates of all steps and what else
    the gradients need."""
    (reverse, _, reset_after), (kernel, recurrent_kernel, bias) = how, _with_bias(weights)
    run = _run_gru if len(states) == 1 else _run_lstm
    hs, last, *kept = run(x, states, kernel, recurrent_kernel, bias, mask, reverse, True, reset_after)
    return (np.swapaxes(hs, 0, 1), *last, *kept)


def _with_bias(weights):
    return (*weights, None) if len(weights) == 2 else weights


def _grads(gs, kept, x: Spec, states, weights, mask, how, of_x) -> Plan:
    parts = (*([x] if of_x else []), *states, *weights)
    return Plan.many(tuple(Spec(p.shape, p.dtype) for p in parts))


@private_op(rule=_grads)
def kept_sequence_grad(
    gs: Tensors, kept: Tensors, x: Tensor, states: Tensors, weights: Tensors, mask: Tensor | None, how, of_x
):
    """The gradients of `kept_sequence` by its tensors, from those of its results but the last two.

    The first of them counts only with `sequence`. `kept` are the first result and the last two. By x only if `of_x`.
    """
    reverse, sequence, reset_after = how
    (hs, gates, extra), (kernel, recurrent_kernel, bias) = kept, _with_bias(weights)
    hs, mask, (recurrent_kernel, *states) = _time_major(hs), _time_major(mask), _plain(recurrent_kernel, *states)
    h, last = states[0], _plain(*gs[1:])
    g = _time_major(np.broadcast_to(gs[0], (*x.shape[:2], h.shape[1]))) if sequence else None
    threads, kernels = _threads(gates, recurrent_kernel), _native.kernels
    if len(states) == 1:
        given = gates, hs, extra, recurrent_kernel, h, mask, reverse, reset_after
        dgates, dstate, *dstates = kernels.gru_grad(g, *last, *given, threads)
    else:
        given = gates, extra, recurrent_kernel, states[1], mask, reverse
        dgates, *dstates = kernels.lstm_grad(g, *last, *given, threads)
        dstate = dgates
    dx, dkernel, drecurrent, *sums = _shared_grads(dgates, dstate, x, hs, h, kernel, reverse, of_x)
    if len(states) == 1 and not reset_after:
        units = len(recurrent_kernel)
        candidates = np.ascontiguousarray(dgates[..., 2 * units :]).reshape(-1, units)
        drecurrent[:, 2 * units :] = matmul(extra.reshape(-1, units).T, candidates)
    dbias = [] if bias is None else [np.stack(sums) if bias.ndim == 2 else sums[0]]
    return (*dx, *dstates, dkernel, drecurrent, *dbias)


@vjp(kept_sequence)
def _(gs, ys, x, states, weights, mask, how):
    of_x, count = tracked((x,)), len(states)
    kept = ys[0], *ys[count + 1 :]
    found = kept_sequence_grad(gs[: count + 1], kept, x, states, weights, mask, how, of_x)
    dx, *rest = found if of_x else (None, *found)
    return dx, rest[:count], rest[count:], None


@recorded_as(kept_sequence_grad)
def _(gs, kept, x, states, weights, mask, how, of_x):
    # A second derivative's way: the gradients through the portable body.
    reverse, sequence, reset_after = how
    call, rest = (ops.gru, (reset_after,)) if len(states) == 1 else (ops.lstm, ())

    def run(x, *given):
        return call.op.body(x, *given[: len(states)], *_with_bias(given[len(states) :]), mask, reverse, sequence, *rest)

    found = gradients.vjp(run, x, *states, *weights)[1](tuple(gs if sequence else gs[1:]))
    return found if of_x else found[1:]


# -- the ops ----------------------------------------------------------------------------


def _made(run, definition, x, states, kernel, recurrent_kernel, bias, mask, reverse, sequence, *rest):
    if _native.available and x.dtype.char in "fd" and recurrent_kernel.size > 0:
        hs, last, _, _ = run(x, states, kernel, recurrent_kernel, bias, mask, reverse, False, *rest)
        made = np.swapaxes(hs, 0, 1), *last
    else:
        with quiet():
            made = definition(x, *states, kernel, recurrent_kernel, bias, mask, reverse, *rest)
    return made if sequence else made[1:]


def _recorded(call, x, states, kernel, recurrent_kernel, bias, mask, reverse, sequence, reset_after=None):
    if not (_native.available and recurrent_kernel.size):
        rest = () if reset_after is None else (reset_after,)
        return call.op.body(x, *states, kernel, recurrent_kernel, bias, mask, reverse, sequence, *rest)
    # What is kept for the gradients is in float32 or more.
    wide, *weights = (t for t in _wide(present(x, mask), kernel, recurrent_kernel, bias) if t is not None)
    made = kept_sequence(wide, _wide(*states), weights, mask, (reverse, sequence, bool(reset_after)))
    made = made[: len(states) + 1] if sequence else made[1 : len(states) + 1]
    return tuple(narrow(y, dtypes.name_of(x.dtype)) for y in made)


def lstm(x, h, c, *rest):
    return _made(_run_lstm, _lstm_definition, x, (h, c), *rest)


@recorded_as(ops.lstm)
def _(x, h, c, *rest):
    return _recorded(ops.lstm, x, (h, c), *rest)


def gru(x, h, *rest):
    return _made(_run_gru, _gru_definition, x, (h,), *rest)


@recorded_as(ops.gru)
def _(x, h, *rest):
    return _recorded(ops.gru, x, (h,), *rest)
