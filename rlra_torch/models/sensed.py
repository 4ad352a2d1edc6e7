"""A model seen through a known linear operator."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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


@runtime_checkable
class ProductMap(Protocol):
    """What an operator may offer besides: ``Phi (W H^T)`` and its adjoints without the matrix."""

    def product(self, w: Tensor, h: Tensor) -> Tensor: ...
    def product_adjoint(self, y: Tensor, w: Tensor, h: Tensor, n: int) -> Tensor: ...


class Sensed(Model):
    """``Phi(model(X_1, ..., X_d))``, still linear in each factor.

    Its normal operator mixes the rows of a block, so it gives no gram: iterations that work from
    gradients (MU, MSOM, ...) run on it, those that ask for a gram say so.

    Args:
        model: the model that is measured.
        operator: Phi, reading as many dimensions as the model predicts.
        gains: for each factor, how much of the energy of a prediction the operator lets through at
            most while the others stay, see `gained`; None: ``||Phi||^2``.

    Raises:
        ValueError: the dimensions of the two do not fit.

    Example:
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.operators import Dense
        >>> model = Sensed(NMF(), Dense(torch.ones(1, 2)))
        >>> model((torch.ones(2, 1), torch.ones(3, 1)))
        tensor([[2., 2., 2.]])
    """

    def __init__(
        self, model: Model, operator: LinearMap, gains: tuple[Tensor, ...] | None = None
    ) -> None:
        super().__init__()
        if operator.input_ndim != model.ndim:
            raise ValueError(
                f"{type(operator).__name__} reads {operator.input_ndim} dimensions but "
                f"{type(model).__name__} predicts {model.ndim}"
            )
        self.model, self.operator, self.gains = model, operator, gains
        self._products = model.matrix and isinstance(operator, ProductMap)
        self.ndim, self.factor_ndims = operator.output_ndim, model.factor_ndims

    @property
    def cones(self) -> Tensor | None:
        return self.model.cones

    def forward(self, factors: Factors) -> Tensor:
        if self._products:
            return self.operator.product(*factors)  # pyright: ignore
        return self.operator(self.model(factors))

    def adjoint(self, factors: Factors, n: int, residual: Tensor) -> Tensor:
        if self._products:
            return self.operator.product_adjoint(residual, *factors, n)  # pyright: ignore
        return self.model.adjoint(factors, n, self.operator.adjoint(residual))

    def squared_norm(self, factors: Factors, n: int) -> Tensor | None:
        """A bound, where one of the operator is known: the product of both norms."""
        gain = self.operator.squared_norm() if self.gains is None else self.gains[n]
        if gain is None:
            return None
        if not self.model.has_gram(n):
            inner = self.model.squared_norm(factors, n)
            return None if inner is None else gain * inner
        largest = spectral_bound(self.model.gram(factors, n))
        return gain * largest.reshape(*largest.shape[: self._lead(factors, n)], -1).amax(-1)

    def gained(self, factors: Factors, steps: int = 10, margin: float = 1.25) -> Sensed:
        """The same with gains measured at these factors, for longer steps of gradient methods.

        An operator that keeps a random share of what it reads lets about this share through when
        many independent parts of it see the same factor; its norm says nothing of that.

        Args:
            factors: where.
            steps: of the power iteration.
            margin: factor on what it finds.
        """
        return Sensed(
            self.model,
            self.operator,
            tuple(margin * self._gain(factors, n, steps) for n in range(len(factors))),
        )

    def _gain(self, factors: Factors, n: int, steps: int) -> Tensor:
        lead = self._lead(factors, n)
        own = tuple(range(lead, factors[n].ndim))
        phase = torch.arange(factors[n][(0,) * lead].numel(), device=factors[n].device)
        u = (1.5 + phase.to(factors[n].dtype).cos()).reshape(factors[n].shape[lead:])
        u = u.expand_as(factors[n])
        norm = torch.linalg.vector_norm(u, dim=own, keepdim=True)
        for _ in range(steps):
            moved = replaced(factors, n, u / norm.clamp_min(torch.finfo(u.dtype).tiny))
            u = self.adjoint(moved, n, self(moved))
            norm = torch.linalg.vector_norm(u, dim=own, keepdim=True)
        one = Sensed(
            self.model, self.operator, (torch.ones_like(norm.flatten(lead)[..., 0]),) * len(factors)
        )
        largest = one.squared_norm(factors, n)
        if largest is None:
            raise TypeError(f"{type(self.model).__name__} gives no gram, which gains are shares of")
        return norm.flatten(lead)[..., 0] / largest

    def _lead(self, factors: Factors, n: int) -> int:
        return factors[n].ndim - self.factor_ndims[n]

    def layout(self, n: int) -> Layout:
        return self.model.layout(n)

    def rescalable(self, order: tuple[int, ...]) -> bool:
        return self.model.rescalable(order)

    def gauges(self, order: tuple[int, ...]) -> tuple[Gauge, ...]:
        return self.model.gauges(order)

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
    nested = isinstance(model, Sensed)
    shape = _meta_shape(model.model, factors, model.operator) if nested else model(factors).shape
    return tuple(operator(torch.zeros(shape, dtype=factors[0].dtype, device=device)).shape)
