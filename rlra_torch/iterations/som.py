"""The second-order-majorant family: a diagonal majorant for any positive direction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..blocks import Block
from ..regularizers import Regularizer
from .base import BlockIteration, relaxation


class SOM(BlockIteration):
    """``x <- prox(x - gamma g / D)`` in the metric ``D = |H| u / u``, for a free ``u > 0``.

    ``Diag(H u / u) - H`` is positive semidefinite for an entrywise nonnegative Hessian and any
    ``u > 0``. For least squares and a convex regularizer the objective never rises for gamma in
    (0, 2); for other losses convergence is local: start from a few steps of MU.

    Args:
        direction: ``u`` as a function of ``x``; ``u = x`` gives least-squares MU, ``u = 1`` mSOM.
        gamma: relaxation in (0, 2), a float or a learned parameter.

    Raises:
        ValueError: gamma outside (0, 2).

    References:
        | Pham, Cohen, Chonavel, A fast multiplicative updates algorithm for nonnegative matrix
        | factorization (2026), section 3
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 16, equation 16.1

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, 2.0]]), Frobenius())
        >>> SOM(lambda x: x, gamma=1.0)(torch.ones(1, 2), (), block, NonNegative())[0]
        tensor([[1., 2.]])
    """

    gamma: Tensor

    def __init__(self, direction: Callable[[Tensor], Tensor], gamma: float | Tensor = 1.9) -> None:
        super().__init__()
        if not callable(direction):
            raise TypeError(f"the direction of SOM is a function of x, got {direction!r}")
        self.direction = direction
        relaxation(self, gamma)

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        tiny = torch.finfo(x.dtype).tiny
        u = self.direction(x).clamp_min(tiny)
        step = self.gamma / reg.metric(block.majorant(x, u)).clamp_min(4 * tiny)
        return reg.prox(x - step * block.gradient(x), step), memory


class MSOM(SOM):
    """Median second-order majorant: `SOM` with ``u = 1``, the least of all majorants in l1 norm.

        x <- prox(x - gamma g / (H 1))

    Args:
        gamma: relaxation in (0, 2), a float or a learned parameter.

    References:
        | Pham, Cohen, Chonavel, A fast multiplicative updates algorithm for nonnegative matrix
        | factorization (2026), section 4
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 16.2

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, 2.0]]), Frobenius())
        >>> MSOM(gamma=1.0)(torch.ones(1, 2), (), block, NonNegative())[0]
        tensor([[1., 2.]])
    """

    def __init__(self, gamma: float | Tensor = 1.9) -> None:
        super().__init__(torch.ones_like, gamma)
