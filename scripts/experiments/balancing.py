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

SWEEP = Alternating(HALS(), inner=2)


class Record(NamedTuple):
    """A point of a curve."""

    iteration: int
    seconds: float
    objective: float
    kkt: float


def curve(iteration: Iteration, problem: Problem, start: Factors, count: int) -> list[Record]:
    """Means over a batch of the objective and the residual, at the start and after each step."""
    history = solve(iteration, problem, start, max_iter=count, tol=0, check_every=1).history
    return [
        Record(r.iteration, r.seconds, float(r.objective.mean()), float(r.kkt.mean()))
        for r in history
    ]


# ---- a scaling swamp ----------------------------------------------------------------------------


def swamp(weight: float = 1e-3) -> tuple[Problem, Factors]:
    """``(1 - x1 x2)^2 / 2 + weight (x1^2 + x2^2) / 2``, from x = (0.2, 5)."""
    one = torch.ones(1, 1, dtype=torch.float64)
    problem = Problem(one, NMF(), Frobenius(), (Ridge(weight), Ridge(weight)))
    return problem, (0.2 * one, 5 * one)


# ---- nonnegative CP models with ridges: starts, and the rank that is left -----------------------


def ridge_cp(
    seeds: int, ridge: float, sizes: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> tuple[Problem, Factors]:
    """Noisy 10 x 11 x 12 tensors with three terms of these sizes, and uniform starts of rank 6."""
    draw, dims = torch.Generator().manual_seed(0), (10, 11, 12)

    def uniform(columns: int) -> Factors:
        shapes = [(seeds, n, columns) for n in dims]
        return tuple(torch.rand(shape, generator=draw, dtype=torch.float64) for shape in shapes)

    truth = uniform(3)
    clean = CP(3)((truth[0] * torch.tensor(sizes, dtype=torch.float64), *truth[1:]))
    y = clean + 0.1 * torch.randn(clean.shape, generator=draw, dtype=torch.float64)
    return Problem(y, CP(3), Frobenius(), [NonNegative(ridge=ridge) for _ in dims]), uniform(6)


def starts(seeds: int = 10, ridge: float = 0.2) -> tuple[Problem, dict[str, Factors]]:
    """A start whose factors differ by powers of ten; scaled to the data, balanced, and both."""
    problem, even = ridge_cp(seeds, ridge, (1.0, 0.1, 0.01))
    start = tuple(10.0**-n * x for n, x in enumerate(even))
    plain = problem.regularized([NonNegative() for _ in start])
    return problem, {
        "as it is": start,
        "scaled": plain.scaled(start),
        "balanced": problem.balanced(start),
        "balanced and scaled": problem.scaled(problem.balanced(start)),
    }


def start_curves(seeds: int = 10, count: int = 100) -> dict[str, list[Record]]:
    """The mean objective from each start, and where every sweep is balanced."""
    problem, several = starts(seeds)
    curves = {name: curve(SWEEP, problem, start, count) for name, start in several.items()}
    each = curve(Balanced(SWEEP), problem, several["balanced and scaled"], count)
    return curves | {"balanced in each sweep": each}


def pruned(seeds: int = 20, ridge: float = 0.35) -> Tensor:
    """How many components are left of six for each tensor of rank 3."""
    problem, even = ridge_cp(seeds, ridge)
    start = problem.scaled(problem.balanced(even))
    solution = solve(Balanced(SWEEP), problem, start, max_iter=1000, tol=1e-4)
    return torch.stack([x.any(-2) for x in solution.factors]).all(0).sum(-1)


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
    return solve_path(Balanced(SWEEP), problems, start, max_iter=2000, tol=1e-6)


def sizes(factors: Factors) -> Tensor:
    """The norms of the rank-one terms, (*, R)."""
    return torch.stack([torch.linalg.vector_norm(x, dim=-2) for x in factors]).prod(0)
