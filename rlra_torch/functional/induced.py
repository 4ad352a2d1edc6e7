"""The proximal map of the l1 induced matrix norm."""

from __future__ import annotations

import torch
from torch import Tensor


def shrink_largest_columns(x: Tensor, threshold: Tensor | float) -> Tensor:
    """argmin over U of 1/2 ||U - X||² + t max_i ||u_i||_1, by one sort.

    The columns longer than a common radius s are projected onto the l1 ball of that radius, so that
    u_i = sign(x_i) max(|x_i| - θ_i, 0). With the k_i largest entries of x_i kept, of sum S_i,
    θ_i = (S_i - s) / k_i; and the radius is where Σ θ_i = t, or 0 where Σ max |x_i| <= t. Each θ_i
    falls with s along segments of slope -1 / k_i: all their ends, sorted, lead to the one that
    holds the solution, O(d r log d r).

    Args:
        x: X, (*, d, r).
        threshold: t >= 0, a number or a tensor (*, 1, 1).

    Returns:
        U, shaped like x.

    References:
        | Bejar, Dokmanic, Vidal, The fastest l1,inf prox in the West (2022)
        | Cohen, Computing the proximal operator of the l1 induced matrix norm (2020)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.2.2

    Example:
        >>> shrink_largest_columns(torch.tensor([[3.0, 1.0], [1.0, 0.0]]), 0.5)
        tensor([[2.5000, 1.0000],
                [0.5000, 0.0000]])
    """
    t = torch.as_tensor(threshold, dtype=x.dtype, device=x.device)
    size, rows = x.abs(), x.shape[-2]
    ordered = size.sort(-2, descending=True).values
    sums = ordered.cumsum(-2)
    kept = torch.arange(1, rows + 1, device=x.device, dtype=x.dtype)[:, None]
    # Where the k-th segment of each column ends; the next entry joins there.
    after = torch.cat((ordered[..., 1:, :], torch.zeros_like(ordered[..., :1, :])), -2)
    ends = sums - kept * after
    radius = _radius(ends.detach(), ordered.detach()[..., 0, :], t.detach(), kept)
    # The entries kept at that radius; the solution of their equations has its derivatives.
    count = (ends.detach() < radius).sum(-2, keepdim=True).clamp_max(rows - 1)
    cut = radius <= sums.detach()[..., -1:, :]
    top, k = sums.gather(-2, count), (count + 1).to(x.dtype)
    needed = torch.where(cut, top / k, 0).sum(-1, keepdim=True) - t
    rate = torch.where(cut, 1 / k, 0).sum(-1, keepdim=True)
    radius = (needed / torch.where(rate > 0, rate, 1)).clamp_min(0)
    theta = torch.where(cut, (top - radius) / k, 0).clamp_min(0)
    vanishes = ordered[..., :1, :].sum(-1, keepdim=True) <= t
    return torch.where(vanishes | (size <= theta), 0.0, x - theta * x.sign())


def _radius(ends: Tensor, largest: Tensor, t: Tensor, kept: Tensor) -> Tensor:
    """The end, (*, 1, 1), of the segment where Σ θ_i falls to t; infinite where it never does."""
    rows, columns = ends.shape[-2:]
    bend = 1 / kept - torch.cat((1 / kept[1:], torch.zeros_like(kept[:1])), 0)
    bend = bend.expand(rows, columns).flatten().expand(*ends.shape[:-2], rows * columns)
    place, order = ends.flatten(-2).sort(-1)
    slope = bend.gather(-1, order).cumsum(-1) - columns
    slope = torch.cat((torch.full_like(slope[..., :1], -columns), slope[..., :-1]), -1)
    length = place.diff(dim=-1, prepend=torch.zeros_like(place[..., :1]))
    total = largest.sum(-1, keepdim=True) + (slope * length).cumsum(-1)
    first = (total > t[..., 0] if t.ndim else total > t).sum(-1, keepdim=True)
    held = place.gather(-1, first.clamp_max(place.shape[-1] - 1))
    return held[..., None]
