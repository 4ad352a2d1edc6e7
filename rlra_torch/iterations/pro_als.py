"""Projected alternating least squares, on data or on its compression."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..functional.linalg import solve_gram
from ..problem import Problem
from ..regularizers import Regularizer
from ..regularizers.compressed import NonNegativeThrough
from .projected_ls import ProjectedLeastSquares


class ProALS(ProjectedLeastSquares):
    """Pro-ALS: `ProjectedLeastSquares` that turns columns around before it projects them.

        x <- prox(D C G^-1),   D_q = -1 where column q has no positive entry, else 1

    Without the flip such a column would be projected onto zero. The objective may rise.

    References:
        | Cohen, Farias, Comon, Fast decomposition of large nonnegative tensors (2015)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 14.1

    Example:
        >>> import torch
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[-1.0, -2.0]]), Frobenius())
        >>> ProALS()(torch.ones(1, 2), (), block, NonNegative())[0].round(decimals=3)
        tensor([[1., 2.]])
    """

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        assert isinstance(block, QuadraticBlock)
        solved = solve_gram(block.gram, block.cross, x)
        return self.projected(_turned(solved, reg), block, reg), memory

    def projected(self, x: Tensor, block: QuadraticBlock, reg: Regularizer) -> Tensor:
        """Onto the set of the regularizer."""
        curvature = block.majorant(x, torch.ones_like(x))
        step = 1 / reg.metric(curvature.clamp_min(torch.finfo(x.dtype).tiny * 4))
        return reg.prox(x, step)


class ProcoALS(ProALS):
    """Proco-ALS: pro-ALS on compressed data, with a cheap projection instead of the exact one.

        x <- U^T [U D C G^-1]_+

    What it converges to need not be nonnegative when it is decompressed, but is nearly; clip it.

    References:
        | Cohen, Farias, Comon, Fast decomposition of large nonnegative tensors (2015)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 14.3.2

    Example:
        >>> import torch
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegativeThrough
        >>> block = QuadraticBlock(torch.eye(1), torch.tensor([[1.0], [-2.0]]), Frobenius())
        >>> ProcoALS()(torch.ones(2, 1), (), block, NonNegativeThrough(torch.eye(2)))[0]
        tensor([[1.],
                [0.]])
    """

    def projected(self, x: Tensor, block: QuadraticBlock, reg: Regularizer) -> Tensor:
        assert isinstance(reg, NonNegativeThrough)
        return reg.near(x)

    def check(self, problem: Problem, n: int) -> None:
        super().check(problem, n)
        if not isinstance(problem.regs[n], NonNegativeThrough):
            raise TypeError(
                f"ProcoALS projects through a basis but factor {n} has "
                f"{type(problem.regs[n]).__name__}; use NonNegativeThrough there, or ProALS"
            )


def _turned(x: Tensor, reg: Regularizer) -> Tensor:
    seen = reg.expand(x) if isinstance(reg, NonNegativeThrough) else x
    negative = (seen <= 0).all(-2, keepdim=True) & (seen < 0).any(-2, keepdim=True)
    return torch.where(negative, -x, x)
