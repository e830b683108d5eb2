"""Matrix decompositions in torch."""

from __future__ import annotations

import torch

from kcore.ops.numerics import phase, signed_qr, signed_svd


def _checked(name, problem, function):
    """The function, with torch's error about a matrix (a RuntimeError) as the ValueError that others raise."""

    def run(*args):
        try:
            return function(*args)
        except torch.linalg.LinAlgError:
            raise ValueError(f"{name}: a matrix is {problem}.") from None

    return run


def _cholesky(x, upper):
    return torch.linalg.cholesky((x + x.mH) / 2, upper=upper)


cholesky = _checked("cholesky", "not positive definite", _cholesky)
inv = _checked("inv", "singular", torch.linalg.inv)


def det(x):
    if not (torch.is_grad_enabled() and x.requires_grad and x.numel()):
        return torch.linalg.det(x)
    # torch's gradient at a singular matrix is 0. There det(x) is written as a product of diagonal elements
    # between its singular vectors; its gradient is that of the cofactors.
    u, s, vh = torch.linalg.svd(x.detach())
    singular = s[..., -1] <= s[..., 0] * x.shape[-1] * torch.finfo(s.dtype).eps
    phase = torch.linalg.det(u) * torch.linalg.det(vh)
    product = phase * (u.mH @ x @ vh.mH).diagonal(dim1=-2, dim2=-1).prod(-1)
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    return torch.where(singular, product, torch.linalg.det(torch.where(singular[..., None, None], eye, x)))


def slogdet(x):
    return tuple(torch.linalg.slogdet(x))


def pinv(x, rcond):
    if x.element_size() == 2:
        return torch.linalg.pinv(x.float(), rtol=rcond).to(x.dtype)
    return torch.linalg.pinv(x, rtol=rcond)


def _solve(a, b):
    y = torch.linalg.solve(a, b.unsqueeze(-1) if b.ndim < a.ndim else b)
    return y.squeeze(-1) if b.ndim < a.ndim else y


solve = _checked("solve", "singular", _solve)


def solve_triangular(a, b, lower):
    y = torch.linalg.solve_triangular(a, b.unsqueeze(-1) if b.ndim < a.ndim else b, upper=not lower)
    return y.squeeze(-1) if b.ndim < a.ndim else y


def qr(x, mode):
    return signed_qr(*torch.linalg.qr(x, mode))


def svd(x, full_matrices, compute_uv):
    if not compute_uv:
        return torch.linalg.svdvals(x)
    return signed_svd(*torch.linalg.svd(x, full_matrices))


def eigh(x):
    w, v = torch.linalg.eigh((x + x.mH) / 2)
    return w, v * phase(v)


def eig(x):
    w, v = torch.linalg.eig(x)
    return w, v * phase(v)


def lu_factor(x):
    lu, pivots, _ = torch.linalg.lu_factor_ex(x)  # without an error for singular matrices
    return lu, pivots - 1  # torch counts from 1
