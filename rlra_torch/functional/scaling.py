"""The best scales of the factors of a model: one for all, and those against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

NEWTON_STEPS = 8  # to rounding, for penalties that differ by sixty orders of magnitude


def best_scale(powers: dict[float, float], log_weight: float = 0.0) -> float:
    """The positive local minimizer of ``sum_e c_e t^e - log_weight log t`` of least cost.

    Of the roots of the derivative, those where it rises. They are bracketed between the points
    where two terms of ``t`` times the derivative are of one size, which hold them all.

    Args:
        powers: the coefficient ``c_e`` of each real exponent ``e``.
        log_weight: weight of ``-log t``, nonnegative.

    Returns:
        the minimizer; 1 when there is none, as when the cost falls all the way to ``t = 0``.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 7.2.3 and 10.4.1

    Example:
        >>> round(best_scale({2: 1.0, 1: -4.0}), 6)
        2.0
    """
    slope = {e: e * c for e, c in powers.items() if e and c}
    if log_weight:
        slope[0.0] = -log_weight
    if len(slope) < 2:
        return 1.0
    exponents, weights = np.array(list(slope)), np.array(list(slope.values()))

    def derivative(u: Any) -> Any:  # noqa: ANN401
        terms = np.multiply.outer(u, exponents) + np.log(np.abs(weights))
        return (np.sign(weights) * np.exp(terms - terms.max(-1, keepdims=True))).sum(-1)

    def cost(t: float) -> float:
        return sum(c * t**e for e, c in powers.items()) - log_weight * np.log(t)

    logs, reach = np.log(np.abs(weights)), np.log(len(weights))
    gaps = exponents[:, None] - exponents[None, :]
    pairs = gaps > 0
    crossings = -(logs[:, None] - logs[None, :])[pairs] / gaps[pairs]
    margin = 1 + reach / gaps[pairs].min()
    grid = np.linspace(crossings.min() - margin, crossings.max() + margin, 512)
    values = derivative(grid)
    found = [
        math.exp(float(brentq(derivative, grid[i], grid[i + 1], xtol=1e-14)))  # pyright: ignore[reportArgumentType]
        for i in np.flatnonzero((values[:-1] <= 0) & (values[1:] > 0))
    ]
    return min(found, key=cost, default=1.0)


def penalized_scale(
    beta: float, top: Tensor, bottom: Tensor, penalties: Tensor, degrees: Sequence[float]
) -> Tensor:
    """The ``t`` that minimizes a beta-divergence at ``t^d p`` plus ``sum_n t^(p_n) R_n``.

    Args:
        beta: of the divergence.
        top: (*,) ``sum y p^(beta - 1)``.
        bottom: (*,) ``sum p^beta``.
        penalties: (*, d) the values ``R_n``, one for each factor that is scaled.
        degrees: their degrees of homogeneity ``p_n``.

    Returns:
        (*,).

    Example:
        >>> one = torch.ones(())
        >>> float(penalized_scale(2.0, 4 * one, one, torch.zeros(1), [2.0]))
        4.0
    """
    count, found = len(degrees), []
    sums = torch.stack([top, bottom], -1).reshape(-1, 2).tolist()
    for (t, b), values in zip(sums, penalties.reshape(-1, count).tolist(), strict=True):
        powers: dict[float, float] = {}
        log_weight = 0.0
        for order, c in ((beta, b), (beta - 1, -t)):
            if order:
                powers[count * order] = powers.get(count * order, 0.0) + c / order
            else:
                log_weight -= count * c
        for degree, value in zip(degrees, values, strict=True):
            powers[degree] = powers.get(degree, 0.0) + value
        found.append(best_scale(powers, log_weight))
    return torch.tensor(found, dtype=top.dtype, device=top.device).reshape(top.shape)


def coupled_scales(
    sums: Sequence[tuple[float, Tensor, Tensor, tuple[int, ...]]],
    penalties: Tensor,
    degrees: Sequence[float],
    passes: int = 2,
) -> list[Tensor]:
    """Scales of factors that several data sets share, the best for one after the other.

    Args:
        sums: for each data set its beta, ``sum y p^(beta - 1)`` and ``sum p^beta``, (*,) each, and
            which of the factors it holds.
        penalties: (*, d) the values of the penalties.
        degrees: and their degrees of homogeneity.
        passes: over all factors.

    Returns:
        (*,) for each factor.

    Example:
        >>> one = torch.ones(())
        >>> [float(t) for t in coupled_scales([(2.0, 4 * one, one, (0,))], torch.zeros(1), [0.0])]
        [4.0]
    """
    tops, bottoms = (
        torch.stack([row[1] for row in sums], -1),
        torch.stack([row[2] for row in sums], -1),
    )
    rows = (x.reshape(-1, x.shape[-1]).tolist() for x in (tops, bottoms, penalties))
    shapes, found = [(row[0], row[3]) for row in sums], []
    for top, bottom, values in zip(*rows, strict=True):
        scales = [1.0] * len(degrees)
        for j in list(range(len(degrees))) * passes:
            powers: dict[float, float] = {degrees[j]: values[j] * scales[j] ** degrees[j]}
            log_weight = 0.0
            for (beta, held), t, b in zip(shapes, top, bottom, strict=True):
                if j not in held:
                    continue
                log = sum(math.log(scales[k]) for k in held)
                for order, c in ((beta, b), (beta - 1, -t)):
                    c = c * math.exp(order * log)
                    if order:
                        powers[order] = powers.get(order, 0.0) + c / order
                    else:
                        log_weight -= c
            pair = powers.get(2.0, 0.0), powers.get(1.0, 0.0)
            plain = set(powers) <= {0.0, 1.0, 2.0} and not log_weight and pair[1] < 0 < pair[0]
            scales[j] *= -0.5 * pair[1] / pair[0] if plain else best_scale(powers, log_weight)
        found.append(scales)
    every = torch.tensor(found, dtype=tops.dtype, device=tops.device)
    return list(every.reshape(*tops.shape[:-1], len(degrees)).unbind(-1))


def balance(penalties: Sequence[Mapping[float, Tensor]]) -> list[Tensor]:
    """The ``t_n > 0`` of product 1 that minimize ``sum_n sum_p t_n^p R_np``.

        t_n = (mu / (p R_n))^(1 / p)       where each factor has one penalty, of degree p

    An elastic net has two, and no closed form; the problem is convex in the ``log t_n``. Newton's
    method on ``log sum_p p R_np t_n^p = log mu`` is then the formula above, again and again, with
    the degree that each sum of powers has where it stands. The left side is convex, so that mu
    rises to its limit from the first step on, from any start.

    Where all penalties of a factor are 0 nothing is scaled.

    Args:
        penalties: for each factor its ``R_np``, nonnegative tensors of one shape, under their
            degrees p, positive.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), theorem 12

    Example:
        >>> balance([{2.0: torch.tensor(16.0)}, {2.0: torch.tensor(1.0)}])
        [tensor(0.5000), tensor(2.)]
    """
    totals = torch.stack([_total(parts) for parts in penalties])
    alive = totals.amin(0) > torch.finfo(totals.dtype).tiny
    logs = [_log_slopes(parts, alive) for parts in penalties]
    shifts = [torch.zeros_like(totals[0]) for _ in penalties]
    single = all(len(parts) == 1 for parts in penalties)
    for _ in range(1 if single else NEWTON_STEPS):
        slopes, degrees = zip(*map(_slope, logs, shifts), strict=True)
        mean = sum(s / p for s, p in zip(slopes, degrees, strict=True))
        mean = mean / sum(1 / p for p in degrees)
        shifts = [u + (mean - s) / p for u, s, p in zip(shifts, slopes, degrees, strict=True)]
    return [torch.where(alive, u.exp(), 1) for u in shifts]


def _total(parts: Mapping[float, Tensor]) -> Tensor:
    return torch.stack(list(parts.values())).sum(0)


def _log_slopes(parts: Mapping[float, Tensor], alive: Tensor) -> dict[float, Tensor]:
    """``log(p R_p)`` for each degree, without slopes that are not finite at zero."""
    found = {}
    for p, value in parts.items():
        some = value > 0
        logs = torch.where(some, p * value, 1).log()
        empty = 0.0 if len(parts) == 1 else -math.inf
        found[p] = torch.where(alive, torch.where(some, logs, empty), 0)
    return found


def _slope(logs: Mapping[float, Tensor], shift: Tensor) -> tuple[Tensor, Tensor]:
    """``log sum_p p R_p e^(p shift)`` and its derivative, the degree there."""
    if len(logs) == 1:
        ((p, log),) = logs.items()
        return log + p * shift, torch.full_like(shift, p)
    terms = torch.stack([log + p * shift for p, log in logs.items()])
    shares = terms.softmax(0).unbind(0)
    return terms.logsumexp(0), torch.stack([p * w for p, w in zip(logs, shares, strict=True)]).sum(
        0
    )
