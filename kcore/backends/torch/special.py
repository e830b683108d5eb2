"""Special functions in torch."""

from __future__ import annotations

import torch

from kcore.ops.numerics import next_of_16_bits

erf, erfc, erfinv, i0 = torch.erf, torch.erfc, torch.erfinv, torch.special.i0
gcd = torch.gcd


def logaddexp(x1, x2):
    same = (x1 == x2) & torch.isinf(x1)  # torch's gradient there is nan
    y = torch.logaddexp(torch.where(same, 0, x1), torch.where(same, 0, x2))
    return torch.where(same, torch.maximum(x1, x2), y)


def nextafter(x1, x2):
    if x1.element_size() > 2:
        return torch.nextafter(x1, x2)
    return next_of_16_bits(x1, x2)
