"""What penalties do to scales: a swamp, starts, lost components, and ranks that are found."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlra_torch.iterations import HALS, Alternating, Balanced, Iteration
from rlra_torch.losses import Frobenius
from rlra_torch.models import CP, NMF, Factors
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative, Ridge
from rlra_torch.solvers import Solution, solve, solve_path


class Record(NamedTuple):
    """A point of a curve."""

    iteration: int
    seconds: float
    objective: float
    kkt: float


def curve(iteration: Iteration, problem: Problem, start: Factors, count: int) -> list[Record]:
    """Objective and residual at the start and after each of ``count`` steps."""
    solution = solve(iteration, problem, start, max_iter=count, tol=0, check_every=1)
    return [
        Record(r.iteration, r.seconds, float(r.objective), float(r.kkt)) for r in solution.history
    ]


# ---- a scaling swamp ----------------------------------------------------------------------------


def swamp(weight: float = 1e-3) -> tuple[Problem, Factors]:
    """``(1 - x1 x2)^2 / 2 + weight (x1^2 + x2^2) / 2``, from x = (0.2, 5)."""
    one = torch.ones(1, 1, dtype=torch.float64)
    problem = Problem(one, NMF(), Frobenius(), (Ridge(weight), Ridge(weight)))
    return problem, (0.2 * one, 5 * one)


# ---- unbalanced starts of a nonnegative CP model with ridges ---------------------------------


def ridge_cp(seed: int, excess: int = 3, ridge: float = 0.2) -> tuple[Problem, Factors]:
    """A 10 x 11 x 12 tensor of rank 3 and noise; a start whose factors differ by powers of ten."""
    draw = torch.Generator().manual_seed(seed)
    dims, rank = (10, 11, 12), 3

    def uniform(rows: int, columns: int) -> Tensor:
        return torch.rand(rows, columns, generator=draw, dtype=torch.float64)

    truth = [uniform(n, rank) for n in dims]
    truth[0] = truth[0] * torch.tensor([1.0, 0.1, 0.01], dtype=torch.float64)
    clean = CP(3)(tuple(truth))
    y = clean + 0.1 * torch.randn(dims, generator=draw, dtype=torch.float64)
    start = tuple(10.0**-n * uniform(size, rank + excess) for n, size in enumerate(dims))
    return Problem(y, CP(3), Frobenius(), [NonNegative(ridge=ridge) for _ in dims]), start


def starts(problem: Problem, start: Factors) -> dict[str, Factors]:
    """The start as it is, scaled to the data, balanced, and both."""
    scaled = problem.scaled(start)
    return {
        "as it is": start,
        "scaled": scaled,
        "balanced": problem.balanced(start),
        "scaled and balanced": problem.scaled(problem.balanced(start)),
    }


# ---- components that a path of l1 penalties loses -----------------------------------------------

PENALTIES = (
    0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.7, 0.75, 0.78, 0.8,
    1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 5.2, 6.0, 20.0,
)  # fmt: skip


def bumps(seed: int = 0, noise: float = 0.2) -> tuple[Tensor, Factors]:
    """A 30 x 40 matrix of three products of truncated Gaussians with uniform noise; a start."""
    draw = torch.Generator().manual_seed(seed)

    def bump(size: int, centre: float, width: float) -> Tensor:
        place = torch.arange(size, dtype=torch.float64)
        values = (-((place - centre) ** 2) / width**2).exp()
        return torch.where(values < 0.1, 0, values)

    w = torch.stack([bump(30, 5, 3), bump(30, 15, 5), bump(30, 25, 10)], -1)
    h = torch.stack([bump(40, 10, 5), bump(40, 20, 6), bump(40, 25, 5)], -1)
    y = w @ h.mT + noise * torch.rand(30, 40, generator=draw, dtype=torch.float64)
    start = [0.5 * torch.rand(n, 3, generator=draw, dtype=torch.float64) for n in (30, 40)]
    return y, tuple(start)


def l1_path(penalties: tuple[float, ...] = PENALTIES, seed: int = 0) -> list[Solution]:
    """Sparse NMF with an l1 penalty of the same weight on both factors, warm-started."""
    y, start = bumps(seed)
    pairs = [(NonNegative(l1=mu), NonNegative(l1=mu)) for mu in penalties]
    problems = [Problem(y, NMF(), Frobenius(), regs) for regs in pairs]
    iteration = Balanced(Alternating(HALS(), inner=3))
    return solve_path(iteration, problems, start, max_iter=2000, tol=1e-7)


# ---- the rank that ridges leave -----------------------------------------------------------------


def pruned(seeds: int = 20, ridge: float = 0.2, excess: int = 3) -> Tensor:
    """How many components are left of six, for as many tensors of rank 3 as there are seeds."""
    draw = torch.Generator().manual_seed(0)
    dims, rank = (10, 11, 12), 3

    def uniform(columns: int) -> Factors:
        shapes = [(seeds, n, columns) for n in dims]
        return tuple(torch.rand(s, generator=draw, dtype=torch.float64) for s in shapes)

    clean = CP(3)(uniform(rank))
    y = clean + 0.1 * torch.randn(clean.shape, generator=draw, dtype=torch.float64)
    problem = Problem(y, CP(3), Frobenius(), [NonNegative(ridge=ridge) for _ in dims])
    start = problem.scaled(problem.balanced(uniform(rank + excess)))
    sweep = Balanced(Alternating(HALS(), inner=3))
    solution = solve(sweep, problem, start, max_iter=3000, tol=1e-6)
    return torch.stack([x.any(-2) for x in solution.factors]).all(0).sum(-1)
