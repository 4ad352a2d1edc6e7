"""The step of active-set methods for nonnegative least squares, for many rows at once."""

from __future__ import annotations

import torch
from torch import Tensor

from .linalg import times_gram


def pivot(
    x: Tensor,
    passive: Tensor,
    z: Tensor,
    normal: tuple[Tensor, Tensor],
    allowed: Tensor | None = None,
    total: bool = False,
) -> tuple[Tensor, Tensor]:
    """Towards ``z`` up to the first entry that vanishes; a row that gets there takes in an entry.

    What vanishes leaves the passive set. The entry that joins is that with the most negative
    gradient, beyond rounding. Where nothing leaves and nothing joins, ``z`` is the solution.

    Args:
        x: (*, rows, r), nonnegative, 0 off the passive set.
        passive: bool, like ``x``.
        z: least squares on the passive set, like ``x``.
        normal: the gram (*, r, r), or (*, rows, r, r), and the cross product (*, rows, r).
        allowed: which entries may join, like ``x``; None: all.
        total: whether entries sum to a constant, so that gradients count from their mean on the
            passive set.

    Returns:
        the new ``x`` and passive set.

    Example:
        >>> x, passive = torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool)
        >>> pivot(x, passive, x, (torch.eye(2), torch.tensor([[1.0, -2.0]])))[1]
        tensor([[ True, False]])
    """
    gram, cross = normal
    eps = torch.finfo(x.dtype).eps
    blocked = passive & (z <= 0)
    any_blocked = blocked.any(-1, keepdim=True)
    ratio = torch.where(blocked, x / (x - z).clamp_min(torch.finfo(x.dtype).tiny), torch.inf)
    t = ratio.amin(-1, keepdim=True).clamp(0, 1)
    moved = torch.where(any_blocked, x + t * (z - x), z)
    leaves = blocked & (ratio <= t)
    moved = torch.where(passive & ~leaves, moved, 0).clamp_min(0)
    dual = cross - times_gram(moved, gram)
    noise = 10 * eps * (cross.abs() + (dual - cross).abs())
    if total:
        level = torch.where(passive, dual, 0).sum(-1, keepdim=True) / passive.sum(-1, keepdim=True)
        noise, dual = noise + 10 * eps * level.abs(), dual - level
    barred = passive | any_blocked | (dual <= noise)
    barred = barred if allowed is None else barred | ~allowed
    candidates = torch.where(barred, -torch.inf, dual)
    best = candidates.argmax(-1, keepdim=True)
    index = torch.arange(x.shape[-1], device=x.device)
    joins = (index == best) & (candidates > -torch.inf)
    return moved, (passive & ~leaves) | joins
