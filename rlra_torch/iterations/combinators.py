"""Iterations made of iterations."""

from __future__ import annotations

from ..models import Factors
from ..problem import Problem
from .base import Iteration, State


class Repeat(Iteration):
    """An iteration applied several times as one.

    Args:
        iteration: what is repeated.
        times: how often, at least once.

    Raises:
        ValueError: fewer than once.

    Example:
        >>> from rlra_torch.iterations import MU, Alternating
        >>> Repeat(Alternating(MU()), 3).times
        3
    """

    def __init__(self, iteration: Iteration, times: int) -> None:
        super().__init__()
        if times < 1:
            raise ValueError(f"Repeat needs at least one time, got {times}")
        self.iteration, self.times = iteration, times

    def init(self, factors: Factors, problem: Problem) -> State:
        return self.iteration.init(factors, problem)

    def forward(self, state: State, problem: Problem) -> State:
        for _ in range(self.times):
            state = self.iteration(state, problem)
        return state

    def check(self, problem: Problem) -> None:
        self.iteration.check(problem)
