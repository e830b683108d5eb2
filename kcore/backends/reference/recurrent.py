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
from kcore.ops.mechanism import Plan, Tensor, private_op
from kcore.ops.numerics import present
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


def _fits(x, recurrent_kernel) -> bool:
    return _native.available and x.dtype.char in "fd" and recurrent_kernel.size > 0


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


def _run_lstm(x, h, c, kernel, recurrent_kernel, bias, mask, reverse, keep):
    """(hs, gates, cells): the last two as the gradients need them with `keep`."""
    x = _time_major(x)
    kernel, recurrent_kernel, bias, h, c = _plain(kernel, recurrent_kernel, bias, h, c)
    threads = threads_for(x.shape[0] * x.shape[1] * recurrent_kernel.size)
    # With some rows to a step, the weights of the inputs are used where they are met; with fewer, or with many weights,
    # reading them in each step would take longer than a product for all steps that writes its result.
    fused = x.shape[1] >= 4 and x.shape[2] > 0 and kernel.nbytes + recurrent_kernel.nbytes <= _NEAR
    gates, inputs = (None, {"x": x, "kernel": kernel}) if fused else (_projected(x, kernel), {})
    mask = _time_major(mask)
    hs, cells, gates = _native.kernels.lstm(gates, recurrent_kernel, bias, h, c, mask, reverse, keep, threads, **inputs)
    return hs, gates, cells


def _run_gru(x, h, kernel, recurrent_kernel, bias, mask, reverse, reset_after, keep):
    """(hs, gates, extra): the last two as the gradients need them with `keep`."""
    gates = _projected(_time_major(x), kernel)
    recurrent_kernel, h, *biases = _plain(recurrent_kernel, h, *_biases(bias, reset_after))
    threads = _threads(gates, recurrent_kernel)
    hs, extra = _native.kernels.gru(
        gates, recurrent_kernel, *biases, h, _time_major(mask), reverse, reset_after, keep=keep, threads=threads
    )
    return hs, gates, extra


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


def _states(states, x):
    """The plan's part for the states: hs and the last of each."""
    batch, units = states[0].shape
    return Spec((batch, x.shape[1], units), x.dtype), *(Spec(s.shape, x.dtype) for s in states)


def _grads(of_x, *parts):
    return Plan.many(tuple(Spec(p.shape, p.dtype) for p in (parts if of_x else parts[1:]) if p is not None))


def _again(body, given, bias, rest, gs, of_x):
    """A second derivative's way: the gradients through the portable body, in the order of `given`, then the bias."""
    given = given if bias is None else (*given, bias)

    def run(*given):
        *given, last = given if bias is not None else (*given, None)
        return body(*given, last, *rest)

    found = gradients.vjp(run, *given)[1](tuple(gs))
    return found if of_x else found[1:]


# -- lstm -------------------------------------------------------------------------------


def _kept_lstm(x: Spec, h, c, kernel, recurrent_kernel, bias, mask, reverse, sequence) -> Plan:
    (batch, steps, _), units = x.shape, h.shape[1]
    kept = Spec((steps, batch, 4 * units), x.dtype), Spec((steps, batch, units), x.dtype)
    return Plan.many((*_states((h, c), x), *kept))


@private_op(rule=_kept_lstm)
def lstm_sequence(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    reverse,
    sequence,
):
    """`ops.lstm` by kernels; and the gates and cells of all steps, time-major."""
    hs, gates, cells = _run_lstm(x, h, c, kernel, recurrent_kernel, bias, mask, reverse, True)
    return np.swapaxes(hs, 0, 1), _last(hs, h, reverse), _last(cells, c, reverse), gates, cells


