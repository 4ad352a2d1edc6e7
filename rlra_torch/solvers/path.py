"""Solutions along a path of problems, each started from the one before."""

from __future__ import annotations

from collections.abc import Iterable

from ..iterations import Iteration
from ..models import Factors
from ..problem import Problem
from .solve import Solution, solve


def solve_path(
    iteration: Iteration,
    problems: Iterable[Problem],
    start: Factors,
    *,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
) -> list[Solution]:
    """Solve problems one after the other, each from the solution of the one before.

    A path of penalties, from small to large: what has become zero stays zero, so that components
    that are lost are lost for good.

    Args:
        iteration: the step.
        problems: of one model and one shape of data.
        start: the factors to start the first from.
        max_iter, tol, check_every: as in `solve`, for each problem.

    Returns:
        a solution for each problem.

    Raises:
        TypeError, ValueError: as `solve`.

    Example:
        >>> import torch
        >>> from rlra_torch.iterations import HALS, Alternating, Balanced
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> one = torch.ones(1, 1, dtype=torch.float64)
        >>> pairs = [(NonNegative(l1=mu), NonNegative(l1=mu)) for mu in (0.1, 0.3, 0.5)]
        >>> path = [Problem(one, NMF(), Frobenius(), regs) for regs in pairs]
        >>> found = solve_path(Balanced(Alternating(HALS())), path, (one, one))
        >>> [round(float(s.factors[0] * s.factors[1]), 3) for s in found]
        [0.894, 0.619, 0.0]
    """
    found: list[Solution] = []
    for problem in problems:
        factors = found[-1].factors if found else start
        found.append(
            solve(iteration, problem, factors, max_iter=max_iter, tol=tol, check_every=check_every)
        )
    return found
