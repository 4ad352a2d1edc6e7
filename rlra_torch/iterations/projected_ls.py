"""Projected least squares: solve without constraints, then project."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..functional.linalg import solve_gram
from ..problem import Problem
from ..regularizers import Regularizer
from .base import BlockIteration, require_gram


class ProjectedLeastSquares(BlockIteration):
    """``x <- prox(C G^-1)``: the unconstrained solution, projected.

    Exact without a regularizer (plain alternating least squares); otherwise a cheap heuristic that
    may raise the objective. Where the gram is singular it is the solution nearest to ``x``.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 14.1

    Example:
        >>> import torch
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, -2.0]]), Frobenius())
        >>> ProjectedLeastSquares()(torch.ones(1, 2), (), block, NonNegative())[0]
        tensor([[1., 0.]])
    """

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        assert isinstance(block, QuadraticBlock)
        curvature = block.majorant(x, torch.ones_like(x))
        step = 1 / reg.metric(curvature.clamp_min(torch.finfo(x.dtype).tiny * 4))
        return reg.prox(solve_gram(block.gram, block.cross, x), step), memory

    def repeat(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer, times: int
    ) -> tuple[Tensor, tuple]:
        # The solution does not move when it is solved for again.
        return self(x, memory, block, reg)

    def check(self, problem: Problem, n: int) -> None:
        require_gram("ProjectedLeastSquares", problem, n)

    def sweep_cost(self, rows: int, rank: int) -> float:
        return rank**3 / 3 + 4.0 * rows * rank * rank
