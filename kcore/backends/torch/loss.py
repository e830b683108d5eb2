"""Loss ops in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from kcore import ops


def ctc_loss(target, output, target_length, output_length, mask_index):
    from kcore.backends import torch as here

    if here._depth > 1:  # torch can't differentiate it twice
        return ops.ctc_loss.op.body(target, output, target_length, output_length, mask_index)
    wide = output.float() if output.dtype in (torch.float16, torch.bfloat16) else output
    counts = torch.arange(output.shape[1], device=output.device) < output_length[:, None]
    log_p = torch.log_softmax(torch.where(counts[..., None], wide, 0), -1).transpose(0, 1)
    # zero_infinity would make the loss 0 too, and without it the gradient is nan.
    loss = F.ctc_loss(log_p, target, output_length, target_length, mask_index, "none", zero_infinity=True)
    with torch.no_grad():
        full = F.ctc_loss(log_p, target, output_length, target_length, mask_index, "none")
    return torch.where(torch.isinf(full), full, loss).to(output.dtype)


def binary_crossentropy(target, output, from_logits):
    if from_logits:
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")
    return ops.binary_crossentropy.op.body(target, output, from_logits)


def sparse_categorical_crossentropy(target, output, from_logits, axis):
    if not from_logits:
        return ops.sparse_categorical_crossentropy.op.body(target, output, from_logits, axis)
    if target.ndim == output.ndim:
        target = target.squeeze(axis)
    classes = output.shape[axis]
    target = torch.where((target >= 0) & (target < classes), target, -100).long()
    # torch wants the classes on axis 1, or on the only one.
    return F.cross_entropy(output.movedim(axis, min(1, output.ndim - 1)), target, ignore_index=-100, reduction="none")
