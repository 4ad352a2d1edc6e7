"""A block iteration that takes another one's step where its own raises the objective."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..blocks import Block, DivergenceBlock
from ..problem import Problem
from ..regularizers import Regularizer
from ..regularizers.packed import Packed
from .base import BlockIteration, Wrapped


class Safeguarded(Wrapped):
    """The step of an iteration, or of a fallback in each problem whose objective it would raise.

    With a fallback that never raises the objective of its block, as MU and `BurgMirrorDescent`,
    neither does this. Both steps are made, and the objective is computed before and after: beside
    the two, the price is that of two predictions.

    Args:
        iteration: the one that may fail; where it does its memory starts anew.
        fallback: the one that may not.

    Raises:
        TypeError: not block iterations.

    Example:
        >>> from rlra_torch.blocks import QuadraticBlock
        >>> from rlra_torch.iterations import MU, ProjectedLeastSquares
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, 2.0]]), Frobenius())
        >>> step, x = Safeguarded(ProjectedLeastSquares(), MU()), torch.ones(1, 2)
        >>> step(x, step.init(x, NonNegative()), block, NonNegative())[0].round(decimals=3)
        tensor([[1., 2.]])
    """

    def __init__(self, iteration: BlockIteration, fallback: BlockIteration) -> None:
        super().__init__(iteration)
        if not isinstance(fallback, BlockIteration):
            raise TypeError(
                f"Safeguarded falls back on a block iteration, got {type(fallback).__name__}"
            )
        self.fallback = fallback
        self.nonnegative = iteration.nonnegative or fallback.nonnegative
        self.multiplicative = iteration.multiplicative or fallback.multiplicative

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        return self.iteration.init(x, reg), self.fallback.init(x, reg)

    def rescaled(self, x: Tensor, memory: tuple, scale: Tensor, reg: Regularizer) -> tuple:
        own, other = memory
        inner = self.iteration.rescaled(x, own, scale, reg)
        return inner, self.fallback.rescaled(x, other, scale, reg)

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        own, other = memory
        new, own = self.iteration(x, own, block, reg)
        safe, other = self.fallback(x, other, block, reg)
        # What is not finite is not lower.
        good = _objective(new, block, reg) <= _objective(x, block, reg)
        new = _chosen(good, new, safe)
        return new, (_chosen(good, own, self.iteration.init(new, reg)), other)

    def check(self, problem: Problem, n: int) -> None:
        self.iteration.check(problem, n)
        self.fallback.check(problem, n)

    def sweep_cost(self, rows: int, rank: int) -> float:
        return self.iteration.sweep_cost(rows, rank) + self.fallback.sweep_cost(rows, rank)


def _objective(x: Tensor, block: Block, reg: Regularizer) -> Tensor:
    """Of each problem, up to a constant; a least-squares block is one problem for each batch."""
    lead = x.ndim - 2
    if isinstance(block, DivergenceBlock):
        lead = block.y.ndim - block.model.ndim
    elif isinstance(reg, Packed):
        lead = reg.like.ndim - len(reg.layout.permutation)
    penalty = reg(x).to(torch.float64)
    penalty = penalty.flatten(lead).sum(-1) if penalty.ndim > lead else penalty
    return block.value(x, lead) + penalty


def _chosen(good: Tensor, new: Any, other: Any) -> Any:  # noqa: ANN401
    """The new tensors, but the others for the problems that are not good."""
    if isinstance(new, Tensor):
        own = new.ndim - good.ndim
        return torch.where(good.reshape(*good.shape, *(1,) * own), new, other)
    return tuple(_chosen(good, a, b) for a, b in zip(new, other, strict=True))
