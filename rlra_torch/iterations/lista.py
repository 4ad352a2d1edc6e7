"""Proximal gradient with a learned preconditioner."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..blocks import Block
from ..functional.arguments import whole_number
from ..problem import Problem
from ..regularizers import Regularizer
from .gradient import ProjectedGradient


class LISTA(ProjectedGradient):
    """``x <- prox(x - gamma g M / L, gamma / L)`` with a learned matrix ``M``, first the identity.

    For ``y = A x + noise`` this is ``x <- soft(x - B^T (A x - y), theta)`` with the learned
    ``B = A M gamma / L`` tied to the model, so that one network serves every A of that rank; the
    threshold ``theta`` is the l1 weight of the regularizer times the step, learned where that
    weight is. Untrained, it is `ProjectedGradient`, that is ISTA.

    Args:
        rank: the number of components.
        gamma: relaxation in (0, 2), a float or a learned parameter.

    Raises:
        ValueError: a rank below 1, or gamma outside (0, 2).

    References:
        | Gregor, LeCun, Learning fast approximations of sparse coding (2010)
        | Chen, Liu, Wang, Yin, Theoretical linear convergence of unfolded ISTA and its practical
        | weights and thresholds (2018), equation 10

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import L1
        >>> block = QuadraticBlock(torch.eye(1), torch.tensor([[2.0]]), Frobenius())
        >>> x, _ = LISTA(rank=1)(torch.zeros(1, 1), (), block, L1(0.5))
        >>> x.detach().round(decimals=3)
        tensor([[1.5000]])
    """

    def __init__(self, rank: int, gamma: float | Tensor = 1.0) -> None:
        super().__init__(gamma)
        self.preconditioner = nn.Parameter(torch.eye(whole_number("the rank of LISTA", rank)))

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        rank = self.preconditioner.shape[0]
        if rank != x.shape[-1]:
            raise ValueError(
                f"LISTA was made for rank {rank}, but the factor has shape {tuple(x.shape)}"
            )
        step = self.step(x, block, reg)
        direction = block.gradient(x) @ self.preconditioner.to(x.dtype)
        return reg.prox(x - step * direction, step), memory

    def check(self, problem: Problem, n: int) -> None:
        super().check(problem, n)
        if not problem.regs[n].convex:
            raise TypeError(
                f"LISTA needs a convex regularizer, which {type(problem.regs[n]).__name__} is not"
            )
