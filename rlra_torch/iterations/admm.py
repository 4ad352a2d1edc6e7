"""The alternating direction method of multipliers on one factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..functional.linalg import apply_root, damped_root
from ..problem import Problem
from ..regularizers import Regularizer
from ..regularizers.base import hyperparameter
from .base import BlockIteration
from .mu import lowest


class ADMM(BlockIteration):
    """A copy of the factor for each term of its regularizer, and multipliers that make them equal.

    With the terms ``R_t``, t = 1..b, of the regularizer and a weight rho,

        x    <- argmin f(x) + sum_t rho/2 ||x - z_t + u_t / rho||^2
        z_t  <- prox of R_t / rho at x + u_t / rho
        u_t  <- u_t + rho (x - z_t)

    The answer is ``z_1``, which meets the first term exactly. For least squares the step in ``x``
    is ``(C + sum_t (rho z_t - u_t)) (G + b rho I)^-1``, with one Cholesky factorization for all
    inner iterations; for other losses it minimizes a separable majorizer, so that ``x`` stays
    nonnegative. ``rho = trace(G) / rank``, or what has its place there; where it has changed since
    the last step the multipliers change in proportion, for they follow the scale of the others. As
    ``Alternating(ADMM(), inner=5)`` it is AO-ADMM, with one rho for all inner steps; with sums of
    penalties fewer of them may not converge. The objective may rise for a while.

    Args:
        weight: rho in units of ``trace(G) / rank``, positive: a float or a learned parameter.

    Raises:
        ValueError: a weight that is not positive.

    References:
        | Huang, Sidiropoulos, Liavas, A flexible and efficient algorithmic framework for
        | constrained matrix and tensor factorization (2016)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 18.1

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(2), torch.tensor([[1.0, -2.0]]), Frobenius())
        >>> step, reg = ADMM(), NonNegative()
        >>> x, _ = step.repeat(torch.ones(1, 2), step.init(torch.ones(1, 2), reg), block, reg, 30)
        >>> x.round(decimals=4)
        tensor([[1., 0.]])
    """

    termwise = True
    weight: Tensor

    def __init__(self, weight: float | Tensor = 1.0) -> None:
        super().__init__()
        if isinstance(weight, (int, float)) and not weight > 0:
            raise ValueError(f"the weight of ADMM must be positive, got {weight}")
        hyperparameter(self, "weight", weight)

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        """``x``; copy, multipliers and memory of the prox of each term; rho of each row."""
        copies = tuple(tuple(Copy.of(x, term)) for term in reg.terms)
        return x, copies, torch.ones_like(x[..., :1])

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        return self.repeat(x, memory, block, reg, 1)

    def repeat(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer, times: int
    ) -> tuple[Tensor, tuple]:
        inner, terms = memory[0], reg.terms
        rho = self.weight * mean_curvature(block, inner, reg)
        copies = [Copy(*copy).rescaled(rho / memory[2]) for copy in memory[1]]
        # What came back may have been moved since, by an extrapolation or by balancing.
        copies[0] = copies[0]._replace(z=x)
        step = FactorStep.of(block, inner, len(terms) * rho)
        for _ in range(times):
            inner = step(inner, pull(copies, rho))
            copies = [
                copy.moved(inner, term, rho) for copy, term in zip(copies, terms, strict=True)
            ]
        kept = tuple(tuple(copy) for copy in copies)
        return copies[0].z, (inner, kept, rho.expand_as(memory[2]))

    def rescaled(self, x: Tensor, memory: tuple, scale: Tensor, reg: Regularizer) -> tuple:
        inner, copies, rho = memory
        kept = [
            tuple(Copy(*copy).scaled(scale, term))
            for copy, term in zip(copies, reg.terms, strict=True)
        ]
        return scale * inner, tuple(kept), rho

    def squares(
        self, x: Tensor, memory: tuple, gradient: Tensor, metric: Tensor, reg: Regularizer
    ) -> Tensor:
        """With several terms, how far the multipliers and the copies are from those of a solution.

        Each ``u_t`` is a subgradient of its term at its copy: what is left is the gradient plus
        their sum, and the distance between the copies.
        """
        if len(reg.terms) == 1:
            return super().squares(x, memory, gradient, metric, reg)
        metric = torch.maximum(metric, memory[2])
        return splitting_squares(x, [Copy(*copy) for copy in memory[1]], gradient, metric)

    def check(self, problem: Problem, n: int) -> None:
        loss = problem.loss_of(n)
        if not loss.quadratic:
            one = torch.ones((1,) * problem.model.factor_ndims[n], dtype=torch.float64)
            loss.majorized(one, one, one, one, one)

    def sweep_cost(self, rows: int, rank: int) -> float:
        return 2.0 * rows * rank * rank + 10.0 * rows * rank + 5e5

    def extra_repr(self) -> str:
        return "" if self.weight.requires_grad else f"weight={float(self.weight):g}"


class Copy(NamedTuple):
    """What ADMM keeps for one term of a regularizer.

    Args:
        z: the copy of the factor that meets the term, (*, batch, rows, rank).
        dual: the multipliers of ``x = z``, a subgradient of the term at ``z``.
        warm: what the prox of the term goes on from.
    """

    z: Tensor
    dual: Tensor
    warm: tuple

    @classmethod
    def of(cls, x: Tensor, term: Regularizer) -> Copy:
        """To start from: no multipliers."""
        return cls(x, torch.zeros_like(x), term.warm(x))

    def rescaled(self, ratio: Tensor) -> Copy:
        """With multipliers that are ``ratio`` times as large."""
        return self._replace(dual=self.dual * ratio)

    def scaled(self, scale: Tensor, term: Regularizer) -> Copy:
        """With a copy that is ``scale`` times as large, and a subgradient of the term there."""
        z, dual = scale * self.z, self.dual
        if term.degree is not None and term.degree != 1:
            some = scale > 0
            dual = dual * torch.where(some, torch.where(some, scale, 1) ** (term.degree - 1), 0)
        return Copy(z, dual, term.warm(z))

    def moved(self, x: Tensor, term: Regularizer, rho: Tensor) -> Copy:
        """The prox, and the multipliers that belong to it.

        Args:
            x: the factor.
            term: the term of its regularizer.
            rho: positive, broadcasting with ``x``, constant along what the term couples.
        """
        target = x + self.dual / rho
        z, warm = term.warm_prox(target, 1 / rho, self.warm)
        return Copy(z, rho * (target - z), warm)


def pull(copies: list[Copy], rho: Tensor) -> Tensor:
    """``sum_t (rho z_t - u_t)``: where the copies want the factor to be, times their weight."""
    parts = [rho * copy.z - copy.dual for copy in copies]
    return sum(parts[1:], parts[0])


def splitting_squares(x: Tensor, copies: list[Copy], gradient: Tensor, metric: Tensor) -> Tensor:
    """``(g + sum_t u_t)^2 / D + D sum_t (z_t - x)^2``, which is 0 at a solution, like ``x``.

    Args:
        x: the answer.
        copies: of the terms.
        gradient: g of the loss, or of all else that the multipliers must balance.
        metric: positive; D is at least its mean over the columns, for a column that has died says
            nothing about its multipliers.
    """
    metric = torch.maximum(metric, metric.mean(-1, keepdim=True))
    slope = gradient + sum(copy.dual for copy in copies)
    gaps = sum((copy.z - x).square() for copy in copies)
    return slope.square() / metric + metric * gaps


@dataclass(frozen=True)
class FactorStep:
    """``argmin over x of f(x) + <x, x (w I + M)> / 2 - <x, L>``, prepared for many L.

    Exact for a least-squares block; else one step on a majorizer of ``f``.

    Args:
        block: f.
        weight: w, (*, batch, 1, 1) or one for each row.
        matrix: M, (*, batch, rank, rank) and positive semidefinite, or None.
        root: the Cholesky factor of ``G + w I + M`` where there is a gram G.
        bound: on the curvature of a quadratic ``f`` without one.
    """

    block: Block
    weight: Tensor
    matrix: Tensor | None
    root: Tensor | None
    bound: Tensor | None

    @classmethod
    def of(
        cls, block: Block, x: Tensor, weight: Tensor, matrix: Tensor | None = None
    ) -> FactorStep:
        """Factorize what there is to factorize."""
        if isinstance(block, QuadraticBlock):
            gram = block.gram
            if matrix is not None:
                gram = gram + (matrix.unsqueeze(-3) if gram.ndim > x.ndim else matrix)
            return cls(block, weight, matrix, damped_root(gram, weight), None)
        bound = block.lipschitz() if block.quadratic else None
        return cls(block, weight, matrix, None, bound)

    def __call__(self, x: Tensor, linear: Tensor) -> Tensor:
        """The minimizer.

        Args:
            x: where a majorizer is tight.
            linear: L, like ``x``.
        """
        if self.root is not None:
            assert isinstance(self.block, QuadraticBlock)
            return apply_root(self.root, self.block.cross + linear)
        weight = self.weight
        if self.matrix is not None:
            # |M| lumped onto its diagonal majorizes M.
            lumped = self.matrix.abs().sum(-1).unsqueeze(-2)
            linear, weight = linear + x * lumped - x @ self.matrix, weight + lumped
        if self.bound is not None:
            return (self.bound * x - self.block.gradient(x) + linear) / (self.bound + weight)
        x = torch.maximum(x, lowest(x.detach(), torch.finfo(x.dtype).eps ** 2))
        return self.block.majorized(x, -linear, weight)


def mean_curvature(block: Block, x: Tensor, reg: Regularizer) -> Tensor:
    """``trace(G) / rank`` of a block, or what comes near to it where there is no gram.

    For other losses the curvature along ``x``, from the two parts of the gradient there, over the
    rank. Where it is 0, as for rows without data, the mean of the others has its place.

    Args:
        block: the block.
        x: (*, batch, rows, rank).
        reg: the largest is taken along what it couples.

    Returns:
        positive, (*, batch, 1, 1), or (*, batch, rows, 1) where each row has a gram of its own.
    """
    if isinstance(block, QuadraticBlock):
        mean = block.gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None]
        mean = mean if block.gram.ndim > x.ndim else mean[..., None]
    elif block.quadratic:
        mean = (block.lipschitz() / x.shape[-1]).expand(*x.shape[:-2], 1, 1)
    else:
        positive, negative = block.split(x)
        energy = x.square().sum((-2, -1), keepdim=True)
        along = 0.5 * (x * (positive + negative)).sum((-2, -1), keepdim=True)
        mean = torch.where(energy > 0, along / torch.where(energy > 0, energy, 1), 0) / x.shape[-1]
    mean = torch.where(mean > 0, mean, mean.mean(-2, keepdim=True))
    mean = torch.where(mean > 0, mean, 1)
    rows = mean.shape[-2]
    return reg.metric(mean.expand_as(x))[..., :rows, :1]
