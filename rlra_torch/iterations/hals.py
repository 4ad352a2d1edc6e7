"""Hierarchical alternating least squares."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..functional.linalg import times_gram
from ..kernels.coordinate import coordinate_sweeps
from ..problem import Problem
from ..regularizers import ElasticNet, Regularizer, Support
from .base import BlockIteration, require_gram


class HALS(BlockIteration):
    """Exact minimization over one column after the other.

        x_q <- prox_{reg / G_qq}(x_q + (c_q - X G_q) / G_qq)

    Columns with ``G_qq = 0`` stay as they are.

    References:
        | Cichocki, Zdunek, Amari, Hierarchical ALS algorithms for nonnegative matrix and 3D tensor
        | factorization (2007)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 7.5

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, -2.0]]), Frobenius())
        >>> HALS()(torch.ones(1, 2), (), block, NonNegative())[0]
        tensor([[1., 0.]])
    """

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        return self.repeat(x, memory, block, reg, 1)

    def repeat(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer, times: int
    ) -> tuple[Tensor, tuple]:
        assert isinstance(block, QuadraticBlock)
        if isinstance(reg, ElasticNet):
            interval = (reg.lower, reg.upper)
            gram, cross = block.gram, block.cross
            return coordinate_sweeps(x, gram, cross, reg.weights, interval, times), memory
        if isinstance(reg, Support) and (reg.by_column or block.gram.ndim > x.ndim):
            x, block = _supported(x, block, reg.mask)
            x, memory = self.repeat(x, memory, block, reg.reg, times)
            return torch.where(reg.mask, x, 0), memory
        for _ in range(times):
            x = _sweep(x, block, reg)
        return x, memory

    def check(self, problem: Problem, n: int) -> None:
        require_gram("HALS", problem, n)
        layout, own = problem.model.layout(n), problem.model.factor_ndims[n]
        rows = layout.permutation[layout.batch : layout.batch + layout.rows]
        if any(own + dim not in rows for dim in problem.regs[n].couples):
            raise TypeError(
                f"HALS cannot use {type(problem.regs[n]).__name__} on factor {n}, which couples "
                "the columns that it updates one by one; use MSOM or ProjectedGradient"
            )

    def sweep_cost(self, rows: int, rank: int) -> float:
        # Two launches for each column, each worth about 1e5 operations.
        return 2.0 * rows * rank * rank + 2e5 * rank


def _supported(x: Tensor, block: QuadraticBlock, mask: Tensor) -> tuple[Tensor, QuadraticBlock]:
    """The block without what is known to be zero, which then touches nothing else."""
    of_gram = mask if block.gram.ndim > x.ndim else mask.squeeze(-2)
    both = of_gram[..., :, None] & of_gram[..., None, :]
    gram, cross = torch.where(both, block.gram, 0), torch.where(mask, block.cross, 0)
    return torch.where(mask, x, 0), QuadraticBlock(gram, cross, block.loss)


def _sweep(x: Tensor, block: QuadraticBlock, reg: Regularizer) -> Tensor:
    """One sweep where the prox couples a column, so that it must see whole columns."""
    diagonal = block.gram.diagonal(dim1=-2, dim2=-1)
    diagonal = diagonal if block.gram.ndim > x.ndim else diagonal.unsqueeze(-2)
    alive = (diagonal > 0).expand_as(x)
    step = reg.metric(torch.where(diagonal > 0, diagonal, 1).expand_as(x)).reciprocal()
    for q in range(x.shape[-1]):
        column = torch.arange(x.shape[-1], device=x.device) == q
        moved = reg.prox(x - (times_gram(x, block.gram) - block.cross) * step, step)
        x = torch.where(column & alive, moved, x)
    return x
