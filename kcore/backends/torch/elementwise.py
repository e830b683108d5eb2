"""Elementwise ops in torch."""

from __future__ import annotations

import torch

add, subtract, multiply, divide = torch.add, torch.sub, torch.mul, torch.true_divide
negative, absolute, square, reciprocal = torch.neg, torch.abs, torch.square, torch.reciprocal
maximum, minimum, arctan2 = torch.maximum, torch.minimum, torch.arctan2

exp, exp2, expm1, log, log1p = torch.exp, torch.exp2, torch.expm1, torch.log, torch.log1p
log2, log10, sqrt, rsqrt = torch.log2, torch.log10, torch.sqrt, torch.rsqrt
sin, cos, tan = torch.sin, torch.cos, torch.tan
arcsin, arccos, arctan = torch.arcsin, torch.arccos, torch.arctan
sinh, cosh, tanh = torch.sinh, torch.cosh, torch.tanh
arcsinh, arccosh, arctanh = torch.arcsinh, torch.arccosh, torch.arctanh

equal, not_equal = torch.eq, torch.ne
less, less_equal, greater, greater_equal = torch.lt, torch.le, torch.gt, torch.ge
logical_and, logical_or = torch.logical_and, torch.logical_or
logical_xor, logical_not = torch.logical_xor, torch.logical_not
isnan, isinf, isfinite, signbit = torch.isnan, torch.isinf, torch.isfinite, torch.signbit
bitwise_and, bitwise_or = torch.bitwise_and, torch.bitwise_or
bitwise_xor, bitwise_not = torch.bitwise_xor, torch.bitwise_not


def _inexact(x):
    return x.is_floating_point() or x.is_complex()


def positive(x):
    return x


def sign(x):
    # torch answers 0 for nan
    return torch.where(torch.isnan(x), x, torch.sign(x)) if x.is_floating_point() else torch.sgn(x)


def _division(function):
    """The function, with 0 for integers by 0, where torch raises."""

    def divided(x1, x2):
        if _inexact(x1):
            return function(x1, x2)
        zero = x2 == 0
        return torch.where(zero, 0, function(x1, torch.where(zero, 1, x2)))

    return divided


floor_divide, mod, fmod = _division(torch.floor_divide), _division(torch.remainder), _division(torch.fmod)


def cbrt(x):
    y = torch.sign(x) * torch.pow(torch.abs(x), 1 / 3)
    # 1 / 3 is rounded; a step of Newton's method makes up for it.
    usual = torch.isfinite(x) & (x != 0)
    z = torch.where(usual, y, 1)
    return torch.where(usual, z - (z - x / (z * z)) / 3, y)


def power(x1, x2):
    if _inexact(x1):
        return torch.pow(x1, x2)
    y = torch.pow(x1, torch.abs(x2))  # torch refuses negative integer exponents
    return torch.where((x2 >= 0) | (torch.abs(x1) == 1), y, 0)


floor, ceil = torch.floor, torch.ceil


def trunc(x):
    return torch.trunc(x) if _inexact(x) else x


def round(x, decimals):
    if x.dtype == torch.bool or (not _inexact(x) and decimals >= 0):
        return x
    if not _inexact(x):
        return torch.round(x.double(), decimals=decimals).to(x.dtype)
    return torch.round(x, decimals=decimals)


def left_shift(x, y):
    bits = x.element_size() * 8
    shifted = torch.bitwise_left_shift(x, torch.clamp(y, 0, bits - 1))
    return torch.where(y >= bits, 0, shifted)  # undefined in C


def right_shift(x, y):
    return torch.bitwise_right_shift(x, torch.clamp(y, 0, x.element_size() * 8 - 1))


def clip(x, x_min, x_max):
    return torch.clamp(x, x_min, x_max)


def where(condition, x1, x2):
    if x1 is None:
        return tuple(i.to(torch.int32) for i in torch.nonzero(condition, as_tuple=True))
    return torch.where(condition, x1, x2)


def _of_parts(of_complex, of_real=lambda x: x):
    return lambda x: (of_complex if x.is_complex() else of_real)(x)


conj, real = _of_parts(lambda x: torch.conj(x).resolve_conj()), _of_parts(torch.real)
imag = _of_parts(torch.imag, torch.zeros_like)
