"""Multiplicative updates by majorization-minimization."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block
from ..functional.arguments import real_number
from ..losses import Loss
from ..problem import Problem
from ..regularizers import Regularizer
from .base import BlockIteration


class MU(BlockIteration):
    """``x <- argmin_{z >= floor} G(z; x) + l1 z + l2 z^2 / 2``, G the loss's majorizer.

    Without penalties ``x <- x (N / P)^gamma``, with ``P - N`` the gradient and gamma the exponent
    for which the objective never rises: 1 for beta in [1, 2], ``1 / (2 - beta)`` below and
    ``1 / (beta - 1)`` above. With them, the exact minimizer of the penalized majorizer rather than
    a ratio of gradients: for Frobenius ``x (N - l1)_+ / (P + l2 x)``, for Kullback-Leibler the
    positive root of ``l2 z^2 + (P + l1) z - x N = 0``.

    Args:
        floor: no entry falls below ``floor`` times the largest entry of its factor, because 0 is
            absorbing, and a 0 of the start is lifted to it; None: the square of the rounding unit,
            for entries of sparse factors are far below the rounding unit.

    References:
        | Lee, Seung, Learning the parts of objects by nonnegative matrix factorization (1999)
        | Fevotte, Idier, Algorithms for nonnegative matrix factorization with the beta-divergence
        | (2011), table 1
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 7.6

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, 2.0]]), Frobenius())
        >>> MU()(torch.ones(1, 2), (), block, NonNegative())[0]
        tensor([[1., 2.]])
    """

    nonnegative, multiplicative = True, True

    def __init__(self, floor: float | None = None) -> None:
        super().__init__()
        self.floor = relative_floor(floor)

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        return self.updated(x, block, reg)[0], memory

    def updated(self, x: Tensor, block: Block, reg: Regularizer) -> tuple[Tensor, Tensor, Tensor]:
        """The step, and the two parts of the gradient that it was made of.

        Args:
            x: (*, batch, rows, rank).
            block: the subproblem.
            reg: the regularizer.
        """
        parts = block.split(x)
        return multiplied(x, parts, block.loss, reg, self.floor), *parts

    def check(self, problem: Problem, n: int) -> None:
        one = torch.ones((1,) * problem.model.factor_ndims[n], dtype=torch.float64)
        problem.regs[n].split(one)
        problem.loss_of(n).majorized(one, one, one, None, None)


def multiplied(
    x: Tensor,
    parts: tuple[Tensor, Tensor],
    loss: Loss,
    reg: Regularizer,
    floor: float | None = None,
) -> Tensor:
    """The multiplicative update.

    Args:
        x: (*, batch, rows, rank), nonnegative.
        parts: of the gradient, like ``x``.
        loss: whose majorizer is minimized.
        reg: an elastic net on an interval.
        floor: as in `MU`.
    """
    split = reg.split(x)
    found = loss.majorized(x, *parts, split.l1, split.l2)
    floor = torch.finfo(x.dtype).eps ** 2 if floor is None else floor
    return split.clip(torch.maximum(found, lowest(x.detach(), floor)))


def relative_floor(floor: float | None) -> float | None:
    """Check a floor of multiplicative updates.

    Raises:
        TypeError: not a number.
        ValueError: outside [0, 1).
    """
    if floor is not None and not 0 <= real_number("the floor of MU", floor) < 1:
        raise ValueError(f"floor is relative, 0 <= floor < 1, got {floor}")
    return floor


def lowest(x: Tensor, floor: float) -> Tensor:
    """What no entry of the next iterate falls below: a fraction of the largest entry, or itself.

    The fraction grows with the largest entry. An entry that it would overtake, and lift against the
    descent of the objective, stays; a 0, which no multiplication ever leaves, is lifted.
    """
    least = floor * x.amax((-2, -1), keepdim=True)
    return torch.minimum(x, least).where(x > 0, least)
