"""Momentum in front of a block iteration."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block
from ..regularizers import Regularizer
from ..regularizers.base import hyperparameter
from .base import BlockIteration, Wrapped


class Inertial(Wrapped):
    """``x+ = update(v)`` with ``v = project(x + momentum (x - x_before))``.

    The projection is onto the set of the regularizer. Updates that need nonnegative factors, as MU
    does, never leave 0, so for them entries of ``v`` are at least a tenth of those of ``x``. The
    momentum ``m`` is a hyperparameter and is learned in unrolled networks; with it gradient steps
    are stable for ``gamma < (2 + 2 m) / (1 + 2 m)`` only. `FISTA` has the schedule of the theory.

    Args:
        iteration: what starts from the extrapolated point.
        momentum: nonnegative, a float or a learned parameter; 0 changes nothing.

    Raises:
        TypeError: not a block iteration.
        ValueError: a momentum that is negative.

    References:
        | Polyak, Some methods of speeding up the convergence of iteration methods (1964)
        | Nesterov, A method of solving a convex programming problem with convergence rate O(1/k^2)
        | (1983)

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.iterations import MSOM
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, 2.0]]), Frobenius())
        >>> it, x = Inertial(MSOM(1.0), 0.5), torch.ones(1, 2)
        >>> it(x, it.init(x, NonNegative()), block, NonNegative())[0]
        tensor([[1., 2.]])
    """

    momentum: Tensor

    def __init__(self, iteration: BlockIteration, momentum: float | Tensor = 0.5) -> None:
        super().__init__(iteration)
        hyperparameter(self, "momentum", momentum)

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        """The point before, and the memory of the iteration."""
        return x, self.iteration.init(x, reg)

    def rescaled(self, x: Tensor, memory: tuple, scale: Tensor, reg: Regularizer) -> tuple:
        before, inner = memory
        return scale * before, self.iteration.rescaled(x, inner, scale, reg)

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        before, inner = memory
        beyond = x + self.momentum.to(x.dtype) * (x - before)
        v = reg.onto(beyond)
        v = torch.maximum(v, 0.1 * x) if self.nonnegative else v
        new, inner = self.iteration(v, inner, block, reg)
        return new, (x, inner)
