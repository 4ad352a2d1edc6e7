"""The factor that is updated carries the scale of the columns."""

from __future__ import annotations

import torch
from torch import Tensor

from ..models import Factors
from ..problem import Problem
from .alternating import Alternating
from .base import Iteration, State, times


class Carried(Iteration):
    """Before each update the columns of the other factors get norm one, the updated one the rest.

        X_n <- X_n diag(prod over m != n of ||x_m||),   X_m <- X_m diag(1 / ||x_m||)

    Products and homogeneous joint penalties such as `ProjectiveNorm` do not change by it, but the
    gram of a block does: it loses what differs in scale between columns, so that a gradient step,
    as short as the largest column asks, is no longer too short for small ones. With columns that
    are nearly orthogonal it is well conditioned. What a block remembers is in this scale, always
    the same one.

    Args:
        iteration: what updates the blocks.

    Raises:
        TypeError: not an `Alternating`.

    Example:
        >>> from rlra_torch.iterations import ProjectedGradient
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import ProjectiveNorm
        >>> norm = ProjectiveNorm.nuclear(0.1)
        >>> problem = Problem(torch.ones(1, 1), NMF(), Frobenius(), norm)
        >>> step = Carried(Alternating(ProjectedGradient()))
        >>> state = step.init((torch.tensor([[1e-3]]), torch.tensor([[500.0]])), problem)
        >>> [round(float(x), 3) for x in step(state, problem).factors]
        [1.0, 0.9]
    """

    def __init__(self, iteration: Alternating) -> None:
        super().__init__()
        if not isinstance(iteration, Alternating):
            raise TypeError(f"Carried takes an Alternating, got {type(iteration).__name__}")
        self.iteration = iteration

    def init(self, factors: Factors, problem: Problem) -> State:
        found: list[tuple] = []
        for n in range(len(factors)):
            moved = _carried(factors, n, problem)
            found.append(self.iteration.init(moved, problem).memory[n])
        return State(_carried(factors, 0, problem), tuple(found))

    def forward(self, state: State, problem: Problem) -> State:
        problem = problem.sweep()
        for n in problem.order:
            moved = State(_carried(state.factors, n, problem), state.memory)
            state, _ = self.iteration.update(moved, problem, n)
        return state

    def measure(self, state: State, problem: Problem) -> tuple[Tensor, Tensor]:
        return self.iteration.measure(state, problem)

    def check(self, problem: Problem) -> None:
        if len(problem.order) != len(problem.model.factor_ndims):
            raise ValueError("Carried moves scales between all factors; leave all of them free")
        if not problem.model.rescalable(problem.order):
            raise ValueError(
                f"the columns of a {type(problem.model).__name__} have no common scale"
            )
        self.iteration.check(problem)


def _carried(factors: Factors, n: int, problem: Problem) -> Factors:
    lead, norms = len(problem.batch_shape), []
    for x in factors:
        size = torch.linalg.vector_norm(x.flatten(lead, -2), dim=-2)
        norms.append(torch.where(size > 0, size, 1))
    whole = torch.stack(norms).prod(0)
    scales = (whole / size if m == n else 1 / size for m, size in enumerate(norms))
    places = (
        scale[(..., *(None,) * (x.ndim - lead - 1), slice(None))]
        for x, scale in zip(factors, scales, strict=True)
    )
    return times(factors, tuple(places))
