"""The subproblem of one factor of a sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.batch import sum_each
from ..kernels.sampled import negative
from ..losses import BetaDivergence
from ..models.sampled import Sampled
from .base import Block
from .divergence import DivergenceBlock


@dataclass(frozen=True)
class SparseBlock(DivergenceBlock):
    """Any loss of a sparse matrix: its stored entries, and the block of a matrix of zeros.

    With ``w_k`` the weights and ``f_0`` the loss of the zeros that are not stored,

        f(x) = f_0(x) + sum_k w_k d(p_k, y_k) - d(p_k, 0)

    Args:
        zeros: the block of a matrix of zeros, or None where what is not stored is missing.
    """

    zeros: Block | None = None

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pulled = self._negative(x)
        if self.positive is not None:
            return self.positive, pulled
        positive, _ = self.loss.split(self.predict(x), self.y)
        if self.zeros is None:
            return self.adjoint(positive), pulled
        every, _ = self.zeros.split(x)
        if self.weights is None:
            return every, pulled
        return (every + self._gathered((self.weights - 1) * positive)).clamp_min(0), pulled

    def gradient(self, x: Tensor) -> Tensor:
        positive, negative = self.split(x)  # not one adjoint: the zeros have their own
        return positive - negative

    def value(self, x: Tensor, lead: int = 0) -> Tensor:
        return self.value_at(self.predict(x), x, lead)

    def value_at(self, prediction: Tensor, x: Tensor, lead: int) -> Tensor:
        """`value`, given the prediction at the stored entries."""
        entries = self.weighted(self.loss(prediction, self.y))
        if self.zeros is None:
            return sum_each(entries, lead, torch.float64)
        entries = entries - self.loss(prediction, torch.zeros_like(self.y))
        found = sum_each(entries, lead, torch.float64)
        return found + self.zeros.value(x, lead)

    def hessian_product(self, x: Tensor, u: Tensor) -> Tensor:
        found = self._gathered(self._curvature(x) * self.predict(u))
        return found if self.zeros is None else found + self.zeros.hessian_product(x, u)

    def hessian(self, x: Tensor) -> Tensor:
        found = self.model.gram(self.factors, self.n, self._curvature(x))
        if self.zeros is None:
            return found
        every = self.zeros.hessian(x)
        return found + (every if every.ndim == found.ndim else every.unsqueeze(-3))

    def _curvature(self, x: Tensor) -> Tensor:
        prediction = self.predict(x)
        found = self.weighted(self.loss.curvature(prediction, self.y))
        if self.zeros is None:
            return found
        return found - self.loss.curvature(prediction, torch.zeros_like(self.y))

    def _negative(self, x: Tensor) -> Tensor:
        if not isinstance(self.loss, BetaDivergence):
            return self.adjoint(self.loss.split(self.predict(x), self.y)[1])
        assert isinstance(self.model, Sampled)
        other, beta = self.factors[1 - self.n], self.loss.beta
        return negative(self.model.pattern, self.y, x, other, beta, self.weights)

    def _gathered(self, entries: Tensor) -> Tensor:
        return self.model.adjoint(self.factors, self.n, entries)
