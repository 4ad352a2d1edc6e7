"""Least squares of counts after their variance was made one."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Loss


class Anscombe(Loss):
    """``2 (sqrt(p + c) - sqrt(y + c))^2`` per entry: least squares between stabilized counts.

    ``2 sqrt(y + 3/8)`` of a Poisson count has a variance of nearly one; with readout noise of
    variance ``sigma^2`` in counts, ``c = 3/8 + sigma^2``. It is convex in the prediction, and
    Jensen's inequality gives a majorizer with minimizer ``x (N / (P + l1))^2``.

    Args:
        offset: c, positive; 3/8 over the gain where counts were divided by one.

    Raises:
        ValueError: an offset that is not positive.

    References:
        | Anscombe, The transformation of Poisson, binomial and negative-binomial data (1948)
        | Murtagh, Starck, Bijaoui, Image restoration with noise suppression using a multiresolution
        | support (1995)

    Example:
        >>> Anscombe(1.0)(torch.tensor([3.0]), torch.tensor([8.0]))
        tensor([2.])
    """

    def __init__(self, offset: float = 0.375) -> None:
        super().__init__()
        if not offset > 0:
            raise ValueError(f"the offset of Anscombe must be positive, got {offset}")
        self.offset = float(offset)

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return 2 * (self._root(prediction) - self._root(y)).square()

    def split(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``(2, 2 sqrt((y + c) / (p + c)))``."""
        return torch.full_like(prediction, 2), 2 * self._root(y) / self._root(prediction)

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """``sqrt(y + c) (p + c)^(-3/2)``."""
        return self._root(y) / self._root(prediction) ** 3

    def scale(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """That of counts, which is nearly the best."""
        return y, prediction

    def magnitude(self, y: Tensor) -> Tensor:
        """The loss of a prediction of zero, ``2 (sqrt(y + c) - sqrt(c))^2``."""
        return self.forward(torch.zeros_like(y), y)

    def majorized(
        self, x: Tensor, positive: Tensor, negative: Tensor, l1: Tensor | None, l2: Tensor | None
    ) -> Tensor:
        """``x (N / (P + l1))^2``.

        Args:
            x, positive, negative, l1, l2: as in `Loss.majorized`.

        Raises:
            TypeError: there is a quadratic weight.
        """
        if l2 is not None:
            raise TypeError("MU has no update for Anscombe with a ridge; use MSOM")
        slope = positive if l1 is None else positive + l1
        return x * (negative / slope.clamp_min(torch.finfo(x.dtype).tiny)).square()

    def domain(self, y: Tensor) -> str | None:
        """Nonnegative data."""
        negative = int((y < 0).sum())
        return f"{negative} of {y.numel()} entries are negative" if negative else None

    def extra_repr(self) -> str:
        return f"offset={self.offset:g}"

    def _root(self, x: Tensor) -> Tensor:
        return (x + self.offset).sqrt()
