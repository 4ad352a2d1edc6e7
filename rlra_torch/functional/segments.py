"""Piecewise constant vectors: means on segments, and the segments of taut strings."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def segment_means(x: Tensor, cuts: Tensor, dual: Tensor) -> Tensor:
    """``z = (sum x - (u_end - u_before)) / length`` on each segment.

    Args:
        x: (m, n).
        cuts: (m, n) of bool, where a segment ends; the last entry ends one in any case.
        dual: u, (m, n) at the ends of segments; it is 0 before the first entry and after the last.

    Returns:
        (m, n), of the same bits all along a segment, differentiable in ``x`` and ``dual``.

    Example:
        >>> x, cuts = torch.tensor([[1.0, 2.0, 6.0]]), torch.tensor([[False, True, False]])
        >>> segment_means(x, cuts, torch.zeros(1, 3))
        tensor([[1.5000, 1.5000, 6.0000]])
    """
    first, last, total, before, after = _segments(x, cuts, dual)
    return ((total - (after - before)) / (last + 1 - first)).to(x.dtype)


def taut_string(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """``argmin ||z - x||^2 / 2 + sum_i upper (z_i - z_(i+1))_+ - lower (z_(i+1) - z_i)_+``.

    The fused lasso for ``-lower = upper``; increasing regression for ``lower = 0`` and ``upper``
    infinite. The cumulative sum of z is the taut string in a tube around that of x. It is found
    from the ends: where a straight string leaves the tube farthest, the taut one touches it. That
    cuts all segments at once and takes about ``log2 n`` rounds, at most n.

    Args:
        x: (m, n).
        lower: (m, 1), not positive.
        upper: (m, 1), not negative.

    Returns:
        z, (m, n), differentiable.

    References:
        | Davies, Kovac, Local extremes, runs, strings and multiresolution (2001)
        | Barlow, Bartholomew, Bremner, Brunk, Statistical inference under order restrictions (1972)

    Example:
        >>> x, one = torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.ones(1, 1)
        >>> taut_string(x, -one, one)
        tensor([[0.5000, 0.5000, 3.5000, 3.5000]])
    """
    if x.shape[-1] < 2:
        return x
    sides = taut_cuts(x.detach(), lower.detach(), upper.detach())
    return segment_means(x, sides != 0, _dual(sides, lower.to(x.dtype), upper.to(x.dtype)))


@torch.library.custom_op("rlra_torch::taut_cuts", mutates_args=())
def taut_cuts(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Where the string touches the tube: -1 below, 1 above, 0 not at all; a host waits for it.

    Args:
        x, lower, upper: as in `taut_string`.

    Returns:
        (m, n) of int8.
    """
    x, lower, upper = x.double(), lower.double(), upper.double()
    x = x - x.mean(-1, keepdim=True)
    sides = torch.zeros_like(x, dtype=torch.int8)
    size = x.cumsum(-1).abs().amax(-1, keepdim=True)
    slack = 16 * torch.finfo(x.dtype).eps * size
    for k in range(x.shape[-1]):
        found = _touching(x, sides, lower, upper, slack)
        # Each round is cheap; looking at its result makes the host wait.
        if (k % 4 == 3 or x.device.type == "cpu") and not bool((found != 0).any()):
            break
        sides = sides + found
    return sides


@taut_cuts.register_fake
def _(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    return torch.empty_like(x, dtype=torch.int8)


def _touching(x: Tensor, sides: Tensor, lower: Tensor, upper: Tensor, slack: Tensor) -> Tensor:
    """New cuts: where the string of each segment is farthest out of the tube."""
    first, last, total, before, after = _segments(x, sides != 0, _dual(sides, lower, upper))
    position = torch.arange(x.shape[-1], device=x.device)
    mean = (total - (after - before)) / (last + 1 - first)
    sums = torch.nn.functional.pad(x.cumsum(-1), (1, 0))
    string = before + sums[:, 1:] - sums.gather(-1, first) - mean * (position + 1 - first)
    inside = position < last
    found = torch.zeros_like(sides)
    for side, out in ((1, string - upper), (-1, lower - string)):
        out = torch.where(inside, out, -math.inf)
        farthest = torch.full_like(out, -math.inf).scatter_reduce(-1, last, out, "amax")
        hit = (out > slack) & (out == farthest.gather(-1, last))
        found = torch.where(hit, side, found)
    return found.to(torch.int8)


def _dual(sides: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The bound that is touched, 0 where none is."""
    zero = torch.zeros_like(lower)
    return torch.where(sides > 0, upper, torch.where(sides < 0, lower, zero))


def _segments(x: Tensor, cuts: Tensor, dual: Tensor) -> tuple[Tensor, ...]:
    """For each entry the first and last of its segment, their sum, and the dual before and after.

    Sums are taken in double precision: they are differences of cumulative ones.
    """
    n, wide = x.shape[-1], torch.float64
    position = torch.arange(n, device=x.device).expand(x.shape)
    ends = torch.where(cuts, position, n - 1)
    last = ends.flip(-1).cummin(-1).values.flip(-1)
    begins = torch.nn.functional.pad(torch.where(cuts, position + 1, 0)[:, :-1], (1, 0))
    first = begins.cummax(-1).values
    sums = torch.nn.functional.pad(x.to(wide).cumsum(-1), (1, 0))
    total = sums.gather(-1, last + 1) - sums.gather(-1, first)
    inner = torch.nn.functional.pad(dual.to(wide)[:, :-1], (1, 1))
    return first, last, total, inner.gather(-1, first), inner.gather(-1, last + 1)
