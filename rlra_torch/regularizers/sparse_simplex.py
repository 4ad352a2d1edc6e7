"""Rows or columns on the simplex with few nonzeros."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.proximal import project_simplex
from .vectorwise import Simplex


class SparseSimplex(Simplex):
    """``x >= 0``, ``sum x = total`` and at most ``k`` nonzeros for each row, or column.

    Args:
        k: how many nonzeros, at least 1.
        total: the sum, positive.
        dim: -1 for the rows of the factor (few materials in each pixel), -2 for its columns.

    Raises:
        ValueError: k below 1, or a sum that is not positive.

    References:
        | Kyrillidis, Becker, Cevher, Koch, Sparse projections onto the simplex (2013), algorithm 1

    Example:
        >>> SparseSimplex(2).prox(torch.tensor([[0.6, 0.5, 0.7]]), 1.0).round(decimals=4)
        tensor([[0.4500, 0.0000, 0.5500]])
    """

    convex = False

    def __init__(self, k: int, total: float = 1.0, dim: int = -1) -> None:
        super().__init__(total, dim)
        self.k = whole_number("k of SparseSimplex", k)

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The projection, that of the k largest entries; the step does not matter."""
        order = x.detach().argsort(dim=self.dim, descending=True, stable=True)
        kept = order.narrow(self.dim, 0, min(self.k, x.shape[self.dim]))
        mask = torch.zeros_like(x, dtype=torch.bool).scatter(self.dim, kept, True)
        return project_simplex(torch.where(mask, x, -torch.inf), self.dim, self.total)

    def extra_repr(self) -> str:
        return f"k={self.k}, {super().extra_repr()}"
