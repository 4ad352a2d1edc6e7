"""Penalties that spare what is large: l1 weights from the solution before."""

from __future__ import annotations

from torch import Tensor

from ..iterations import Iteration
from ..models import Factors
from ..problem import Problem
from ..regularizers import ElasticNet
from .solve import Solution, solve


def solve_reweighted(
    iteration: Iteration,
    problem: Problem,
    start: Factors,
    *,
    level: Tensor | float,
    factor: int = 1,
    rounds: int = 5,
    max_iter: int = 200,
    tol: float = 1e-5,
    check_every: int = 10,
) -> list[Solution]:
    """Solve with l1 weights ``lambda e / (|x| + e)``, where ``x`` is the solution before.

    The weights are at most those of the problem, which entries at zero keep: ``lambda`` keeps its
    meaning, and large entries lose their bias. The rounds majorize ``lambda e log(|x| + e)``.

    Args:
        iteration: the step.
        problem: with an l1 penalty on the factor.
        start: factors, of which the first round takes its weights.
        level: e, positive: what counts as large; broadcasts with the factor.
        factor: whose penalty it is.
        rounds: how often.
        max_iter, tol, check_every: as in `solve`, for each round.

    Returns:
        a solution for each round.

    Raises:
        TypeError: no l1 penalty on the factor; or as `solve`.

    References:
        | Candes, Wakin, Boyd, Enhancing sparsity by reweighted l1 minimization (2008)
        | Lau, Qu, Kuo, Zhou, Zhang, Wright, Short-and-sparse deconvolution: a geometric approach
        | (2019), section IV-B

    Example:
        >>> import torch
        >>> from rlra_torch.iterations import FISTA, Alternating
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import Free, NonNegative
        >>> y, one = torch.tensor([[3.0, 0.5]]).double(), torch.ones(1, 1).double()
        >>> problem = Problem(y, NMF(), Frobenius(), (Free(), NonNegative(1.0)), free=(1,))
        >>> start = one, torch.tensor([[2.0], [0.0]]).double()
        >>> rounds = solve_reweighted(Alternating(FISTA()), problem, start, level=0.1)
        >>> rounds[-1].factors[1].flatten().round(decimals=3)
        tensor([2.9670, 0.0000], dtype=torch.float64)
    """
    reg = problem.regs[factor]
    if not isinstance(reg, ElasticNet) or reg.l1 is None:
        raise TypeError(
            f"reweighting needs an l1 penalty on factor {factor}, got {type(reg).__name__}"
        )
    found: list[Solution] = []
    factors = start
    for _ in range(rounds):
        x = factors[factor].abs()
        regs = list(problem.regs)
        ridge = 0.0 if reg.ridge is None else reg.ridge
        regs[factor] = ElasticNet(reg.l1 * level / (x + level), ridge, reg.lower, reg.upper)
        here = problem.regularized(regs)
        found.append(
            solve(iteration, here, factors, max_iter=max_iter, tol=tol, check_every=check_every)
        )
        factors = found[-1].factors
    return found
