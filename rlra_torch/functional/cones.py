"""Projection onto a cone that inequalities describe."""

from __future__ import annotations

import torch
from torch import Tensor

from .linalg import masked_least_squares


def project_onto_dual_cone(basis: Tensor, x: Tensor) -> Tensor:
    """``argmin ||z - x||`` over ``U z >= 0``, through nonnegative least squares.

    The Lagrangian ``||z - x||^2 / 2 - m^T U z`` has its minimum at ``z = x + U^T m``, so that the
    dual is ``min ||U^T m + x||`` over ``m >= 0``. Few multipliers are not zero: an active set takes
    in the inequality that is broken most, solves on the set, and lets go of those whose multiplier
    would be negative, a fixed number of times and for all columns at once.

    Args:
        basis: U, (*, n, r).
        x: (*, r, k), each column on its own.

    Returns:
        (*, r, k); beyond rounding ``U z >= 0`` holds.

    References:
        | Lawson, Hanson, Solving least squares problems (1974), chapter 23
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 14

    Example:
        >>> project_onto_dual_cone(torch.eye(2), torch.tensor([[1.0], [-2.0]]))
        tensor([[1.],
                [0.]])
    """
    points = x.mT.contiguous()
    with torch.no_grad():
        chosen, active = _active(basis.detach(), points.detach())
    return _on(basis, points, chosen, active)[0].mT


def _active(basis: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Which inequalities are tight for each point: indices (*, k, slots), and which slots hold."""
    rank, eps = basis.shape[-1], torch.finfo(basis.dtype).eps
    slots = min(rank, basis.shape[-2])
    chosen = torch.zeros(*points.shape[:-1], slots, dtype=torch.long, device=basis.device)
    active = torch.zeros_like(chosen, dtype=torch.bool)
    weights, moved = torch.zeros_like(chosen, dtype=basis.dtype), points
    length = torch.linalg.vector_norm(basis, dim=-1)[..., None, :]
    noise = 10 * eps * length * torch.linalg.vector_norm(points, dim=-1, keepdim=True)
    place = torch.arange(slots, device=basis.device)
    # Elsewhere the host would have to wait for the device to know.
    host = points.device.type == "cpu" and not torch.compiler.is_compiling()
    for _ in range(4 * slots + 2):
        # What is broken most joins, in a slot that is free.
        broken = moved @ basis.mT
        worst = (broken + noise).argmin(-1, keepdim=True)
        joins = (broken + noise).gather(-1, worst) < 0
        joins = joins & ~active.all(-1, keepdim=True)
        if host and not bool(joins.any()):
            break
        slot = (place == active.to(torch.uint8).argmin(-1, keepdim=True)) & joins
        chosen, active = torch.where(slot, worst, chosen), active | slot
        weights = torch.where(slot, 0, weights)
        # Towards the solution on the set, up to the first multiplier that vanishes, which leaves.
        for _ in range(2):
            _, wanted = _on(basis, points, chosen, active)
            blocked = active & (wanted <= 0)
            gap = (weights - wanted).clamp_min(torch.finfo(basis.dtype).tiny)
            ratio = torch.where(blocked, weights / gap, torch.inf)
            step = ratio.amin(-1, keepdim=True).clamp(max=1)
            weights = torch.where(active, weights + step * (wanted - weights), 0)
            active = active & ~(blocked & (ratio <= step))
            weights = torch.where(active, weights, 0)
        moved, _ = _on(basis, points, chosen, active)
    return chosen, active


def _on(basis: Tensor, points: Tensor, chosen: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """The points and multipliers where the inequalities of the sets hold with equality."""
    rows = basis.unsqueeze(-3).expand(*points.shape[:-1], *basis.shape[-2:])
    index = chosen[..., None].expand(*chosen.shape, basis.shape[-1])
    normals = torch.where(active[..., None], rows.gather(-2, index), 0)
    target, mask = -points.unsqueeze(-2), active.unsqueeze(-2)
    weights = masked_least_squares(normals.mT, target, mask)[..., 0, :]
    return points + (weights.unsqueeze(-2) @ normals)[..., 0, :], weights
