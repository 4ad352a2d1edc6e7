"""Projected Newton steps, every row of a block on its own."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block
from ..functional.arguments import whole_number
from ..functional.linalg import masked_solve
from ..problem import Problem
from ..regularizers import ElasticNet, Regularizer
from .base import BlockIteration
from .mu import MU


class ProjectedNewton(BlockIteration):
    """``x_F <- max(x_F - t H_FF^-1 g_F, 0)`` on the free entries F of each row.

    An entry is bound where it is near 0 and its gradient ``g`` is positive, free elsewhere, and 0
    after the step if bound; near is nearer than a step of diagonally scaled gradient. ``H`` is the
    Hessian in that row, with a part of its diagonal added that vanishes with that distance. The
    length t is 1, 0.3, 0.09, ...: the first for which the slope along the step ``s`` has fallen,
    ``<g(x + s), s> <= |<g(x), s>| / 2``; a row for which none has takes the step of a safe
    iteration. Convergence is quadratic: some ten steps reach full accuracy.

    Args:
        trials: how many lengths are tried.
        safe: the step of rows where Newton's fails; None: `MU`.

    Raises:
        ValueError: no trials.

    References:
        | Bertsekas, Projected Newton methods for optimization problems with simple constraints
        | (1982)

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, -2.0]]), Frobenius())
        >>> ProjectedNewton()(torch.ones(1, 2), (), block, NonNegative())[0].round(decimals=3)
        tensor([[1., 0.]])
    """

    nonnegative = True

    def __init__(self, trials: int = 4, safe: BlockIteration | None = None) -> None:
        super().__init__()
        self.trials = whole_number("the trials of ProjectedNewton", trials)
        self.safe = MU() if safe is None else safe

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        return self.safe.init(x, reg)

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        assert isinstance(reg, ElasticNet)
        gradient = penalized_gradient(x, block, reg)
        free, step = _direction(x, gradient, penalized_hessian(x, block, reg))
        found, memory = self.safe(x, memory, block, reg)
        searching, length = torch.ones_like(free[..., :1]), 1.0
        for _ in range(self.trials):
            new = torch.where(free, x - length * step, 0).clamp_min(0)
            slope = (gradient * (new - x)).sum(-1, keepdim=True)
            ahead = (penalized_gradient(new, block, reg) * (new - x)).sum(-1, keepdim=True)
            # What is not finite, where a prediction vanished, compares false.
            good = searching & (ahead <= -0.5 * slope)
            found, searching = torch.where(good, new, found), searching & ~good
            length = 0.3 * length
        return found, memory

    def check(self, problem: Problem, n: int) -> None:
        if not problem.model.has_gram(n):
            raise TypeError(
                f"ProjectedNewton needs the gram of factor {n}, which "
                f"{type(problem.model).__name__} does not give; use MU, MSOM or ProjectedGradient"
            )
        reg = problem.regs[n]
        if not isinstance(reg, ElasticNet) or (reg.lower, reg.upper) != (0.0, float("inf")):
            raise TypeError(
                f"ProjectedNewton solves nonnegative regressions but factor {n} has {reg}; "
                "use NonNegative there, or MSOM"
            )
        self.safe.check(problem, n)

    def sweep_cost(self, rows: int, rank: int) -> float:
        return rows * rank * rank * (rank / 3 + 6.0)


def _direction(x: Tensor, gradient: Tensor, hessian: Tensor) -> tuple[Tensor, Tensor]:
    """The free entries of each row, and Newton's direction on them."""
    hessian = hessian if hessian.ndim > x.ndim else hessian.unsqueeze(-3)
    diagonal = hessian.diagonal(dim1=-2, dim2=-1).expand_as(x)
    tiny = torch.finfo(x.dtype).tiny
    moved = (x - gradient / diagonal.clamp_min(tiny)).clamp_min(0)
    largest = x.amax(-1, keepdim=True)
    left = (x - moved).abs().amax(-1, keepdim=True)
    free = (x > torch.minimum(left, 0.1 * largest)) | (gradient < 0)
    # The Hessian may be singular.
    damping = 0.1 * (left / largest.clamp_min(tiny)).clamp_max(1) * diagonal
    return free, masked_solve(hessian + torch.diag_embed(damping), gradient, free)


def penalized_gradient(x: Tensor, block: Block, reg: ElasticNet) -> Tensor:
    """The gradient of loss and penalties where ``x`` is inside the interval and not 0."""
    gradient = block.gradient(x)
    if reg.l1 is not None:
        gradient = gradient + (reg.l1 if reg.lower >= 0 else reg.l1 * x.sign())
    return gradient if reg.ridge is None else gradient + reg.ridge * x


def penalized_hessian(x: Tensor, block: Block, reg: ElasticNet) -> Tensor:
    """The Hessian of loss and penalties, as `Block.hessian`."""
    hessian = block.hessian(x)
    if reg.ridge is None:
        return hessian
    ridge = reg.ridge.to(x.dtype)
    if ridge.ndim > 1 and hessian.ndim == x.ndim:
        hessian, ridge = hessian.unsqueeze(-3), ridge.expand_as(x)
    return hessian + torch.diag_embed(ridge.expand(*ridge.shape[:-1], x.shape[-1]))
