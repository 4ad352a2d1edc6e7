"""Nonnegative least squares on many supports, each distinct one factored once."""

from __future__ import annotations

import torch
from torch import Tensor

from .pivots import pivot


def least_squares_on(root: Tensor, target: Tensor, mask: Tensor, total: bool = False) -> Tensor:
    """``argmin ||R z - q||`` over vectors on the support of each row, by QR.

    Args:
        root: R, (p, r).
        target: q, (n, p).
        mask: bool (n, r), the supports, with independent columns.
        total: whether the entries of z sum to one.

    Returns:
        (n, r).

    Example:
        >>> mask = torch.tensor([[True, False]])
        >>> least_squares_on(torch.eye(2), torch.tensor([[1.0, 2.0]]), mask)
        tensor([[1., 0.]])
    """
    masks, which = _distinct(mask)
    inverse = _pseudo_inverses(root, masks)
    own = inverse[which]
    z = (own @ target[..., None])[..., 0]
    z = z + (own @ (target - z @ root.mT)[..., None])[..., 0]
    if total:
        ones = inverse @ (inverse.mT @ masks.to(root.dtype)[..., None])
        ones = (ones[..., 0] / ones.sum(-2))[which]
        z = z + (1 - z.sum(-1, keepdim=True)) * ones
    return torch.where(mask, z, 0)


def nonnegative_on(
    root: Tensor, target: Tensor, allowed: Tensor, x: Tensor, total: bool = False
) -> Tensor:
    """``argmin ||R x - q||`` over nonnegative vectors on a support for each row, exactly.

    Active sets from a warm start; rows that are done wait for no others.

    Args:
        root: R, (p, r).
        target: q, (n, p).
        allowed: bool (n, r), the supports.
        x: (n, r), a feasible start.
        total: whether the entries of x sum to one.

    Returns:
        (n, r).

    Example:
        >>> target, allowed = torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor([[True, True, False]])
        >>> nonnegative_on(torch.eye(3), target, allowed, torch.zeros(1, 3))
        tensor([[1., 0., 0.]])
    """
    gram, found = root.mT @ root, x.clone()
    todo = torch.arange(len(x), device=x.device)
    passive = x > 0
    # From a warm start a few pivots are enough; the limit ends cycles of rounding errors.
    for _ in range(10 + 5 * x.shape[-1]):
        z = least_squares_on(root, target, passive, total)
        x, after = pivot(x, passive, z, (gram, target @ root), allowed, total)
        going = (after != passive).any(-1)
        found[todo] = x
        if not bool(going.any()):
            break
        todo, target, allowed = todo[going], target[going], allowed[going]
        x, passive = x[going], after[going]
    return found


def _distinct(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct rows, and which of them each row is."""
    if mask.shape[-1] > 62:
        return torch.unique(mask, dim=0, return_inverse=True)
    powers = 2 ** torch.arange(mask.shape[-1], device=mask.device)
    keys, which = torch.unique((mask * powers).sum(-1), return_inverse=True)
    return (keys[:, None] // powers % 2).to(torch.bool), which


def _pseudo_inverses(root: Tensor, masks: Tensor) -> Tensor:
    """``R_P^+`` for each support, (u, r, p), zero off the support."""
    norm = torch.linalg.vector_norm(root, dim=-2, keepdim=True)
    norm = torch.where(norm > 0, norm, 1)
    # Columns off the support are exchanged for columns of an identity below.
    upper = torch.where(masks[:, None, :], root / norm, 0)
    q, r = torch.linalg.qr(torch.cat((upper, torch.diag_embed((~masks).to(root.dtype))), -2))
    inverse = torch.linalg.solve_triangular(r, q[:, : len(root)].mT, upper=True)
    return torch.where(masks[..., None], inverse / norm.mT, 0)
