"""Missing entries by imputation, around iterations that need all entries."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..data import Dense
from ..models import Factors
from ..problem import Problem
from .base import Iteration, State, require_iteration


class Imputed(Iteration):
    """Each step on data whose missing entries are those of the model: expectation maximization.

        Y <- W Y + (1 - W) model(X),   X <- one step on Y without weights

    For weights W in [0, 1] the objective on Y lies above that on the weighted data and touches it
    at X, so that it falls where that of the step does. It serves steps in closed form that weights
    would break, such as `DirectFitting`, and lets all rows share one gram, which weights would give
    to each row alone; it takes more iterations where much is missing.

    Args:
        iteration: the step on full data.

    Raises:
        TypeError: not an iteration over all factors.

    References:
        | Kiers, Weighted least squares fitting using ordinary least squares algorithms (1997)

    Example:
        >>> from rlra_torch.iterations import DirectFitting
        >>> Imputed(DirectFitting()).iteration.momentum
        True
    """

    def __init__(self, iteration: Iteration) -> None:
        super().__init__()
        require_iteration("Imputed", iteration)
        self.iteration = iteration

    def init(self, factors: Factors, problem: Problem) -> State:
        return self.iteration.init(factors, self._filled(factors, problem))

    def forward(self, state: State, problem: Problem) -> State:
        return self.iteration(state, self._filled(state.factors, problem))

    def measure(self, state: State, problem: Problem) -> tuple[Tensor, Tensor]:
        return self.iteration.measure(state, problem)

    def check(self, problem: Problem) -> None:
        data = problem.data
        if not isinstance(data, Dense) or not problem.loss.quadratic:
            raise TypeError(
                f"Imputed needs dense data and the Frobenius loss, got {type(data).__name__} and "
                f"{type(problem.loss).__name__}"
            )
        if data.weights is not None and bool((data.weights > 1).any()):
            raise ValueError("Imputed needs weights of at most 1; divide them by the largest")
        self.iteration.check(_unweighted(problem, Dense(data.y)))

    def _filled(self, factors: Factors, problem: Problem) -> Problem:
        data = problem.data
        assert isinstance(data, Dense)
        if data.weights is None:
            return problem
        filled = torch.lerp(problem.model(factors), data.y, data.weights)
        return _unweighted(problem, Dense(filled))


def _unweighted(problem: Problem, data: Dense) -> Problem:
    return replace(problem, y=data, weights=None)
