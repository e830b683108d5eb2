"""Products in torch."""

from __future__ import annotations

import torch

matmul = torch.matmul


def einsum(subscripts, operands):
    return torch.einsum(subscripts, *operands)
