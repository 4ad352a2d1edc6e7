"""A block iteration whose result is multiplied by a learned positive gain."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..blocks import Block
from ..functional.arguments import whole_number
from ..regularizers import Regularizer
from .base import BlockIteration, Wrapped


class Gained(Wrapped):
    """``x <- project(A * update(x))``, with ``A = gain(x) > 0`` entrywise.

    With MU inside and a constant gain it is a layer of NALMU, ``x <- x * A * N / P``; with a gain
    that a network predicts from ``x``, a layer of RALMU. A gain of one changes nothing. With one
    constant gain in all layers and the other factor W frozen, NALMU never raises

        ||Y - W H^T||^2 / 2 + <W ((1 - A) * H)^T, Y>

    Args:
        iteration: what is multiplied.
        gain: from ``x`` of shape (*, rows, rank) to positive factors that broadcast with it: `Gain`
            or a network.

    Raises:
        TypeError: not a block iteration, or not a module.

    References:
        | Kervazo, Chetoui, Cohen, Deep unrolling of the multiplicative updates algorithm for blind
        | source separation (2024)
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 19.1.3 and 19.2

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.iterations import MU
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, 2.0]]), Frobenius())
        >>> x, _ = Gained(MU(), Gain())(torch.ones(1, 2), (), block, NonNegative())
        >>> x.detach()
        tensor([[1., 2.]])
    """

    def __init__(self, iteration: BlockIteration, gain: nn.Module) -> None:
        super().__init__(iteration)
        if not isinstance(gain, nn.Module):
            raise TypeError(f"the gain of Gained is a module such as Gain(), got {gain!r}")
        self.gain = gain

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        gain = self.gain(x)
        x, memory = self.iteration(x, memory, block, reg)
        return reg.onto(gain * x), memory


class Gain(nn.Module):
    """A gain that is the same for all data, ``A = exp(theta)`` with ``theta = 0`` at the start.

    Args:
        shape: of theta, which broadcasts with the block (*, rows, rank): nothing for one number,
            ``rank`` for one a component, ``(rows, 1)`` for one a row, ``(rows, rank)`` for all.

    Raises:
        ValueError: a size that is not a whole number of at least 1.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 19.1.3

    Example:
        >>> Gain(4, 1)(torch.rand(4, 2)).detach().flatten()
        tensor([1., 1., 1., 1.])
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        sizes = [whole_number("each size of a gain", size) for size in shape]
        self.theta = nn.Parameter(torch.zeros(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """The gain, in the dtype of ``x``.

        Args:
            x: (*, rows, rank).

        Raises:
            ValueError: the shapes do not fit.
        """
        own = self.theta.shape
        fits = all(a in (1, b) for a, b in zip(reversed(own), reversed(x.shape), strict=False))
        if len(own) > x.ndim or not fits:
            raise ValueError(
                f"a gain of shape {tuple(own)} does not fit a factor of shape {tuple(x.shape)}; "
                "give each of its sizes as that of the factor, or as 1"
            )
        return self.theta.exp().to(x.dtype)
