"""The exact minimizer over rows with few nonzeros."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..functional.linalg import masked_solve
from ..functional.sparse_regression import (
    reduced_gram,
    sparse_regression,
)
from ..problem import Problem
from ..regularizers import ElasticNet, KSparse, Regularizer, SparseSimplex
from .base import BlockIteration, require_gram


class SparseNNLS(BlockIteration):
    """``x <- argmin <x, x G> / 2 - <x, C>`` over nonnegative rows with at most k nonzeros.

    Globally optimal, row by row, by enumeration of the supports or by branch and bound: the rank
    should be small, or k close to it. What k is the regularizer says: `KSparse` of nonnegative
    rows, `SparseSimplex` of rows, or `NonNegative` (all may be nonzero). Alternated with any
    iteration on the other factors it gives sparse NMF with an objective that never rises. Gradients
    flow through least squares on the supports, which do not move. The search waits for the device.

    References:
        | Nadisic, Vandaele, Gillis, Cohen, Exact sparse nonnegative least squares (2020)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 15.3

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> block = QuadraticBlock(torch.eye(3), torch.tensor([[1.0, -2.0, 3.0]]), Frobenius())
        >>> reg = KSparse(1, nonnegative=True, dim=-1)
        >>> SparseNNLS()(torch.zeros(1, 3), (), block, reg)[0]
        tensor([[0., 0., 3.]])
    """

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        assert isinstance(block, QuadraticBlock)
        gram, cross = block.gram, block.cross
        k = reg.k if isinstance(reg, (KSparse, SparseSimplex)) else x.shape[-1]
        total = reg.total if isinstance(reg, SparseSimplex) else 0.0
        found = sparse_rows(gram.detach(), cross.detach(), min(k, x.shape[-1]), total)
        solved = _solved(gram, cross, found > 0, total)
        # Where the gram is singular to rounding, least squares through it may leave the set.
        inside = ((solved > 0) == (found > 0)).all(-1, keepdim=True)
        return torch.where(inside, solved, found), memory

    def repeat(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer, times: int
    ) -> tuple[Tensor, tuple]:
        # The solution does not move when it is solved for again.
        return self(x, memory, block, reg)

    def check(self, problem: Problem, n: int) -> None:
        require_gram("SparseNNLS", problem, n)
        reg = problem.regs[n]
        rows = isinstance(reg, (KSparse, SparseSimplex)) and reg.dim == -1
        rows = rows and problem.model.layout(n).trivial
        sparse = rows and (isinstance(reg, SparseSimplex) or reg.nonnegative)  # pyright: ignore
        plain = isinstance(reg, ElasticNet) and reg.weights == (None, None)
        if not sparse and not (plain and (reg.lower, reg.upper) == (0.0, float("inf"))):
            raise TypeError(
                f"SparseNNLS solves for nonnegative rows with few nonzeros but factor {n} has "
                f"{reg}; use KSparse(k, nonnegative=True, dim=-1), or ProjectedGradient"
            )

    def sweep_cost(self, rows: int, rank: int) -> float:
        return rows * rank * (rank * rank / 3 + 6 * rank)


def _solved(gram: Tensor, cross: Tensor, mask: Tensor, total: float) -> Tensor:
    """Least squares on the supports, through which gradients flow."""
    if not total:
        return masked_solve(gram, cross, mask)
    own = gram.ndim > cross.ndim
    size = gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None]
    size = size if own else size[..., None]
    # On the simplex this changes nothing, and makes the gram regular where points are.
    lifted = gram + (size[..., None] if own else size)
    z = masked_solve(lifted, cross + size * total, mask)
    ones = masked_solve(lifted, torch.ones_like(cross), mask)
    return z + (total - z.sum(-1, keepdim=True)) / ones.sum(-1, keepdim=True) * ones


@torch.library.custom_op("rlra_torch::sparse_rows", mutates_args=())
def sparse_rows(gram: Tensor, cross: Tensor, k: int, total: float) -> Tensor:
    """The best nonnegative rows with at most k nonzeros, without gradients.

    Args:
        gram: (*, r, r), or (*, rows, r, r) when each row has its own.
        cross: (*, rows, r).
        k: the most nonzeros.
        total: what the entries of a row sum to; 0: anything.

    Returns:
        like ``cross``.
    """
    own = gram.ndim > cross.ndim
    root, target = reduced_gram(gram, cross[..., None, :] if own else cross)
    levels = torch.full((*target.shape[:-1], 1), k, device=cross.device)
    found = sparse_regression(root * total if total else root, target, levels, total > 0)
    x = found.x[..., 0, :] * (total if total else 1)
    return (x[..., 0, :] if own else x).contiguous()


@sparse_rows.register_fake
def _(gram: Tensor, cross: Tensor, k: int, total: float) -> Tensor:
    return torch.empty_like(cross, memory_format=torch.contiguous_format)
