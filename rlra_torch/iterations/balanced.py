"""An iteration whose factors have the scales that their penalties like best."""

from __future__ import annotations

from torch import Tensor

from ..models import Factors
from ..problem import Problem
from .base import Iteration, State, require_iteration


class Balanced(Iteration):
    """An iteration between balanced factors: the start is balanced, and so is each result.

        p_n R_n(X_n[:, q]) = beta_q     for all factors n, R_n of degree p_n

    Alternating updates move the scales of the factors against each other at a rate of ``1 - O(mu)``
    for penalties of weight mu, however good each update is: a scaling swamp. The scales are
    solved for instead, at the price of the penalties. The objective never rises from it.

    To balance the start only, or the end, call `Problem.balanced` on the factors; for every k-th
    sweep put ``Repeat(sweep, k)`` inside. What the iteration remembers is rescaled with the
    factors.

    Args:
        iteration: what is balanced.

    Raises:
        TypeError: not an iteration over all factors.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), theorem 12 and section 10.4
        | Cohen, Leplat, Efficient algorithms for regularized nonnegative scale-invariant low-rank
        | approximation models (2025)

    Example:
        >>> import torch
        >>> from rlra_torch.iterations import HALS, Alternating
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import Ridge
        >>> problem = Problem(torch.ones(1, 1), NMF(), Frobenius(), (Ridge(1e-3), Ridge(1e-3)))
        >>> step = Balanced(Alternating(HALS()))
        >>> state = step.init((torch.tensor([[0.2]]), torch.tensor([[5.0]])), problem)
        >>> x, y = step(state, problem).factors
        >>> round(float(x), 4), round(float(y), 4), round(0.999**0.5, 4)
        (0.9995, 0.9995, 0.9995)
    """

    def __init__(self, iteration: Iteration) -> None:
        super().__init__()
        require_iteration("Balanced", iteration)
        self.iteration = iteration

    def init(self, factors: Factors, problem: Problem) -> State:
        return self.iteration.init(problem.balanced(factors), problem)

    def forward(self, state: State, problem: Problem) -> State:
        state = self.iteration(state, problem)
        return self.iteration.rescaled(state, problem.balance(state.factors), problem)

    def rescaled(self, state: State, scales: Factors, problem: Problem) -> State:
        return self.iteration.rescaled(state, scales, problem)

    def measure(self, state: State, problem: Problem) -> tuple[Tensor, Tensor]:
        return self.iteration.measure(state, problem)

    def check(self, problem: Problem) -> None:
        self.iteration.check(problem)
        for gauge, _, sliding in problem.freedoms:
            if sliding:
                raise ValueError(
                    f"some of the factors {[n for n, _ in gauge]} have a penalty and others do "
                    "not, so that the scale slides and there is no best one; penalize all of them"
                )
        if not problem.freedoms:
            raise TypeError(
                "Balanced needs two free factors that share components, each with a homogeneous "
                f"penalty (l1, ridge, group) or none, but {type(problem.model).__name__} with "
                f"{', '.join(type(reg).__name__ for reg in problem.regs)} has none; leave it out"
            )
