"""Projection onto the set of separable self-expressions: each row bounded by its own entry."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def project_rows(z: Tensor, own: Tensor, weights: Tensor) -> Tensor:
    """Projection of each row onto ``{x : 0 <= w_i x_j <= w_j x_i for all j, x_i <= 1}``.

    Here i is the row's own entry. With ``x_i = w_i c`` the other entries are ``min(max(z_j, 0),
    w_j c)``, and the level c maximizes over the sets S of others with ``z_j > 0``

        c = (w_i z_i + sum_S w_j z_j) / (w_i^2 + sum_S w_j^2)

    then clipped such that ``0 <= x_i <= 1``. The best S holds the largest ratios ``z_j / w_j``: one
    sort and two cumulative sums find it for all rows. On S fixed everything is a closed form, of
    which the derivative is taken.

    Args:
        z: (*, n), a row each.
        own: (*,) int64, the own entry of each row.
        weights: nonnegative, broadcasting with ``z``. A column with weight 0 becomes 0; a row whose
            own weight is 0 has no bounds but ``x >= 0`` and ``x_i <= 1``.

    Returns:
        (*, n), differentiable almost everywhere in ``z`` and ``weights``.

    References:
        Gillis and Luce, A fast gradient method for nonnegative sparse regression with
        self-dictionary, IEEE TIP 27, 2018, section III.

    Example:
        >>> z = torch.tensor([[0.0, 0.5], [0.0, 1.0]])
        >>> project_rows(z, torch.arange(2), torch.ones(2))
        tensor([[0.2500, 0.2500],
                [0.0000, 1.0000]])
    """
    own = own.unsqueeze(-1)
    at_own = torch.arange(z.shape[-1], device=z.device) == own
    weights = weights.expand_as(z)
    w = weights.gather(-1, own)
    held = _held(z.detach(), at_own, weights.detach()) | at_own
    squares = torch.where(held, weights.square(), 0).sum(-1, keepdim=True)
    level = torch.where(held, weights * z, 0).sum(-1, keepdim=True)
    level = (level / torch.where(squares > 0, squares, 1)).clamp_min(0)
    bound = weights * level.minimum(1 / torch.where(w > 0, w, 1))
    others = torch.where(w > 0, z.clamp_min(0).minimum(bound), z.clamp_min(0))
    itself = torch.where(w > 0, w * level, z.gather(-1, own)).clamp(0, 1)
    return torch.where(at_own, itself, others)


def _held(z: Tensor, at_own: Tensor, weights: Tensor) -> Tensor:
    """Which of the others are at their bound."""
    counted = (z > 0) & (weights > 0) & ~at_own
    ratio = torch.where(counted, z / torch.where(counted, weights, 1), -math.inf)
    ordered, order = ratio.sort(-1, descending=True)
    w = torch.where(ordered > 0, weights.gather(-1, order), 0)
    own = torch.where(at_own, weights, 0).sum(-1, keepdim=True)
    total = torch.where(at_own, weights * z, 0).sum(-1, keepdim=True)
    squares = own.square() + w.square().cumsum(-1)
    levels = total + torch.where(ordered > 0, w.square() * ordered, 0).cumsum(-1)
    best = (levels / torch.where(squares > 0, squares, 1)).amax(-1, keepdim=True)
    alone = total / torch.where(own > 0, own.square(), 1)
    return ratio > torch.maximum(best, alone)
