"""The prediction of a Kullback-Leibler block while its columns change one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from ..blocks import DivergenceBlock
from ..functional.divergences import prediction_floor
from ..kernels.columns import tiles
from ..models import NMF, Factors
from ..models.base import replaced


class Columns(Protocol):
    """What a sweep over columns needs: the sums of one column, and to move it."""

    def moments(self, q: int) -> tuple[Tensor, Tensor]:
        """``sum_j w_j y_j A_jq / p_j`` and ``sum_j w_j y_j A_jq^2 / p_j^2``, (*, batch, rows)."""
        ...

    def add(self, q: int, change: Tensor) -> None:
        """Change column ``q`` by (*, batch, rows)."""
        ...


def columns_of(block: DivergenceBlock, x: Tensor) -> Iterator[tuple[slice, Columns]]:
    """Which rows of a block go together, and their columns, one after the other.

    The rows of one matrix go tile by tile and in place where no derivative is asked for.
    """
    plain = not torch.is_grad_enabled() and not torch.compiler.is_compiling()
    if plain and isinstance(block.model, NMF) and block.y.ndim == 2:
        turned = (block.y, block.weights) if block.n == 0 else (block.y.mT, _turned(block.weights))
        floor = prediction_floor(x.dtype, 2.0)
        yield from tiles(x, *turned, block.factors[1 - block.n].mT, floor)
    elif _products(block):
        yield slice(None), Products(block, x)
    else:
        yield slice(None), AnyColumns(block, x)


def data_sums(block: DivergenceBlock, x: Tensor) -> Tensor:
    """The sum of the data that each row meets, times their weights, (*, batch, rows, 1).

    Args:
        block: the block.
        x: (*, batch, rows, rank), of which nothing but the shape matters where rows can be told
            from the model; elsewhere ``sum_q x_q N_q`` is the sum, with N the negative part of the
            gradient.
    """
    if not _products(block):
        return (x * block.split(x)[1]).sum(-1, keepdim=True)
    ones = tuple(torch.ones_like(factor[..., :1]) for factor in block.factors)
    data = block.y if block.weights is None else block.weights * block.y
    return block.layout.pack(block.model.adjoint(ones, block.n, data))


class Whole(ABC):
    """All rows at once, out of place: the prediction is a tensor like the data.

    Args:
        block: the block.
        x: where the columns stand.
    """

    def __init__(self, block: DivergenceBlock, x: Tensor) -> None:
        self.block, self.x = block, x
        self.data = block.y if block.weights is None else block.weights * block.y
        self.floor = prediction_floor(x.dtype, 2.0)
        self.prediction = block.predict(x)

    def moments(self, q: int) -> tuple[Tensor, Tensor]:
        p = self.prediction.clamp_min(self.floor)
        ratio = self.data / p
        return self.sum(q, ratio), self.squared_sum(q, ratio / p)

    def add(self, q: int, change: Tensor) -> None:
        self.prediction = self.prediction + self.predict(q, change)

    @abstractmethod
    def predict(self, q: int, column: Tensor) -> Tensor:
        """The prediction of column ``q`` alone."""

    @abstractmethod
    def sum(self, q: int, entries: Tensor) -> Tensor:
        """``sum_j A_jq entries_j``, (*, batch, rows)."""

    @abstractmethod
    def squared_sum(self, q: int, entries: Tensor) -> Tensor:
        """``sum_j A_jq^2 entries_j``, (*, batch, rows)."""


class Products(Whole):
    """Where each component predicts products of one entry of each factor, as in NMF and CP.

    A component is then the model of factors with one column, and its square that of their squares.
    """

    def predict(self, q: int, column: Tensor) -> Tensor:
        alone = self._component(q)
        free = self.block.layout.unpack(column[..., None], alone[self.block.n])
        return self.block.model(replaced(alone, self.block.n, free))

    def sum(self, q: int, entries: Tensor) -> Tensor:
        return self._adjoint(self._component(q), entries)

    def squared_sum(self, q: int, entries: Tensor) -> Tensor:
        return self._adjoint(tuple(x.square() for x in self._component(q)), entries)

    def _component(self, q: int) -> Factors:
        return tuple(x[..., q : q + 1] for x in self.block.factors)

    def _adjoint(self, factors: Factors, entries: Tensor) -> Tensor:
        found = self.block.model.adjoint(factors, self.block.n, entries)
        return self.block.layout.pack(found)[..., 0]


class AnyColumns(Whole):
    """Any model that does not mix rows, at the price of all columns for each."""

    def predict(self, q: int, column: Tensor) -> Tensor:
        place = torch.arange(self.x.shape[-1], device=self.x.device) == q
        return self.block.predict(torch.where(place, column[..., None], 0))

    def sum(self, q: int, entries: Tensor) -> Tensor:
        block = self.block
        return block.layout.pack(block.model.adjoint(block.factors, block.n, entries))[..., q]

    def squared_sum(self, q: int, entries: Tensor) -> Tensor:
        return self.sum(q, entries * self.predict(q, torch.ones_like(self.x[..., q])))


def _products(block: DivergenceBlock) -> bool:
    """Whether all factors share their last dimension, and each component is a product."""
    everyone = range(len(block.factors))
    layouts = [block.model.layout(n) for n in everyone]
    single = all(len(own.permutation) - own.batch - own.rows == 1 for own in layouts)
    return single and block.model.rescalable(tuple(everyone))


def _turned(weights: Tensor | None) -> Tensor | None:
    return None if weights is None else weights.mT
