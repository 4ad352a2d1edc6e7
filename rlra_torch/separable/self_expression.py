"""The convex model of separable factorization along a path of penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.pixels import select_columns
from ..initialization import spa_indices
from .self_dictionary import Motion, SelfDictionary

SHARE = 0.7  # of the rank: the least trace of X at which the penalty is not lowered any more
ROUGH = 0.2  # the gap, relative to the objective, at which the penalty may change
FASTEST = 0.2  # what it is multiplied by at least
EVERY = 10  # iterations between two looks at the gap


@dataclass(frozen=True)
class SelfExpression:
    """What `self_expression` found.

    Args:
        rows: (*, k) int64, which rows of X may differ from 0.
        x: (*, k, n), those rows.
        penalty: mu, (*,).
        gap: how far the objective is above its least at most, over the objective, (*,).
        n_iter: iterations.
    """

    rows: Tensor
    x: Tensor
    penalty: Tensor
    gap: Tensor
    n_iter: int

    @property
    def own(self) -> Tensor:
        """The entries of X on its diagonal, (*, k)."""
        return self.x.gather(-1, self.rows[..., None])[..., 0]


class _Path(NamedTuple):
    """The penalty of each problem, the least that was too large, and the largest too small."""

    penalty: Tensor
    large: Tensor
    small: Tensor

    def followed(self, at: Motion, near: Tensor, rank: int) -> _Path:
        """Moved where the descent is near the solution, and its trace is not what is wanted."""
        trace = at.own.sum(-1)
        aim = SHARE * rank
        large = torch.where(near & (trace < aim), self.penalty, self.large)
        small = torch.where(near & (trace > rank), self.penalty, self.small)
        # The trace falls about like the root of the penalty; between two bounds halve their ratio.
        guess = self.penalty * (trace / (1.1 * aim)).square().clamp(FASTEST, 1 / FASTEST)
        bounded = large.isfinite() & (small > 0)
        guess = torch.where(bounded, (large * small).sqrt(), guess)
        moves = near & ((trace < aim) | (trace > rank)) & ~(bounded & (large < 1.02 * small))
        return _Path(torch.where(moves, guess, self.penalty), large, small)


@torch.no_grad()
def self_expression(
    problem: SelfDictionary, rank: int, penalty: float | None, max_iter: int, tol: float
) -> SelfExpression:
    """Solve the convex model along a path of penalties, from a large one downwards.

    The trace of X counts the columns that are needed. It grows as the penalty falls, which it does
    as long as the trace is below 0.7 times the rank; where it jumps beyond the rank the penalty
    goes half the way back. Each problem of a batch has a penalty of its own.

    Args:
        problem: what is solved.
        rank: how many columns are sought.
        penalty: a fixed one, or None for the path.
        max_iter: the largest number of iterations.
        tol: on the gap over the objective.
    """
    m = problem.data
    tiny = torch.finfo(m.dtype).tiny
    path, at = _begun(problem, rank, penalty)
    # Below, data of lower rank would ask for ever smaller penalties.
    least, n_iter = 1e-4 * path.penalty, 0
    while True:
        objective, inside = problem.certificate(at, path.penalty)
        last = n_iter >= max_iter
        if last or bool((inside <= ROUGH * objective).any()):
            outside = problem.outside(at, path.penalty)
            gap = inside + outside.sum(-1)
            relative = gap / objective.clamp_min(tiny)
            near = (relative <= ROUGH) & (path.penalty > least)
            moved = path if penalty is not None else path.followed(at, near, rank)
            settled = (moved.penalty == path.penalty) & (relative <= tol)
            if last or bool(settled.all()):
                return SelfExpression(at.rows, at.x, path.penalty, relative, n_iter)
            if bool((~settled & (outside.sum(-1) > inside.maximum(tol / 2 * objective))).any()):
                at = _joined(at, outside, rank)
            path = moved
        lipschitz = problem.lipschitz(at)
        for _ in range(min(EVERY, max_iter - n_iter)):
            at = problem.step(at, path.penalty, lipschitz)
            n_iter += 1


def _begun(problem: SelfDictionary, rank: int, penalty: float | None) -> tuple[_Path, Motion]:
    """The columns of SPA, and a quarter of the penalty from which half of them would do."""
    m = problem.data
    rows = spa_indices(m, min(rank, m.shape[-1]))
    if penalty is None:
        basis = torch.linalg.qr(select_columns(m, rows[..., : max(1, rank // 2)])).Q
        gains = problem.gains(basis @ (basis.mT @ m) - m, m.new_zeros(m.shape[:-2]))
        start = (gains / problem.tilt).amax(-1) / 4
    else:
        start = m.new_full(m.shape[:-2], penalty)
    path = _Path(start, torch.full_like(start, torch.inf), torch.zeros_like(start))
    return path, problem.start(rows)


def _joined(at: Motion, outside: Tensor, rank: int) -> Motion:
    """With the rows that promise most; as many for each problem of a batch, none twice."""
    left = outside.shape[-1] - at.rows.shape[-1]
    wanted = int((outside > 0).sum(-1).amax())
    promise = outside.scatter(-1, at.rows, -1)
    return at.joined(promise.topk(min(left, wanted, rank), -1).indices)
