"""Columns coded in a dictionary."""

from __future__ import annotations

from torch import Tensor

from ..functional.einsum import Layout
from ..functional.tree import Kept
from .base import Factors, Gauge, Model
from .multilinear import Multilinear


class Coded(Model):
    """``D X B^T``: W = D X is coded in a dictionary D; factors ``(*, m, d), (*, d, r), (*, n, r)``.

    The contraction ``Multilinear("md,dr,nr->mn")``, but the gram of X is kept as the two matrices
    ``D^T D`` and ``B^T B`` whose Kronecker product it is: d^2 + r^2 numbers instead of d^2 r^2.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.2

    Example:
        >>> import torch
        >>> Coded()((torch.ones(4, 3), torch.ones(3, 2), torch.ones(5, 2))).shape
        torch.Size([4, 5])
    """

    ndim, factor_ndims = 2, (2, 2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.contraction = Multilinear("md,dr,nr->mn")

    def forward(self, factors: Factors) -> Tensor:
        return self.contraction(factors)

    def adjoint(self, factors: Factors, n: int, residual: Tensor) -> Tensor:
        return self.contraction.adjoint(factors, n, residual)

    def layout(self, n: int) -> Layout:
        return self.contraction.layout(n)

    def gauges(self, order: tuple[int, ...]) -> tuple[Gauge, ...]:
        return self.contraction.gauges(order)

    def has_gram(self, n: int) -> bool:
        return n != 1

    def gram(
        self, factors: Factors, n: int, weights: Tensor | None = None, kept: Kept | None = None
    ) -> Tensor:
        return self.contraction.gram(factors, n, weights, kept)

    def grams(self, factors: Factors, n: int) -> tuple[Tensor, Tensor] | None:
        d, _, b = factors
        return (d.mT @ d, b.mT @ b) if n == 1 else None

    def column_energy(self, factors: Factors, n: int, kept: Kept | None = None) -> Tensor:
        return self.contraction.column_energy(factors, n)
