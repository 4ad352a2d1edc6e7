"""Exactly sparse least squares, of either sign, by trying all supports."""

from __future__ import annotations

from itertools import combinations
from math import comb

import torch
from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..functional.linalg import solve_gram, times_gram
from ..problem import Problem
from ..regularizers import KSparse, Regularizer
from .base import BlockIteration, require_gram

LARGEST, CHUNK = 5000, 2**22  # supports, and numbers at once


class BestSubset(BlockIteration):
    """``min ||A x - y||^2`` over each row with at most k nonzeros, exactly: its best subset.

    For `KSparse(k, dim=-1)`. Least squares is solved on each of the ``C(r, k)`` supports, for all
    rows at once, and the one that takes off most is kept; the row of before stays where none is
    better.

    References:
        | Cohen, Gillis, Identifiability of complete dictionary learning (2019)
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapters 11 and 15

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> gram, cross = torch.tensor([[1.0, 0.9], [0.9, 1.0]]), torch.tensor([[1.0, -2.0]])
        >>> block = QuadraticBlock(gram, cross, Frobenius())
        >>> BestSubset()(torch.zeros(1, 2), (), block, KSparse(1, dim=-1))[0]
        tensor([[ 0., -2.]])
    """

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        assert isinstance(block, QuadraticBlock) and isinstance(reg, KSparse)
        subsets = _subsets(x.shape[-1], reg.k, x.device)
        found, best = x, _gain(x, block.gram, block.cross)
        # As many at a time as take the memory of a few million numbers.
        at_once = max(1, CHUNK // max(1, x.numel()))
        for some in subsets.split(at_once):
            gram = block.gram[..., some[:, :, None], some[:, None, :]]
            gram = gram.movedim(-3, -4) if block.gram.ndim > x.ndim else gram
            cross = block.cross[..., some].movedim(-2, -3)
            z = solve_gram(gram, cross)
            gain, which = _gain(z, gram, cross).max(-3)
            z = torch.take_along_dim(z, which[..., None, :, :], -3).squeeze(-3)
            z = torch.zeros_like(x).scatter(-1, some[which[..., 0]], z)
            better = gain > best
            best, found = torch.where(better, gain, best), torch.where(better, z, found)
        return found, memory

    def repeat(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer, times: int
    ) -> tuple[Tensor, tuple]:
        # The solution does not move when it is solved for again.
        return self(x, memory, block, reg)

    def squares(
        self, x: Tensor, memory: tuple, gradient: Tensor, metric: Tensor, reg: Regularizer
    ) -> Tensor:
        """Of the gradient on the supports, which are chosen at each step."""
        return torch.where(x != 0, gradient.square() / metric, 0)

    def check(self, problem: Problem, n: int) -> None:
        require_gram("BestSubset", problem, n)
        if not problem.model.layout(n).trivial:
            raise TypeError(f"BestSubset needs a factor that is a matrix, not factor {n}; use ADMM")
        reg = problem.regs[n]
        if not isinstance(reg, KSparse) or reg.nonnegative or reg.dim != -1:
            raise TypeError(f"BestSubset solves for KSparse(k, dim=-1) but factor {n} has {reg}")

    def sweep_cost(self, rows: int, rank: int) -> float:
        return 2.0 * rows * rank * rank * 2**rank


def _gain(x: Tensor, gram: Tensor, cross: Tensor) -> Tensor:
    """What a row takes off the objective, (*, rows, 1)."""
    return (x * (cross - 0.5 * times_gram(x, gram))).sum(-1, keepdim=True)


def _subsets(rank: int, k: int, device: torch.device) -> Tensor:
    """All sets of k numbers below the rank, one in each row."""
    return torch.tensor(list(combinations(range(rank), min(k, rank))), device=device)


def require_few_subsets(rank: int, k: int) -> None:
    """Check that all supports can be tried.

    Raises:
        ValueError: there are too many.
    """
    if comb(rank, k) > LARGEST:
        raise ValueError(
            f"{rank} components have {comb(rank, k)} supports of {k}, too many to try them all; "
            f"take a lower rank or k (up to {LARGEST} supports)"
        )