@private_op(
    rule=lambda g, g_h, g_c, hs, gates, cells, x, h, c, kernel, recurrent, bias, mask, reverse, sequence, of_x: _grads(
        of_x, x, h, c, kernel, recurrent, bias
    )
)
def lstm_sequence_grad(
    g: Tensor,
    g_h: Tensor,
    g_c: Tensor,
    hs: Tensor,
    gates: Tensor,
    cells: Tensor,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    reverse,
    sequence,
    of_x,
):
    """The gradients of `lstm_sequence` by its tensors, from those of its first three results.

    The first of them counts only with `sequence`. By x only if `of_x`, by the bias only if there is one.
    """
    hs, (recurrent_kernel, c) = _time_major(hs), _plain(recurrent_kernel, c)
    g = _time_major(np.broadcast_to(g, (*x.shape[:2], h.shape[1]))) if sequence else None
    threads = _threads(gates, recurrent_kernel)
    dgates, dh, dc = _native.kernels.lstm_grad(
        g, *_plain(g_h, g_c), gates, cells, recurrent_kernel, c, _time_major(mask), reverse, threads
    )
    dx, *rest, sums, _ = _shared_grads(dgates, dgates, x, hs, h, kernel, reverse, of_x)
    return (*dx, dh, dc, *rest) if bias is None else (*dx, dh, dc, *rest, sums)


@vjp(lstm_sequence)
def _(gs, ys, x, h, c, kernel, recurrent_kernel, bias, mask, reverse, sequence):
    of_x = tracked((x,))
    given = x, h, c, kernel, recurrent_kernel, bias, mask, reverse, sequence, of_x
    found = lstm_sequence_grad(*gs[:3], ys[0], ys[3], ys[4], *given)
    found = found if of_x else (None, *found)
    return (*found[:5], None if bias is None else found[5], None)


@recorded_as(lstm_sequence_grad)
def _(g, g_h, g_c, hs, gates, cells, x, h, c, kernel, recurrent_kernel, bias, mask, reverse, sequence, of_x):
    gs = (g, g_h, g_c) if sequence else (g_h, g_c)
    given = x, h, c, kernel, recurrent_kernel
    return _again(ops.lstm.op.body, given, bias, (mask, reverse, sequence), gs, of_x)


def lstm(x, h, c, kernel, recurrent_kernel, bias, mask, reverse, sequence):
    if _fits(x, recurrent_kernel):
        hs, _, cells = _run_lstm(x, h, c, kernel, recurrent_kernel, bias, mask, reverse, False)
        made = np.swapaxes(hs, 0, 1), _last(hs, h, reverse), cells
    else:
        with quiet():
            made = _lstm_definition(x, h, c, kernel, recurrent_kernel, bias, mask, reverse)
    return made if sequence else made[1:]


@recorded_as(ops.lstm)
def _(x, h, c, kernel, recurrent_kernel, bias, mask, reverse, sequence):
    if not (_native.available and recurrent_kernel.size):
        return ops.lstm.op.body(x, h, c, kernel, recurrent_kernel, bias, mask, reverse, sequence)
    given = _wide(present(x, mask), h, c, kernel, recurrent_kernel, bias)
    made = lstm_sequence(*given, mask, reverse, sequence)[:3]
    return _narrow(made if sequence else made[1:], x)


# -- gru --------------------------------------------------------------------------------


def _kept_gru(x: Spec, h, kernel, recurrent_kernel, bias, mask, reverse, sequence, reset_after) -> Plan:
    (batch, steps, _), units = x.shape, h.shape[1]
    kept = Spec((steps, batch, 3 * units), x.dtype), Spec((steps, batch, units), x.dtype)
    return Plan.many((*_states((h,), x), *kept))


@private_op(rule=_kept_gru)
def gru_sequence(
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    reverse,
    sequence,
    reset_after,
):
    """`ops.gru` by kernels; and, time-major, the gates of all steps and what else the gradients need."""
    hs, gates, extra = _run_gru(x, h, kernel, recurrent_kernel, bias, mask, reverse, reset_after, True)
    return np.swapaxes(hs, 0, 1), _last(hs, h, reverse), gates, extra


