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
from kcore.backends.reference.ending import PLAIN, Ending, end, factor_of
from kcore.backends.reference.product import product
from kcore.backends.reference.trace import Call, Ref, refs

# -- what joined calls run --------------------------------------------------------------


def ended_conv(inputs, kernel, strides, padding, dilation_rate, *tail):
    return convolution.conv(inputs, kernel, How(strides, padding, dilation_rate), Ending(*tail))


def ended_conv_transpose(inputs, kernel, strides, padding, output_padding, dilation_rate, *tail):
    how = How(strides, padding, dilation_rate)
    return convolutions._transposed(inputs, kernel, how, output_padding, Ending(*tail))


def ended_dense(x, kernel, *tail):
    y = product(x.reshape(-1, x.shape[-1]), kernel, Ending(*tail))
    return y.reshape(*x.shape[:-1], kernel.shape[1])


def ended(x, *tail):
    return end(np.ascontiguousarray(x), Ending(*tail))


# -- what may be joined -----------------------------------------------------------------


class _Head(NamedTuple):
    """A call that others may join: what runs instead, its arguments before the ending, and the ending so far.

    Attributes:
        before: Calls that compute what the ending needs.
    """

    function: Callable
    args: tuple
    ending: Ending = PLAIN
    before: tuple[Call, ...] = ()


def _conv_head(inputs, kernel, strides, padding, data_format, dilation_rate, bias=None):
    return data_format == "channels_last" and _Head(
        ended_conv, (inputs, kernel, strides, padding, dilation_rate), Ending(bias)
    )


def _activated_conv_head(inputs, kernel, bias, strides, padding, data_format, dilation_rate, activation):
    return activation == "linear" and _conv_head(inputs, kernel, strides, padding, data_format, dilation_rate, bias)


def _conv_transpose_head(inputs, kernel, strides, padding, output_padding, data_format, dilation_rate):
    return data_format == "channels_last" and _Head(
        ended_conv_transpose, (inputs, kernel, strides, padding, output_padding, dilation_rate)
    )


def _dense_head(x, kernel, bias, activation):
    return activation == "linear" and _Head(ended_dense, (x, kernel), Ending(bias))


