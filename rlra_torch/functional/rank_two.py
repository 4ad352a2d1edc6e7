"""Nonnegative factors with two columns, in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from .pixels import select_columns


def rank_two_nnls(gram: Tensor, cross: Tensor) -> Tensor:
    """``argmin_{x >= 0} x G x / 2 - c x`` for each row, with two unknowns.

    The solution without bounds where it is nonnegative; else the better of the two solutions with
    one unknown, ``max(c_q, 0) / G_qq``.

    Args:
        gram: (*, 2, 2), positive semidefinite.
        cross: (*, rows, 2).

    Returns:
        (*, rows, 2), differentiable.

    References:
        Kuang and Park, Fast rank-2 nonnegative matrix factorization for hierarchical document
        clustering, KDD 2013, algorithm 2.

    Example:
        >>> rank_two_nnls(torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, -1.0]]))
        tensor([[1., 2.],
                [3., 0.]])
    """
    finfo = torch.finfo(gram.dtype)
    diagonal = gram.diagonal(dim1=-2, dim2=-1).unsqueeze(-2)
    scale = torch.where(diagonal > 0, diagonal, 1).rsqrt()
    # Columns of unit norm: z is x times the norms, their inner product is the cosine.
    c = torch.where(diagonal > 0, cross * scale, 0)
    cosine = gram[..., 0, 1, None, None] * scale.prod(-1, keepdim=True)
    sine = (1 - cosine) * (1 + cosine)
    independent = (sine > 4 * finfo.eps) & (diagonal > 0).all(-1, keepdim=True)
    both = (c - cosine * c.flip(-1)) / torch.where(independent, sine, 1)
    best = c.detach().argmax(-1, keepdim=True) == torch.arange(2, device=c.device)
    one = torch.where(best, c.clamp_min(0), 0)
    inside = independent & (both >= 0).all(-1, keepdim=True)
    return torch.where(inside, both, one) * scale


def rank_two_nmf(y: Tensor, rays: bool = True) -> tuple[Tensor, Tensor]:
    """Nonnegative factors with two columns, ``Y ~ W H^T``, without iterations.

        C = U^T Y,   W = max(U C[:, K], 0),   H = argmin_{H >= 0} ||Y - W H^T||

    with U the two leading left singular vectors, and K the two columns that successive projection
    picks from C: the longest, and the one farthest from its line. A cone in two dimensions has two
    extreme rays: nonnegative data of rank two is met exactly.

    Args:
        y: (*, m, n).
        rays: whether columns of C are compared as rays, whatever their length: then it is exact.
            Else short columns, of which noise turns the rays, count less.

    Returns:
        W, (*, m, 2), and H, (*, n, 2).

    References:
        Gillis, Kuang and Park, Hierarchical clustering of hyperspectral images using rank-two
        nonnegative matrix factorization, IEEE TGRS 53, 2015, algorithm 3.

    Example:
        >>> y = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]])
        >>> w, h = rank_two_nmf(y)
        >>> bool(((w @ h.mT - y).abs() < 1e-6).all())
        True
    """
    basis = leading_directions(y)
    c = basis.mT @ y
    seen = c / torch.where(c[..., :1, :] == 0, torch.inf, c[..., :1, :]) if rays else c
    first = seen.square().sum(-2).argmax(-1, keepdim=True)
    longest = seen.gather(-1, first.unsqueeze(-2).expand(*c.shape[:-1], 1))
    # The area between two vectors of a plane: the norm of what projection leaves, up to a factor.
    area = (longest[..., 0, :] * seen[..., 1, :] - longest[..., 1, :] * seen[..., 0, :]).abs()
    picked = torch.cat((first, area.argmax(-1, keepdim=True)), -1)
    w = (basis @ select_columns(c, picked)).clamp_min(0)
    return w, rank_two_nnls(w.mT @ w, y.mT @ w)


def leading_directions(y: Tensor) -> Tensor:
    """The two leading left singular vectors, from the gram of the shorter side.

    Args:
        y: (*, m, n).

    Returns:
        (*, m, 2); where a side has one entry only the second is zero.

    Example:
        >>> leading_directions(torch.diag(torch.tensor([1.0, 3.0, 2.0]))).abs()
        tensor([[0., 0.],
                [1., 0.],
                [0., 1.]])
    """
    m, n = y.shape[-2:]
    if m <= n:
        found = torch.linalg.eigh(y @ y.mT).eigenvectors[..., -2:].flip(-1)
    else:
        right = torch.linalg.eigh(y.mT @ y).eigenvectors[..., -2:].flip(-1)
        found = torch.linalg.qr(y @ right).Q
    return torch.nn.functional.pad(found, (0, 2 - found.shape[-1]))
