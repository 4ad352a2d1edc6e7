"""Momentum with the schedule of Nesterov in front of a block iteration, from sweep to sweep."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block
from ..regularizers import Regularizer
from .base import BlockIteration, Wrapped


class Nesterov(Wrapped):
    """Block-wise acceleration: each block is extrapolated before it is updated, and restarts.

        t+ = (1 + sqrt(1 + 4 t^2)) / 2,   w = min((t - 1) / t+, 0.9999 sqrt(L_before / L))
        v  = project(x + w (x - x_before)),   x+ = update(v)
        t+ = 1 where <v - x+, x+ - x> > 0: there the momentum leads uphill

    L is the Lipschitz constant of the block, which changes as the other factors do; the cap is left
    out where it has none. ``Alternating(Nesterov(ProjectedGradient()))`` is the accelerated
    proximal gradient of Xu and Yin, and iPALM with a schedule; `Extrapolated` goes on after a block
    was solved instead.

    Args:
        iteration: what updates from the extrapolated point.

    Raises:
        TypeError: not a block iteration.

    References:
        | Xu, Yin, A block coordinate descent method for regularized multiconvex optimization with
        | applications to nonnegative tensor factorization and completion (2013), section 2
        | Pock, Sabach, Inertial proximal alternating linearized minimization (2016)
        | O'Donoghue, Candes, Adaptive restart for accelerated gradient schemes (2015), section 3.2

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.iterations import ProjectedGradient
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, -2.0]]), Frobenius())
        >>> it, x = Nesterov(ProjectedGradient()), torch.ones(1, 2)
        >>> x, memory = it.repeat(x, it.init(x, NonNegative()), block, NonNegative(), 30)
        >>> x.round(decimals=3)
        tensor([[1., 0.]])
    """

    def __init__(self, iteration: BlockIteration) -> None:
        super().__init__(iteration)

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        """The point before, t, the Lipschitz constant before, and the memory of the iteration."""
        one = x.new_ones((*x.shape[:-2], 1, 1))
        return x, one, x.new_ones((*x.shape[:-1], 1)), self.iteration.init(x, reg)

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        before, t, bound_before, inner = memory
        later = (1 + (1 + 4 * t.square()).sqrt()) / 2
        momentum, bound = (t - 1) / later, bound_before
        if block.loss.quadratic:
            tiny = torch.finfo(x.dtype).tiny
            bound = block.lipschitz().expand_as(bound_before)
            momentum = momentum.minimum(0.9999 * (bound_before / bound.clamp_min(tiny)).sqrt())
        v = reg.onto(x + momentum * (x - before))
        v = torch.maximum(v, 0.1 * x) if self.nonnegative else v
        new, inner = self.iteration(v, inner, block, reg)
        uphill = ((v - new) * (new - x)).sum((-2, -1), keepdim=True) > 0
        return new, (x, torch.where(uphill, 1.0, later), bound, inner)
