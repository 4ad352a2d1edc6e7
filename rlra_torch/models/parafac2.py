"""The PARAFAC2 model: slices that share one factor and their own version of another."""

from __future__ import annotations

from torch import Tensor

from ..functional.tree import Kept
from .base import Factors
from .multilinear import Multilinear


class Parafac2(Multilinear):
    """Slices ``X_k = A D_k B_k^T`` side by side, ``(*, I, J, K)``.

    Factors A ``(*, I, r)``, the diagonals of the ``D_k`` as rows of D ``(*, K, r)``, and B
    ``(*, K, J, r)``; that the ``B_k`` share their cross product is up to `Parafac2Set`. Slices of
    fewer columns are padded with zeros. Products with data whose slices lie one after the other in
    each row, a view of ``(*, I, K, J)``, copy nothing.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 18.1.3

    Example:
        >>> import torch
        >>> Parafac2()((torch.ones(2, 1), torch.ones(3, 1), torch.ones(3, 4, 1))).shape
        torch.Size([2, 4, 3])
    """

    def __init__(self) -> None:
        super().__init__("ir,kr,kjr->ijk")

    def forward(self, factors: Factors) -> Tensor:
        rows = _stacked(factors)
        flat = (factors[0] @ rows.flatten(-3, -2).mT).to(rows.dtype)
        return flat.unflatten(-1, rows.shape[-3:-1]).mT

    def adjoint(self, factors: Factors, n: int, residual: Tensor) -> Tensor:
        return self.cross(factors, n, residual, Kept())

    def cross(self, factors: Factors, n: int, y: Tensor, kept: Kept, name: str = "data") -> Tensor:
        if n == 0:
            return (y.mT.flatten(-2) @ _stacked(factors).flatten(-3, -2)).to(y.dtype)

        def products() -> Tensor:
            found = (y.mT.flatten(-2).mT @ factors[0]).to(y.dtype)
            return found.unflatten(-2, (y.shape[-1], y.shape[-2]))

        # ``X_k^T A`` serves both D and B.
        shared = kept((name, "slices"), (y, factors[0]), products)
        return (shared * factors[2]).sum(-2) if n == 1 else shared * factors[1].unsqueeze(-2)

    def gram(
        self, factors: Factors, n: int, weights: Tensor | None = None, kept: Kept | None = None
    ) -> Tensor:
        a, d, b = factors
        if weights is not None:
            return self._weighted(factors, n, weights)
        if n == 0:
            rows = _stacked(factors).flatten(-3, -2)
            return (rows.mT @ rows).to(rows.dtype)
        shared = (a.mT @ a).to(a.dtype).unsqueeze(-3)
        return shared * (_outer(d) if n == 2 else (b.mT @ b).to(b.dtype))

    def _weighted(self, factors: Factors, n: int, weights: Tensor) -> Tensor:
        side, rank = weights.mT.flatten(-2), factors[0].shape[-1]
        if n == 0:
            rows = _outer(_stacked(factors)).flatten(-2).flatten(-3, -2)
            return (side @ rows).to(rows.dtype).unflatten(-1, (rank, rank))
        squares = _outer(factors[0]).flatten(-2)
        found = (side.mT @ squares).to(squares.dtype).unflatten(-1, (rank, rank))
        found = found.unflatten(-3, (weights.shape[-1], weights.shape[-2]))
        if n == 2:
            return found * _outer(factors[1]).unsqueeze(-3)
        return (found * _outer(factors[2])).sum(-3, keepdim=True)


def _stacked(factors: Factors) -> Tensor:
    """``B_k D_k``, (*, K, J, r)."""
    return factors[2] * factors[1].unsqueeze(-2)


def _outer(x: Tensor) -> Tensor:
    """``x x^T`` of each row, (*, r, r)."""
    return x.unsqueeze(-1) * x.unsqueeze(-2)
