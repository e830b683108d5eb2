"""Ops that pick elements by position, in torch."""

from __future__ import annotations

import builtins

import torch

from kcore import backends, dtypes
from kcore.backends.host import block
from kcore.backends.torch import backend
from kcore.ops.index import product_gradients

# torch indexes few unsigned dtypes; their bits it does.
_SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


def basic_index(x, key):
    parts, backwards = [], []
    axis = made = 0
    for k in key:
        if isinstance(k, builtins.slice) and k.step is not None and k.step < 0:  # torch steps forward only
            places = range(x.shape[axis])[k]
            k = builtins.slice(places[-1], places[0] + 1, -k.step) if places else builtins.slice(0, 0)
            backwards.append(made)
        parts.append(k)
        axis += k is not None
        made += not isinstance(k, int)
    y = x[tuple(parts)]
    return torch.flip(y, backwards) if backwards else y


def _from_zero(indices, size):
    """(indices from 0 on and in range, which of them were out of range)."""
    i = torch.where(indices < 0, indices + size, indices)
    outside = (i < 0) | (i >= size)
    return torch.where(outside, 0, i), outside


def _by_bits(fn):
    """`fn(x, indices, axis, fill)` with what fills in for indices out of range, for unsigned x too."""

    def function(x, indices, axis):
        if x.dtype in _SIGNED:
            return fn(x.view(_SIGNED[x.dtype]), indices, axis, -1).view(x.dtype)  # the greatest, all bits set
        return fn(x, indices, axis, dtypes.missing(backend.dtype(x)))

    return function


@_by_bits
def take(x, indices, axis, fill):
    if axis is None:
        x, axis = x.reshape(-1), 0
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    if x.shape[axis] == 0:
        return torch.full(shape, fill, dtype=x.dtype, device=x.device)
    i, outside = _from_zero(indices, x.shape[axis])
    y = torch.index_select(x, axis, i.reshape(-1)).reshape(shape)
    return y.masked_fill(outside.reshape((*outside.shape, *(1,) * (x.ndim - axis - 1))), fill)


@_by_bits
def take_along_axis(x, indices, axis, fill):
    if axis is None:
        return take(x, indices, None)
    others = torch.broadcast_shapes(*((*t.shape[:axis], 1, *t.shape[axis + 1 :]) for t in (x, indices)))
    x, indices = (t.expand(*others[:axis], t.shape[axis], *others[axis + 1 :]) for t in (x, indices))
    if x.shape[axis] == 0:
        return torch.full(indices.shape, fill, dtype=x.dtype, device=x.device)
    i, outside = _from_zero(indices, x.shape[axis])
    return torch.gather(x, axis, i.long()).masked_fill(outside, fill)


def slice(inputs, start_indices, shape):
    return inputs[block(inputs.shape, start_indices, shape)]


def slice_update(inputs, start_indices, updates):
    y = inputs.clone()
    y[block(inputs.shape, start_indices, updates.shape)] = updates
    return y


class _Multiplied(torch.autograd.Function):
    """torch's own has no second gradient where two factors are 0."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, indices, updates):
        return _reduced(x, indices, updates, "prod")

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        with backends.use(backend):
            gx, gu = product_gradients(g, *ctx.saved_tensors)
        return gx, None, gu


def _reduced(x, indices, updates, way):
    return x.scatter_reduce(0, indices.reshape(-1, *(1,) * (x.ndim - 1)).expand(updates.shape), updates, way)


def scatter_rows(x, indices, updates, reduction):
    n = len(x)
    i = torch.where(indices < 0, indices + n, indices)
    i = torch.where((i < 0) | (i >= n), n, i).long()
    # A row more at the end takes what is out of range.
    y = torch.cat([x, x.new_zeros((1, *x.shape[1:]))])
    if reduction is None:
        y = y.index_put((i,), updates)
    elif reduction == "add":
        y = y.index_add(0, i, updates)
    elif reduction == "mul" and (x.is_floating_point() or x.is_complex()):
        y = _Multiplied.apply(y, i, updates)
    else:
        y = _reduced(y, i, updates, {"max": "amax", "min": "amin", "mul": "prod"}[reduction])
    return y[:n]
