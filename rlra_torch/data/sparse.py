"""Data that is stored at some entries only."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ..blocks import Block, LinearBlock, QuadraticBlock, SparseBlock
from ..functional.batch import common, picked
from ..kernels.pattern import Pattern, csr_tensor
from ..kernels.sampled import sampled, times
from ..losses import BetaDivergence, Loss
from ..models import Factors, Model
from ..models.sampled import Sampled
from .base import Data, Parts, Stored
from .dense import Dense


class Entries(NamedTuple):
    """The stored entries, in the order of the rows of one of the factors.

    Args:
        pattern: where they are.
        y: (*, nnz) the data.
        weights: (*, nnz), or None where all are 1.
    """

    pattern: Pattern
    y: Tensor
    weights: Tensor | None


@dataclass(frozen=True, eq=False)
class Sparse(Data):
    """A sparse matrix; what is not stored is zero, or missing.

    Zeros cost nothing where their sum has a closed form, as for Kullback-Leibler and least squares:
    an iteration then visits the stored entries only. Other losses sum over them tile by tile.

    Args:
        entries: (nnz) by rows.
        zeros: whether what is not stored is an observed zero; else it is missing.
        batch: leading dimensions, for several problems on the same data.

    Example:
        >>> data = Sparse.of(torch.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse_csr())
        >>> data.shape, data.entries.y
        (torch.Size([2, 2]), tensor([2.]))
    """

    entries: Entries
    zeros: bool = True
    batch: tuple[int, ...] = ()

    @classmethod
    def of(cls, y: Tensor, weights: Tensor | None = None) -> Sparse:
        """From tensors, at least one of which is sparse.

        Args:
            y: m x n, sparse in any layout of torch, or dense with sparse weights.
            weights: None; or sparse, where what is not stored is missing; or dense.

        Raises:
            ValueError: not a matrix, or shapes that do not match.
        """
        shape = tuple(y.shape)
        if len(shape) != 2:
            raise ValueError(f"sparse data is one matrix, got shape {shape}; make it dense")
        if weights is not None and tuple(weights.shape) != shape:
            raise ValueError(f"weights have shape {tuple(weights.shape)}, the data {shape}")
        if weights is None:
            csr = _csr(y)
            pattern = _pattern(csr)
            return cls(Entries(pattern, csr.values(), None))
        if weights.layout == torch.strided:
            return cls(_with_dense_weights(y, weights))
        csr = _csr(weights)
        pattern, values = _pattern(csr), csr.values()
        held = _lookup(y, pattern)
        values = values.to(held.dtype)
        held = torch.where(values > 0, held, 1)
        return cls(Entries(pattern, held, None if bool((values == 1).all()) else values), False)

    def at(self, row: Tensor, col: Tensor) -> tuple[Tensor, Tensor]:
        """The values and the weights of some entries, stored or not, of one matrix.

        Args:
            row, col: (k,) positions.
        """
        pattern, y, weights = self.entries
        n, last = pattern.shape[1], max(len(y) - 1, 0)
        stored, wanted = pattern.row.long() * n + pattern.col.long(), row.long() * n + col.long()
        place = torch.searchsorted(stored, wanted).clamp_max(last)
        held = stored[place] == wanted if len(y) else torch.zeros_like(wanted, dtype=torch.bool)
        padded = (x if len(y) else x.new_zeros(1) for x in (y, torch.ones_like(y)))
        values, ones = (torch.where(held, x[place], 0) for x in padded)
        if weights is not None and len(y):
            ones = torch.where(held, weights[place], 0)
        return values, torch.where(held, ones, float(self.zeros))

    def without(self, row: Tensor, col: Tensor) -> Sparse:
        """The same data with these entries missing, such as those that are held out.

        Args:
            row, col: (k,) positions, stored or not.
        """
        pattern, y, weights = self.entries
        n = pattern.shape[1]
        stored = pattern.row.long() * n + pattern.col.long()
        hidden = torch.unique(row.long() * n + col.long())
        keys = torch.unique(torch.cat((stored, hidden))) if self.zeros else stored
        place = torch.searchsorted(keys, stored)
        new = y.new_zeros(*y.shape[:-1], len(keys)).index_copy(-1, place, y)
        weight = torch.ones_like(new)
        if weights is not None:
            weight = weight.index_copy(-1, place, weights.expand_as(y))
        weight = torch.where(torch.isin(keys, hidden), 0, weight)
        wider, _ = Pattern.at(keys // n, keys % n, pattern.shape)
        return replace(self, entries=Entries(wider, torch.where(weight > 0, new, 1), weight))

    def without_nan(self) -> Sparse:
        """The same data with what is NaN missing."""
        pattern, y, weights = self.entries
        bad = y.isnan()
        if not bool(bad.any()):
            return self
        weights = torch.ones_like(y) if weights is None else weights
        kept = Entries(pattern, y.masked_fill(bad, 1), weights.masked_fill(bad, 0))
        return replace(self, entries=kept)

    def picked(self, where: tuple[Tensor, ...]) -> Sparse:
        pattern, *values = self.entries
        lead, count = self.shape[:-2], len(pattern.col)
        y, weights = (None if x is None else picked(x.expand(*lead, count), where) for x in values)
        assert y is not None
        return replace(self, entries=Entries(pattern, y, weights), batch=(len(where[0]),))

    def expand(self, *batch: int) -> Sparse:
        """The same data for several problems, without a copy."""
        return replace(self, batch=tuple(batch))

    @property
    def shape(self) -> torch.Size:
        lead = common(self.batch, self.entries.y.shape[:-1])
        return torch.Size((*lead, *self.entries.pattern.shape))

    @property
    def dtype(self) -> torch.dtype:
        return self.entries.y.dtype

    @property
    def device(self) -> torch.device:
        return self.entries.y.device

    def stored(self) -> Iterator[Stored]:
        _, y, weights = self.entries
        seen = (y if weights is None else y[weights.expand_as(y) > 0]).flatten()
        yield Stored(torch.cat((seen, seen.new_zeros(1))) if self._gaps else seen, weights)

    @cached_property
    def sides(self) -> tuple[Entries, Entries]:
        """The entries by rows, and by columns; the latter is made once."""
        pattern, y, weights = self.entries
        turned, order = pattern.transpose()
        turned.__dict__["transposed"] = pattern
        pattern.__dict__["transposed"] = turned
        y = y.index_select(-1, order)
        weights = None if weights is None else weights.index_select(-1, order)
        return self.entries, Entries(turned, y, weights)

    def count(self, model: Model) -> int:
        return max(len(self.entries.pattern.col), 1)

    def check(self, model: Model) -> None:
        if not model.matrix:
            raise TypeError(
                f"{type(model).__name__} cannot take sparse data, which needs the matrix model "
                "NMF; make the data dense with .to_dense()"
            )

    def total(self, model: Model, loss: Loss, factors: Factors) -> Tensor:
        block = self._divergence(model, loss, factors, 0)
        lead = len(self.shape) - model.ndim
        return block.value(factors[0], lead).to(self.dtype)

    def block(self, model: Model, loss: Loss, factors: Factors, n: int) -> Block:
        if not loss.quadratic:
            return self._divergence(model, loss, factors, n)
        pattern, y, weights = self.sides[n]
        cross = times(pattern, y if weights is None else weights * y, factors[1 - n])
        at_entries = Sampled(pattern, n)
        if not self.zeros:
            return QuadraticBlock(at_entries.gram(factors, n, weights), cross, loss)
        gram = model.gram(factors, n)
        if weights is not None:
            gram = gram.unsqueeze(-3) + at_entries.gram(factors, n, weights - 1)
        return QuadraticBlock(gram, cross, loss)

    def positive(self, model: Model, factors: Factors, n: int) -> Tensor:
        pattern, y, weights = self.sides[n]
        if not self.zeros:
            ones = torch.ones_like(y) if weights is None else weights
            return times(pattern, ones, factors[1 - n])
        every = model.column_sum(factors, n)
        if weights is None:
            return every
        # A difference of sums, which rounding must not make negative.
        return (every + times(pattern, weights - 1, factors[1 - n])).clamp_min(0)

    def scale(self, model: Model, loss: Loss, factors: Factors) -> tuple[Tensor, Tensor]:
        pattern, y, weights = self.entries
        p = sampled(pattern, *factors)
        tops, bottoms = loss.scale(p, y)
        tops = tops if weights is None else weights * tops
        if self._gaps:
            # d(p, 0) = p^beta / beta, where the numerator vanishes.
            assert isinstance(loss, BetaDivergence)
            every = loss.beta * self._zeros(model, loss, factors, 0).value(
                factors[0], len(self.shape) - model.ndim
            )
            at_stored = 0 if weights is None else ((weights - 1) * bottoms).sum(-1)
            return self._spread(tops.sum(-1)), self._spread(every.to(p.dtype) + at_stored)
        bottoms = bottoms if weights is None else weights * bottoms
        return self._spread(tops.sum(-1)), self._spread(bottoms.sum(-1))

    def size(self, model: Model, loss: Loss) -> Tensor:
        _, y, weights = self.entries
        sizes = loss.magnitude(y)
        return self._spread((sizes if weights is None else weights * sizes).sum(-1))

    def means(self, model: Model) -> tuple[Tensor, Tensor]:
        pattern, y, weights = self.entries
        count = pattern.shape[0] * pattern.shape[1]
        mass = (y.abs() if weights is None else weights * y.abs()).sum(-1)
        weight = mass.new_tensor(float(len(pattern.col))) if weights is None else weights.sum(-1)
        if self.zeros:
            weight = weight + (count - len(pattern.col))
        return self._spread(mass / weight), self._spread(weight / count)

    def imputed(self, model: Model) -> Tensor:
        """Sparse, so with zeros for what is missing."""
        pattern, y, weights = self.entries
        if y.ndim > 1:
            raise ValueError("a batch of sparse data has no start that reads it; give the factors")
        return csr_tensor(pattern, y if weights is None else torch.where(weights > 0, y, 0))

    def parts(self, model: Model, loss: Loss, factors: Factors, order: tuple[int, ...]) -> Parts:
        if not loss.constant_positive:
            return super().parts(model, loss, factors, order)
        lead, block = len(self.shape) - model.ndim, self._divergence(model, loss, factors, 0)
        prediction = block.predict(factors[0])
        value = block.value_at(prediction, factors[0], lead).to(self.dtype)
        ratio = block.weighted(loss.split(prediction, self.entries.y)[1])
        splits = {}
        for n in order:
            positive = block.positive if n == 0 else self.positive(model, factors, n)
            assert positive is not None
            splits[n] = positive, block.model.adjoint(factors, n, ratio)
        return Parts(value, splits)

    @property
    def _gaps(self) -> bool:
        """Whether there are zeros that are not stored."""
        pattern = self.entries.pattern
        return self.zeros and len(pattern.col) < pattern.shape[0] * pattern.shape[1]

    def _spread(self, sums: Tensor) -> Tensor:
        return sums.expand(self.shape[:-2])

    def _divergence(self, model: Model, loss: Loss, factors: Factors, n: int) -> SparseBlock:
        pattern, y, weights = self.sides[n]
        constant = self.positive(model, factors, n) if loss.constant_positive else None
        zeros = self._zeros(model, loss, factors, n) if self._gaps else None
        return SparseBlock(Sampled(pattern, n), loss, y, weights, factors, n, constant, zeros)

    def _zeros(self, model: Model, loss: Loss, factors: Factors, n: int) -> Block:
        """The block of a matrix of zeros."""
        if loss.constant_positive:
            return LinearBlock(model.column_sum(factors, n), loss)
        if loss.quadratic:
            return QuadraticBlock(model.gram(factors, n), factors[n].new_zeros(()), loss)
        shape = self.entries.pattern.shape
        nothing = Dense(factors[0].new_zeros(()).expand(*factors[0].shape[:-2], *shape))
        return nothing.block(model, loss, factors, n)


def _csr(y: Tensor) -> Tensor:
    if y.layout == torch.sparse_csr:
        return y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (y.coalesce() if y.layout == torch.sparse_coo else y.to_sparse()).to_sparse_csr()


def _pattern(csr: Tensor) -> Pattern:
    m, n = csr.shape
    kind = torch.int32 if max(m, n, csr.values().numel()) < 2**31 else torch.int64
    return Pattern(csr.crow_indices().to(kind), csr.col_indices().to(kind), (m, n))


def _lookup(y: Tensor, pattern: Pattern) -> Tensor:
    """The values of ``y`` at the entries of a pattern."""
    row, col = pattern.row.long(), pattern.col.long()
    if y.layout == torch.strided:
        return y[row, col]
    csr = _csr(y)
    own, n = _pattern(csr), pattern.shape[1]
    stored, wanted = own.row.long() * n + own.col.long(), row * n + col
    place = torch.searchsorted(stored, wanted).clamp_max(max(len(stored) - 1, 0))
    if not len(stored):
        return csr.values().new_zeros(len(wanted))
    return torch.where(stored[place] == wanted, csr.values()[place], 0)


def _with_dense_weights(y: Tensor, weights: Tensor) -> Entries:
    """Sparse data of which some entries have another weight than 1, or are missing."""
    stored = _pattern(_csr(y))
    special = weights != 1
    special[stored.row.long(), stored.col.long()] = True
    row, col = special.nonzero(as_tuple=True)
    pattern, _ = Pattern.at(row, col, stored.shape)
    weight = weights[row, col].to(y.dtype)
    return Entries(pattern, torch.where(weight > 0, _lookup(y, pattern), 1), weight)
