"""Iterations made of iterations."""

from __future__ import annotations

from ..functional.arguments import whole_number
from ..models import Factors
from ..problem import Problem
from .base import Iteration, State, require_iteration


class Repeat(Iteration):
    """An iteration applied several times as one.

    Args:
        iteration: what is repeated.
        times: how often, at least once.

    Raises:
        ValueError: fewer than once.
        TypeError: not an iteration over all factors.

    Example:
        >>> from rlra_torch.iterations import MU, Alternating
        >>> Repeat(Alternating(MU()), 3).times
        3
    """

    def __init__(self, iteration: Iteration, times: int) -> None:
        super().__init__()
        require_iteration("Repeat", iteration)
        self.iteration = iteration
        self.times = whole_number("the times of Repeat", times)

    def init(self, factors: Factors, problem: Problem) -> State:
        return self.iteration.init(factors, problem)

    def forward(self, state: State, problem: Problem) -> State:
        for _ in range(self.times):
            state = self.iteration(state, problem)
        return state

    def check(self, problem: Problem) -> None:
        self.iteration.check(problem)
