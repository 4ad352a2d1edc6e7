"""A factor that several data sets share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..functional.einsum import Layout
from ..functional.layouts import added_grams, moved_block, moved_gram
from ..losses import Loss
from .base import Block
from .quadratic import QuadraticBlock


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
