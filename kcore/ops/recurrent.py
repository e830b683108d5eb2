"""Recurrent layers along whole sequences, so that a backend can run all steps as one.

Keras has no names for these; its layers call them. `lstm_step` and `gru_step` are one step of either, for cells too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcore import dtypes, ops
from kcore.ops import rules
from kcore.ops.control import scan
from kcore.ops.mechanism import Plan, Tensor, op
from kcore.ops.numerics import present
from kcore.ops.symbolic import Shape, Spec

__all__ = ["gru", "lstm"]


def lstm_step(gates: Tensor, c: Tensor, gate: Callable, squash: Callable) -> tuple[Tensor, Tensor]:
    """The next (h, c): `gates`, in, forget, candidate and out, come without their activations."""
    i, f, g, o = ops.split(gates, 4, axis=-1)
    c = ops.add(ops.multiply(gate(f), c), ops.multiply(gate(i), squash(g)))
    return ops.multiply(gate(o), squash(c)), c


def gru_step(x: Tensor, recurrent: Tensor, h: Tensor, gate: Callable, squash: Callable) -> Tensor:
    """The next h where the reset gate acts behind the product; `x` and `recurrent` are the parts of update, reset and
    candidate."""
    x_update, x_reset, x_candidate = ops.split(x, 3, axis=-1)
    h_update, h_reset, h_candidate = ops.split(recurrent, 3, axis=-1)
    update, reset = gate(ops.add(x_update, h_update)), gate(ops.add(x_reset, h_reset))
    return blended(update, h, squash(ops.add(x_candidate, ops.multiply(reset, h_candidate))))


def blended(update: Tensor, h: Tensor, candidate: Tensor) -> Tensor:
    """The state, moved to the candidate where the update gate is shut."""
    return ops.add(ops.multiply(update, h), ops.multiply(ops.subtract(1, update), candidate))


def _sequence(
    gates: int,
    states: dict[str, Spec],
    x: Spec,
    kernel: Spec,
    recurrent_kernel: Spec,
    bias: Spec | None,
    mask: Spec | None,
    sequence: bool,
    reset_after: bool = False,
    **rest: Any,
) -> Plan:
    """The plan for an op of so many gates; raises ValueError where the shapes don't fit."""
    rules.require_ndim(x, 3)
    batch, steps, size = x.shape
    rules.require_ndim(recurrent_kernel, 2, "recurrent_kernel")
    units, wide = recurrent_kernel.shape
    if units is None and wide is not None:
        units = wide // gates
    if units is None:
        units = next((s.shape[-1] for s in states.values() if s.ndim and s.shape[-1] is not None), None)
    batch = next((s.shape[0] for s in states.values() if s.ndim), None) if batch is None else batch
    many = None if units is None else gates * units
    if not rules.agree(recurrent_kernel.shape, (units, many)):
        raise ValueError(f"recurrent_kernel should have shape (units, {gates} * units), not {recurrent_kernel.shape}.")
    wanted: list[tuple[str, Spec | None, Shape]] = [(name, state, (batch, units)) for name, state in states.items()]
    wanted += [("kernel", kernel, (size, many)), ("bias", bias, (many,) if not reset_after else (2, many))]
    for name, given, shape in [*wanted, ("mask", mask, (batch, steps))]:
        if given is not None and not rules.agree(given.shape, shape):
            raise ValueError(f"{name} should have shape {shape}, not {given.shape}.")
    floats = [s for s in (x, *states.values(), kernel, recurrent_kernel, bias) if s is not None]
    dtype = dtypes.promote(*(s.dtype for s in floats))
    if not dtypes.is_float(dtype):
        raise TypeError(f"the tensors should be floats, but together they are {dtype}.")
    outputs = [Spec((batch, steps, units), dtype)] if sequence else []
    outputs += [Spec((batch, units), dtype) for _ in states]
    cast = {"x": dtype, "kernel": dtype, "recurrent_kernel": dtype, "bias": dtype, "mask": "bool"}
    return Plan.many(tuple(outputs), cast=cast | dict.fromkeys(states, dtype))


def _scanned(step: Callable, states: tuple, gates: Tensor, mask: Tensor | None, reverse: bool, sequence: bool) -> tuple:
    """`states = step(gates, states)` along the second axis; masked steps leave the states as they are."""
    there = None if mask is None else ops.expand_dims(ops.swapaxes(mask, 0, 1), -1)

    def one(carry: Any, row: Any) -> tuple[Any, Any]:
        gates, now = row
        made = step(gates, *carry)
        if now is not None:
            made = tuple(ops.where(now, new, old) for new, old in zip(made, carry, strict=True))
        return made, made[0] if sequence else None

    states, hs = scan(one, states, (ops.swapaxes(gates, 0, 1), there), reverse=reverse)
    return (ops.swapaxes(hs, 0, 1), *states) if sequence else tuple(states)


