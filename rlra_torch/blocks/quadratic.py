"""Least squares in one factor, from its gram."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.batch import sum_each
from ..functional.linalg import spectral_bound, times_gram
from ..losses import Loss
from .base import Block


@dataclass(frozen=True)
class QuadraticBlock(Block):
    """Least squares, ``f(x) = <x, x G> / 2 - <x, C>`` up to a constant.

    Args:
        gram: G, (*, batch, rank, rank), or (*, batch, rows, rank, rank) with weighted data.
        cross: C, (*, batch, rows, rank).
        loss: the Frobenius loss.

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, 2.0]]), Frobenius())
        >>> block.gradient(torch.zeros(1, 2))
        tensor([[-1., -2.]])
    """

    gram: Tensor
    cross: Tensor
    loss: Loss

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return times_gram(x, self.gram), self.cross

    def value(self, x: Tensor, lead: int = 0) -> Tensor:
        # The sum cancels against the energy of the data, so it is taken in double precision.
        entries = x * (0.5 * times_gram(x, self.gram) - self.cross)
        return sum_each(entries, lead, torch.float64)

    def majorant(self, x: Tensor, u: Tensor) -> Tensor:
        return times_gram(u, self.gram.abs()) / u

    def hessian_product(self, x: Tensor, u: Tensor) -> Tensor:
        return times_gram(u, self.gram)

    def hessian(self, x: Tensor) -> Tensor:
        return self.gram

    def lipschitz(self) -> Tensor:
        bound = spectral_bound(self.gram)[..., None]
        return bound if self.gram.ndim > self.cross.ndim else bound[..., None]


@dataclass(frozen=True)
class KroneckerBlock(Block):
    """Least squares in a matrix, ``f(X) = <X, P X Q> / 2 - <X, C>`` up to a constant.

    As a block the matrix is one row, ``(*, 1, d r)``, and its gram would be that of P and Q.

    Args:
        left: P, (*, d, d), symmetric.
        right: Q, (*, r, r), symmetric.
        cross: C, (*, 1, d r).
        loss: the Frobenius loss.

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> left, right = torch.eye(2), torch.eye(1)
        >>> block = KroneckerBlock(left, right, torch.tensor([[1.0, 2.0]]), Frobenius())
        >>> block.gradient(torch.zeros(1, 2))
        tensor([[-1., -2.]])
    """

    left: Tensor
    right: Tensor
    cross: Tensor
    loss: Loss

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._between(self.left, x, self.right), self.cross

    def value(self, x: Tensor, lead: int = 0) -> Tensor:
        entries = x * (0.5 * self._between(self.left, x, self.right) - self.cross)
        return sum_each(entries, lead, torch.float64)

    def majorant(self, x: Tensor, u: Tensor) -> Tensor:
        return self._between(self.left.abs(), u, self.right.abs()) / u

    def hessian_product(self, x: Tensor, u: Tensor) -> Tensor:
        return self._between(self.left, u, self.right)

    def hessian(self, x: Tensor) -> Tensor:
        product = self.left[..., :, None, :, None] * self.right[..., None, :, None, :]
        return product.flatten(-4, -3).flatten(-2)

    def lipschitz(self) -> Tensor:
        return (spectral_bound(self.left) * spectral_bound(self.right))[..., None, None]

    def _between(self, left: Tensor, x: Tensor, right: Tensor) -> Tensor:
        matrix = x.reshape(*x.shape[:-2], left.shape[-1], right.shape[-1])
        return (left @ matrix @ right).reshape(x.shape)
