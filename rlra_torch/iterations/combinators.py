"""Iterations made of iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from ..functional.arguments import whole_number
from ..models import Factors
from ..problem import Problem
from ..regularizers import Regularizer
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

    def measure(self, state: State, problem: Problem) -> tuple[Tensor, Tensor]:
        return self.iteration.measure(state, problem)

    def check(self, problem: Problem) -> None:
        self.iteration.check(problem)


class Regularized(Iteration):
    """An iteration with regularizers of its own, in the place of those of the problem.

    As layers of a network, each with a threshold that it learns.

    Args:
        iteration: what is applied.
        regs: one regularizer per factor.

    Raises:
        TypeError: not an iteration over all factors, or not regularizers.

    Example:
        >>> from rlra_torch.iterations import FISTA, Alternating
        >>> from rlra_torch.regularizers import NonNegative
        >>> regs = (NonNegative(), NonNegative(l1=0.1))
        >>> len(Regularized(Alternating(FISTA()), regs).regs)
        2
    """

    def __init__(self, iteration: Iteration, regs: Sequence[Regularizer]) -> None:
        super().__init__()
        require_iteration("Regularized", iteration)
        listed = isinstance(regs, (list, tuple))
        for reg in regs if listed else (regs,):
            if not listed or not isinstance(reg, Regularizer):
                raise TypeError(
                    f"Regularized takes a list of regularizers, got {type(reg).__name__}"
                )
        self.iteration = iteration
        # A module list, typed as what it holds.
        self.regs = cast("Sequence[Regularizer]", nn.ModuleList(regs))

    def init(self, factors: Factors, problem: Problem) -> State:
        return self.iteration.init(factors, problem.regularized(self.regs))

    def forward(self, state: State, problem: Problem) -> State:
        return self.iteration(state, problem.regularized(self.regs))

    def check(self, problem: Problem) -> None:
        self.iteration.check(problem.regularized(self.regs))
