"""Sharing a budget between rows so that the total cost is least."""

from __future__ import annotations

import torch
from torch import Tensor


def allot(costs: Tensor, budget: int) -> Tensor:
    """``min sum_i costs[i, p_i]`` subject to ``sum_i p_i <= budget``, exactly.

    Steps down the lower convex hull of each row, steepest first, are optimal while the budget holds
    whole steps. With the slope L of the first that does not fit, choosing level p in row i instead
    costs ``costs[i, p] + L p`` more than its hull does. An optimum needs at most 2 K such changes,
    K the highest level: among more, some would leave the budget as it is and could be undone. So of
    each change of level only the 2 K cheapest matter, and dynamic programming over those is exact.

    Args:
        costs: (n, K + 1), nonincreasing from level 0 to K; infinite where a level is not allowed,
            but not all of them.
        budget: the most that the levels sum to, at least the sum of the least allowed.

    Returns:
        int64 (n,), the levels.

    References:
        | Nadisic, Cohen, Vandaele, Gillis, Matrix-wise l0-constrained sparse nonnegative least
        | squares (2022)

    Example:
        >>> costs = torch.tensor([[9.0, 5.0, 0.0], [8.0, 3.0, 2.0]])
        >>> [allot(costs, budget).tolist() for budget in range(5)]
        [[0, 0], [0, 1], [2, 0], [2, 1], [2, 2]]
    """
    highest = costs.shape[-1] - 1
    step, slope = _hull(costs)
    order = slope.flatten().argsort(descending=True, stable=True)
    base = costs.isinf().sum(-1)
    spent = int(base.sum()) + step.flatten()[order].cumsum(0)
    useful = slope.flatten()[order] > 0
    taken = int((useful & (spent <= budget)).long().cumprod(0).sum())
    chosen = torch.zeros_like(step).flatten()
    chosen[order[:taken]] = step.flatten()[order[:taken]]
    levels = base + chosen.reshape(step.shape).sum(-1)
    spare = budget - int(levels.sum())
    if spare <= 0 or taken == int(useful.sum()):
        return levels
    price = slope.flatten()[order[taken]]
    places = torch.arange(highest + 1, device=costs.device)
    reduced = costs + price * places
    return levels + _changes(reduced - reduced.gather(-1, levels[:, None]), levels, price, spare)


def _hull(costs: Tensor) -> tuple[Tensor, Tensor]:
    """The steps down the lower convex hull of each row and their slopes, (n, K), then zeros."""
    n, levels = costs.shape
    places = torch.arange(levels, device=costs.device)
    at, steps, slopes = costs.isinf().sum(-1), [], []
    for _ in range(levels - 1):
        here = costs.gather(-1, at[:, None])
        length = places - at[:, None]
        fall = torch.where(length > 0, (here - costs) / length.clamp_min(1), -torch.inf)
        slope, to = fall.max(-1)
        falls = slope > 0
        to = torch.where(falls, to, at)
        steps.append(to - at)
        slopes.append(torch.where(falls, slope, 0))
        at = to
    return torch.stack(steps, -1), torch.stack(slopes, -1)


def _changes(extra: Tensor, levels: Tensor, price: Tensor, spare: int) -> Tensor:
    """The best changes of level, by dynamic programming over the few rows that matter."""
    highest = extra.shape[-1] - 1
    few, reach = 2 * highest, 2 * highest * highest
    rows: set[int] = set()
    for change in range(-highest, highest + 1):
        to = levels + change
        able = (change != 0) & (to >= 0) & (to <= highest)
        cost = torch.where(able, extra.gather(-1, to.clamp(0, highest)[:, None])[:, 0], torch.inf)
        least = cost.topk(min(few, len(cost)), largest=False, sorted=True)
        rows.update(least.indices[least.values.isfinite()].tolist())
    # best[s]: the least extra cost with changes that sum to s - reach.
    best = extra.new_full((2 * reach + 1,), torch.inf)
    best[reach] = 0
    choices = []
    for row in sorted(rows):
        every = []
        for to in range(highest + 1):
            change = to - int(levels[row])
            moved = torch.full_like(best, torch.inf)
            low, high = max(0, change), min(len(best), len(best) + change)
            moved[low:high] = best[low - change : high - change]
            every.append(moved + extra[row, to])
        best, choice = torch.stack(every).min(0)
        choices.append((row, choice))
    total = best - price * (torch.arange(len(best), device=best.device) - reach)
    at = int(total[: reach + spare + 1].argmin())
    found = torch.zeros_like(levels)
    for row, choice in reversed(choices):
        found[row] = choice[at] - levels[row]
        at -= int(found[row])
    return found
