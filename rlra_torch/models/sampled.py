"""A matrix model seen at some entries only."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.tree import Kept
from ..kernels.pattern import Pattern
from ..kernels.sampled import sampled, times
from .base import Factors, Model


class Sampled(Model):
    """``<w_i, h_j>`` at the entries ``(i, j)`` of a pattern, as a vector (*, nnz).

    Its cost is that of the entries; the matrix itself is never formed. With data for these entries
    it is completion from them: what is not in the pattern is missing.

    Args:
        pattern: of the rows of the factor ``side``.
        side: 0 for the pattern of an m x n matrix, 1 for that of its transpose.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.1

    Example:
        >>> pattern, _ = Pattern.at(torch.tensor([0, 1]), torch.tensor([1, 0]), (2, 2))
        >>> Sampled(pattern)((torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [5.0]])))
        tensor([5., 6.])
    """

    ndim = 1
    factor_ndims = (2, 2)

    def __init__(self, pattern: Pattern, side: int = 0) -> None:
        super().__init__()
        if not isinstance(pattern, Pattern):
            raise TypeError(f"Sampled takes a Pattern, got {type(pattern).__name__}")
        if side not in (0, 1):
            raise ValueError(f"the side of Sampled is 0 or 1, got {side!r}")
        self.pattern, self.side = pattern, side

    def forward(self, factors: Factors) -> Tensor:
        return sampled(self.pattern, factors[self.side], factors[1 - self.side])

    def adjoint(self, factors: Factors, n: int, residual: Tensor) -> Tensor:
        if n == self.side:
            return times(self.pattern, residual, factors[1 - n])
        turned = residual.index_select(-1, self.pattern.order)
        return times(self.pattern.transposed, turned, factors[1 - n])

    def rescalable(self, order: tuple[int, ...]) -> bool:
        return True

    def has_gram(self, n: int) -> bool:
        return True

    def gram(
        self, factors: Factors, n: int, weights: Tensor | None = None, kept: Kept | None = None
    ) -> Tensor:
        """``sum_k weights_k h_j h_j^T`` over the entries of each row, (*, rows, rank, rank)."""
        other = factors[1 - n]
        rank = other.shape[-1]
        i, j = torch.triu_indices(rank, rank, device=other.device)
        if weights is None:
            weights = other.new_ones(len(self.pattern.col))
        found = self.adjoint((other[..., i] * other[..., j],) * 2, n, weights)
        place = other.new_zeros(rank, rank, dtype=torch.long)
        place[i, j] = place[j, i] = torch.arange(len(i), device=other.device)
        return found[..., place]

    def column_energy(self, factors: Factors, n: int, kept: Kept | None = None) -> Tensor:
        """The diagonal of the mean gram over the rows, (*, 1, rank)."""
        ones = factors[0].new_ones(len(self.pattern.col))
        sums = self.adjoint((factors[1 - n].square(),) * 2, n, ones)
        return sums.mean(-2, keepdim=True)

    def check(self, factors: Factors, shape: torch.Size | None = None) -> None:
        super().check(factors, shape)
        sizes = self.pattern.shape if self.side == 0 else self.pattern.shape[::-1]
        for n, size in enumerate(sizes):
            if factors[n].shape[-2] != size:
                raise ValueError(
                    f"the pattern is {sizes[0]} x {sizes[1]} but factor {n} has shape "
                    f"{tuple(factors[n].shape)}"
                )
        count = len(self.pattern.col)
        if shape is not None and shape[-1:] != (count,):
            raise ValueError(f"the pattern has {count} entries but the data has {tuple(shape)}")
        if factors[0].shape[-1] != factors[1].shape[-1]:
            raise ValueError(
                f"the factors have {factors[0].shape[-1]} and {factors[1].shape[-1]} columns"
            )

    def extra_repr(self) -> str:
        return f"{self.pattern.shape}, {len(self.pattern.col)} entries"
