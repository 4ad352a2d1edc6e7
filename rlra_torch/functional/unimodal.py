"""Unimodal regression: rising to a mode, then falling."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .segments import segment_means

CHUNK = 2**22  # means of intervals that are held at once


def unimodal(x: Tensor, *, nonnegative: bool = False) -> Tensor:
    """``argmin ||z - x||`` over ``z_1 <= ... <= z_p >= ... >= z_n`` with the best mode p.

    For each p the increasing regression of what is before and the decreasing one of what is after:
    the last block of the increasing regression of ``x_1..x_p`` is the interval up to p of largest
    mean, and what is before it is the regression of a shorter vector. So the errors of all of them
    follow from the ``n^2 / 2`` means of intervals, exactly and without a search.

    Args:
        x: (m, n).
        nonnegative: whether ``z >= 0`` too, which may move the mode.

    Returns:
        z, (m, n), differentiable; of two modes that fit alike the first.

    References:
        | Stout, Unimodal regression via prefix isotonic regression (2008)

    Example:
        >>> unimodal(torch.tensor([[0.0, 3.0, 1.0, 2.0]]))
        tensor([[0.0000, 3.0000, 1.5000, 1.5000]])
    """
    fixed = x.detach().double()
    rising, up = _prefixes(fixed, nonnegative)
    falling, down = _prefixes(fixed.flip(-1), nonnegative)
    position = torch.arange(x.shape[-1], device=x.device)
    mode = (up[:, 1:] + down.flip(-1)[:, 1:]).argmin(-1, keepdim=True)
    before = _ends(rising, mode + 1)[:, 1:]
    after = _ends(falling, x.shape[-1] - 1 - mode).flip(-1)[:, 1:]
    z = segment_means(x, before | after, torch.zeros_like(x))
    z = z.clamp_min(0) if nonnegative else z
    # Both change nothing but rounding.
    up_to = torch.where(position <= mode, z, -math.inf).cummax(-1).values
    beyond = torch.where(position > mode, z, -math.inf).flip(-1).cummax(-1).values.flip(-1)
    return torch.where(position <= mode, up_to, beyond)


def _prefixes(x: Tensor, nonnegative: bool) -> tuple[Tensor, Tensor]:
    """Of the increasing regression of the first p entries, p = 0..n.

    Returns:
        how many entries are before its last block, and its squared error, (m, n + 1) each.
    """
    shift = x.mean(-1, keepdim=True)
    x = x - shift
    sums = torch.nn.functional.pad(x.cumsum(-1), (1, 0))
    squares = torch.nn.functional.pad(x.square().cumsum(-1), (1, 0))
    start, mean = _last_blocks(sums)
    length = torch.arange(1, x.shape[-1] + 1, device=x.device) - start
    error = squares[:, 1:] - squares.gather(-1, start) - length * mean.square()
    if nonnegative:
        error = error + length * (mean + shift).clamp_max(0).square()
    parent = torch.nn.functional.pad(start, (1, 0))
    error, jump = torch.nn.functional.pad(error, (1, 0)), parent
    for _ in range(x.shape[-1].bit_length()):
        error, jump = error + error.gather(-1, jump), jump.gather(-1, jump)
    return parent, error


def _last_blocks(sums: Tensor) -> tuple[Tensor, Tensor]:
    """For each end the start of the interval of largest mean, and that mean, (m, n) each."""
    n = sums.shape[-1] - 1
    begin = torch.arange(n, device=sums.device)
    step = max(1, CHUNK // max(1, n * sums.shape[0]))
    found = []
    for low in range(0, n, step):
        end = torch.arange(low, min(low + step, n), device=sums.device)[:, None]
        length = (end + 1 - begin).clamp_min(1)
        means = (sums[:, low + 1 : low + 1 + len(end), None] - sums[:, None, :n]) / length
        found.append(torch.where(begin <= end, means, -math.inf).max(-1))
    return torch.cat([part.indices for part in found], -1), torch.cat(
        [part.values for part in found], -1
    )


def _ends(parent: Tensor, end: Tensor) -> Tensor:
    """All ends of blocks of the regression of the first ``end`` entries, (m, n + 1) of bool."""
    on = torch.zeros_like(parent).scatter(-1, end, 1)
    for _ in range(parent.shape[-1].bit_length()):
        on = on.scatter_reduce(-1, parent, on, "amax")
        parent = parent.gather(-1, parent)
    return on > 0
