"""A model seen through a known linear operator."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..functional.einsum import Layout
from ..functional.linalg import spectral_bound
from ..functional.tree import Kept
from .base import Factors, Gauge, Model, replaced


class LinearMap(Protocol):
    """What `Sensed` needs of an operator: any module with these."""

    input_ndim: int
    output_ndim: int

    def __call__(self, x: Tensor, /) -> Tensor: ...
    def adjoint(self, y: Tensor, /) -> Tensor: ...
    def squared_norm(self) -> Tensor | None: ...


class Sensed(Model):
    """``Phi(model(X_1, ..., X_d))``, still linear in each factor.

    Its normal operator mixes the rows of a block, so it gives no gram: iterations that work from
    gradients (MU, MSOM, ...) run on it, those that ask for a gram say so.

    Args:
        model: the model that is measured.
        operator: Phi, reading as many dimensions as the model predicts.

    Raises:
        ValueError: the dimensions of the two do not fit.

    Example:
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.operators import Dense
        >>> model = Sensed(NMF(), Dense(torch.ones(1, 2)))
        >>> model((torch.ones(2, 1), torch.ones(3, 1)))
        tensor([[2., 2., 2.]])
    """

    def __init__(self, model: Model, operator: LinearMap) -> None:
        super().__init__()
        if operator.input_ndim != model.ndim:
            raise ValueError(
                f"{type(operator).__name__} reads {operator.input_ndim} dimensions but "
                f"{type(model).__name__} predicts {model.ndim}"
            )
        self.model, self.operator = model, operator
        self.ndim, self.factor_ndims = operator.output_ndim, model.factor_ndims

    @property
    def cones(self) -> Tensor | None:
        return self.model.cones

    def forward(self, factors: Factors) -> Tensor:
        return self.operator(self.model(factors))

    def adjoint(self, factors: Factors, n: int, residual: Tensor) -> Tensor:
        return self.model.adjoint(factors, n, self.operator.adjoint(residual))

    def layout(self, n: int) -> Layout:
        return self.model.layout(n)

    def rescalable(self, order: tuple[int, ...]) -> bool:
        return self.model.rescalable(order)

    def gauges(self, order: tuple[int, ...]) -> tuple[Gauge, ...]:
        return self.model.gauges(order)

    def squared_norm(self, factors: Factors, n: int) -> Tensor | None:
        """A bound, where one of the operator is known: the product of both norms."""
        gain = self.operator.squared_norm()
        if gain is None or not self.model.has_gram(n):
            return None
        bound = spectral_bound(self.model.gram(factors, n))
        lead = factors[n].ndim - self.model.factor_ndims[n]
        return gain * (bound.flatten(lead).amax(-1) if bound.ndim > lead else bound)

    def column_energy(self, factors: Factors, n: int, kept: Kept | None = None) -> Tensor:
        tiny = torch.finfo(factors[n].dtype).tiny
        energy = self.model.column_energy(factors, n)
        # Columns of equal energy, so that the gain does not depend on how the factors are scaled.
        block = self.layout(n).pack(factors[n])
        unit = energy.clamp_min(tiny).rsqrt().expand_as(block)
        inner = self.model(replaced(factors, n, self.layout(n).unpack(unit, factors[n])))
        gain = self.operator(inner).square().flatten(inner.ndim - self.model.ndim).sum(-1)
        before = inner.square().flatten(inner.ndim - self.model.ndim).sum(-1)
        ratio = gain / before.clamp_min(tiny)
        return ratio[(..., *(None,) * (energy.ndim - ratio.ndim))] * energy

    def check(self, factors: Factors, shape: torch.Size | None = None) -> None:
        self.model.check(factors)
        if shape is None:
            return
        meta = tuple(torch.empty_like(x, device="meta") for x in factors)
        measured = _meta_shape(self.model, meta, self.operator)
        if shape[len(shape) - self.ndim :] != measured[len(measured) - self.ndim :]:
            raise ValueError(f"the data has shape {tuple(shape)} but the model measures {measured}")


def _meta_shape(model: Model, factors: Factors, operator: LinearMap) -> tuple[int, ...]:
    device = next((b.device for b in getattr(operator, "buffers", list)()), torch.device("cpu"))
    prediction = model(factors)
    return tuple(
        operator(torch.zeros(prediction.shape, dtype=prediction.dtype, device=device)).shape
    )
