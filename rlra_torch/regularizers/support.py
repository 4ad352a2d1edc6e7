"""Known zeros, on top of any regularizer that lets them be."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Regularizer, Split
from .elementwise import NonNegative


class Support(Regularizer):
    """``R(x)`` where the mask is true, and ``x = 0`` elsewhere.

    For zeros that are known beforehand: a component that is absent from some samples (selectivity),
    a channel that does not see a wavelength, or whole columns, so that problems of several ranks
    fit in one batch.

    Args:
        mask: True where the factor may differ from 0, broadcastable with ``(*, rows, rank)``.
        reg: what holds there; None: `NonNegative`. Along the dimensions that it couples the mask
            must have size 1, so that it never sees a part of what it couples.

    Raises:
        TypeError: the mask is not a tensor of truth values, or ``reg`` not a regularizer.
        ValueError: a mask of one dimension, or one that cuts through what ``reg`` couples.

    References:
        | De Juan, Tauler, Multivariate curve resolution (MCR) from 2000: progress in concepts and
        | applications (2006)

    Example:
        >>> mask = torch.tensor([[True, False], [True, True]])
        >>> Support(mask).prox(torch.tensor([[1.0, 2.0], [-3.0, 4.0]]), 1.0)
        tensor([[1., 0.],
                [0., 4.]])
    """

    mask: Tensor

    def __init__(self, mask: Tensor, reg: Regularizer | None = None) -> None:
        super().__init__()
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            kind = f"{mask.dtype}" if isinstance(mask, Tensor) else type(mask).__name__
            raise TypeError(f"the mask of Support must be a tensor of truth values, got {kind}")
        reg = NonNegative() if reg is None else reg
        if not isinstance(reg, Regularizer):
            raise TypeError(f"Support takes a regularizer, got {type(reg).__name__}")
        if mask.ndim < 2:
            raise ValueError(
                "the mask of Support must broadcast with (rows, rank), "
                f"got shape {tuple(mask.shape)}"
            )
        if any(mask.shape[dim] != 1 for dim in reg.couples):
            raise ValueError(
                f"the mask of shape {tuple(mask.shape)} cuts through what {type(reg).__name__} "
                f"couples; give it size 1 along dimension {reg.couples[0]}"
            )
        self.register_buffer("mask", mask)
        self.reg, self.degree = reg, reg.degree
        self.couples, self.convex = reg.couples, reg.convex

    @property
    def by_column(self) -> bool:
        """Whether the zeros are whole columns."""
        return self.mask.shape[-2] == 1

    @property
    def terms(self) -> tuple[Regularizer, ...]:
        """The terms of ``reg``, each with the known zeros."""
        parts = self.reg.terms
        return (self,) if len(parts) == 1 else tuple(Support(self.mask, part) for part in parts)

    def forward(self, x: Tensor) -> Tensor:
        """The value of what is not zero, (*,)."""
        return self.reg(torch.where(self.mask, x, 0))

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """That of ``reg``, with the known zeros."""
        return torch.where(self.mask, self.reg.prox(x, step), 0)

    def split(self, x: Tensor) -> Split:
        """That of ``reg``, below 0 where zeros are known."""
        split = self.reg.split(x)
        upper = split.upper
        upper = upper if isinstance(upper, Tensor) else x.new_full((), upper)
        return split._replace(upper=torch.where(self.mask, upper, 0))

    def extra_repr(self) -> str:
        return f"mask of shape {tuple(self.mask.shape)}"
