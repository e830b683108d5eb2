"""Control flow in torch: Python's own, but for what torch vectorizes and differentiates itself."""

from __future__ import annotations

import torch
from torch.utils.checkpoint import checkpoint as _checkpoint

from kcore.backends.scoped import Replay


def stop_gradient(variable):
    return variable.detach()


def map_rows(f, xs):
    return torch.func.vmap(lambda *row: f(list(row)))(*xs)


class _Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *xs):
        ys, ctx.pull = f(xs)
        ctx.f = f
        ctx.save_for_backward(*xs)
        return tuple(ys)

    @staticmethod
    def backward(ctx, *gs):
        pull = ctx.pull
        if torch.is_grad_enabled():  # differentiated again: what `pull` uses should depend on xs
            _, pull = ctx.f(ctx.saved_tensors)
        return None, *pull(gs)


def custom_call(f, xs):
    return list(_Custom.apply(f, *xs))


def checkpoint(f, xs):
    replay = Replay(f)
    return _checkpoint(lambda *xs: replay(list(xs)), *xs, use_reentrant=False, preserve_rng_state=False)
