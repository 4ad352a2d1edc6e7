"""Nonnegative least squares on many supports, each distinct one factored once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .pivots import pivot


class Rows(NamedTuple):
    """Least-squares problems ``||R_i x - q_i||^2``, of which many may share their matrix.

    Args:
        roots: (P, p, r), the matrices.
        owner: int64 (n,), which of them each row has.
        target: q, (n, p).
    """

    roots: Tensor
    owner: Tensor
    target: Tensor

    def at(self, index: Tensor) -> Rows:
        """Some of the rows."""
        return Rows(self.roots, self.owner[index], self.target[index])

    def of(self, matrices: Tensor) -> Tensor:
        """The matrix of each row, (n, ., .), or the one that all have, (., .)."""
        return matrices[0] if len(matrices) == 1 else matrices[self.owner]

    def residual(self, x: Tensor) -> Tensor:
        """``q - R x``, (n, p)."""
        return self.target - _each(self.of(self.roots), x)

    def normal(self) -> tuple[Tensor, Tensor]:
        """The grams, one or (n, r, r), and the cross products (n, r)."""
        return self.of(self.roots.mT @ self.roots), _each(self.of(self.roots.mT), self.target)


def least_squares_on(rows: Rows, mask: Tensor, total: bool = False) -> Tensor:
    """``argmin ||R z - q||`` over vectors on the support of each row, by QR.

    Args:
        rows: the problems.
        mask: bool (n, r), the supports; of dependent columns in one the later are left out.
        total: whether the entries of z sum to one.

    Returns:
        (n, r).

    Example:
        >>> rows = Rows(torch.eye(2)[None], torch.tensor([0]), torch.tensor([[1.0, 2.0]]))
        >>> least_squares_on(rows, torch.tensor([[True, False]]))
        tensor([[1., 0.]])
    """
    masks, owner, which = _distinct(mask, rows.owner)
    own = rows.roots.expand(len(masks), -1, -1) if len(rows.roots) == 1 else rows.roots[owner]
    inverse = _pseudo_inverses(own, masks)
    z = _each(inverse[which], rows.target)
    z = z + _each(inverse[which], rows.residual(z))
    if total:
        ones = inverse @ inverse.sum(-2)[..., None]
        ones = (ones[..., 0] / ones.sum(-2))[which]
        z = z + (1 - z.sum(-1, keepdim=True)) * ones
    return torch.where(mask, z, 0)


def nonnegative_on(rows: Rows, allowed: Tensor, x: Tensor, total: bool = False) -> Tensor:
    """``argmin ||R x - q||`` over nonnegative vectors on a support for each row, exactly.

    Active sets from a warm start; rows that are done wait for no others.

    Args:
        rows: the problems.
        allowed: bool (n, r), the supports.
        x: (n, r), a feasible start.
        total: whether the entries of x sum to one.

    Returns:
        (n, r).

    Example:
        >>> rows = Rows(torch.eye(3)[None], torch.tensor([0]), torch.tensor([[1.0, -2.0, 3.0]]))
        >>> nonnegative_on(rows, torch.tensor([[True, True, False]]), torch.zeros(1, 3))
        tensor([[1., 0., 0.]])
    """
    found, passive = x.clone(), x > 0
    todo = torch.arange(len(x), device=x.device)
    # From a warm start a few pivots are enough; the limit ends cycles of rounding errors.
    for _ in range(10 + 5 * x.shape[-1]):
        z = least_squares_on(rows, passive, total)
        x, after = pivot(x, passive, z, rows.normal(), allowed, total)
        going = (after != passive).any(-1)
        found[todo] = x
        if not bool(going.any()):
            break
        todo, rows, allowed = todo[going], rows.at(going), allowed[going]
        x, passive = x[going], after[going]
    return found


def _each(matrices: Tensor, x: Tensor) -> Tensor:
    """One matrix, or one for each row, times the rows of x."""
    return x @ matrices.mT if matrices.ndim == 2 else (matrices @ x[..., None])[..., 0]


def _distinct(mask: Tensor, owner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct pairs of support and owner, and which of them each row has."""
    r = mask.shape[-1]
    if r > 40:
        pairs = torch.cat((mask.long(), owner[:, None]), -1)
        pairs, which = torch.unique(pairs, dim=0, return_inverse=True)
        return pairs[:, :r].to(torch.bool), pairs[:, r], which
    powers = 2 ** torch.arange(r, device=mask.device)
    keys = (mask * powers).sum(-1) + owner * 2**r
    keys, which = torch.unique(keys, return_inverse=True)
    return (keys[:, None] // powers % 2).to(torch.bool), keys // 2**r, which


def _pseudo_inverses(roots: Tensor, masks: Tensor) -> Tensor:
    """``R_P^+`` for each support, (u, r, p), zero off the support."""
    norm = torch.linalg.vector_norm(roots, dim=-2, keepdim=True)
    norm = torch.where(norm > 0, norm, 1)
    # Columns off the support are exchanged for columns of an identity below.
    upper = torch.where(masks[:, None, :], roots / norm, 0)
    p, eps = roots.shape[-2], torch.finfo(roots.dtype).eps
    q, r = torch.linalg.qr(torch.cat((upper, torch.diag_embed((~masks).to(roots.dtype))), -2))
    # A column that depends on those before it to rounding is left out.
    dependent = r.diagonal(dim1=-2, dim2=-1).abs() <= 10 * p * eps
    first = dependent & (dependent.cumsum(-1) == 1)
    regular = r + torch.diag_embed(first.to(r.dtype))
    inverse = torch.linalg.solve_triangular(regular, q[:, :p].mT, upper=True)
    inverse = torch.where(masks[..., None], inverse / norm.mT, 0)
    again = first.any(-1)
    if bool(again.any()):
        inverse[again] = _pseudo_inverses(roots[again], (masks & ~first)[again])
    return inverse
