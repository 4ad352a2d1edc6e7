"""Multiplicative updates with momentum and restart."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block
from ..regularizers import Regularizer
from .mu import MU


class AcceleratedMU(MU):
    """MU from an extrapolated point, with momentum in the logarithm and restart by the gradient.

        z  = update of x by MU
        t  = 1 in rows where <gradient at x, z - D z_before> > 0: there the momentum leads uphill
        t+ = (1 + sqrt(1 + 4 t^2)) / 2
        x+ = z (z / (D z_before))^((t - 1) / t+)

    0 is absorbing for MU, and momentum that is added to entries drives them there; momentum that
    multiplies them does not. ``D``, the column norms of ``z`` over those of ``z_before``, keeps it
    out of the scale of columns, along which the objective of a factorization is flat or nearly so:
    there the momenta of two factors would push each other. Nothing but the gradient of MU is
    computed, so that an iteration costs what one of MU does. The objective may rise for a while.

    Args:
        floor: as in `MU`.

    References:
        | Nesterov, A method of solving a convex programming problem with convergence rate O(1/k^2)
        | (1983)
        | O'Donoghue, Candes, Adaptive restart for accelerated gradient schemes (2015), section 3.2

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, 2.0]]), Frobenius())
        >>> iteration, x = AcceleratedMU(), torch.ones(1, 2)
        >>> iteration(x, iteration.init(x, NonNegative()), block, NonNegative())[0]
        tensor([[1., 2.]])
    """

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        """The last update, and t for each row."""
        return x, x.new_ones((*x.shape[:-1], 1))

    def rescaled(self, x: Tensor, memory: tuple, scale: Tensor, reg: Regularizer) -> tuple:
        before, t = memory
        return scale * before, t

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        before, t = memory
        new, positive, negative = self.updated(x, block, reg)
        split = reg.split(x)
        l1, l2 = split.l1, split.l2
        gradient = positive - negative if l1 is None else positive - negative + l1
        gradient = gradient if l2 is None else gradient + l2 * x
        before = rescaled(before, new)
        uphill = (gradient * (new - before)).sum(-1, keepdim=True) > 0
        t = torch.where(uphill, 1.0, t)
        later = (1 + (1 + 4 * t.square()).sqrt()) / 2
        beyond = multiplied(new, before, (t - 1) / later)
        return split.clip(beyond), (new, later)


def rescaled(before: Tensor, new: Tensor) -> Tensor:
    """The factor before, its columns as long as those of the new one, (*, rows, rank).

    A single row is as long as the new one: of its entries each would be a column, and keep nothing.
    """
    dim = -2 if new.shape[-2] > 1 else -1
    size = torch.linalg.vector_norm(before, dim=dim, keepdim=True)
    moved = torch.linalg.vector_norm(new, dim=dim, keepdim=True)
    return before * torch.where(size > 0, moved / torch.where(size > 0, size, 1), 1)


def multiplied(new: Tensor, before: Tensor, momentum: Tensor) -> Tensor:
    """``new (new / before)^momentum``, by a factor of a hundred at most.

    Args:
        new, before: nonnegative.
        momentum: broadcasts with them.
    """
    tiny = torch.finfo(new.dtype).tiny
    return new * (new / before.clamp_min(tiny)).clamp(0.01, 100).pow(momentum)