@private_op(
    rule=lambda g, g_h, hs, gates, extra, x, h, kernel, recurrent, bias, mask, reverse, sequence, after, of_x: _grads(
        of_x, x, h, kernel, recurrent, bias
    )
)
def gru_sequence_grad(
    g: Tensor,
    g_h: Tensor,
    hs: Tensor,
    gates: Tensor,
    extra: Tensor,
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    reverse,
    sequence,
    reset_after,
    of_x,
):
    """The gradients of `gru_sequence` by its tensors, as `lstm_sequence_grad`."""
    hs, (recurrent_kernel, h) = _time_major(hs), _plain(recurrent_kernel, h)
    g = _time_major(np.broadcast_to(g, (*x.shape[:2], h.shape[1]))) if sequence else None
    threads = _threads(gates, recurrent_kernel)
    dgates, dstate, dh = _native.kernels.gru_grad(
        g, *_plain(g_h), gates, hs, extra, recurrent_kernel, h, _time_major(mask), reverse, reset_after, threads
    )
    dx, dkernel, drecurrent, *sums = _shared_grads(dgates, dstate, x, hs, h, kernel, reverse, of_x)
    if not reset_after:
        units = len(recurrent_kernel)
        drecurrent[:, 2 * units :] = matmul(
            extra.reshape(-1, units).T, np.ascontiguousarray(dgates[..., 2 * units :]).reshape(-1, units)
        )
    dbias = [] if bias is None else [np.stack(sums) if reset_after else sums[0]]
    return (*dx, dh, dkernel, drecurrent, *dbias)


@vjp(gru_sequence)
def _(gs, ys, x, h, kernel, recurrent_kernel, bias, mask, reverse, sequence, reset_after):
    of_x = tracked((x,))
    given = x, h, kernel, recurrent_kernel, bias, mask, reverse, sequence, reset_after, of_x
    found = gru_sequence_grad(*gs[:2], ys[0], ys[2], ys[3], *given)
    found = found if of_x else (None, *found)
    return (*found[:4], None if bias is None else found[4], None)


@recorded_as(gru_sequence_grad)
def _(g, g_h, hs, gates, extra, x, h, kernel, recurrent_kernel, bias, mask, reverse, sequence, reset_after, of_x):
    gs = (g, g_h) if sequence else (g_h,)
    given = x, h, kernel, recurrent_kernel
    return _again(ops.gru.op.body, given, bias, (mask, reverse, sequence, reset_after), gs, of_x)


def gru(x, h, kernel, recurrent_kernel, bias, mask, reverse, sequence, reset_after):
    if _fits(x, recurrent_kernel):
        hs, _, _ = _run_gru(x, h, kernel, recurrent_kernel, bias, mask, reverse, reset_after, False)
        made = np.swapaxes(hs, 0, 1), _last(hs, h, reverse)
    else:
        with quiet():
            made = _gru_definition(x, h, kernel, recurrent_kernel, bias, mask, reverse, reset_after)
    return made if sequence else made[1:]


@recorded_as(ops.gru)
def _(x, h, kernel, recurrent_kernel, bias, mask, reverse, sequence, reset_after):
    if not (_native.available and recurrent_kernel.size):
        return ops.gru.op.body(x, h, kernel, recurrent_kernel, bias, mask, reverse, sequence, reset_after)
    given = _wide(present(x, mask), h, kernel, recurrent_kernel, bias)
    made = gru_sequence(*given, mask, reverse, sequence, reset_after)[:2]
    return _narrow(made if sequence else made[1:], x)


# -- 16-bit floats ----------------------------------------------------------------------


def _wide(*tensors):
    """What is kept for the gradients is in float32."""
    if tensors[0].dtype.itemsize > 2:
        return tensors
    return tuple(None if t is None else ops.cast(t, "float32") for t in tensors)


def _narrow(made, like):
    name = dtypes.name_of(like.dtype)
    return tuple(y if dtypes.name_of(y.dtype) == name else ops.cast(y, name) for y in made)
