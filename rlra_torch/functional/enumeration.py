"""Exactly sparse nonnegative least squares by trying every support."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .subsets import subsets

# Entries of the largest temporary tensor: small enough for the caches of a CPU.
ENTRIES = 2**20


class Path(NamedTuple):
    """The best solutions with at most p nonzeros, for p from 0 on.

    Args:
        x: (*, n, levels, r).
        squares: (*, n, levels), the squared residuals; infinite where nothing is feasible.
    """

    x: Tensor
    squares: Tensor


def enumerate_supports(root: Tensor, target: Tensor, k: int, total: bool = False) -> Path:
    """``min ||R x - q||`` over ``x >= 0`` with at most p nonzeros, for all p up to k and all rows.

    A solution is positive on its support and solves least squares there; of all supports with
    independent columns on which least squares gives something positive the one with the least
    residual wins. One QR of each support serves all rows, and the residual is what of ``q`` its
    columns leave, never a difference of large numbers.

    Args:
        root: R, (*, p, r).
        target: q, (*, n, p).
        k: the most nonzeros.
        total: whether entries sum to one; R and q are then `lifted`.

    Returns:
        the path with levels 0 to k.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 15.1

    Example:
        >>> path = enumerate_supports(torch.eye(3), torch.tensor([[3.0, -1.0, 4.0]]), 2)
        >>> path.x[0].tolist(), path.squares[0].tolist()
        ([[0.0, 0.0, 0.0], [0.0, 0.0, 4.0], [3.0, 0.0, 4.0]], [26.0, 10.0, 1.0])
    """
    rows, r = root.shape[-2:]
    n = target.shape[:-1]
    most = max(1, ENTRIES // (rows * n.numel()))
    x, squares = target.new_zeros(*n, r), target.square().sum(-1)
    levels = [(x, torch.full_like(squares, torch.inf) if total else squares)]
    for p in range(1, k + 1):
        x, squares = levels[-1]
        # More columns than rows are dependent: there is nothing to find.
        for index in subsets(r, p, most) if p <= rows else ():
            index = index.to(root.device)
            found, left = _on_each(root, target, index, total)
            least, which = left.min(-2)
            values = found.gather(-3, which[..., None, None, :].expand_as(found[..., :1, :, :]))
            places = torch.zeros_like(x).scatter(-1, index[which], values[..., 0, :, :].mT)
            x = torch.where((least < squares)[..., None], places, x)
            squares = squares.minimum(least)
        levels.append((x, squares))
    x, squares = zip(*levels, strict=True)
    return Path(torch.stack(x, -2), torch.stack(squares, -1))


def _on_each(root: Tensor, target: Tensor, index: Tensor, total: bool) -> tuple[Tensor, Tensor]:
    """Least squares on supports (s, p): solutions (*, s, p, n) and squared residuals (*, s, n)."""
    p, eps = index.shape[-1], torch.finfo(root.dtype).eps
    columns = root[..., index].movedim(-3, -2)
    basis, upper = torch.linalg.qr(columns, mode="complete")
    turned = (basis.mT.flatten(-3, -2) @ target.mT).unflatten(-2, basis.shape[-3:-1])
    upper, inside, outside = upper[..., :p, :], turned[..., :p, :], turned[..., p:, :]
    norms = torch.linalg.vector_norm(columns, dim=-2)
    alone = upper.diagonal(dim1=-2, dim2=-1).abs()
    dependent = alone <= 10 * columns.shape[-2] * eps * norms
    upper = upper + torch.diag_embed(dependent.to(root.dtype))
    x = torch.linalg.solve_triangular(upper, inside, upper=True)
    squares = outside.square().sum(-2)
    if total:
        ones = torch.ones_like(upper[..., :1])
        half = torch.linalg.solve_triangular(upper.mT, ones, upper=False)
        missing = (1 - x.sum(-2, keepdim=True)) / half.square().sum(-2, keepdim=True)
        x = x + missing * torch.linalg.solve_triangular(upper, half, upper=True)
        squares = squares + (missing * half).square().sum(-2)
    # What is positive by rounding only is none: a sparser support is as good.
    rounding = 4 * eps * torch.linalg.vector_norm(target, dim=-1)[..., None, None, :]
    usable = (x * norms[..., None] > rounding).all(-2) & ~dependent.any(-1, keepdim=True)
    return x, torch.where(usable, squares, torch.inf)
