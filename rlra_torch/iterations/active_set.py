"""Active set for nonnegative least squares, all rows at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..functional.arguments import whole_number
from ..functional.linalg import masked_solve
from ..functional.pivots import pivot
from ..problem import Problem
from ..regularizers import ElasticNet, Regularizer
from .base import BlockIteration, require_gram


class ActiveSet(BlockIteration):
    """Lawson-Hanson pivots on the cached gram, every row of the block advancing with each step.

    One pivot solves least squares on the passive set of each row, ``z_P = G_PP^-1 c_P``. Where z is
    positive it becomes ``x`` and the entry with the most negative gradient joins the set; elsewhere
    ``x`` moves towards z up to the first entry that vanishes, which leaves the set. The objective
    never rises, and a row that is solved stays as it is. The solution is exact after finitely many
    pivots, in practice about one to three times the rank.

    Args:
        pivots: how many in one step.
        on_support: least squares on the passive sets, a function of the block and the sets; by
            default by Cholesky on the gram, which squares the condition number of the problem.

    Raises:
        ValueError: fewer than one pivot.

    References:
        | Lawson, Hanson, Solving least squares problems (1974), chapter 23
        | Bro, De Jong, A fast non-negativity-constrained least squares algorithm (1997)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 7.4

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, -2.0]]), Frobenius())
        >>> x = torch.zeros(1, 2)
        >>> it = ActiveSet(pivots=4)
        >>> it(x, it.init(x, NonNegative()), block, NonNegative())[0]
        tensor([[1., 0.]])
    """

    def __init__(
        self,
        pivots: int = 1,
        on_support: Callable[[QuadraticBlock, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.on_support = _through_gram if on_support is None else on_support
        # A function that was given may know the whole batch: no problem can be taken out of it.
        self.whole = on_support is not None
        self.pivots = whole_number("the pivots of ActiveSet", pivots)

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        """The passive sets: the support of the start."""
        return (x > 0,)

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        assert isinstance(block, QuadraticBlock) and isinstance(reg, ElasticNet)
        l1, ridge = reg.weights
        gram, cross = block.gram, block.cross
        if l1 is not None:
            cross = cross - l1
        if ridge is not None:
            gram = gram + torch.diag_embed(ridge.expand(x.shape[-1]).to(gram.dtype))
        penalized = QuadraticBlock(gram, cross, block.loss)
        passive = memory[0]
        for _ in range(self.pivots):
            x, passive = pivot(x, passive, self.on_support(penalized, passive), (gram, cross))
        return x, (passive,)

    def check(self, problem: Problem, n: int) -> None:
        require_gram("ActiveSet", problem, n)
        reg = problem.regs[n]
        if not isinstance(reg, ElasticNet) or (reg.lower, reg.upper) != (0.0, float("inf")):
            raise TypeError(
                f"ActiveSet solves nonnegative least squares but factor {n} has {reg}; "
                "use NonNegative there, or FISTA"
            )
        ridge = reg.weights[1]
        if ridge is not None and ridge.ndim > 1:
            raise TypeError("ActiveSet takes a ridge weight that is a scalar or one per column")

    def sweep_cost(self, rows: int, rank: int) -> float:
        return self.pivots * rows * rank * (rank * rank / 3 + 6 * rank)


def _through_gram(block: QuadraticBlock, passive: Tensor) -> Tensor:
    return masked_solve(block.gram, block.cross, passive)