_HEADS: dict[Any, Callable] = {
    convolutions.conv: _conv_head,
    fused.activated_conv: _activated_conv_head,
    convolutions.conv_transpose: _conv_transpose_head,
    fused.dense: _dense_head,
    normalize.batch_normalization: lambda x, *rest: _Head(ended, (x,)),  # itself joined first
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
        made: dict[int, tuple[Call, ...]] = {}
        for first in range(len(self.calls)):
            chain, head = self.chain(first)
            if len(chain) > 1:
                self.gone.update(chain)
                last = self.calls[chain[-1]]._replace(function=head.function, args=(*head.args, *head.ending))
                made[chain[-1]] = *head.before, last
        left = [made.get(i, (call,)) for i, call in enumerate(self.calls) if i in made or i not in self.gone]
        return [call for calls in left for call in calls]

    def chain(self, first: int) -> tuple[list[int], Any]:
        """The calls that may be one, and what they are together."""
        chain, head = [first], None if first in self.gone else self.head(self.calls[first])
        while head and head.ending.activation == "linear":
            (slot,) = self.calls[chain[-1]].results
            reader = self.readers.get(slot)
            if self.uses[slot] != 1 or reader is None or reader in self.gone:
                break
            # What assigns a variable must not come before what has read it.
            if not all(call.results for call in self.calls[chain[-1] : reader]):
                break
            longer = self.extended(head, self.calls[reader], slot)
            if longer is None:
                break
            chain.append(reader)
            head = longer
        return chain, head

    def head(self, call: Call) -> Any:
        found = _HEADS.get(call.function)
        if found is None or 0 in call.specs[0][0]:
            return None
        dtype = call.specs[0][1]
        if dtype.char not in "fd" or any(s is not None and s[1] != dtype for s in map(self.spec, call.args)):
            return None
        head = found(*call.args)
        return self.normalized(head, call) if call.function is normalize.batch_normalization else head

    def extended(self, head: _Head, call: Call, slot: int) -> _Head | None:
        """The head with one more call, that reads what is in the slot; None if it can't be joined."""
        shape, dtype = self.specs[slot]
        ending = head.ending
        if call.function in _ACTIVATIONS:
            return head._replace(ending=ending._replace(activation=_ACTIVATIONS[call.function]))
        others = [a for a in call.args if self.spec(a) is not None and not _is(a, slot)]
        if any(self.spec(a)[1] != dtype for a in others) or ending.beside is not None:
            return None
        if call.function is elementwise.add and call.specs[0] == (shape, dtype) and len(others) == 1:
            (other,) = others
            if self.spec(other)[0] == shape:
                return head._replace(ending=ending._replace(beside=other))
            if self.spec(other)[0] == shape[-1:] and ending.bias is None and ending.factor is None:
                return head._replace(ending=ending._replace(bias=other))
        if call.function is normalize.batch_normalization and ending.factor is None and _is(call.args[0], slot):
            return self.normalized(head, call)
        return None

    def normalized(self, head: _Head, call: Call) -> _Head | None:
        """The head with this normalization, whose factor is a call of its own: in most steps it can be prepared."""
        _, mean, variance, axis, offset, scale, epsilon = call.args
        ndim, channels = len(call.specs[0][0]), call.specs[0][0][-1:]
        given = [self.spec(a) for a in (mean, variance, offset, scale) if a is not None]
        if axis != (ndim - 1,) or any(shape != channels for shape, _ in given):
            return None
        slot, spec = max(self.specs) + 1, self.spec(variance)
        self.specs[slot] = spec
        factor = Call(factor_of, (variance, scale, epsilon), (slot,), False, (spec,))
        ending = head.ending._replace(mean=mean, factor=Ref(slot), offset=offset)
        return head._replace(ending=ending, before=(*head.before, factor))

    def spec(self, a: Any) -> Any:
        """(shape, dtype) of a tensor among the arguments of a call, None for anything else."""
        if a.__class__ is Ref:
            return self.specs[a.slot]
        return (a.shape, a.dtype) if isinstance(a, np.ndarray) else None


# Of these a result is memory of its own, and no argument is part of it.
_FRESH = {convolutions.conv, fused.activated_conv, ended_conv, ended_conv_transpose, ended_dense, ended}


def spending(calls: list[Call], dropped: list[list[int]]) -> list[Call]:
    """The calls, with those told so that may write over what lies beside their sums, for they are its last readers.

    Args:
        calls: Of a step, in order.
        dropped: For each the slots that nobody reads after it.
    """
    makers = {slot: call.function for call in calls for slot in call.results}
    shared = {slot for call in calls if call.function not in _FRESH for slot in refs(call.args)}  # there may be views

    def spent(call: Call, gone: list[int]) -> Call:
        if call.function is not ended_conv:
            return call
        ending = Ending(*call.args[-len(PLAIN) :])
        slot = getattr(ending.beside, "slot", None)
        read = [a for a in call.args if _is(a, slot)]
        if slot not in gone or slot in shared or makers.get(slot) not in _FRESH or len(read) > 1:
            return call
        return call._replace(args=(*call.args[: -len(PLAIN)], *ending._replace(spent=True)))

    return [spent(call, gone) for call, gone in zip(calls, dropped, strict=True)]


def _is(a: Any, slot: int) -> bool:
    return a.__class__ is Ref and a.slot == slot


def joined(calls: list[Call], specs: dict[int, tuple], wanted: set[int]) -> list[Call]:
    """The calls, with those joined that one kernel can do.

    Args:
        calls: Of a step, in order.
        specs: Slot -> (shape, dtype).
        wanted: The slots that the step returns.
    """
    return _Joiner(calls, specs, wanted).joined() if _native.available else calls
