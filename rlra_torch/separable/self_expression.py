"""The convex model of separable factorization along a path of penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..initialization import spa_indices
from .self_dictionary import Motion, SelfDictionary

SHARE = 0.7  # of the rank: the least trace of X at which the penalty is not lowered any more
ROUGH = 0.2  # the gap, relative to the objective, at which the penalty may change
LOWERED = 0.7  # what it is then multiplied by
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


class _Path(NamedTuple):
    """The penalty of each problem and how it moves: by which factor, and whether down last."""

    penalty: Tensor
    factor: Tensor
    down: Tensor


@torch.no_grad()
def self_expression(
    problem: SelfDictionary, rank: int, penalty: float | None, max_iter: int, tol: float
) -> SelfExpression:
    """Solve the convex model along a path of penalties, from a large one downwards.

    The trace of X counts the columns that are needed. It grows as the penalty falls, which it does
    as long as the trace is below 0.7 times the rank; where it jumps beyond the rank the penalty
    goes back, by half the last factor. Each problem of a batch has a penalty of its own.

    Args:
        problem: what is solved.
        rank: how many columns are sought.
        penalty: a fixed one, or None for the path.
        max_iter: the largest number of iterations.
        tol: on the gap over the objective.
    """
    m = problem.data
    tiny = torch.finfo(m.dtype).tiny
    lipschitz = torch.linalg.matrix_norm(m, 2).square().clamp_min(tiny)
    least = torch.finfo(m.dtype).eps ** 0.5 * lipschitz
    path, at = _begun(problem, rank, penalty)
    n_iter = 0
    while True:
        objective, inside = problem.certificate(at, path.penalty)
        last = n_iter >= max_iter
        if last or bool((inside <= ROUGH * objective).any()):
            outside = problem.outside(at, path.penalty)
            gap = inside + outside.sum(-1)
            relative = gap / objective.clamp_min(tiny)
            moved = path if penalty is not None else _followed(path, at, relative, rank, least)
            settled = (moved.penalty == path.penalty) & (relative <= tol)
            if last or bool(settled.all()):
                return SelfExpression(at.rows, at.x, path.penalty, relative, n_iter)
            if bool((~settled & (outside.sum(-1) > inside.maximum(tol / 2 * objective))).any()):
                at = _joined(at, outside, rank)
            path = moved
        for _ in range(min(EVERY, max_iter - n_iter)):
            at = problem.step(at, path.penalty, lipschitz)
            n_iter += 1


def _begun(problem: SelfDictionary, rank: int, penalty: float | None) -> tuple[_Path, Motion]:
    """A quarter of the penalty that keeps out whatever half the columns of SPA leave."""
    m = problem.data
    rows = spa_indices(m, min(rank, m.shape[-1]))
    at = problem.start(rows)
    if penalty is None:
        half = rows[..., : max(1, rank // 2)]
        q = torch.linalg.qr(m.gather(-1, half.unsqueeze(-2).expand(*m.shape[:-1], -1))).Q
        left = SelfDictionary(m, problem.weights, problem.tilt)
        start = problem.least_penalty(m - q @ (q.mT @ m)) / 4
    else:
        start = m.new_full(m.shape[:-2], penalty)
    path = _Path(start, torch.full_like(start, LOWERED), torch.ones_like(start, dtype=torch.bool))
    return path, at


def _joined(at: Motion, outside: Tensor, rank: int) -> Motion:
    """With the rows that promise most; as many for each problem of a batch, none twice."""
    left = outside.shape[-1] - at.rows.shape[-1]
    wanted = int((outside > 0).sum(-1).amax())
    promise = outside.scatter(-1, at.rows, -1)
    return at.joined(promise.topk(min(left, wanted, rank), -1).indices)


def _followed(path: _Path, at: Motion, gap: Tensor, rank: int, least: Tensor) -> _Path:
    trace = at.own.sum(-1)
    roughly = (gap <= ROUGH) & (path.factor < 0.99)
    down = roughly & (trace < SHARE * rank) & (path.penalty > least)
    up = roughly & (trace > rank)
    factor = torch.where((down & ~path.down) | (up & path.down), path.factor.sqrt(), path.factor)
    penalty = torch.where(down, path.penalty * factor, path.penalty)
    penalty = torch.where(up, penalty / factor, penalty)
    return _Path(penalty, factor, torch.where(down | up, down, path.down))
