"""Calls of a captured step joined: what is done to a convolution's sums, element by element, is done as they are stored.

A call's one result that one other call reads, and nothing else, need not exist. After a convolution, a product or a
normalization by given statistics, these are joined, in this order: a bias, a normalization, another tensor added, and relu or
relu6. Kernels do the same to each element, in the same order, so the joined call gives the same bits. What
16-bit floats, other layouts or NumPy's definitions do stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kcore import _native
from kcore.backends.reference import activate, convolution, elementwise, fused, normalize
from kcore.backends.reference import conv as convolutions
from kcore.backends.reference.convolution import How
from kcore.backends.reference.ending import Ending, end
from kcore.backends.reference.linalg import matmul
from kcore.backends.reference.trace import Call, Ref, refs


class _Tail(NamedTuple):
    """What is joined: an `Ending`, with the arguments of the normalization instead of what they make."""

    bias: Any = None
    statistics: tuple | None = None
    beside: Any = None
    activation: str = "linear"


def _ending(bias, statistics, beside, activation):
    mean, factor, offset = (None, None, None) if statistics is None else normalize._affine(*statistics)
    return Ending(bias, mean, factor, offset, beside, activation)


# -- what joined calls run --------------------------------------------------------------


def ended_conv(inputs, kernel, strides, padding, dilation_rate, *tail):
    return convolution.conv(inputs, kernel, How(strides, padding, dilation_rate), _ending(*tail))


def ended_conv_transpose(inputs, kernel, strides, padding, output_padding, dilation_rate, *tail):
    how = How(strides, padding, dilation_rate)
    return convolutions._transposed(inputs, kernel, how, output_padding, _ending(*tail))


def ended_dense(x, kernel, *tail):
    y = matmul(x.reshape(-1, x.shape[-1]), kernel)  # a fresh array
    return end(y, _ending(*tail), y).reshape(*x.shape[:-1], kernel.shape[1])


def ended(x, *tail):
    return end(np.ascontiguousarray(x), _ending(*tail))


# -- what may be joined -----------------------------------------------------------------


class _Head(NamedTuple):
    """A call that others may join: what runs instead, its arguments before the tail, and the tail so far."""

    function: Callable
    args: tuple
    tail: _Tail


def _conv_head(inputs, kernel, strides, padding, data_format, dilation_rate, bias=None):
    return data_format == "channels_last" and _Head(
        ended_conv, (inputs, kernel, strides, padding, dilation_rate), _Tail(bias)
    )


def _activated_conv_head(inputs, kernel, bias, strides, padding, data_format, dilation_rate, activation):
    return activation == "linear" and _conv_head(inputs, kernel, strides, padding, data_format, dilation_rate, bias)


def _conv_transpose_head(inputs, kernel, strides, padding, output_padding, data_format, dilation_rate):
    return data_format == "channels_last" and _Head(
        ended_conv_transpose, (inputs, kernel, strides, padding, output_padding, dilation_rate), _Tail()
    )


def _dense_head(x, kernel, bias, activation):
    return activation == "linear" and _Head(ended_dense, (x, kernel), _Tail(bias))


def _normalization_head(x, mean, variance, axis, offset, scale, epsilon):
    return _Head(ended, (x,), _Tail(None, (mean, variance, offset, scale, epsilon)))


_HEADS: dict[Any, Callable] = {
    convolutions.conv: _conv_head,
    fused.activated_conv: _activated_conv_head,
    convolutions.conv_transpose: _conv_transpose_head,
    fused.dense: _dense_head,
    normalize.batch_normalization: _normalization_head,
}
_ACTIVATIONS = {activate.relu: "relu", activate.relu6: "relu6"}


class _Joiner:
    """Joins the calls of one step."""

    def __init__(self, calls: list[Call], specs: dict[int, tuple], wanted: set[int]) -> None:
        self.calls, self.specs = calls, specs
        self.uses = Counter(slot for call in calls for slot in refs(call.args))
        self.uses.update(wanted)
        self.readers = {slot: i for i, call in enumerate(calls) for slot in refs(call.args)}
        self.gone: set[int] = set()  # calls that are part of another

    def joined(self) -> list[Call]:
        made: dict[int, Call] = {}
        for first in range(len(self.calls)):
            chain, head = self.chain(first)
            if len(chain) > 1:
                self.gone.update(chain)
                made[chain[-1]] = self.calls[chain[-1]]._replace(function=head.function, args=(*head.args, *head.tail))
        return [made.get(i, call) for i, call in enumerate(self.calls) if i in made or i not in self.gone]

    def chain(self, first: int) -> tuple[list[int], Any]:
        """The calls that may be one, and what they are together."""
        chain, head = [first], None if first in self.gone else self.head(self.calls[first])
        while head and head.tail.activation == "linear":
            (slot,) = self.calls[chain[-1]].results
            reader = self.readers.get(slot)
            if self.uses[slot] != 1 or reader is None or reader in self.gone:
                break
            # What assigns a variable must not come before what has read it.
            if not all(call.results for call in self.calls[chain[-1] : reader]):
                break
            tail = self.extended(head.tail, self.calls[reader], slot)
            if tail is None:
                break
            chain.append(reader)
            head = head._replace(tail=tail)
        return chain, head

    def head(self, call: Call) -> Any:
        found = _HEADS.get(call.function)
        if found is None or 0 in call.specs[0][0]:
            return None
        shape, dtype = call.specs[0]
        if dtype.char not in "fd" or any(s is not None and s[1] != dtype for s in map(self.spec, call.args)):
            return None
        if call.function is normalize.batch_normalization and not _last(call, len(shape)):
            return None
        return found(*call.args)

    def extended(self, tail: _Tail, call: Call, slot: int) -> _Tail | None:
        """The tail with one more call, that reads what is in the slot; None if it can't be joined."""
        shape, dtype = self.specs[slot]
        if call.function in _ACTIVATIONS:
            return tail._replace(activation=_ACTIVATIONS[call.function])
        others = [a for a in call.args if self.spec(a) is not None and not _is(a, slot)]
        if any(self.spec(a)[1] != dtype for a in others) or tail.beside is not None:
            return None
        if call.function is elementwise.add and call.specs[0] == (shape, dtype) and len(others) == 1:
            (other,) = others
            if self.spec(other)[0] == shape:
                return tail._replace(beside=other)
            if self.spec(other)[0] == shape[-1:] and tail.bias is None and tail.statistics is None:
                return tail._replace(bias=other)
        if call.function is normalize.batch_normalization and tail.statistics is None:
            x, mean, variance, _, offset, scale, epsilon = call.args
            if _is(x, slot) and _last(call, len(shape)):
                return tail._replace(statistics=(mean, variance, offset, scale, epsilon))
        return None

    def spec(self, a: Any) -> Any:
        """(shape, dtype) of a tensor among the arguments of a call, None for anything else."""
        if a.__class__ is Ref:
            return self.specs[a.slot]
        return (a.shape, a.dtype) if isinstance(a, np.ndarray) else None


def _is(a: Any, slot: int) -> bool:
    return a.__class__ is Ref and a.slot == slot


def _last(call: Call, ndim: int) -> bool:
    """Whether it normalizes along the last axis."""
    return call.args[3] == (ndim - 1,)


def joined(calls: list[Call], specs: dict[int, tuple], wanted: set[int]) -> list[Call]:
    """The calls, with those joined that one kernel can do.

    Args:
        calls: Of a step, in order.
        specs: Slot -> (shape, dtype).
        wanted: The slots that the step returns.
    """
    return _Joiner(calls, specs, wanted).joined() if _native.available else calls