@op(rule=lambda h, c, **rest: _sequence(4, {"h": h, "c": c}, **rest))
def lstm(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor = None,
    mask: Tensor = None,
    reverse: bool = False,
    sequence: bool = True,
) -> tuple[Tensor, ...]:
    """Long short-term memory along a sequence (Hochreiter & Schmidhuber 1997, with a forget gate).

    In each step i, f, g, o = x @ kernel + h @ recurrent_kernel + bias, then
    c = sigmoid(f) * c + sigmoid(i) * tanh(g) and h = sigmoid(o) * tanh(c).

    Args:
        x: (batch, steps, features).
        h, c: The first states, (batch, units).
        kernel: (features, 4 * units).
        recurrent_kernel: (units, 4 * units).
        bias: (4 * units,), or None for none.
        mask: (batch, steps), false where a step is left out: the states stay what they were, whatever x is there.
        reverse: Go from the last step to the first. The states come in the order of the steps all the same.
        sequence: Whether to return the states of all steps.

    Returns:
        (h of all steps, (batch, steps, units), only with `sequence`; the last h; the last c).
        16-bit floats are computed in float32 where that is the backend's way.

    Raises:
        ValueError: The shapes don't fit.
        TypeError: The tensors hold no floats.

    >>> x, state = ops.ones((1, 2, 1)), ops.zeros((1, 1))
    >>> hs, h, c = ops.lstm(x, state, state, ops.ones((1, 4)), ops.zeros((1, 4)))
    >>> hs.shape, float(h[0, 0]) == float(hs[0, 1, 0])
    ((1, 2, 1), True)
    """

    def step(gates: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return lstm_step(ops.add(gates, ops.matmul(h, recurrent_kernel)), c, ops.sigmoid, ops.tanh)

    return _scanned(step, (h, c), ops.dense(present(x, mask), kernel, bias), mask, reverse, sequence)


@op(rule=lambda h, **rest: _sequence(3, {"h": h}, **rest))
def gru(
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor = None,
    mask: Tensor = None,
    reverse: bool = False,
    sequence: bool = True,
    reset_after: bool = True,
) -> tuple[Tensor, ...]:
    """Gated recurrent units along a sequence (Cho et al. 2014).

    In each step update = sigmoid(...), reset = sigmoid(...), candidate = tanh(...) and
    h = update * h + (1 - update) * candidate, of x @ kernel and h @ recurrent_kernel with their biases. The reset gate
    multiplies the candidate's part of h @ recurrent_kernel with `reset_after`, else the h that goes into it.

    Args:
        x: (batch, steps, features).
        h: The first state, (batch, units).
        kernel: (features, 3 * units): update, reset, candidate.
        recurrent_kernel: (units, 3 * units).
        bias: (2, 3 * units) with `reset_after`: the second row joins h @ recurrent_kernel; else (3 * units,). None for
            none.
        mask, reverse, sequence: As for `lstm`.
        reset_after: Where the reset gate acts.

    Returns:
        (h of all steps, (batch, steps, units), only with `sequence`; the last h).

    Raises:
        ValueError: The shapes don't fit.
        TypeError: The tensors hold no floats.

    >>> ops.gru(ops.ones((1, 2, 1)), ops.zeros((1, 1)), ops.ones((1, 3)), ops.zeros((1, 3)), sequence=False)[0].shape
    (1, 1)
    """
    first = second = None
    if bias is not None:
        first, second = (ops.get_item(bias, 0), ops.get_item(bias, 1)) if reset_after else (bias, None)

    def after(gates: Tensor, h: Tensor) -> tuple[Tensor]:
        return (gru_step(gates, ops.dense(h, recurrent_kernel, second), h, ops.sigmoid, ops.tanh),)

    def before(gates: Tensor, h: Tensor) -> tuple[Tensor]:
        units = h.shape[-1]
        x_gates, x_candidate = ops.split(gates, [2 * units], axis=-1)
        for_gates, for_candidate = ops.split(recurrent_kernel, [2 * units], axis=-1)
        update, reset = ops.split(ops.sigmoid(ops.add(x_gates, ops.matmul(h, for_gates))), 2, axis=-1)
        candidate = ops.tanh(ops.add(x_candidate, ops.matmul(ops.multiply(reset, h), for_candidate)))
        return (blended(update, h, candidate),)

    gates = ops.dense(present(x, mask), kernel, first)
    return _scanned(after if reset_after else before, (h,), gates, mask, reverse, sequence)
