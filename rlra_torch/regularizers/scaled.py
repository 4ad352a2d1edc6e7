"""A regularizer times a weight for each problem."""

from __future__ import annotations

from torch import Tensor

from .base import Regularizer


class Scaled(Regularizer):
    """``scale * R``: a path of penalties, each problem of a batch at its own place on it.

    Args:
        reg: R.
        scale: (*,), positive, one for each problem.

    Example:
        >>> import torch
        >>> from rlra_torch.regularizers import L1
        >>> reg = Scaled(L1(1.0), torch.tensor([1.0, 2.0]))
        >>> reg.prox(torch.full((2, 1, 1), 3.0), 1.0).flatten()
        tensor([2., 1.])
    """

    def __init__(self, reg: Regularizer, scale: Tensor) -> None:
        super().__init__()
        self.reg, self.scale = reg, scale
        self.degree, self.couples, self.convex = reg.degree, reg.couples, reg.convex

    def forward(self, x: Tensor) -> Tensor:
        value = self.reg(x)
        return self._over(value) * value

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        return self.reg.prox(x, self._over(x) * step)

    def _over(self, x: Tensor) -> Tensor:
        return self.scale.reshape((*self.scale.shape, *(1,) * (x.ndim - self.scale.ndim)))
