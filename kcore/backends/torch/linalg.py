"""Linear algebra in torch."""

from __future__ import annotations

import torch

matmul = torch.matmul
