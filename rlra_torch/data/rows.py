"""Data in blocks of rows: larger than memory, or on several devices."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..losses import Loss
from ..models import Factors, Model
from ..models.base import replaced
from .base import Data, Parts, Stored


class RowBlocks(Data):
    """Data whose first dimension is cut into blocks.

    The first factor has the rows of the data. What belongs to it is that of the blocks, one below
    the other; all else is their sum. A kind of blocks says where they are, and how to put together.
    """

    @abstractmethod
    def each(self) -> Iterator[tuple[Data, Callable[[Factors], Factors]]]:
        """The blocks, and how to get the factors that predict each: its rows of the first one."""

    @abstractmethod
    def stacked(self, found: list[Tensor]) -> Tensor:
        """What the blocks found for their rows, for all rows."""

    @abstractmethod
    def added(self, found: list[Tensor]) -> Tensor:
        """The sum of what the blocks found."""

    def together(self, n: int, found: list[Tensor]) -> Tensor:
        """What the blocks found for factor ``n``."""
        return self.stacked(found) if n == 0 else self.added(found)

    def check(self, model: Model) -> None:
        if not model.matrix:
            raise TypeError(
                f"{type(model).__name__} cannot take data in blocks of rows, which needs the "
                "matrix model NMF"
            )

    def stored(self) -> Iterator[Stored]:
        for y, _ in self.each():
            yield from y.stored()

    def total(self, model: Model, loss: Loss, factors: Factors) -> Tensor:
        return self.added([y.total(model, loss, part(factors)) for y, part in self.each()])

    def block(self, model: Model, loss: Loss, factors: Factors, n: int) -> Block:
        if not loss.quadratic:
            return RowsBlock(self, model, loss, factors, n)
        grams, crosses = [], []
        for y, part in self.each():
            block = y.block(model, loss, part(factors), n)
            assert isinstance(block, QuadraticBlock)
            grams.append(block.gram)
            crosses.append(block.cross)
        if all(gram.ndim == cross.ndim for gram, cross in zip(grams, crosses, strict=True)):
            # Without weights all rows share one gram.
            gram = model.gram(factors, 0) if n == 0 else self.added(grams)
        else:
            gram = self.together(n, [_by_row(*pair) for pair in zip(grams, crosses, strict=True)])
        return QuadraticBlock(gram, self.together(n, crosses), loss)

    def positive(self, model: Model, factors: Factors, n: int) -> Tensor:
        found = []
        for y, part in self.each():
            own = part(factors)
            found.append(y.positive(model, own, n).expand_as(own[n]))
        return self.together(n, found)

    def scale(self, model: Model, loss: Loss, factors: Factors) -> tuple[Tensor, Tensor]:
        found = [y.scale(model, loss, part(factors)) for y, part in self.each()]
        tops, bottoms = ([pair[i] for pair in found] for i in (0, 1))
        return self.added(tops), self.added(bottoms)

    def size(self, model: Model, loss: Loss) -> Tensor:
        return self._once(repr(loss), lambda: [y.size(model, loss) for y, _ in self.each()])

    def means(self, model: Model) -> tuple[Tensor, Tensor]:
        def weighed() -> list[Tensor]:
            """The sums of weight times value, and of weights."""
            found = []
            for y, _ in self.each():
                mean, weight = y.means(model)
                entries = y.shape[-2] * y.shape[-1]
                mass = torch.where(weight > 0, mean * weight, 0)
                found.append(torch.stack((mass, weight)) * entries)
            return found

        mass, weight = self._once("means", weighed)
        return mass / weight, weight / (self.shape[-2] * self.shape[-1])

    def parts(self, model: Model, loss: Loss, factors: Factors, order: tuple[int, ...]) -> Parts:
        values: list[Tensor] = []
        splits: dict[int, tuple[list[Tensor], list[Tensor]]] = {n: ([], []) for n in order}
        for y, part in self.each():
            own = part(factors)
            found = y.parts(model, loss, own, order)
            values.append(found.value)
            for n, both in found.splits.items():
                for kept, piece in zip(splits[n], both, strict=True):
                    kept.append(piece.expand_as(own[n]))
        together = {
            n: (self.together(n, positive), self.together(n, negative))
            for n, (positive, negative) in splits.items()
        }
        return Parts(self.added(values), together)

    def imputed(self, model: Model) -> Tensor:
        raise ValueError(
            "data in blocks of rows has no start that reads it whole; "
            "give init='random' or the factors"
        )

    def count(self, model: Model) -> int:
        """Of all blocks, so that all processes take as many inner iterations."""
        known: list[int] = vars(self).setdefault("_counted", [])  # pyright: ignore
        if not known:
            found = [torch.tensor(y.count(model), device=self.device) for y, _ in self.each()]
            known.append(int(self.added(found)))
        return known[0]

    def _once(self, name: str, find: Callable[[], list[Tensor]]) -> Tensor:
        """What belongs to the data alone costs one pass over it, and is kept."""
        known: dict[str, Tensor] = vars(self).setdefault("_known", {})  # pyright: ignore
        if name not in known:
            known[name] = self.added(find())
        return known[name]


def _by_row(gram: Tensor, cross: Tensor) -> Tensor:
    """The gram of each row, also where all share one."""
    if gram.ndim > cross.ndim:
        return gram
    return gram.unsqueeze(-3).expand(*cross.shape[:-1], *gram.shape[-2:])


@dataclass(frozen=True)
class RowsBlock(Block):
    """The subproblem of one factor of a matrix in blocks of rows.

    Args:
        data: the matrix.
        model: the model.
        loss: the loss.
        factors: both factors; the ``n``-th gives its shape only.
        n: which one is free.
    """

    data: RowBlocks
    model: Model
    loss: Loss
    factors: Factors
    n: int

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        positive, negative = [], []
        for block, own in self._blocks():
            for kept, part in zip((positive, negative), block.split(own(x)), strict=True):
                kept.append(part.expand_as(own(x)))
        return self.data.together(self.n, positive), self.data.together(self.n, negative)

    def majorant(self, x: Tensor, u: Tensor) -> Tensor:
        return self.hessian_product(x, u).abs() / u

    def hessian_product(self, x: Tensor, u: Tensor) -> Tensor:
        found = [block.hessian_product(own(x), own(u)) for block, own in self._blocks()]
        return self.data.together(self.n, found)

    def hessian(self, x: Tensor) -> Tensor:
        found = [block.hessian(own(x)) for block, own in self._blocks()]
        return self.data.together(self.n, found)

    def value(self, x: Tensor, lead: int = 0) -> Tensor:
        return self.data.added([block.value(own(x), lead) for block, own in self._blocks()])

    def lipschitz(self) -> Tensor:
        raise TypeError(
            f"the curvature of {type(self.loss).__name__} is not bounded, so no fixed gradient "
            "step is safe; use MU, MSOM or BurgMirrorDescent"
        )

    def _blocks(self) -> Iterator[tuple[Block, Callable[[Tensor], Tensor]]]:
        """The subproblem of each block of rows, and how to get its share of the free factor."""
        n = self.n
        for y, part in self.data.each():
            block = y.block(self.model, self.loss, part(self.factors), n)
            yield block, lambda x, part=part: part(replaced(self.factors, n, x))[n]
