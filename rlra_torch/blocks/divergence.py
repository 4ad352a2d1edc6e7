"""Any loss in one factor, through the model; and what is left of it where the data is zero."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.batch import sum_each
from ..functional.einsum import Layout
from ..losses import Loss
from ..models import Factors, Model
from ..models.base import replaced
from .base import Block


@dataclass(frozen=True)
class LinearBlock(Block):
    """``f(x) = <P, x>``: Kullback-Leibler where the data is zero.

    Args:
        positive: P, broadcasting with ``x``.
        loss: the loss.

    Example:
        >>> from rlra_torch.losses import KullbackLeibler
        >>> block = LinearBlock(torch.tensor([[1.0, 2.0]]), KullbackLeibler())
        >>> block.value(torch.ones(1, 2))
        tensor(3., dtype=torch.float64)
    """

    positive: Tensor
    loss: Loss

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.positive.expand_as(x), torch.zeros_like(x)

    def value(self, x: Tensor, lead: int = 0) -> Tensor:
        return sum_each(self.positive * x, lead, torch.float64)

    def majorant(self, x: Tensor, u: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def hessian_product(self, x: Tensor, u: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def hessian(self, x: Tensor) -> Tensor:
        return x.new_zeros(*x.shape[:-2], x.shape[-1], x.shape[-1])

    def lipschitz(self) -> Tensor:
        return self.positive.new_zeros(())


@dataclass(frozen=True)
class DivergenceBlock(Block):
    """Any loss through the model's forward and adjoint; the other factors are frozen.

    Args:
        model: the model.
        loss: the loss.
        y: the data.
        weights: of the entries, like ``y``, or None.
        factors: all factors; the ``n``-th gives its shape only.
        n: which one is free.
        positive: the adjoint of the positive part of the gradient where that is constant.
    """

    model: Model
    loss: Loss
    y: Tensor
    weights: Tensor | None
    factors: Factors
    n: int
    positive: Tensor | None

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        positive, negative = self.loss.split(self.predict(x), self.y)
        if self.positive is not None:
            return self.positive, self.adjoint(negative)
        return self.adjoint(positive), self.adjoint(negative)

    def gradient(self, x: Tensor) -> Tensor:
        if self.positive is not None:
            return super().gradient(x)
        # The adjoint is linear: one of the difference, not two.
        positive, negative = self.loss.split(self.predict(x), self.y)
        return self.adjoint(positive - negative)

    def value(self, x: Tensor, lead: int = 0) -> Tensor:
        entries = self.weighted(self.loss(self.predict(x), self.y))
        return sum_each(entries, lead, torch.float64)

    def majorant(self, x: Tensor, u: Tensor) -> Tensor:
        return self.hessian_product(x, u).abs() / u

    def hessian_product(self, x: Tensor, u: Tensor) -> Tensor:
        curvature = self.loss.curvature(self.predict(x), self.y)
        return self.adjoint(curvature * self.predict(u))

    def hessian(self, x: Tensor) -> Tensor:
        if not self.model.has_gram(self.n):
            raise TypeError(f"{type(self.model).__name__} gives no gram of factor {self.n}")
        curvature = self.loss.curvature(self.predict(x), self.y)
        return self.model.gram(self.factors, self.n, self.weighted(curvature))

    def lipschitz(self) -> Tensor:
        if not self.loss.quadratic:
            raise TypeError(
                f"the curvature of {type(self.loss).__name__} is not bounded, so no fixed gradient "
                "step is safe; use MU, MSOM or BurgMirrorDescent"
            )
        like = self.layout.pack(self.factors[self.n])
        lead = self.y.ndim - self.model.ndim
        own = tuple(range(lead, like.ndim))
        known = self.model.squared_norm(self.factors, self.n) if self.weights is None else None
        if known is not None:
            return known[(..., *(None,) * len(own))]
        phase = torch.arange(like[(0,) * lead].numel(), dtype=like.dtype, device=like.device)
        u = (1.5 + phase.cos()).reshape(like.shape[lead:]).expand_as(like)
        norm = torch.linalg.vector_norm(u, dim=own, keepdim=True)
        for _ in range(20):
            u = self.hessian_product(u, u / norm.clamp_min(torch.finfo(u.dtype).tiny))
            norm = torch.linalg.vector_norm(u, dim=own, keepdim=True)
        return 1.05 * norm

    def predict(self, x: Tensor) -> Tensor:
        """The prediction with ``x`` in the place of the free factor."""
        free = self.layout.unpack(x, self.factors[self.n])
        return self.model(replaced(self.factors, self.n, free))

    def adjoint(self, residual: Tensor) -> Tensor:
        """The weighted adjoint, as a block."""
        return self.layout.pack(self.model.adjoint(self.factors, self.n, self.weighted(residual)))

    def weighted(self, entries: Tensor) -> Tensor:
        """Entries times their weights."""
        return entries if self.weights is None else self.weights * entries

    @property
    def layout(self) -> Layout:
        return self.model.layout(self.n)
