"""Data that is stored entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..blocks import Block, DivergenceBlock, KroneckerBlock, QuadraticBlock
from ..functional.batch import picked, sum_each
from ..functional.copies import shallow
from ..functional.tree import Kept
from ..kernels.beta import Products, Wanted, beta_products, worthwhile
from ..losses import BetaDivergence, Loss
from ..models import Factors, Model
from ..models.base import replaced
from .base import Data, Parts, Stored


@dataclass(frozen=True, eq=False)
class Dense(Data):
    """A tensor, with weights like it or without.

    Large matrices go through kernels that hold the prediction one tile at a time.

    Args:
        y: (*, ...) the data; in half precision it is computed with in single precision.
        weights: nonnegative, like ``y``; 0 marks what is missing, whatever stands there. Or None.

    Example:
        >>> Dense(torch.ones(3, 2)).shape
        torch.Size([3, 2])
    """

    y: Tensor
    weights: Tensor | None = None
    kept: Kept | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.weights is None:
            return
        if self.weights.shape != self.y.shape:
            raise ValueError(
                f"weights have shape {tuple(self.weights.shape)}, the data {tuple(self.y.shape)}"
            )
        # What is not observed must not matter, whatever the loss makes of it: 0 * inf is NaN.
        object.__setattr__(self, "y", torch.where(self.weights > 0, self.y, 1))

    @property
    def shape(self) -> torch.Size:
        return self.y.shape

    @property
    def dtype(self) -> torch.dtype:
        half = self.y.dtype in (torch.float16, torch.bfloat16)
        return torch.float32 if half else self.y.dtype

    @property
    def device(self) -> torch.device:
        return self.y.device

    def stored(self) -> Iterator[Stored]:
        seen = self.y if self.weights is None else self.y[self.weights > 0]
        yield Stored(seen, self.weights)

    def count(self, model: Model) -> int:
        return self.shape[len(self.shape) - model.ndim :].numel()

    def check(self, model: Model) -> None:
        if self.y.ndim < model.ndim:
            raise ValueError(
                f"{type(model).__name__} predicts {model.ndim} dimensions, "
                f"got data of shape {tuple(self.y.shape)}"
            )

    def total(self, model: Model, loss: Loss, factors: Factors) -> Tensor:
        if self._tiled(model, loss, factors):
            return self._products(loss, factors, Wanted(value=True)).value
        return self._sum(model, self._weighted(loss(model(factors), self.y)))

    def block(self, model: Model, loss: Loss, factors: Factors, n: int) -> Block:
        layout = model.layout(n)
        if loss.quadratic and model.has_gram(n):
            kept = Kept() if self.kept is None else self.kept
            y, weights = kept("observed", (self.y,), lambda: self._observed(model))
            gram = model.gram(factors, n, weights, kept)
            cross = layout.pack(model.cross(factors, n, y, kept))
            return QuadraticBlock(gram, cross, loss)
        grams = model.grams(factors, n) if loss.quadratic and self.weights is None else None
        if grams is not None:
            cross = layout.pack(model.adjoint(factors, n, self._wide))
            return KroneckerBlock(*grams, cross, loss)
        positive = self.positive(model, factors, n) if loss.constant_positive else None
        kind = TiledBlock if self._tiled(model, loss, factors) else DivergenceBlock
        y = self.y if kind is TiledBlock else self._wide
        return kind(model, loss, y, self.weights, factors, n, positive)

    def sweep(self, model: Model) -> Dense:
        # A compiled step cannot see what is remembered outside of it.
        if self.kept is not None and not torch.compiler.is_compiling():
            return self
        other = shallow(self)
        object.__setattr__(other, "kept", Kept())
        return other

    def positive(self, model: Model, factors: Factors, n: int) -> Tensor:
        if self.weights is None:
            return model.column_sum(factors, n)
        return model.layout(n).pack(model.adjoint(factors, n, self.weights))

    def scale(self, model: Model, loss: Loss, factors: Factors) -> tuple[Tensor, Tensor]:
        top, bottom = loss.scale(model(factors), self._wide)
        return self._sum(model, self._weighted(top)), self._sum(model, self._weighted(bottom))

    def size(self, model: Model, loss: Loss) -> Tensor:
        return self._sum(model, self._weighted(loss.magnitude(self._wide)))

    def means(self, model: Model) -> tuple[Tensor, Tensor]:
        count = self.count(model)
        mean = self._sum(model, self._weighted(self._wide.abs())) / count
        if self.weights is None:
            return mean, torch.ones_like(mean)
        weight = self._sum(model, self.weights) / count
        return mean / weight, weight

    def imputed(self, model: Model) -> Tensor:
        if self.weights is None:
            return self._wide
        own = tuple(range(-model.ndim, 0))
        size = self.weights.sum(own, keepdim=True).clamp_min(torch.finfo(self.dtype).tiny)
        mean = (self.weights * self.y).sum(own, keepdim=True) / size
        return torch.where(self.weights > 0, self.y, mean)

    def parts(self, model: Model, loss: Loss, factors: Factors, order: tuple[int, ...]) -> Parts:
        if loss.quadratic and all(model.has_gram(n) for n in order) and self.weights is None:
            return self._through_normal(model, loss, factors, order)
        if loss.quadratic:
            return super().parts(model, loss, factors, order)
        if not self._tiled(model, loss, factors):
            return self._from_one_prediction(model, loss, factors, order)
        asked = (0 in order, 1 in order)
        constant = loss.constant_positive
        found = self._products(
            loss, factors, Wanted(True, (False, False) if constant else asked, asked)
        )
        splits = {
            n: (
                self.positive(model, factors, n) if constant else found.positive[n],
                found.negative[n],
            )
            for n in order
        }
        return Parts(found.value, splits)

    def _through_normal(
        self, model: Model, loss: Loss, factors: Factors, order: tuple[int, ...]
    ) -> Parts:
        kept = Kept() if self.kept is None else self.kept
        y, _ = kept("observed", (self.y,), lambda: self._observed(model))
        splits = {
            n: (
                model.normal(factors, n, kept),
                model.layout(n).pack(model.cross(factors, n, y, kept)),
            )
            for n in order
        }
        return Parts(self.total(model, loss, factors), splits)

    def _from_one_prediction(
        self, model: Model, loss: Loss, factors: Factors, order: tuple[int, ...]
    ) -> Parts:
        prediction = model(factors)
        positive, negative = loss.split(prediction, self._wide)

        def pulled(n: int, entries: Tensor) -> Tensor:
            return model.layout(n).pack(model.adjoint(factors, n, self._weighted(entries)))

        constant = loss.constant_positive
        splits = {
            n: (
                self.positive(model, factors, n) if constant else pulled(n, positive),
                pulled(n, negative),
            )
            for n in order
        }
        return Parts(self._sum(model, self._weighted(loss(prediction, self._wide))), splits)

    def at(self, row: Tensor, col: Tensor) -> tuple[Tensor, Tensor]:
        """The values and the weights of some entries of one matrix.

        Args:
            row, col: (k,) positions.
        """
        y = self.y[row, col].to(self.dtype)
        return y, torch.ones_like(y) if self.weights is None else self.weights[row, col]

    def picked(self, where: tuple[Tensor, ...]) -> Dense:
        weights = None if self.weights is None else picked(self.weights, where)
        return self.like(picked(self.y, where), weights)

    def repeated(self, count: int) -> Dense:
        weights = None if self.weights is None else self.weights.expand(count, *self.shape)
        return self.like(self.y.expand(count, *self.shape), weights)

    def like(self, y: Tensor, weights: Tensor | None) -> Dense:
        """Other tensors for the same kind of data, whose missing entries are marked already."""
        other = shallow(self)
        object.__setattr__(other, "y", y)
        object.__setattr__(other, "weights", weights)
        return other

    @property
    def _wide(self) -> Tensor:
        return self.y.to(self.dtype)

    def _observed(self, model: Model) -> tuple[Tensor, Tensor | None]:
        """The weighted data and the weights, once for all problems that share them.

        A product with the factors of all of these problems is then a single one.
        """
        y, weights, lead = self._wide, self.weights, self.y.ndim - model.ndim
        while lead and y.stride(0) == 0 and (weights is None or weights.stride(0) == 0):
            y, weights, lead = y[0], None if weights is None else weights[0], lead - 1
        return y if weights is None else weights * y, weights

    def _weighted(self, entries: Tensor) -> Tensor:
        return entries if self.weights is None else self.weights * entries

    def _sum(self, model: Model, entries: Tensor) -> Tensor:
        return sum_each(entries, self.y.ndim - model.ndim)

    def _tiled(self, model: Model, loss: Loss, factors: Factors) -> bool:
        known = model.matrix and isinstance(loss, BetaDivergence)
        return known and worthwhile(self.y, *factors)

    def _products(self, loss: Loss, factors: Factors, wanted: Wanted) -> Products:
        assert isinstance(loss, BetaDivergence)
        return beta_products(self.y, factors[0], factors[1], loss.beta, self.weights, wanted)


class TiledBlock(DivergenceBlock):
    """A beta-divergence of a large matrix, whose prediction is never held as a whole."""

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        asked = (self.n == 0, self.n == 1)
        if self.positive is not None:
            found = self._products(x, Wanted(negative=asked))
            return self.positive.expand_as(x), found.negative[self.n]
        found = self._products(x, Wanted(positive=asked, negative=asked))
        return found.positive[self.n], found.negative[self.n]

    def gradient(self, x: Tensor) -> Tensor:
        positive, negative = self.split(x)  # both from one pass over the tiles
        return positive - negative

    def value(self, x: Tensor, lead: int = 0) -> Tensor:
        found = self._products(x, Wanted(value=True)).value.double()
        return sum_each(found, lead)

    def _products(self, x: Tensor, wanted: Wanted) -> Products:
        assert isinstance(self.loss, BetaDivergence)
        w, h = replaced(self.factors, self.n, x)
        return beta_products(self.y, w, h, self.loss.beta, self.weights, wanted)
