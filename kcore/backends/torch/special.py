"""Special functions in torch."""

from __future__ import annotations

import torch

erf, erfc, erfinv, i0 = torch.erf, torch.erfc, torch.erfinv, torch.special.i0
gcd = torch.gcd


def logaddexp(x1, x2):
    same = (x1 == x2) & torch.isinf(x1)  # torch's gradient there is nan
    y = torch.logaddexp(torch.where(same, 0, x1), torch.where(same, 0, x2))
    return torch.where(same, torch.maximum(x1, x2), y)


def ldexp(x1, x2):
    # In thirds: torch multiplies by 2.0**x2 at once, which may overflow where the result does not.
    third = torch.div(x2, 3, rounding_mode="trunc")
    for part in (third, third, x2 - 2 * third):
        x1 = x1 * torch.pow(2.0, part.to(x1.dtype))
    return x1


def nextafter(x1, x2):
    if x1.element_size() > 2:
        return torch.nextafter(x1, x2)
    return _next_of_16_bits(*torch.broadcast_tensors(x1, x2))


def _next_of_16_bits(x1, x2):
    # As integers, floats of one sign are in the order of their size.
    bits = x1.view(torch.int16)
    away = ((x2 > x1) == (x1 > 0)).to(torch.int16) * 2 - 1
    tiny = torch.where(x2 > 0, 1, -0x7FFF).to(torch.int16)
    moved = torch.where(x1 == 0, tiny, bits + away).view(x1.dtype)
    return torch.where(torch.isnan(x1) | torch.isnan(x2), x1 + x2, torch.where(x1 == x2, x2, moved))
