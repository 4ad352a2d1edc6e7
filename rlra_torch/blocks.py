"""The subproblem of one factor: nonnegative regression, quadratic or not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .functional.batch import sum_each
from .functional.einsum import Layout
from .functional.layouts import added_grams, moved_block, moved_gram
from .functional.linalg import spectral_bound, times_gram
from .losses import Loss
from .models import Factors, Model
from .models.base import replaced


class Block(ABC):
    """``f(x) = loss(A x, y)`` in one factor ``x`` of shape ``(*, batch, rows, rank)``.

    Iterations see nothing else of a problem: the two parts of the gradient, products with the
    Hessian, and the gram where there is one.
    """

    loss: Loss

    @abstractmethod
    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient as ``positive - negative``, each broadcasting with ``x``."""

    @property
    def quadratic(self) -> bool:
        """Whether it is least squares."""
        return self.loss.quadratic

    def majorized(self, x: Tensor, l1: Tensor | None, l2: Tensor | None) -> Tensor:
        """The minimizer ``z >= 0`` of a separable majorizer at ``x`` plus ``l1 z + l2 z^2 / 2``.

        Where frozen factors are negative, outside the domain of the loss, a finite answer.

        Args:
            x: positive.
            l1: of any sign if ``l2`` is given, broadcasting with ``x``, or None.
            l2: positive, likewise.
        """
        positive, negative = self.split(x)
        return self.loss.majorized(x, positive.clamp_min(0), negative.clamp_min(0), l1, l2)

    @abstractmethod
    def majorant(self, x: Tensor, u: Tensor) -> Tensor:
        """The diagonal ``|H(x)| u / u``, which majorizes the Hessian ``H(x)`` for any ``u > 0``."""

    @abstractmethod
    def hessian_product(self, x: Tensor, u: Tensor) -> Tensor:
        """``H(x) u``, with the Hessian of the convex part of the loss."""

    @abstractmethod
    def hessian(self, x: Tensor) -> Tensor:
        """``H(x)``, one matrix for all rows (*, batch, rank, rank) or (*, batch, rows, rank, rank).

        Raises:
            TypeError: the model gives no gram.
        """

    @abstractmethod
    def lipschitz(self) -> Tensor:
        """A bound on the largest eigenvalue of the Hessian, broadcasting with ``x``.

        Raises:
            TypeError: the Hessian is not bounded.
        """

    @abstractmethod
    def value(self, x: Tensor, lead: int = 0) -> Tensor:
        """``f(x)`` up to a constant of the block, summed over all but ``lead`` dimensions."""

    def gradient(self, x: Tensor) -> Tensor:
        """``A^T loss'(A x, y)``, like ``x``."""
        positive, negative = self.split(x)
        return positive - negative


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


class Share(NamedTuple):
    """What one data set adds to the block of a factor that several share.

    Args:
        block: its own block.
        weight: of its loss, or None for 1.
        layout: how the factor becomes its block.
    """

    block: Block
    weight: Tensor | None
    layout: Layout

    def weighed(self, x: Tensor) -> Tensor:
        """Something of this block, times its weight."""
        return x if self.weight is None else self.weight * x


@dataclass(frozen=True)
class SumBlock(Block):
    """The sum of the blocks of several data sets that share a factor.

    Args:
        shares: of each data set.
        layout: of the sum.
        like: the factor, of which the shape matters only.
        loss: the loss that all of them have, or `Several`.
    """

    shares: tuple[Share, ...]
    layout: Layout
    like: Tensor
    loss: Loss

    @classmethod
    def of(
        cls, shares: tuple[Share, ...], layout: Layout, like: Tensor, loss: Loss
    ) -> QuadraticBlock | SumBlock:
        """One least-squares block where all of them are."""
        total = cls(shares, layout, like, loss)
        if not all(isinstance(share.block, QuadraticBlock) for share in shares):
            return total
        cross = total._back([share.block.cross for share in shares])  # pyright: ignore
        return QuadraticBlock(total.hessian(cross), cross, loss)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = [share.block.split(own) for share, own in self._own(x)]
        positive, negative = zip(*found, strict=True)
        return self._back(positive), self._back(negative)

    def value(self, x: Tensor, lead: int = 0) -> Tensor:
        found = [share.weighed(share.block.value(own, lead)) for share, own in self._own(x)]
        return sum(found[1:], found[0])

    def majorant(self, x: Tensor, u: Tensor) -> Tensor:
        pairs = zip(self._own(x), self._own(u), strict=True)
        return self._back([share.block.majorant(own, v) for (share, own), (_, v) in pairs])

    def hessian_product(self, x: Tensor, u: Tensor) -> Tensor:
        pairs = zip(self._own(x), self._own(u), strict=True)
        return self._back([share.block.hessian_product(own, v) for (share, own), (_, v) in pairs])

    def hessian(self, x: Tensor) -> Tensor:
        grams = []
        for share, own in self._own(x):
            gram = share.block.hessian(own)
            by_row = gram.ndim > own.ndim
            moved = moved_gram(gram, share.layout, self.layout, self.like, by_row)
            grams.append(share.weighed(moved))
        return added_grams(grams, any(gram.ndim > x.ndim for gram in grams))

    def lipschitz(self) -> Tensor:
        like = self.layout.pack(self.like)
        found = [share.block.lipschitz().expand_as(own) for share, own in self._own(like)]
        return self._back(found)

    def _own(self, x: Tensor) -> list[tuple[Share, Tensor]]:
        """The block as each data set sees it."""
        return [
            (share, moved_block(x, self.layout, share.layout, self.like)) for share in self.shares
        ]

    def _back(self, found: Sequence[Tensor]) -> Tensor:
        """The weighted sum of what each data set found."""
        total = None
        for share, part in zip(self.shares, found, strict=True):
            if share.layout != self.layout:
                part = part.expand_as(share.layout.pack(self.like))
                part = moved_block(part, share.layout, self.layout, self.like)
            part = share.weighed(part)
            total = part if total is None else total + part
        assert total is not None
        return total
