"""Projected (proximal) gradient, plain and accelerated."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block
from ..problem import Problem
from ..regularizers import Regularizer
from .base import BlockIteration, relaxation


class ProjectedGradient(BlockIteration):
    """``x <- prox(x - gamma g / L)`` with ``L`` a bound on the largest eigenvalue of the Hessian.

    Args:
        gamma: relaxation in (0, 2), a float or a learned parameter.

    Raises:
        ValueError: gamma outside (0, 2).

    References:
        | Lin, Projected gradient methods for nonnegative matrix factorization (2007)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 16.3

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(1), torch.tensor([[2.0]]), Frobenius())
        >>> ProjectedGradient()(torch.zeros(1, 1), (), block, NonNegative())[0].round(decimals=4)
        tensor([[2.]])
    """

    gamma: Tensor

    def __init__(self, gamma: float | Tensor = 1.0) -> None:
        super().__init__()
        relaxation(self, gamma)

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        """What a proximal map that is a loop of its own goes on from."""
        return reg.warm(x)

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        step = self.step(x, block, reg)
        return reg.warm_prox(x - step * block.gradient(x), step, memory)

    def step(self, x: Tensor, block: Block, reg: Regularizer) -> Tensor:
        """``gamma / L``, broadcasting with ``x``."""
        return self.gamma / _bound(block, reg, x)

    def check(self, problem: Problem, n: int) -> None:
        _require_lipschitz(type(self).__name__, problem, n)


class FISTA(BlockIteration):
    """Accelerated proximal gradient with restart.

        x+ = prox(v - g(v) / L),   t+ = (1 + sqrt(1 + 4 t^2)) / 2,   v+ = x+ + (t - 1) / t+ (x+ - x)

    The momentum restarts where ``<v - x+, x+ - x> > 0``: for each row of its own where the
    regularizer does not couple rows, since the rows of a block are independent problems.

    References:
        | Beck, Teboulle, A fast iterative shrinkage-thresholding algorithm (2009)
        | O'Donoghue, Candes, Adaptive restart for accelerated gradient schemes (2015), section 3.2

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(1), torch.tensor([[2.0]]), Frobenius())
        >>> x = torch.zeros(1, 1)
        >>> it = FISTA()
        >>> it(x, it.init(x, NonNegative()), block, NonNegative())[0].round(decimals=4)
        tensor([[2.]])
    """

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        """The extrapolated point and the momentum counter of each row."""
        return x, torch.ones_like(x[..., :1])

    def rescaled(self, x: Tensor, memory: tuple, scale: Tensor, reg: Regularizer) -> tuple:
        v, t = memory
        return scale * v, t

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        return self.repeat(x, memory, block, reg, 1)

    def repeat(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer, times: int
    ) -> tuple[Tensor, tuple]:
        v, t = memory
        step = 1 / _bound(block, reg, x)
        for _ in range(times):
            new = reg.prox(torch.addcmul(v, step, block.gradient(v), value=-1), step)
            moved = new - x
            turned = ((v - new) * moved).sum(-1, keepdim=True)
            if -2 in reg.couples:
                turned = turned.sum(-2, keepdim=True).expand_as(t)
            t = torch.where(turned > 0, 1.0, t)
            t_new = (1 + (1 + 4 * t.square()).sqrt()) / 2
            x, v, t = new, torch.addcmul(new, (t - 1) / t_new, moved), t_new
        return x, (v, t)

    def check(self, problem: Problem, n: int) -> None:
        _require_lipschitz("FISTA", problem, n)


def _bound(block: Block, reg: Regularizer, x: Tensor) -> Tensor:
    bound = block.lipschitz()
    bound = reg.metric(bound.expand_as(x)) if reg.couples else bound
    return bound.clamp_min(torch.finfo(x.dtype).tiny * 4)


def _require_lipschitz(name: str, problem: Problem, n: int) -> None:
    loss = problem.loss_of(n)
    if not loss.quadratic:
        raise TypeError(
            f"{name} needs a bounded curvature, which {type(loss).__name__} does not have; "
            "use MU, MSOM or BurgMirrorDescent"
        )
