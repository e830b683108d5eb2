"""Ops that move elements about, in torch."""

from __future__ import annotations

import torch

reshape, broadcast_to, swapaxes = torch.reshape, torch.broadcast_to, torch.swapaxes
