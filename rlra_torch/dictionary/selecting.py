"""The step of MC-ALS on the factor whose columns are atoms."""

from __future__ import annotations

from torch import Tensor

from ..blocks import Block
from ..iterations import BlockIteration
from ..iterations.base import Wrapped
from ..problem import Problem
from ..regularizers import Regularizer
from .choice import Choice


class Selecting(Wrapped):
    """Fit the factor without the dictionary, then put the nearest atoms in its place.

        X <- argmin 1/2 ||Y - X B^T||^2 + reg(X),    X <- D[:, K]   with K of a `Choice`

    What this block adds to the optimality residual is the length of its last move: 0 once the atoms
    stay. The objective may rise.

    Args:
        choice: of the atoms.
        iteration: for the fit.
        within: the regularizer of the fit, `NonNegative` or `Free`.
        times: iterations of the fit.

    Raises:
        TypeError: not a block iteration.

    References:
        | Cohen, Gillis, Dictionary-based tensor canonical polyadic decomposition (2018)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.1.2
    """

    def __init__(
        self, choice: Choice, iteration: BlockIteration, within: Regularizer, times: int = 20
    ) -> None:
        super().__init__(iteration)
        self.choice, self.within, self.times = choice, within, times

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        """The last move and the atoms: a move of x, so that no solve ends before the first step."""
        return (x, self.choice(x))

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        inside = self.iteration.init(x, self.within)
        fitted, _ = self.iteration.repeat(x, inside, block, self.within, self.times)
        indices = self.choice(fitted)
        chosen = self.choice.take(indices)
        return chosen, (chosen - x, indices)

    def repeat(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer, times: int
    ) -> tuple[Tensor, tuple]:
        return self(x, memory, block, reg)

    def squares(
        self, x: Tensor, memory: tuple, gradient: Tensor, metric: Tensor, reg: Regularizer
    ) -> Tensor:
        return metric * memory[0].square()

    def check(self, problem: Problem, n: int) -> None:
        fit = problem.regularized(
            [self.within if i == n else reg for i, reg in enumerate(problem.regs)]
        )
        self.iteration.check(fit, n)
